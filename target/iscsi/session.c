/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry described in session.h. A list, not a hash: it is walked at
 * logins, a few thousand entries at most.
 */
#include "target/iscsi/session.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void session_registry_init(struct session_registry *registry)
{
	memset(registry, 0, sizeof *registry);
	pthread_mutex_init(&registry->mutex, NULL);
	LIST_INIT(&registry->sessions);
}

void session_registry_fini(struct session_registry *registry)
{
	assert(LIST_EMPTY(&registry->sessions));
	pthread_mutex_destroy(&registry->mutex);
}

/* -- under the mutex ------------------------------------------------------- */

static bool same_nexus(
	const struct iscsi_session *session, const struct session_request *with)
{
	const struct iscsi_login_result *login = with->login;

	return !session->discovery && !login->discovery &&
		session->group == with->group &&
		!memcmp(session->isid, login->isid, sizeof session->isid) &&
		!strcmp(session->initiator, login->initiator) &&
		!strcmp(session->target, login->target->iqn);
}

/* The last of the chain that the new session would stand in. */
static struct iscsi_session *find_same(
	struct session_registry *registry, const struct session_request *with)
{
	struct iscsi_session *session;

	LIST_FOREACH (session, &registry->sessions, link) {
		if (!session->successor && same_nexus(session, with))
			return session;
	}
	return NULL;
}

static bool tsih_taken(const struct session_registry *registry, uint16_t tsih)
{
	const struct iscsi_session *session;

	LIST_FOREACH (session, &registry->sessions, link) {
		if (session->tsih == tsih)
			return true;
	}
	return false;
}

/* One that takes the place of another is no more than there was. */
static bool host_is_full(const struct session_registry *registry,
	const struct session_request *request)
{
	const struct iscsi_session *session;
	uint32_t count = 0;

	LIST_FOREACH (session, &registry->sessions, link) {
		if (!session->successor &&
			!strcmp(session->initiator, request->login->initiator))
			count++;
	}
	return count >= request->max_host_sessions;
}

/* 0: none is free. */
static uint16_t new_tsih(struct session_registry *registry)
{
	for (unsigned tries = 0; tries < 65535; tries++) {
		if (++registry->next_tsih == 0)
			registry->next_tsih = 1;
		if (!tsih_taken(registry, registry->next_tsih))
			return registry->next_tsih;
	}
	return 0;
}

static void post_close(struct iscsi_session *session, const char *reason)
{
	if (session->close_posted)
		return;
	session->close_posted = true;
	session->close_reason = reason;
	session->references++;
	loop_post(session->loop, &session->close_message);
}

static void post_ready(struct iscsi_session *session)
{
	if (session->ready_posted)
		return;
	session->ready_posted = true;
	session->references++;
	loop_post(session->loop, &session->ready_message);
}

/* -- messages, on the session's lane --------------------------------------- */

static void unref(struct iscsi_session *session)
{
	struct session_registry *registry = session->registry;
	unsigned left;

	pthread_mutex_lock(&registry->mutex);
	left = --session->references;
	pthread_mutex_unlock(&registry->mutex);
	if (left == 0)
		free(session);
}

static void run_close(struct loop_message *message)
{
	struct iscsi_session *session =
		container_of(message, struct iscsi_session, close_message);

	if (session->connection)
		session->close(session->connection, session->close_reason);
	unref(session);
}

static void run_ready(struct loop_message *message)
{
	struct iscsi_session *session =
		container_of(message, struct iscsi_session, ready_message);

	if (session->connection)
		session->ready(session->connection);
	unref(session);
}

/* -- the door -------------------------------------------------------------- */

static struct iscsi_session *make_session(struct session_registry *registry,
	const struct session_request *request)
{
	const struct iscsi_login_result *login = request->login;
	struct iscsi_session *session = calloc(1, sizeof *session);

	if (!session)
		return NULL;
	session->registry = registry;
	session->group = request->group;
	session->loop = request->loop;
	session->connection = request->connection;
	session->close = request->close;
	session->ready = request->ready;
	session->close_message.run = run_close;
	session->ready_message.run = run_ready;
	session->references = 1;
	session->cid = login->cid;
	session->discovery = login->discovery;
	memcpy(session->isid, login->isid, sizeof session->isid);
	strcpy(session->initiator, login->initiator);
	if (login->target)
		strncpy(session->target, login->target->iqn,
			sizeof session->target - 1);
	return session;
}

/* A login that names a session by its TSIH: with the CID of its only connection
 * it takes that one's place (6.3.4), which at ErrorRecoveryLevel 0 ends all its
 * tasks as reinstatement does; another CID is one connection too many. */
static enum session_verdict check_tsih(
	const struct iscsi_session *old, const struct iscsi_login_result *login)
{
	if (!old || old->tsih != login->tsih)
		return SESSION_UNKNOWN;
	return old->cid == login->cid ? SESSION_READY : SESSION_TOO_MANY;
}

static enum session_verdict insert(struct session_registry *registry,
	const struct session_request *request, struct iscsi_session *session)
{
	struct iscsi_session *old = find_same(registry, request);

	if (request->login->tsih) {
		enum session_verdict verdict = check_tsih(old, request->login);
		if (verdict != SESSION_READY)
			return verdict;
	}
	if (!old && host_is_full(registry, request))
		return SESSION_HOST_FULL;
	session->tsih = request->login->tsih ? request->login->tsih
					     : new_tsih(registry);
	if (session->tsih == 0)
		return SESSION_FULL;
	session->id = ++registry->next_id;
	LIST_INSERT_HEAD(&registry->sessions, session, link);
	if (!old)
		return SESSION_READY;
	old->successor = session;
	session->predecessor = old;
	post_close(old, "session reinstated");
	return SESSION_WAIT;
}

enum session_verdict session_register(struct session_registry *registry,
	const struct session_request *request, struct iscsi_session **session)
{
	struct iscsi_session *made = make_session(registry, request);
	enum session_verdict verdict;

	if (!made)
		return SESSION_FULL;
	pthread_mutex_lock(&registry->mutex);
	verdict = insert(registry, request, made);
	pthread_mutex_unlock(&registry->mutex);
	if (verdict == SESSION_READY || verdict == SESSION_WAIT)
		*session = made;
	else
		free(made);
	return verdict;
}

void session_close_others(struct iscsi_session *session, const char *reason)
{
	struct session_registry *registry = session->registry;
	struct iscsi_session *other;

	pthread_mutex_lock(&registry->mutex);
	LIST_FOREACH (other, &registry->sessions, link) {
		if (other != session && !other->discovery &&
			!strcmp(other->target, session->target))
			post_close(other, reason);
	}
	pthread_mutex_unlock(&registry->mutex);
}

void session_remove(struct iscsi_session *session)
{
	struct session_registry *registry = session->registry;
	struct iscsi_session *before, *after;

	session->connection = NULL;
	pthread_mutex_lock(&registry->mutex);
	before = session->predecessor;
	after = session->successor;
	LIST_REMOVE(session, link);
	if (before)
		before->successor = after;
	if (after) {
		after->predecessor = before;
		if (!before)
			post_ready(after);
	}
	pthread_mutex_unlock(&registry->mutex);
	unref(session);
}
