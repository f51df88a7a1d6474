/* SPDX-License-Identifier: Apache-2.0 */
/* See overdue.h. */
#include "target/iscsi/overdue.h"

#include "blockcore/base/list.h"

#define SECOND_NS 1000000000ull

static void look_later(struct iscsi_connection *connection)
{
	uint32_t timeout_s = connection->lane->server->settings.data_timeout_s;

	if (timeout_s)
		loop_timer_set(connection->lane->lane->loop,
			&connection->overdue.timer,
			timeout_s * SECOND_NS / OVERDUE_LOOKS);
}

/* A whole timeout at least, as the first look may have come at once. */
static bool is_long_ago(const struct connection_overdue *overdue, uint32_t look)
{
	return overdue->looks - look > OVERDUE_LOOKS;
}

static bool is_overdue(const struct iscsi_task *task)
{
	const struct iscsi_connection *connection = task->connection;
	const struct connection_overdue *overdue = &connection->overdue;

	if (task->state != TASK_RECEIVING ||
		!is_long_ago(overdue, task->due_look) ||
		!is_long_ago(overdue, overdue->paused_look))
		return false;
	return is_long_ago(overdue, overdue->moved_look) ||
		overdue->in_bytes - task->due_bytes >
		connection->lane->quota_bytes;
}

static bool has_overdue(const struct iscsi_connection *connection)
{
	for (unsigned i = 0; i < CONNECTION_BUCKETS; i++) {
		const struct iscsi_task *task = connection->bucket[i];

		for (; task; task = task->next)
			if (is_overdue(task))
				return true;
	}
	return false;
}

static void look(struct loop_timer *timer)
{
	struct iscsi_connection *connection =
		container_of(timer, struct iscsi_connection, overdue.timer);
	struct connection_overdue *overdue = &connection->overdue;

	overdue->looks++;
	if (connection->state != CONNECTION_FULL || !connection->incoming)
		return;
	if (connection->stream.paused)
		overdue->paused_look = overdue->looks;
	if (has_overdue(connection))
		connection_drop(connection,
			"does not send the data that it was asked for");
	else
		look_later(connection);
}

void overdue_init(struct iscsi_connection *connection)
{
	connection->overdue.timer.expired = look;
	/* Nothing was paused before. */
	connection->overdue.paused_look = 0u - OVERDUE_LOOKS - 1;
}

void overdue_begin(struct iscsi_task *task)
{
	const struct connection_overdue *overdue = &task->connection->overdue;

	task->due_look = overdue->looks;
	task->due_bytes = overdue->in_bytes;
	if (!overdue->timer.armed)
		look_later(task->connection);
}

void overdue_end(struct iscsi_connection *connection)
{
	loop_timer_clear(
		connection->lane->lane->loop, &connection->overdue.timer);
}
