/* SPDX-License-Identifier: Apache-2.0 */
/* Between CHAP and the limiter; see tries.h. */
#include "target/control/tries.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/report.h"
#include "target/control/trust/audit.h"
#include "target/control/trust/limiter.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t steady_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct limiter_try try_of(
	const struct iscsi_try *try, char address[INET6_ADDRSTRLEN])
{
	const void *peer = try->peer;
	address[0] = '\0';
	if (try->peer->sa_family == AF_INET)
		inet_ntop(AF_INET,
			&((const struct sockaddr_in *)peer)->sin_addr, address,
			INET6_ADDRSTRLEN);
	else if (try->peer->sa_family == AF_INET6)
		inet_ntop(AF_INET6,
			&((const struct sockaddr_in6 *)peer)->sin6_addr,
			address, INET6_ADDRSTRLEN);
	return (struct limiter_try){LIMITER_CHAP, try->host, address};
}

static bool may_try(struct iscsi_watcher *watcher, const struct iscsi_try *try)
{
	struct tries *tries = container_of(watcher, struct tries, watcher);
	char address[INET6_ADDRSTRLEN];
	struct limiter_try one = try_of(try, address);
	return !limiter_take(trust_limiter(tries->trust), &one, steady_ms());
}

static void tried(
	struct iscsi_watcher *watcher, const struct iscsi_try *try, bool passed)
{
	struct tries *tries = container_of(watcher, struct tries, watcher);
	char address[INET6_ADDRSTRLEN];
	struct limiter_try one = try_of(try, address);
	if (passed)
		limiter_right(trust_limiter(tries->trust), &one, steady_ms());
}

static void session_up(
	struct iscsi_watcher *watcher, const struct iscsi_session_info *info)
{
	struct tries *tries = container_of(watcher, struct tries, watcher);
	report_watcher.session_up(watcher, info);
	if (tries->also)
		tries->also->session_up(tries->also, info);
}

static void session_down(struct iscsi_watcher *watcher,
	const struct iscsi_session_info *info, const char *reason)
{
	struct tries *tries = container_of(watcher, struct tries, watcher);
	report_watcher.session_down(watcher, info, reason);
	if (tries->also)
		tries->also->session_down(tries->also, info, reason);
}

/* The limiter bounds how many of these there are. */
static void audit_refused(
	const struct tries *tries, const struct iscsi_refused *refused)
{
	struct err err = {0};
	char object[96];
	if (refused->refusal != ISCSI_REFUSED_SECRET &&
		refused->refusal != ISCSI_REFUSED_USER)
		return;
	snprintf(object, sizeof object, "hosts/%s", refused->host);
	struct audit_entry entry = {.time_ms = refused->time_ms,
		.user = refused->initiator,
		.via = "chap",
		.address = refused->peer,
		.operation = "loginHost",
		.object = object,
		.note = iscsi_refusal_name(refused->refusal)};
	if (audit_append(trust_audit(tries->trust), &entry, &err))
		log_error("audit", "failed", "%s", err.text);
}

static void login_refused(
	struct iscsi_watcher *watcher, const struct iscsi_refused *refused)
{
	struct tries *tries = container_of(watcher, struct tries, watcher);
	audit_refused(tries, refused);
	if (tries->also)
		tries->also->login_refused(tries->also, refused);
}

void tries_init(struct tries *tries, struct trust *trust)
{
	*tries = (struct tries){.watcher = report_watcher, .trust = trust};
	tries->watcher.session_up = session_up;
	tries->watcher.session_down = session_down;
	tries->watcher.login_refused = login_refused;
	tries->watcher.may_try = may_try;
	tries->watcher.tried = tried;
}

void tries_tell(struct tries *tries, struct iscsi_watcher *also)
{
	tries->also = also;
}
