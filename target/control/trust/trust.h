/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust: who asks, what he may do, and what was done. The door of this folder for
 * the REST interface and the daemon; limiter.h, audit.h and certificate.h are its
 * other doors.
 *
 *	somebody	shows			becomes
 *	local root	uid of a unix socket	"root", admin, no limits
 *	a browser	cookie + CSRF token	the user who signed in
 *	a program	bearer token		its user, with at most its role
 *	a program	client certificate	the user it is tied to (by setting)
 *
 * Invariants
 *  1. Deny by default. An unknown, expired, revoked or malformed credential is
 *     -EACCES and nothing else: an answer never says which it was, and takes as
 *     long (a dummy hash for unknown users, compares in constant time).
 *  2. No secret of ours is kept as it is: passwords as scrypt (N = 2^17, r = 8,
 *     p = 1), cookies, tokens and the bootstrap token as SHA-256 (they are
 *     random, so need no slow hash). Each is shown once, when it is made.
 *  3. There is no default password. While no admin can sign in, each start makes
 *     a bootstrap token (128 bits, one hour, one use) that may make the first.
 *  4. Users, tokens and web sessions are in the database only; there is no copy
 *     in memory to go stale. What a call answered 0 to survives a power cut; the
 *     stamps of last use may be a minute old.
 *  5. What strangers can make grow is bounded: sessions, waiting sign-ins (2 run,
 *     16 wait, then -EAGAIN), tables of the limiter, records of the audit.
 *  6. Who is on the unix socket is never slowed by guesses of others.
 *  7. Control thread only, but for limiter.h. `_co`: in a coroutine.
 *
 * A change of a user (role, password, enabled) ends his web sessions at once; his
 * tokens live on with at most his new role, and rest while he is disabled. The
 * last enabled admin cannot be removed, disabled or made less (-EBUSY).
 */
#ifndef TARGET_CONTROL_TRUST_TRUST_H
#define TARGET_CONTROL_TRUST_TRUST_H

#include "blockcore/base/err.h"
#include "blockcore/loop.h"
#include "target/control/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct trust;
struct audit;
struct limiter;
struct x509_st;

#define TRUST_NAME_BYTES 64u /* users: NAME_PLAIN_RULE */
#define TRUST_ADDRESS_BYTES 64u
#define TRUST_SECRET_BYTES 48u /* cookies, CSRF tokens as text, with the NUL */
#define TRUST_TOKEN_BYTES 72u /* "cairn_ID_SECRET" */
#define TRUST_TOKEN_ID_BYTES 16u
#define TRUST_MAX_SCOPE 16u
#define TRUST_MAX_NETWORKS 16u
#define TRUST_MAX_USERS 1000u
#define TRUST_MAX_TOKENS 1000u /* in all; 100 of a user */
#define TRUST_MAX_SESSIONS \
	1000u /* in all; 20 of a user: the oldest gives way */
#define TRUST_IDLE_S (30u * 60)
#define TRUST_ABSOLUTE_S (12u * 3600)
#define TRUST_BOOTSTRAP_S 3600u

/* In order: each may all that the one before it may. */
enum trust_role {
	TRUST_PUBLIC, /* nobody in particular */
	TRUST_VIEWER,
	TRUST_OPERATOR,
	TRUST_ADMIN
};
const char *trust_role_name(enum trust_role role); /* "viewer" ... */
/* False for what is no role of a user ("public" neither). */
bool trust_role_from_name(const char *name, enum trust_role *role);
/* One sentence for people and GET roles. */
const char *trust_role_text(enum trust_role role);

enum trust_how { TRUST_UNIX, TRUST_COOKIE, TRUST_TOKEN, TRUST_CERTIFICATE };
const char *trust_how_name(enum trust_how how);

/* Who asks. A value: to be copied, holds no secret. */
struct trust_identity {
	char name[TRUST_NAME_BYTES];
	enum trust_role role;
	enum trust_how how;
	char address[TRUST_ADDRESS_BYTES]; /* "unix" for the socket */
	/* Token's id, or the first digits of the session's hash; for the audit. */
	char credential[TRUST_TOKEN_ID_BYTES];
	unsigned scopes; /* 0: all volumes */
	char scope[TRUST_MAX_SCOPE][TRUST_NAME_BYTES];
	int64_t expires_s; /* wall clock; 0: not by itself */
};

