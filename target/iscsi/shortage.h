/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who keeps buffers while others have none.
 *
 * A host that owes data which it was asked for, or does not take what it asked
 * for, keeps the buffers of those commands; one that does not take answers to its
 * pings and texts, or sends half a PDU, keeps those. As long as there are enough, that is
 * nobody's business but the ping timer's (nop.c). Once a command of another
 * connection of the lane finds none, a timer looks at all that hold some: one
 * that moves less than a sixteenth of what it holds in SHORTAGE_LOOKS seconds is
 * dropped.
 *
 * Invariants
 *  1. The timer runs only while some connection of the lane is `starving`.
 *  2. Who waits for the storage, or for us to read its socket, is never dropped.
 */
#ifndef TARGET_ISCSI_SHORTAGE_H
#define TARGET_ISCSI_SHORTAGE_H

#include "target/iscsi/connection.h"

#define SHORTAGE_LOOKS 10u /* seconds */

/* For iscsi_lane_start. */
void shortage_init(struct iscsi_lane *lane);
/* A command of the connection found no buffer; it found one, or the connection
 * ends. Any number of times. */
void shortage_begin(struct iscsi_connection *connection);
void shortage_over(struct iscsi_connection *connection);
static inline void shortage_end(struct iscsi_connection *connection)
{
	if (connection->starving)
		shortage_over(connection);
}

#endif
