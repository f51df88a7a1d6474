/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of browsers. The cookie is 256 random bits, kept as its SHA-256; the
 * CSRF token is derived from the cookie.
 */
#include "target/control/trust/trust_parts.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define OF_A_USER 20
#define COOKIE_LENGTH 43u

/* -- CSRF ------------------------------------------------------------------- */

void trust_csrf_token(const char *cookie, char out[TRUST_SECRET_BYTES])
{
	static const char purpose[] = "cairn csrf";
	uint8_t mac[32] = {0};
	HMAC(EVP_sha256(), cookie, (int)strlen(cookie),
		(const uint8_t *)purpose, sizeof purpose - 1, mac, NULL);
	secret_print_base64(mac, sizeof mac, true, out);
}

bool trust_csrf_right(const char *cookie, const char *token)
{
	char owed[TRUST_SECRET_BYTES];
	trust_csrf_token(cookie, owed);
	return token && secret_equal(owed, token);
}

/* -- making ----------------------------------------------------------------- */

/* Those that are over, and the oldest where there are too many. */
static int make_room(struct trust *trust, const char *user, struct err *err)
{
	struct statement s;
	int64_t now_ms = trust_now_ms(trust);
	statement_begin(&s, trust->db,
		"DELETE FROM trust_session WHERE created <= ?1 OR used <= ?2 "
		"OR hash IN (SELECT hash FROM trust_session WHERE user = ?3 "
		"ORDER BY created DESC LIMIT -1 OFFSET ?4) OR hash IN (SELECT "
		"hash FROM trust_session ORDER BY used DESC LIMIT -1 OFFSET "
		"?5)");
	statement_large(&s, 1, now_ms - TRUST_ABSOLUTE_S * 1000ll);
	statement_large(&s, 2, now_ms - TRUST_IDLE_S * 1000ll);
	statement_text(&s, 3, user);
	statement_number(&s, 4, OF_A_USER - 1);
	statement_number(&s, 5, (int)TRUST_MAX_SESSIONS - 1);
	statement_run(&s);
	return statement_end(&s, err);
}

static int insert(struct trust *trust, const char *user, const char *address,
	const uint8_t *hash, struct err *err)
{
	struct statement s;
	int64_t now_ms = trust_now_ms(trust);
	statement_begin(&s, trust->db,
		"INSERT INTO trust_session(hash, user, address, created, used) "
		"VALUES (?1, ?2, ?3, ?4, ?4)");
	statement_blob(&s, 1, hash, SECRET_DIGEST_BYTES);
	statement_text(&s, 2, user);
	statement_text(&s, 3, address);
	statement_large(&s, 4, now_ms);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_session_make(struct trust *trust, const char *user,
	const char *address, struct trust_signed_in *out, struct err *err)
{
	uint8_t hash[SECRET_DIGEST_BYTES];
	int failed = secret_make(out->cookie, err);
	if (failed)
		return failed;
	secret_digest(out->cookie, hash);
	failed = database_savepoint(trust->db, err);
	if (failed)
		return failed;
	failed = make_room(trust, user, err);
	if (!failed)
		failed = insert(trust, user, address, hash, err);
	if (!failed)
		failed = trust_user_stamp(trust, user, err);
	failed = database_savepoint_end(trust->db, failed, err);
	if (failed)
		return failed;
	trust_csrf_token(out->cookie, out->csrf);
	return trust_identify_cookie(
		trust, out->cookie, address, &out->who, err);
}

/* -- asking ----------------------------------------------------------------- */

struct found {
	bool there;
	int64_t created_ms, used_ms;
};

static int find(struct trust *trust, const uint8_t *hash, struct found *found,
	struct trust_identity *who, struct err *err)
{
	struct statement s;
	statement_begin(&s, trust->db,
		"SELECT user, role, s.created, used FROM trust_session s "
		"JOIN trust_user ON name = user WHERE hash = ? AND enabled");
	statement_blob(&s, 1, hash, SECRET_DIGEST_BYTES);
	found->there = statement_row(&s);
	if (found->there) {
		trust_take_text(&s, 0, who->name, sizeof who->name);
		who->role = (enum trust_role)sqlite3_column_int(s.stmt, 1);
		found->created_ms = sqlite3_column_int64(s.stmt, 2);
		found->used_ms = sqlite3_column_int64(s.stmt, 3);
	}
	return statement_end(&s, err);
}

static int stamp(struct trust *trust, const uint8_t *hash, int64_t now_ms,
	struct err *err)
{
	struct statement s;
	statement_begin(&s, trust->db,
		"UPDATE trust_session SET used = ? WHERE hash = ?");
	statement_large(&s, 1, now_ms);
	statement_blob(&s, 2, hash, SECRET_DIGEST_BYTES);
	statement_run(&s);
	return statement_end(&s, err);
}

static int end_one(struct trust *trust, const uint8_t *hash, struct err *err)
{
	struct statement s;
	statement_begin(
		&s, trust->db, "DELETE FROM trust_session WHERE hash = ?");
	statement_blob(&s, 1, hash, SECRET_DIGEST_BYTES);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_identify_cookie(struct trust *trust, const char *cookie,
	const char *address, struct trust_identity *who, struct err *err)
{
	uint8_t hash[SECRET_DIGEST_BYTES];
	struct found found = {0};
	int64_t now_ms = trust_now_ms(trust);
	*who = (struct trust_identity){.how = TRUST_COOKIE};
	if (strlen(cookie) != COOKIE_LENGTH)
		return trust_denied(err);
	secret_digest(cookie, hash);
	int failed = find(trust, hash, &found, who, err);
	bool over = now_ms - found.created_ms >= TRUST_ABSOLUTE_S * 1000ll ||
		now_ms - found.used_ms >= TRUST_IDLE_S * 1000ll;
	if (!failed && found.there && over)
		failed = end_one(trust, hash, err);
	if (!failed && (!found.there || over))
		failed = trust_denied(err);
	if (!failed && now_ms - found.used_ms >= USED_STAMP_MS)
		failed = stamp(trust, hash, now_ms, err);
	if (failed) {
		*who = (struct trust_identity){.how = TRUST_COOKIE};
		return failed;
	}
	snprintf(who->address, sizeof who->address, "%s", address);
	secret_print_hex(hash, 4, who->credential);
	who->expires_s = found.created_ms / 1000 + TRUST_ABSOLUTE_S;
	return 0;
}

/* -- ending ----------------------------------------------------------------- */

int trust_sign_out(struct trust *trust, const char *cookie, struct err *err)
{
	uint8_t hash[SECRET_DIGEST_BYTES];
	secret_digest(cookie, hash);
	return end_one(trust, hash, err);
}

int trust_session_end_all(struct trust *trust, const char *user,
	const char *cookie, struct err *err)
{
	uint8_t hash[SECRET_DIGEST_BYTES];
	struct statement s;
	secret_digest(cookie ? cookie : "", hash);
	statement_begin(&s, trust->db,
		"DELETE FROM trust_session WHERE user = ? AND hash <> ?");
	statement_text(&s, 1, user);
	statement_blob(&s, 2, hash, sizeof hash);
	statement_run(&s);
	return statement_end(&s, err);
}
