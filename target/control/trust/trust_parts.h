/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of trust share.
 *
 *	identity.c	life, roles, identities of the socket and of certificates
 *	sign_in.c	sign in, setup, change of one's password
 *	web_session.c	cookies
 *	user.c		users
 *	token.c		bearer tokens
 *	network.c	CIDR
 *	bootstrap.c	the token of the first start
 */
#ifndef TARGET_CONTROL_TRUST_TRUST_PARTS_H
#define TARGET_CONTROL_TRUST_TRUST_PARTS_H

#include "target/control/database.h"
#include "target/control/trust/audit.h"
#include "target/control/trust/limiter.h"
#include "target/control/trust/password.h"
#include "target/control/trust/secret_text.h"
#include "target/control/trust/trust.h"

#define USED_STAMP_MS 60000 /* stamps of last use are at most so old */

struct trust {
	struct trust_world world;
	sqlite3 *db;
	struct audit *audit;
	struct limiter *limiter;
	struct passwords *passwords;
	char bootstrap_path[4096];
	char bootstrap[40]; /* "": none, or used */
	int64_t bootstrap_until_ms;
};

/* -EACCES, always in these words. */
int trust_denied(struct err *err);
uint64_t trust_steady_ms(struct trust *trust);
/* Copies a text column, "" for NULL. */
void trust_take_text(struct statement *s, int column, char *out, size_t bytes);

/* bootstrap.c */
int trust_bootstrap_make(struct trust *trust, struct err *err);
void trust_bootstrap_end(struct trust *trust);

/* user.c: the stored hash, "" for none or if the user is not enabled; -ENOENT. */
int trust_user_hash(struct trust *trust, const char *name,
	char out[PASSWORD_HASH_BYTES], struct err *err);
/* Enabled ones; -errno. */
int trust_count_admins(struct trust *trust, struct err *err);
int trust_user_insert(struct trust *trust, const struct trust_user *user,
	const char *hash, struct err *err);
int trust_user_set_hash(struct trust *trust, const char *name, const char *hash,
	struct err *err);
int trust_user_stamp(struct trust *trust, const char *name, struct err *err);

/* web_session.c: makes one; `out` gets everything. */
int trust_session_make(struct trust *trust, const char *user,
	const char *address, struct trust_signed_in *out, struct err *err);
/* All of a user but the one of `cookie` (NULL: all). */
int trust_session_end_all(struct trust *trust, const char *user,
	const char *cookie, struct err *err);

/* network.c: "192.0.2.0/24", "2001:db8::/32", or one address. */
bool trust_network_valid(const char *network);
bool trust_network_has(const char *network, const char *address);

#endif
