/* SPDX-License-Identifier: Apache-2.0 */
/* Users, in the database. */
#include "target/control/document/names.h"
#include "target/control/trust/trust_parts.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define COLUMNS \
	"name, role, enabled, password IS NOT NULL, certificate, generation, " \
	"created, password_at, signed_in"

static void take_user(struct statement *s, struct trust_user *out)
{
	*out = (struct trust_user){
		.role = (enum trust_role)sqlite3_column_int(s->stmt, 1),
		.enabled = sqlite3_column_int(s->stmt, 2),
		.has_password = sqlite3_column_int(s->stmt, 3),
		.generation = sqlite3_column_int64(s->stmt, 5),
		.created_ms = sqlite3_column_int64(s->stmt, 6),
		.password_ms = sqlite3_column_int64(s->stmt, 7),
		.signed_in_ms = sqlite3_column_int64(s->stmt, 8)};
	trust_take_text(s, 0, out->name, sizeof out->name);
	trust_take_text(s, 4, out->certificate, sizeof out->certificate);
}

static int no_user(const char *name, struct err *err)
{
	return err_set(err, ENOENT, "there is no user \"%.63s\"", name);
}

/* -- reading ---------------------------------------------------------------- */

int trust_user_list(struct trust *trust, const char *after,
	struct trust_user *out, unsigned max, struct err *err)
{
	struct statement s;
	int count = 0;
	statement_begin(&s, trust->db,
		"SELECT " COLUMNS " FROM trust_user WHERE name > ? "
		"ORDER BY name LIMIT ?");
	statement_text(&s, 1, after ? after : "");
	statement_large(&s, 2, max);
	while (statement_row(&s))
		take_user(&s, &out[count++]);
	int failed = statement_end(&s, err);
	return failed ? failed : count;
}

int trust_user_find(struct trust *trust, const char *name,
	struct trust_user *out, struct err *err)
{
	struct statement s;
	bool found = false;
	statement_begin(&s, trust->db,
		"SELECT " COLUMNS " FROM trust_user WHERE name = ?");
	statement_text(&s, 1, name);
	if (statement_row(&s)) {
		found = true;
		take_user(&s, out);
	}
	int failed = statement_end(&s, err);
	return failed ? failed : found ? 0 : no_user(name, err);
}

int trust_user_hash(struct trust *trust, const char *name,
	char out[PASSWORD_HASH_BYTES], struct err *err)
{
	struct statement s;
	out[0] = '\0';
	statement_begin(&s, trust->db,
		"SELECT password FROM trust_user WHERE name = ? AND enabled");
	statement_text(&s, 1, name);
	bool found = statement_row(&s);
	if (found)
		trust_take_text(&s, 0, out, PASSWORD_HASH_BYTES);
	int failed = statement_end(&s, err);
	return failed ? failed : found ? 0 : no_user(name, err);
}

static int count(struct trust *trust, const char *sql, struct err *err)
{
	struct statement s;
	int found = 0;
	statement_begin(&s, trust->db, sql);
	if (statement_row(&s))
		found = sqlite3_column_int(s.stmt, 0);
	int failed = statement_end(&s, err);
	return failed ? failed : found;
}

int trust_count_admins(struct trust *trust, struct err *err)
{
	return count(trust,
		"SELECT count(*) FROM trust_user WHERE role = 3 AND enabled",
		err);
}

/* -- checks ----------------------------------------------------------------- */

static int check_certificate(
	struct trust *trust, const struct trust_user *user, struct err *err)
{
	struct statement s;
	char owner[TRUST_NAME_BYTES] = "";
	if (!user->certificate[0])
		return 0;
	statement_begin(&s, trust->db,
		"SELECT name FROM trust_user WHERE certificate = ? AND "
		"name <> ?");
	statement_text(&s, 1, user->certificate);
	statement_text(&s, 2, user->name);
	if (statement_row(&s))
		trust_take_text(&s, 0, owner, sizeof owner);
	int failed = statement_end(&s, err);
	if (failed || !owner[0])
		return failed;
	return err_set(
		err, EEXIST, "user \"%s\" has this certificate already", owner);
}

