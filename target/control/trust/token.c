/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: cairn_ID_SECRET, found by ID, right if the SHA-256 of the whole
 * text is the one that is kept.
 */
#include "target/control/trust/trust_parts.h"

#include "target/control/document/names.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define ID_BYTES 5u /* of random */
#define ID_LENGTH 10u
#define PREFIX "cairn_"
#define OF_A_USER 100
#define MOST_MS (5ll * 366 * 86400 * 1000)
#define LIST_BYTES (TRUST_MAX_SCOPE * TRUST_NAME_BYTES)
_Static_assert(TRUST_MAX_NETWORKS *TRUST_ADDRESS_BYTES == LIST_BYTES,
	"one buffer for both lists");

#define COLUMNS \
	"id, user, comment, trust_token.role, trust_token.created, expires, " \
	"used, used_from, networks, scope, hash, trust_user.role, enabled"
#define FROM " FROM trust_token JOIN trust_user ON name = user "

/* -- rows ------------------------------------------------------------------- */

/* Lists are words with spaces between. */
static unsigned split(const char *text, char (*out)[64], unsigned max)
{
	unsigned count = 0;
	while (*text && count < max) {
		size_t length = strcspn(text, " ");
		snprintf(out[count++], 64, "%.*s", (int)length, text);
		text += length + (text[length] == ' ');
	}
	return count;
}

static void join(char *out, const char (*list)[64], unsigned count)
{
	*out = '\0';
	for (unsigned i = 0; i < count; i++) {
		if (i)
			strcat(out, " ");
		strcat(out, list[i]);
	}
}

static void take_token(struct statement *s, struct trust_token *out)
{
	char list[LIST_BYTES + 1];
	*out = (struct trust_token){
		.role = (enum trust_role)sqlite3_column_int(s->stmt, 3),
		.created_ms = sqlite3_column_int64(s->stmt, 4),
		.expires_ms = sqlite3_column_int64(s->stmt, 5),
		.used_ms = sqlite3_column_int64(s->stmt, 6)};
	trust_take_text(s, 0, out->id, sizeof out->id);
	trust_take_text(s, 1, out->user, sizeof out->user);
	trust_take_text(s, 2, out->comment, sizeof out->comment);
	trust_take_text(s, 7, out->used_from, sizeof out->used_from);
	trust_take_text(s, 8, list, sizeof list);
	out->networks = split(list, out->network, TRUST_MAX_NETWORKS);
	trust_take_text(s, 9, list, sizeof list);
	out->scopes = split(list, out->scope, TRUST_MAX_SCOPE);
}

int trust_token_list(struct trust *trust, const char *user, const char *after,
	struct trust_token *out, unsigned max, struct err *err)
{
	struct statement s;
	int count = 0;
	statement_begin(&s, trust->db,
		"SELECT " COLUMNS FROM
		"WHERE id > ?1 AND (?2 IS NULL OR user = ?2) "
		"ORDER BY id LIMIT ?3");
	statement_text(&s, 1, after ? after : "");
	if (user)
		statement_text(&s, 2, user);
	statement_large(&s, 3, max);
	while (statement_row(&s))
		take_token(&s, &out[count++]);
	int failed = statement_end(&s, err);
	return failed ? failed : count;
}

/* What of a row is not for everybody. */
struct inner {
	bool there, enabled;
	uint8_t hash[SECRET_DIGEST_BYTES];
	enum trust_role user_role;
};

static int find(struct trust *trust, const char *id, struct trust_token *token,
	struct inner *inner, struct err *err)
{
	struct statement s;
	statement_begin(&s, trust->db, "SELECT " COLUMNS FROM "WHERE id = ?");
	statement_text(&s, 1, id);
	inner->there = statement_row(&s);
	if (inner->there) {
		take_token(&s, token);
		inner->there =
			sqlite3_column_bytes(s.stmt, 10) == SECRET_DIGEST_BYTES;
		if (inner->there)
			memcpy(inner->hash, sqlite3_column_blob(s.stmt, 10),
				SECRET_DIGEST_BYTES);
		inner->user_role =
			(enum trust_role)sqlite3_column_int(s.stmt, 11);
		inner->enabled = sqlite3_column_int(s.stmt, 12);
	}
	return statement_end(&s, err);
}

