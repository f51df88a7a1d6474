/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's insides: what all lanes share, and what each lane has.
 *
 * Invariants
 *  1. `connections` and `logins` are counted up on the control lane when a
 *     socket is accepted, down on the connection's lane when it is gone.
 *  2. An iscsi_lane is touched by its lane's thread only, but for `server` and
 *     `lane`, which never change, and `next_table`; `published` is with the loop
 *     while that is set.
 *  3. The registry of sessions is used at login and at the end of a session,
 *     never per command.
 */
#ifndef TARGET_ISCSI_SERVER_STATE_H
#define TARGET_ISCSI_SERVER_STATE_H

#include "blockcore/base/log.h"
#include "blockcore/base/slab.h"
#include "target/iscsi/bars.h"
#include "target/iscsi/iscsi.h"
#include "target/iscsi/session.h"

#include <stdatomic.h>

struct iscsi_connection;
struct iscsi_portal;
TAILQ_HEAD(iscsi_connection_list, iscsi_connection);

/* Size of a slab object of data_in.c. */
#define DATA_PIECE_BYTES 192u
/* ... of task_management.c. */
#define MANAGEMENT_BYTES 288u

struct iscsi_lane {
	struct iscsi_server *server;
	struct block_lane *lane;
	struct slab tasks, pieces, controls, managements;
	struct access_table *table; /* the newest; a reference */
	/* One that is newer, on its way with `published`; a reference. */
	_Atomic(struct access_table *) next_table;
	struct loop_message published;
	struct iscsi_connection_list connections;
	uint64_t last_serial;
	struct iscsi_connection_list logins; /* of these: half-open, by age */
	struct log_limit log;
	size_t quota_bytes; /* of data buffers, for one connection */
	unsigned starving; /* connections that wait for a buffer */
	struct loop_timer shortage;
};

struct iscsi_server {
	struct block_core *core;
	struct iscsi_settings settings;
	struct iscsi_watcher *watcher;
	struct iscsi_lane *lane[BLOCK_MAX_LANES]; /* by index; NULL: none */
	unsigned next_lane; /* control lane: dealt out in turn */
	struct session_registry registry;
	struct bars bars;
	struct access_table *table; /* control lane */
	LIST_HEAD(, iscsi_portal) portals; /* control lane */
	struct loop_timer accept_again; /* after EMFILE; control lane */
	struct log_limit accept_log;
	atomic_uint connections, logins;
	atomic_uint sessions; /* in full feature phase */
	/* control lane: totals, and the latest refused logins in a circle */
	struct iscsi_figures figures;
	uint64_t refusals;
	struct iscsi_refused refused[ISCSI_REFUSED_KEPT];
};

#endif
