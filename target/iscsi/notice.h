/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the control lane of sessions that come and go and of logins that are
 * refused: the server's totals, its list of refused logins, its watcher.
 */
#ifndef TARGET_ISCSI_NOTICE_H
#define TARGET_ISCSI_NOTICE_H

#include "target/iscsi/connection.h"

/* The session is up (reason NULL) or, if it had been, down. On the connection's
 * lane, while its session is registered. */
void notice_send(struct iscsi_connection *connection, const char *reason);

/* The login that is under way on the connection is refused, as its answer
 * (refusal, reason) says; on the connection's lane. */
void notice_refused(struct iscsi_connection *connection);

#endif
