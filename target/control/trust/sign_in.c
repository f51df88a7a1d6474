/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing in: by a password, or the first time by the bootstrap token. The order
 * is always limiter, secret, session, audit.
 */
#include "target/control/trust/trust_parts.h"

#include "target/control/document/names.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

static bool local(const struct trust_attempt *a)
{
	return !strcmp(a->address, "unix");
}

static struct limiter_try try_of(const struct trust_attempt *a)
{
	return (struct limiter_try){LIMITER_WEB, a->user, a->address};
}

/* -EAGAIN with *wait_s. */
static int take(struct trust *trust, const struct trust_attempt *a,
	uint32_t *wait_s, struct err *err)
{
	struct limiter_try try = try_of(a);
	*wait_s = 0;
	if (local(a))
		return 0;
	*wait_s = limiter_take(trust->limiter, &try, trust_steady_ms(trust));
	if (!*wait_s)
		return 0;
	return err_set(err, EAGAIN,
		"too many wrong passwords: come again in %u s, or use the unix "
		"socket on the appliance itself",
		*wait_s);
}

/* What became of a try that was taken. */
static void settle(
	struct trust *trust, const struct trust_attempt *a, int result)
{
	struct limiter_try try = try_of(a);
	if (local(a) || result == -EACCES)
		return;
	if (result)
		limiter_undo(trust->limiter, &try, trust_steady_ms(trust));
	else
		limiter_right(trust->limiter, &try, trust_steady_ms(trust));
}

static int record(struct trust *trust, const struct trust_attempt *a,
	const char *operation, int result, struct err *err)
{
	struct audit_entry entry = {.time_ms = trust_now_ms(trust),
		.user = a->user,
		.via = local(a) ? "unix" : "password",
		.address = a->address,
		.request = a->request_id,
		.method = "POST",
		.operation = operation,
		.status = result ? 401 : 200,
		.note = result ? "refused" : NULL};
	return audit_append(trust->audit, &entry, err);
}

/* 0 if the password is the user's, now, after the wait as before it. */
static int check_co(
	struct trust *trust, const struct trust_attempt *a, struct err *err)
{
	char hash[PASSWORD_HASH_BYTES], again[PASSWORD_HASH_BYTES];
	bool right = false;
	int failed = trust_user_hash(trust, a->user, hash, err);
	if (failed && failed != -ENOENT)
		return failed;
	failed = password_check_co(trust->passwords, a->password,
		hash[0] ? hash : NULL, &right, err);
	if (!failed && right)
		failed = trust_user_hash(trust, a->user, again, err);
	if (!failed && (!right || strcmp(hash, again)))
		failed = -EACCES;
	OPENSSL_cleanse(hash, sizeof hash);
	OPENSSL_cleanse(again, sizeof again);
	return failed == -EACCES || failed == -ENOENT ? trust_denied(err)
						      : failed;
}

/* Limiter and password; a wrong one is recorded. */
static int prove_co(struct trust *trust, const struct trust_attempt *a,
	const char *operation, uint32_t *wait_s, struct err *err)
{
	int failed = take(trust, a, wait_s, err);
	if (failed)
		return failed;
	failed = check_co(trust, a, err);
	settle(trust, a, failed);
	if (failed == -EACCES && record(trust, a, operation, failed, err))
		return -EIO;
	if (failed == -EAGAIN)
		*wait_s = 5;
	return failed;
}

static bool plausible(const struct trust_attempt *a)
{
	return strlen(a->user) < TRUST_NAME_BYTES &&
		strlen(a->password) <= PASSWORD_MOST_BYTES;
}

int trust_sign_in_co(struct trust *trust, const struct trust_attempt *attempt,
	struct trust_signed_in *out, uint32_t *retry_after_s, struct err *err)
{
	*retry_after_s = 0;
	if (!plausible(attempt))
		return trust_denied(err);
	int failed = prove_co(trust, attempt, "login", retry_after_s, err);
	if (!failed)
		failed = trust_session_make(
			trust, attempt->user, attempt->address, out, err);
	if (!failed)
		failed = record(trust, attempt, "login", 0, err);
	return failed;
}

