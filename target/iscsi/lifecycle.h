/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's beginning and end, and a change of access in between.
 */
#ifndef TARGET_ISCSI_LIFECYCLE_H
#define TARGET_ISCSI_LIFECYCLE_H

#include "target/iscsi/connection.h"

/* What a socket brings along from its portal to its lane. */
struct connection_arrival {
	struct loop_message message; /* portal.c's */
	struct iscsi_lane *lane;
	int fd;
	struct sockaddr_storage peer;
	const struct access_portal *portal; /* lives as long as the server */
	bool full; /* there are all the connections that may be */
	bool takes_place; /* ... or all the logins: the oldest gives way */
};

/* Takes `arrival` over in any case (a failure closes it). */
void lifecycle_open(struct iscsi_lane *lane,
	const struct connection_arrival *arrival,
	const struct stream_events *events);

/* Ends those of the lane that came through `portal` and have not logged in. */
void lifecycle_end_logins(
	struct iscsi_lane *lane, const struct access_portal *portal);

/* Who may reach what has changed (or may have, during a long login): the host is
 * told of new LUNs, or its session ends. */
void lifecycle_refresh(struct iscsi_connection *connection);
#endif