int trust_token_find(struct trust *trust, const char *id,
	struct trust_token *out, struct err *err)
{
	struct inner inner;
	int failed = find(trust, id, out, &inner, err);
	if (failed || inner.there)
		return failed;
	return err_set(err, ENOENT, "there is no token \"%.15s\"", id);
}

/* -- making ----------------------------------------------------------------- */

static int check_lists(const struct trust_token *token, struct err *err)
{
	for (unsigned i = 0; i < token->networks; i++)
		if (!trust_network_valid(token->network[i]))
			return err_set(err, EINVAL,
				"\"%s\" is no network, such as 192.0.2.0/24 "
				"or 2001:db8::/32",
				token->network[i]);
	for (unsigned i = 0; i < token->scopes; i++)
		if (!name_is_plain(token->scope[i]))
			return err_set(
				err, EINVAL, NAME_PLAIN_RULE, token->scope[i]);
	return 0;
}

static int check_room(struct trust *trust, const char *user, struct err *err)
{
	struct statement s;
	int all = 0, his = 0;
	statement_begin(&s, trust->db,
		"SELECT count(*), count(*) FILTER (WHERE user = ?) "
		"FROM trust_token");
	statement_text(&s, 1, user);
	if (statement_row(&s)) {
		all = sqlite3_column_int(s.stmt, 0);
		his = sqlite3_column_int(s.stmt, 1);
	}
	int failed = statement_end(&s, err);
	if (!failed && (all >= (int)TRUST_MAX_TOKENS || his >= OF_A_USER))
		return err_set(err, ENOSPC,
			"there are %d tokens, %d of them of \"%s\": revoke "
			"some",
			all, his, user);
	return failed;
}

int trust_token_check(
	struct trust *trust, const struct trust_token *token, struct err *err)
{
	struct trust_user user;
	int64_t now_ms = trust_now_ms(trust);
	int failed = trust_user_find(trust, token->user, &user, err);
	if (failed)
		return failed;
	if (token->role < TRUST_VIEWER || token->role > TRUST_ADMIN)
		return err_set(err, EINVAL,
			"a token is for viewer, operator or admin");
	if (token->role > user.role)
		return err_set(err, EPERM,
			"\"%s\" is %s: a token of his cannot be %s", user.name,
			trust_role_name(user.role),
			trust_role_name(token->role));
	if (token->expires_ms <= now_ms || token->expires_ms > now_ms + MOST_MS)
		return err_set(err, EINVAL,
			"a token expires in the future, in 5 years at most");
	failed = check_lists(token, err);
	return failed ? failed : check_room(trust, token->user, err);
}

