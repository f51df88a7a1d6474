/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of sessions: TSIHs, and who takes whose place (RFC 7143 6.3.5:
 * a login with the name, ISID and portal group of a living session, and TSIH 0,
 * ends that one first).
 *
 *	lane A: old session  <--close--  registry  <--register--  lane B: new one
 *	lane A: old is gone  --remove--> registry  ---ready----->  lane B: answers
 *
 * Invariants
 *  1. At most one session of a (name, ISID, target, group) is not on its way
 *     out; those that are form a chain, `predecessor` to `successor`, and only
 *     its head (no predecessor) may be in full feature phase.
 *  2. `connection` is read and cleared on the session's lane only; all links are
 *     under the registry's mutex. A session lives until the last message that was
 *     posted to it has run.
 *  3. Sessions of one initiator name are at most `max_host_sessions`; those that
 *     give their place to another do not count, those that end do until they are
 *     gone.
 */
#ifndef TARGET_ISCSI_SESSION_H
#define TARGET_ISCSI_SESSION_H

#include "blockcore/loop.h"
#include "target/iscsi/iscsi.h"
#include "target/iscsi/login.h"

#include <pthread.h>

struct iscsi_connection;

struct iscsi_session {
	/* fixed once registered */
	uint64_t id;
	uint16_t tsih, cid, group;
	uint8_t isid[6];
	bool discovery;
	char initiator[ACCESS_NAME_BYTES], target[ACCESS_NAME_BYTES];
	struct loop *loop;
	/* its lane's */
	struct iscsi_connection *connection;
	void (*close)(struct iscsi_connection *connection, const char *reason);
	void (*ready)(struct iscsi_connection *connection);
	/* under the mutex */
	struct session_registry *registry;
	struct iscsi_session *predecessor, *successor;
	bool close_posted, ready_posted;
	const char *close_reason;
	unsigned references;
	struct loop_message close_message, ready_message;
	LIST_ENTRY(iscsi_session) link;
};

struct session_registry {
	pthread_mutex_t mutex;
	LIST_HEAD(, iscsi_session) sessions;
	uint64_t next_id;
	uint16_t next_tsih;
};

void session_registry_init(struct session_registry *registry);
void session_registry_fini(struct session_registry *registry);

enum session_verdict {
	SESSION_READY, /* answer the login now */
	SESSION_WAIT, /* `ready` will be called when the old session is gone */
	SESSION_UNKNOWN, /* TSIH names no session of this host: 020A */
	SESSION_FULL, /* no TSIH is free, no memory: 0302 */
	SESSION_HOST_FULL, /* the host has all that it may have: 0302 */
	SESSION_TOO_MANY, /* a second connection: 0206 */
};

/* What a new session is told at its registration. */
struct session_request {
	const struct iscsi_login_result *login;
	uint16_t group;
	uint32_t max_host_sessions;
	struct loop *loop;
	struct iscsi_connection *connection;
	void (*close)(struct iscsi_connection *connection, const char *reason);
	void (*ready)(struct iscsi_connection *connection);
};

/* On the connection's lane. */
enum session_verdict session_register(struct session_registry *registry,
	const struct session_request *request, struct iscsi_session **session);
/* Closes all other sessions with the same target (a cold reset); any lane. */
void session_close_others(struct iscsi_session *session, const char *reason);
/* On the session's lane, when nothing of it is left: lets its successor in. */
void session_remove(struct iscsi_session *session);

#endif