static inline bool trust_may(
	const struct trust_identity *who, enum trust_role least)
{
	return who->role >= least;
}
/* False if the identity is kept to volumes that this one is not among. An
 * operation that concerns no named volume is refused to a scoped identity unless
 * it only tells about itself (login, roles, tokens of his own, system). */
bool trust_may_volume(const struct trust_identity *who, const char *volume);

/* -- life ------------------------------------------------------------------- */

struct trust_world {
	struct state *state; /* outlives trust */
	struct loop *loop; /* the control thread's; its worker pool hashes */
	const char *run_directory; /* for bootstrap-token; NULL: none is made */
	/* Wall clock in milliseconds; NULL: the real one. For tests. */
	int64_t (*now_ms)(void *arg);
	void *now_arg;
	unsigned scrypt_log2_n; /* 0: 17; for tests */
	bool client_certificates; /* setting: they may sign in */
};
/* Makes a bootstrap token if no admin is there. NULL with *err. */
struct trust *trust_open(const struct trust_world *world, struct err *err);
/* No call may be waiting in a coroutine. Removes the bootstrap token's file. */
void trust_close(struct trust *trust);

struct audit *trust_audit(struct trust *trust);
struct limiter *trust_limiter(struct trust *trust);
int64_t trust_now_ms(struct trust *trust);

/* The bootstrap token of this start, for the start text; NULL if there is none
 * (any more). */
const char *trust_bootstrap_token(const struct trust *trust);
/* Somebody may still use one: GET login of a new appliance leads to setup. */
bool trust_setup_open(struct trust *trust);

/* -- identify --------------------------------------------------------------- */

/* All: 0 with *who filled, or -EACCES (or another -errno: the database) with *err
 * for the log, not for the peer. `address`: numeric, without port. */
int trust_identify_peer(struct trust *trust, uid_t uid,
	struct trust_identity *who, struct err *err);
int trust_identify_cookie(struct trust *trust, const char *cookie,
	const char *address, struct trust_identity *who, struct err *err);
int trust_identify_bearer(struct trust *trust, const char *token,
	const char *address, struct trust_identity *who, struct err *err);
/* The certificate was checked by TLS against the CA of the setting. */
int trust_identify_certificate(struct trust *trust, struct x509_st *peer,
	const char *address, struct trust_identity *who, struct err *err);

/* The CSRF token that belongs to a cookie: derived from it, so there is none to
 * keep, and reading it does not give the cookie. */
void trust_csrf_token(const char *cookie, char out[TRUST_SECRET_BYTES]);
bool trust_csrf_right(const char *cookie, const char *token);

/* -- sign in and out -------------------------------------------------------- */

struct trust_attempt {
	const char *user, *password;
	const char *address; /* "unix": not limited */
	const char *request_id; /* for the audit; NULL: none */
	bool rehearsal; /* all is checked (and limited), nothing changed */
};
struct trust_signed_in {
	struct trust_identity who;
	char cookie[TRUST_SECRET_BYTES]; /* wipe after use */
	char csrf[TRUST_SECRET_BYTES];
};
/* -EACCES: not these. -EAGAIN: too many, *retry_after_s says when to come again.
 * Writes its own audit record, well or not. */
int trust_sign_in_co(struct trust *trust, const struct trust_attempt *attempt,
	struct trust_signed_in *out, uint32_t *retry_after_s, struct err *err);
/* What is signed out already is fine. */
int trust_sign_out(struct trust *trust, const char *cookie, struct err *err);

/* The first admin, by the bootstrap token, signed in at once. -ENOENT: there is
 * an admin, or the token's hour is over; -EACCES: not the token (limited as
 * passwords are); -EINVAL: name or password will not do, the token stays good. A
 * rehearsal leaves the token good, and *out as it is. */
