/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session as others see it; iscsi.h has the rest.
 */
#ifndef TARGET_ISCSI_SESSIONS_H
#define TARGET_ISCSI_SESSIONS_H

#include "target/iscsi/connection.h"

/* A time of the lane's clock as milliseconds since 1970. */
int64_t sessions_wall_ms(struct block_lane *lane, uint64_t then_ns);

/* All of `info`, of a connection whose session is registered; on its lane. */
void sessions_fill(
	struct iscsi_connection *connection, struct iscsi_session_info *info);

/* Ends the session as an administrator's act: the host is told that it is dropped
 * and when it may come back. `reason` is copied. On its lane. */
void sessions_drop(struct iscsi_connection *connection, const char *reason,
	uint32_t keep_out_s);

#endif
