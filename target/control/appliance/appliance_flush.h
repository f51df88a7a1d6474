/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At the end of the daemon: what hosts wrote without flushing it is made durable, as
 * far as that takes no longer than it may. Nobody promised it to them, but who stops
 * a target in good order means to switch the machine off.
 *
 *	every volume that is online, can be written and has not failed
 *	    --FLUSH, all at once--> done | failed (the volume is marked) | late
 *
 * Invariants
 *  1. After the deadline nothing waits but what is in the kernel, which the end of
 *     its source waits for as it does for all I/O.
 *  2. No volume is freed meanwhile: applies wait.
 */
#ifndef TARGET_CONTROL_APPLIANCE_APPLIANCE_FLUSH_H
#define TARGET_CONTROL_APPLIANCE_APPLIANCE_FLUSH_H

#include "target/control/appliance/appliance.h"

/* Sessions are gone. `late` is called for each volume whose flush has not come to an
 * end, well or not; what failed has VOLUME_FAILED, as after a host's flush. Control
 * lane. */
void appliance_flush_co(struct appliance *appliance, uint64_t deadline_ns,
	void (*late)(void *argument, const struct volume *volume),
	void *argument);

#endif
