/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit records of what the daemon does by itself: it starts and stops, applies a
 * document that it was started with, ends what was to end, makes a secret (which is in
 * no record).
 *
 * Invariants
 *  1. A record of a change commits with the change, or neither does.
 *  2. The user is "cairnd", via "daemon".
 *  3. Control thread only.
 */
#ifndef TARGET_CONTROL_OWN_AUDIT_H
#define TARGET_CONTROL_OWN_AUDIT_H

#include "blockcore/base/err.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/object.h"

struct trust;

struct own_audit {
	struct config_witness witness; /* for a change of the configuration */
	struct trust *trust;
	const char *operation; /* "expireFault"; outlives the change */
	const char *object; /* NULL: none */
};

/* What to hand to config_change_co and its like; *own as long as that runs. */
struct config_witness *own_audit_witness(struct own_audit *own,
	struct trust *trust, const char *operation, const char *object);

/* At once; `object` may be NULL. What cannot be kept is in the log. */
void own_audit_note(
	struct trust *trust, const char *operation, const char *object);

#endif
