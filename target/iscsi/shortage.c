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
	return (connection->incoming || connection->receive.own_bytes) &&
		!connection->stream.paused;
}

/* Keeps data of commands and hardly moves any. What else it moves, pings for
 * instance, does not count. */
static bool keeps_data(const struct iscsi_connection *connection)
{
	uint64_t moved = connection->moved_bytes - connection->shortage_bytes;

	return connection->held_bytes && moved < connection->held_bytes / PART;
}

/* Keeps buffers of answers, or of half a PDU, and hardly moves anything. */
static bool keeps_others(const struct iscsi_connection *connection)
{
	size_t kept = connection->control_bytes + connection->receive.own_bytes;
	uint64_t moved = connection->moved_bytes - connection->shortage_bytes +
		connection->other_moved_bytes -
		connection->shortage_other_bytes;

	return kept && moved < kept / PART;
}

static void forget_moves(struct iscsi_connection *connection)
{
	connection->shortage_bytes = connection->moved_bytes;
	connection->shortage_other_bytes = connection->other_moved_bytes;
	connection->shortage_looks = 0;
}

/* True if it keeps buffers and hardly moves. */
static bool is_slow(struct iscsi_connection *connection)
{
	if (is_due(connection) &&
		(keeps_data(connection) || keeps_others(connection)))
		return ++connection->shortage_looks >= SHORTAGE_LOOKS;
	forget_moves(connection);
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

	TAILQ_FOREACH (connection, &lane->connections, link)
		forget_moves(connection);
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