/* -- one's own password ----------------------------------------------------- */

static int store_password(struct trust *trust, const struct trust_attempt *a,
	const char *hash, const char *cookie, struct err *err)
{
	int failed = database_savepoint(trust->db, err);
	if (failed)
		return failed;
	failed = trust_user_set_hash(trust, a->user, hash, err);
	if (!failed)
		failed = trust_session_end_all(trust, a->user, cookie, err);
	if (!failed)
		failed = record(trust, a, "changeOwnPassword", 0, err);
	return database_savepoint_end(trust->db, failed, err);
}

int trust_change_password_co(struct trust *trust,
	const struct trust_attempt *attempt, const char *wanted,
	const char *cookie, uint32_t *retry_after_s, struct err *err)
{
	char hash[PASSWORD_HASH_BYTES] = "";
	*retry_after_s = 0;
	if (!plausible(attempt))
		return trust_denied(err);
	int failed = password_rules(attempt->user, wanted, err);
	if (!failed)
		failed = prove_co(trust, attempt, "changeOwnPassword",
			retry_after_s, err);
	if (!failed && attempt->rehearsal)
		return 0;
	if (!failed)
		failed = password_hash_co(trust->passwords, wanted, hash, err);
	if (!failed)
		failed = store_password(trust, attempt, hash, cookie, err);
	OPENSSL_cleanse(hash, sizeof hash);
	return failed;
}

/* -- the first admin -------------------------------------------------------- */

static int check_bootstrap(struct trust *trust, const char *token,
	const struct trust_attempt *a, uint32_t *wait_s, struct err *err)
{
	if (!trust_setup_open(trust))
		return err_set(err, ENOENT,
			"there is nothing to set up: there is an admin, or the "
			"hour of the bootstrap token is over (a restart makes "
			"a new one)");
	int failed = take(trust, a, wait_s, err);
	if (failed)
		return failed;
	if (!secret_equal(trust->bootstrap, token))
		failed = trust_denied(err);
	settle(trust, a, failed);
	if (failed && record(trust, a, "setup", failed, err))
		return -EIO;
	return failed;
}

static int make_first(struct trust *trust, const struct trust_attempt *a,
	const struct trust_user *user, const char *hash,
	struct trust_signed_in *out, struct err *err)
{
	int failed = database_savepoint(trust->db, err);
	if (failed)
		return failed;
	failed = trust_user_insert(trust, user, hash, err);
	if (!failed)
		failed = trust_session_make(
			trust, a->user, a->address, out, err);
	if (!failed)
		failed = record(trust, a, "setup", 0, err);
	return database_savepoint_end(trust->db, failed, err);
}

int trust_setup_co(struct trust *trust, const char *token,
	const struct trust_attempt *attempt, struct trust_signed_in *out,
	uint32_t *retry_after_s, struct err *err)
{
	struct trust_user user = {.role = TRUST_ADMIN, .enabled = true};
	char hash[PASSWORD_HASH_BYTES] = "";
	*retry_after_s = 0;
	if (strlen(attempt->user) >= sizeof user.name) {
		err_set(err, EINVAL, NAME_PLAIN_RULE, attempt->user);
		return err_point(err, "/name");
	}
	memcpy(user.name, attempt->user, strlen(attempt->user) + 1);
	int failed = check_bootstrap(trust, token, attempt, retry_after_s, err);
	if (!failed)
		failed = trust_user_check(trust, &user, attempt->password, err);
	if (!failed && attempt->rehearsal)
		return 0;
	if (!failed)
		failed = password_hash_co(
			trust->passwords, attempt->password, hash, err);
	/* Two at once: the first one has it. */
	if (!failed && !trust_setup_open(trust))
		failed = err_set(err, ENOENT, "the token was used just now");
	if (!failed)
		failed = make_first(trust, attempt, &user, hash, out, err);
	if (!failed)
		trust_bootstrap_end(trust);
	OPENSSL_cleanse(hash, sizeof hash);
	return failed;
}
