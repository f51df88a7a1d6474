/* SPDX-License-Identifier: Apache-2.0 */
/* See shortage.h. */
#include "target/iscsi/shortage.h"

#include "blockcore/base/list.h"

#define LOOK_NS 1000000000ull
#define PART 16u /* of what it holds */

/* Is it the host that the connection's data waits for? */
static bool is_due(const struct iscsi_connection *connection)
{
	if (stream_unsent_bytes(&connection->stream))
		return true;
	return connection->incoming && !connection->stream.paused;
}

/* True if it keeps buffers and hardly moves. */
static bool is_slow(struct iscsi_connection *connection)
{
	uint64_t moved = connection->moved_bytes - connection->shortage_bytes;

	if (is_due(connection) && connection->held_bytes &&
		moved < connection->held_bytes / PART)
		return ++connection->shortage_looks >= SHORTAGE_LOOKS;
	connection->shortage_bytes = connection->moved_bytes;
	connection->shortage_looks = 0;
	return false;
}

static void look(struct loop_timer *timer)
{
	struct iscsi_lane *lane =
		container_of(timer, struct iscsi_lane, shortage);
	struct iscsi_connection *connection;

	if (!lane->starving)
		return;
	TAILQ_FOREACH (connection, &lane->connections, link) {
		if (connection->state == CONNECTION_FULL && is_slow(connection))
			connection_drop(connection,
				"keeps buffers that others wait for");
	}
	loop_timer_set(lane->lane->loop, timer, LOOK_NS);
}

void shortage_init(struct iscsi_lane *lane)
{
	lane->shortage.expired = look;
}

/* What moved before the shortage is forgotten at its start. */
static void start(struct iscsi_lane *lane)
{
	struct iscsi_connection *connection;

	TAILQ_FOREACH (connection, &lane->connections, link) {
		connection->shortage_bytes = connection->moved_bytes;
		connection->shortage_looks = 0;
	}
	loop_timer_set(lane->lane->loop, &lane->shortage, LOOK_NS);
}

void shortage_begin(struct iscsi_connection *connection)
{
	struct iscsi_lane *lane = connection->lane;

	if (connection->starving)
		return;
	connection->starving = true;
	if (lane->starving++ == 0)
		start(lane);
}

void shortage_over(struct iscsi_connection *connection)
{
	if (!connection->starving)
		return;
	connection->starving = false;
	if (--connection->lane->starving == 0)
		loop_timer_clear(connection->lane->lane->loop,
			&connection->lane->shortage);
}
