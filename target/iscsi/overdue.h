/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that a host was asked for (by R2T, or announced itself) and does not send.
 *
 * A command that waits for data keeps its tag, its place in the window and its buffer.
 * A host that answers pings and never sends it would keep them for ever, so after
 * `data_timeout_s` without progress the connection ends: at ErrorRecoveryLevel 0 there
 * is nothing smaller to recover (RFC 7143 7.1), and by then hosts have given the
 * command up themselves.
 *
 * A slow host is none that owes data: it sends other data first. So a command is
 * overdue only if, all that time, no data came at all, or more than all that the host
 * can have been asked for before.
 *
 * Invariants
 *  1. Traffic only stores numbers; the clock is looked at OVERDUE_LOOKS times per
 *     timeout, and not at all while no command waits for data.
 *  2. What we do not read from the socket is not the host's fault.
 */
#ifndef TARGET_ISCSI_OVERDUE_H
#define TARGET_ISCSI_OVERDUE_H

#include "target/iscsi/task.h"

#define OVERDUE_LOOKS 4u

void overdue_init(struct iscsi_connection *connection);
/* The task begins to wait for data. */
void overdue_begin(struct iscsi_task *task);
/* So much has come for it: empty PDUs are no progress. */
static inline void overdue_note(struct iscsi_task *task, uint32_t bytes)
{
	struct connection_overdue *overdue = &task->connection->overdue;

	if (!bytes)
		return;
	overdue->in_bytes += bytes;
	overdue->moved_look = overdue->looks;
	task->due_look = overdue->looks;
	task->due_bytes = overdue->in_bytes;
}
/* No look comes any more. */
void overdue_end(struct iscsi_connection *connection);

#endif