int trust_setup_co(struct trust *trust, const char *token,
	const struct trust_attempt *attempt, struct trust_signed_in *out,
	uint32_t *retry_after_s, struct err *err);
/* A user changes his own password; `password` of the attempt is the old one.
 * Ends his other sessions, `cookie` (NULL: none) stays. */
int trust_change_password_co(struct trust *trust,
	const struct trust_attempt *attempt, const char *wanted,
	const char *cookie, uint32_t *retry_after_s, struct err *err);

/* -- users ------------------------------------------------------------------ */

struct trust_user {
	char name[TRUST_NAME_BYTES];
	enum trust_role role;
	bool enabled;
	bool has_password; /* false: by token or certificate only */
	/* CN or SAN (dns, email, uri) of the client certificate; "": none. */
	char certificate[256];
	int64_t generation; /* grows with each change of these; for ETag */
	int64_t created_ms, password_ms, signed_in_ms; /* 0: never */
};
/* In order of name, from the one after `after` (NULL: the first). Returns how
 * many were written to `out`, or -errno. */
int trust_user_list(struct trust *trust, const char *after,
	struct trust_user *out, unsigned max, struct err *err);
/* -ENOENT. */
int trust_user_find(struct trust *trust, const char *name,
	struct trust_user *out, struct err *err);
/* Takes name, role, enabled, certificate of `user`; `password` NULL: none.
 * -EEXIST, -EINVAL (err->text says which rule), -ENOSPC, -EAGAIN. */
int trust_user_create_co(struct trust *trust, const struct trust_user *user,
	const char *password, struct err *err);
/* Checks all that create checks, at once and without changing anything. */
int trust_user_check(struct trust *trust, const struct trust_user *user,
	const char *password, struct err *err);
/* Role, enabled, certificate. -ENOENT, -EBUSY (the last admin). */
int trust_user_check_change(/* would it do? */
	struct trust *trust, const struct trust_user *user, struct err *err);
int trust_user_change(
	struct trust *trust, const struct trust_user *user, struct err *err);
/* Checks all that the next one checks, without changing anything. */
int trust_user_check_password(struct trust *trust, const char *name,
	const char *password, struct err *err);
/* NULL takes the password away. */
int trust_user_set_password_co(struct trust *trust, const char *name,
	const char *password, struct err *err);
int trust_user_check_delete(/* would it do? */
	struct trust *trust, const char *name, struct err *err);
int trust_user_delete(struct trust *trust, const char *name, struct err *err);

/* -- tokens ----------------------------------------------------------------- */

struct trust_token {
	char id[TRUST_TOKEN_ID_BYTES];
	char user[TRUST_NAME_BYTES];
	char comment[128];
	enum trust_role role; /* at most the user's counts */
	int64_t created_ms, expires_ms; /* at most 5 years ahead */
	int64_t used_ms; /* 0: never */
	char used_from[TRUST_ADDRESS_BYTES];
	unsigned networks; /* 0: from everywhere */
	char network[TRUST_MAX_NETWORKS][TRUST_ADDRESS_BYTES]; /* CIDR */
	unsigned scopes;
	char scope[TRUST_MAX_SCOPE][TRUST_NAME_BYTES];
};
/* In order of id; `user` NULL: of all. As trust_user_list. */
int trust_token_list(struct trust *trust, const char *user, const char *after,
	struct trust_token *out, unsigned max, struct err *err);
int trust_token_find(struct trust *trust, const char *id,
	struct trust_token *out, struct err *err);
/* Takes user, comment, role, expires_ms, networks, scope; fills in the id and the
 * text that is shown once. -ENOENT (user), -EINVAL, -EPERM (a role above the
 * user's), -ENOSPC. */
int trust_token_create(struct trust *trust, struct trust_token *token,
	char text[TRUST_TOKEN_BYTES], struct err *err);
/* What create checks, without making one. */
int trust_token_check(
	struct trust *trust, const struct trust_token *token, struct err *err);
/* Revokes at once. -ENOENT. */
int trust_token_delete(struct trust *trust, const char *id, struct err *err);

#endif