static int check_role(const struct trust_user *user, struct err *err)
{
	if (user->role >= TRUST_VIEWER && user->role <= TRUST_ADMIN)
		return 0;
	return err_set(err, EINVAL, "a user is viewer, operator or admin");
}

static int check_name(const char *name, struct err *err)
{
	if (!name_is_plain(name))
		err_set(err, EINVAL, NAME_PLAIN_RULE, name);
	else if (!strcmp(name, "root") || !strcmp(name, "cairnd"))
		err_set(err, EINVAL,
			"\"%s\" is whoever uses the unix socket: take another "
			"name",
			name);
	else
		return 0;
	return err_point(err, "/name");
}

int trust_user_check(struct trust *trust, const struct trust_user *user,
	const char *password, struct err *err)
{
	struct trust_user found;
	int failed = check_name(user->name, err);
	if (!failed)
		failed = check_role(user, err);
	if (!failed && password)
		failed = password_rules(user->name, password, err);
	if (!failed)
		failed = check_certificate(trust, user, err);
	if (failed)
		return failed;
	int all = count(trust, "SELECT count(*) FROM trust_user", err);
	if (all >= (int)TRUST_MAX_USERS)
		return err_set(err, ENOSPC, "there are %u users already",
			TRUST_MAX_USERS);
	if (all < 0)
		return all;
	failed = trust_user_find(trust, user->name, &found, err);
	if (!failed)
		return err_set(err, EEXIST, "there is a user \"%s\" already",
			user->name);
	return failed == -ENOENT ? 0 : failed;
}

/* -- making ----------------------------------------------------------------- */

static void bind_optional(struct statement *s, int parameter, const char *text)
{
	if (text && *text) /* unbound is NULL */
		statement_text(s, parameter, text);
}

