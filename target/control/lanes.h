/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that carry I/O and what runs on each: a reactor, the block core's
 * lane, the iSCSI target's lane. Lane 0 is the control reactor's, without
 * connections.
 */
#ifndef TARGET_CONTROL_LANES_H
#define TARGET_CONTROL_LANES_H

#include "target/control/settings.h"
#include "target/iscsi/iscsi.h"
#include "target/reactor/reactor.h"

struct lanes;

/* Makes as many reactors as the settings say; none runs yet. NULL with *err. */
struct lanes *lanes_new(struct block_core *core, struct reactor *control,
	const struct settings *settings, struct err *err);
/* All are stopped. */
void lanes_free(struct lanes *lanes);

/* In a coroutine on the control reactor: starts threads and lanes. */
int lanes_start_co(struct lanes *lanes, struct iscsi_server *server,
	uint64_t buffer_bytes, struct err *err);
/* What has started is stopped, threads too; the control lane last. Sources and
 * sessions are gone. */
void lanes_stop_co(struct lanes *lanes);

#endif