static int insert(struct trust *trust, const struct trust_token *token,
	const uint8_t *hash, struct err *err)
{
	struct statement s;
	char networks[LIST_BYTES + 1], scope[LIST_BYTES + 1];
	join(networks, token->network, token->networks);
	join(scope, token->scope, token->scopes);
	statement_begin(&s, trust->db,
		"INSERT INTO trust_token(id, user, comment, role, hash, "
		"created, expires, networks, scope) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
	statement_text(&s, 1, token->id);
	statement_text(&s, 2, token->user);
	statement_text(&s, 3, token->comment);
	statement_number(&s, 4, (int)token->role);
	statement_blob(&s, 5, hash, SECRET_DIGEST_BYTES);
	statement_large(&s, 6, token->created_ms);
	statement_large(&s, 7, token->expires_ms);
	statement_text(&s, 8, networks);
	statement_text(&s, 9, scope);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_token_create(struct trust *trust, struct trust_token *token,
	char text[TRUST_TOKEN_BYTES], struct err *err)
{
	uint8_t id[ID_BYTES], hash[SECRET_DIGEST_BYTES];
	char secret[TRUST_SECRET_BYTES];
	int failed = trust_token_check(trust, token, err);
	if (!failed)
		failed = secret_random(id, sizeof id, err);
	if (!failed)
		failed = secret_make(secret, err);
	if (failed)
		return failed;
	secret_print_hex(id, sizeof id, token->id);
	token->created_ms = trust_now_ms(trust);
	snprintf(text, TRUST_TOKEN_BYTES, PREFIX "%s_%s", token->id, secret);
	secret_digest(text, hash);
	OPENSSL_cleanse(secret, sizeof secret);
	failed = insert(trust, token, hash, err);
	if (failed)
		OPENSSL_cleanse(text, TRUST_TOKEN_BYTES);
	return failed;
}

int trust_token_delete(struct trust *trust, const char *id, struct err *err)
{
	struct statement s;
	struct trust_token found;
	int failed = trust_token_find(trust, id, &found, err);
	if (failed)
		return failed;
	statement_begin(&s, trust->db, "DELETE FROM trust_token WHERE id = ?");
	statement_text(&s, 1, id);
	statement_run(&s);
	return statement_end(&s, err);
}

/* -- asking ----------------------------------------------------------------- */

static bool read_id(const char *text, char id[ID_LENGTH + 1])
{
	size_t prefix = sizeof PREFIX - 1;
	if (strlen(text) >= TRUST_TOKEN_BYTES ||
		strncmp(text, PREFIX, prefix) ||
		strcspn(text + prefix, "_") != ID_LENGTH ||
		!text[prefix + ID_LENGTH])
		return false;
	memcpy(id, text + prefix, ID_LENGTH);
	id[ID_LENGTH] = '\0';
	return true;
}

static bool from_allowed(const struct trust_token *token, const char *address)
{
	for (unsigned i = 0; i < token->networks; i++)
		if (trust_network_has(token->network[i], address))
			return true;
	return !token->networks;
}

static int stamp(struct trust *trust, const struct trust_token *token,
	const char *address, int64_t now_ms, struct err *err)
{
	struct statement s;
	if (now_ms - token->used_ms < USED_STAMP_MS &&
		!strcmp(token->used_from, address))
		return 0;
	statement_begin(&s, trust->db,
		"UPDATE trust_token SET used = ?, used_from = ? WHERE id = ?");
	statement_large(&s, 1, now_ms);
	statement_text(&s, 2, address);
	statement_text(&s, 3, token->id);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_identify_bearer(struct trust *trust, const char *text,
	const char *address, struct trust_identity *who, struct err *err)
{
	char id[ID_LENGTH + 1];
	uint8_t hash[SECRET_DIGEST_BYTES];
	struct trust_token token;
	struct inner inner = {0};
	int64_t now_ms = trust_now_ms(trust);
	*who = (struct trust_identity){.how = TRUST_TOKEN};
	if (!read_id(text, id))
		return trust_denied(err);
	secret_digest(text, hash);
	int failed = find(trust, id, &token, &inner, err);
	if (failed)
		return failed;
	/* A row that is not there has zeros, which no text has as its digest. */
	if (CRYPTO_memcmp(hash, inner.hash, sizeof hash) || !inner.there ||
		!inner.enabled || now_ms >= token.expires_ms ||
		!from_allowed(&token, address))
		return trust_denied(err);
	failed = stamp(trust, &token, address, now_ms, err);
	if (failed)
		return failed;
	who->role = token.role < inner.user_role ? token.role : inner.user_role;
	memcpy(who->name, token.user, sizeof who->name);
	memcpy(who->credential, token.id, sizeof who->credential);
	snprintf(who->address, sizeof who->address, "%s", address);
	who->scopes = token.scopes;
	memcpy(who->scope, token.scope, sizeof who->scope);
	who->expires_s = token.expires_ms / 1000;
	return 0;
}