int trust_user_insert(struct trust *trust, const struct trust_user *user,
	const char *hash, struct err *err)
{
	struct statement s;
	int64_t now_ms = trust_now_ms(trust);
	statement_begin(&s, trust->db,
		"INSERT INTO trust_user(name, role, enabled, password, "
		"certificate, created, password_at) VALUES (?,?,?,?,?,?,?)");
	statement_text(&s, 1, user->name);
	statement_number(&s, 2, (int)user->role);
	statement_number(&s, 3, user->enabled);
	bind_optional(&s, 4, hash);
	bind_optional(&s, 5, user->certificate);
	statement_large(&s, 6, now_ms);
	statement_large(&s, 7, hash ? now_ms : 0);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_user_create_co(struct trust *trust, const struct trust_user *user,
	const char *password, struct err *err)
{
	char hash[PASSWORD_HASH_BYTES] = "";
	int failed = trust_user_check(trust, user, password, err);
	if (!failed && password)
		failed =
			password_hash_co(trust->passwords, password, hash, err);
	if (!failed && password) /* somebody may have been quicker */
		failed = trust_user_check(trust, user, NULL, err);
	if (!failed)
		failed = trust_user_insert(
			trust, user, password ? hash : NULL, err);
	if (!failed && trust_count_admins(trust, NULL) > 0)
		trust_bootstrap_end(trust);
	OPENSSL_cleanse(hash, sizeof hash);
	return failed;
}

/* -- changing --------------------------------------------------------------- */

/* Refused if it would leave no admin. */
static int check_last_admin(struct trust *trust, const struct trust_user *now,
	bool stays_admin, struct err *err)
{
	if (stays_admin || now->role != TRUST_ADMIN || !now->enabled)
		return 0;
	int admins = trust_count_admins(trust, err);
	if (admins < 0 || admins > 1)
		return admins < 0 ? admins : 0;
	return err_set(err, EBUSY,
		"\"%s\" is the last admin: make another one first", now->name);
}

static int update(
	struct trust *trust, const struct trust_user *user, struct err *err)
{
	struct statement s;
	statement_begin(&s, trust->db,
		"UPDATE trust_user SET role = ?1, enabled = ?2, certificate = "
		"?3, generation = generation + 1 WHERE name = ?4");
	statement_number(&s, 1, (int)user->role);
	statement_number(&s, 2, user->enabled);
	bind_optional(&s, 3, user->certificate);
	statement_text(&s, 4, user->name);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_user_check_change(
	struct trust *trust, const struct trust_user *user, struct err *err)
{
	struct trust_user now;
	int failed = trust_user_find(trust, user->name, &now, err);
	if (!failed)
		failed = check_role(user, err);
	if (!failed)
		failed = check_certificate(trust, user, err);
	if (!failed)
		failed = check_last_admin(trust, &now,
			user->enabled && user->role == TRUST_ADMIN, err);
	return failed;
}

int trust_user_change(
	struct trust *trust, const struct trust_user *user, struct err *err)
{
	struct trust_user now;
	int failed = trust_user_check_change(trust, user, err);
	if (!failed)
		failed = trust_user_find(trust, user->name, &now, err);
	if (!failed)
		failed = database_savepoint(trust->db, err);
	if (failed)
		return failed;
	failed = update(trust, user, err);
	if (!failed && (now.role != user->role || !user->enabled))
		failed = trust_session_end_all(trust, user->name, NULL, err);
	return database_savepoint_end(trust->db, failed, err);
}

static int write_hash(struct trust *trust, const char *name, const char *hash,
	struct err *err)
{
	struct statement s;
	statement_begin(&s, trust->db,
		"UPDATE trust_user SET password = ?1, password_at = ?2, "
		"generation = generation + 1 WHERE name = ?3");
	bind_optional(&s, 1, hash);
	statement_large(&s, 2, trust_now_ms(trust));
	statement_text(&s, 3, name);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_user_set_hash(struct trust *trust, const char *name, const char *hash,
	struct err *err)
{
	struct trust_user now;
	int failed = trust_user_find(trust, name, &now, err);
	return failed ? failed : write_hash(trust, name, hash, err);
}

int trust_user_check_password(struct trust *trust, const char *name,
	const char *password, struct err *err)
{
	struct trust_user now;
	int failed = trust_user_find(trust, name, &now, err);
	return failed || !password ? failed
				   : password_rules(name, password, err);
}

int trust_user_set_password_co(struct trust *trust, const char *name,
	const char *password, struct err *err)
{
	char hash[PASSWORD_HASH_BYTES] = "";
	int failed = trust_user_check_password(trust, name, password, err);
	if (!failed && password)
		failed =
			password_hash_co(trust->passwords, password, hash, err);
	if (!failed)
		failed = database_savepoint(trust->db, err);
	if (failed)
		return failed;
	failed = trust_user_set_hash(trust, name, hash, err);
	if (!failed)
		failed = trust_session_end_all(trust, name, NULL, err);
	OPENSSL_cleanse(hash, sizeof hash);
	return database_savepoint_end(trust->db, failed, err);
}

int trust_user_stamp(struct trust *trust, const char *name, struct err *err)
{
	struct statement s;
	statement_begin(&s, trust->db,
		"UPDATE trust_user SET signed_in = ? WHERE name = ?");
	statement_large(&s, 1, trust_now_ms(trust));
	statement_text(&s, 2, name);
	statement_run(&s);
	return statement_end(&s, err);
}

int trust_user_check_delete(
	struct trust *trust, const char *name, struct err *err)
{
	struct trust_user now;
	int failed = trust_user_find(trust, name, &now, err);
	return failed ? failed : check_last_admin(trust, &now, false, err);
}

int trust_user_delete(struct trust *trust, const char *name, struct err *err)
{
	struct statement s;
	int failed = trust_user_check_delete(trust, name, err);
	if (failed)
		return failed;
	statement_begin(&s, trust->db, "DELETE FROM trust_user WHERE name = ?");
	statement_text(&s, 1, name);
	statement_run(&s); /* sessions and tokens go with him */
	return statement_end(&s, err);
}
