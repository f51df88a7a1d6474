/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the server's watcher of sessions that come and go, by messages to the
 * control lane.
 */
#ifndef TARGET_ISCSI_NOTICE_H
#define TARGET_ISCSI_NOTICE_H

#include "target/iscsi/connection.h"

/* The session is up (reason NULL) or, if it had been, down. `reason` is a constant
 * text. On the connection's lane, while its session is registered. */
void notice_send(struct iscsi_connection *connection, const char *reason);

#endif
