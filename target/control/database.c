/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database file: opening, schema, statements.
 *
 * Invariants
 *  1. `migrations[n]` brings schema n to n + 1, each in one transaction with the
 *     new number; a row is never changed once it was released.
 *  2. application_id is ours: another program's database is refused.
 */
#include "target/control/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define APPLICATION_ID 0x4341524e /* "CARN" */

static const char *const migrations[] = {
	"CREATE TABLE document("
	" one INTEGER PRIMARY KEY CHECK (one = 1),"
	" json TEXT NOT NULL,"
	" applied TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);"
	"CREATE TABLE volume("
	" uuid BLOB PRIMARY KEY CHECK (length(uuid) = 16),"
	" name TEXT NOT NULL UNIQUE) WITHOUT ROWID;"
	"CREATE TABLE blob("
	" uuid BLOB NOT NULL REFERENCES volume ON DELETE CASCADE,"
	" kind TEXT NOT NULL,"
	" data BLOB NOT NULL,"
	" PRIMARY KEY (uuid, kind));"
	"CREATE TABLE secret("
	" host TEXT NOT NULL,"
	" kind INTEGER NOT NULL,"
	" secret TEXT NOT NULL,"
	" PRIMARY KEY (host, kind)) WITHOUT ROWID;",
	/* Objects one by one; `document` is only what was kept before this. */
	"CREATE TABLE object("
	" kind INTEGER NOT NULL,"
	" id TEXT NOT NULL,"
	" position INTEGER NOT NULL,"
	" generation INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" changed INTEGER NOT NULL,"
	" json TEXT NOT NULL,"
	" PRIMARY KEY (kind, id)) WITHOUT ROWID;"
	"CREATE TABLE history("
	" number INTEGER PRIMARY KEY,"
	" time INTEGER NOT NULL,"
	" who TEXT NOT NULL,"
	" title TEXT NOT NULL,"
	" changes TEXT NOT NULL);",
	"CREATE TABLE job(id INTEGER PRIMARY KEY, json TEXT NOT NULL);",
	/* When faults end. */
	"CREATE TABLE fault("
	" volume TEXT NOT NULL,"
	" id TEXT NOT NULL,"
	" user TEXT NOT NULL,"
	" created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL,"
	" PRIMARY KEY (volume, id)) WITHOUT ROWID;",
	/* Users, their sessions and tokens; the audit log: trust/. */
	"CREATE TABLE trust_user("
	" name TEXT PRIMARY KEY,"
	" role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 3),"
	" enabled INTEGER NOT NULL,"
	" password TEXT,"
	" certificate TEXT UNIQUE,"
	" generation INTEGER NOT NULL DEFAULT 1,"
	" created INTEGER NOT NULL,"
	" password_at INTEGER NOT NULL DEFAULT 0,"
	" signed_in INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
	"CREATE TABLE trust_session("
	" hash BLOB PRIMARY KEY CHECK (length(hash) = 32),"
	" user TEXT NOT NULL REFERENCES trust_user ON DELETE CASCADE,"
	" address TEXT NOT NULL,"
	" created INTEGER NOT NULL,"
	" used INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX trust_session_user ON trust_session(user);"
	"CREATE TABLE trust_token("
	" id TEXT PRIMARY KEY,"
	" user TEXT NOT NULL REFERENCES trust_user ON DELETE CASCADE,"
	" comment TEXT NOT NULL,"
	" role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 3),"
	" hash BLOB NOT NULL CHECK (length(hash) = 32),"
	" created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL,"
	" used INTEGER NOT NULL DEFAULT 0,"
	" used_from TEXT NOT NULL DEFAULT '',"
	" networks TEXT NOT NULL,"
	" scope TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX trust_token_user ON trust_token(user);"
	"CREATE TABLE audit("
	" seq INTEGER PRIMARY KEY,"
	" record TEXT NOT NULL,"
	" hash BLOB NOT NULL);"
	"CREATE TABLE audit_chain("
	" one INTEGER PRIMARY KEY CHECK (one = 1),"
	" first INTEGER NOT NULL,"
	" before BLOB NOT NULL,"
	" next INTEGER NOT NULL,"
	" head BLOB NOT NULL);"
	"INSERT INTO audit_chain VALUES(1, 1, zeroblob(32), 1, zeroblob(32));",
	/* Exports are called by numbers of their own, no longer by their target
	 * and LUN, which others may have after them; in the history too. */
	"CREATE TABLE counter("
	" name TEXT PRIMARY KEY,"
	" next INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO counter SELECT 'export', ifnull(max(position) + 2, 1)"
	" FROM object WHERE kind = 3;"
	"UPDATE history SET changes = (SELECT json_group_array("
	" CASE WHEN json_extract(value, '$.kind') = 'export'"
	" THEN json_set(value, '$.id', ifnull("
	" (SELECT CAST(position + 1 AS TEXT) FROM object WHERE kind = 3"
	" AND id = json_extract(value, '$.id')), json_extract(value, '$.id')))"
	" ELSE json(value) END) FROM json_each(history.changes));"
	"UPDATE object SET id = CAST(position + 1 AS TEXT) WHERE kind = 3;",
	/* Portals are objects: those who know none must not touch what is kept. */
	"DELETE FROM object WHERE kind = 4;",
	/* Of snapshots: `name` in the file `image`. */
	"CREATE TABLE snapshot_lock("
	" name TEXT NOT NULL,"
	" image TEXT NOT NULL,"
	" until_ms INTEGER NOT NULL,"
	" PRIMARY KEY(name, image)) WITHOUT ROWID;",
	/* Snapshots of groups that are being made: `name` in `image`, the file of
	 * `volume`; '' if that is in none. */
	"CREATE TABLE snapshot_intent("
	" moment INTEGER NOT NULL,"
	" volume TEXT NOT NULL,"
	" image TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" PRIMARY KEY(moment, volume)) WITHOUT ROWID;",
	/* How schedules ran, and which snapshots are their own. */
	"CREATE TABLE schedule("
	" name TEXT PRIMARY KEY,"
	" json TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE schedule_snapshot("
	" schedule TEXT NOT NULL,"
	" volume TEXT NOT NULL,"
	" snapshot TEXT NOT NULL,"
	" made INTEGER NOT NULL,"
	" PRIMARY KEY(schedule, volume, snapshot)) WITHOUT ROWID;",
};
#define SCHEMA ((int)(sizeof migrations / sizeof *migrations))

static const char pragmas[] = "PRAGMA journal_mode = WAL;"
			      "PRAGMA synchronous = FULL;"
			      "PRAGMA foreign_keys = ON;"
			      "PRAGMA secure_delete = ON;"
			      "PRAGMA temp_store = MEMORY;"
			      "PRAGMA trusted_schema = OFF;";

int database_error(sqlite3 *db, const char *what, struct err *err)
{
	bool full = sqlite3_errcode(db) == SQLITE_FULL;
	return err_set(err, EIO, "%s: %s: %s%s",
		sqlite3_db_filename(db, "main"), what, sqlite3_errmsg(db),
		full ? ": make room on its file system; nothing was changed"
		     : "");
}

int database_run(sqlite3 *db, const char *sql, struct err *err)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return database_error(db, "cannot be changed", err);
}

int database_savepoint(sqlite3 *db, struct err *err)
{
	return database_run(db, "SAVEPOINT one", err);
}

int database_savepoint_end(sqlite3 *db, int failed, struct err *err)
{
	if (!failed)
		failed = database_run(db, "RELEASE one", err);
	if (failed)
		sqlite3_exec(
			db, "ROLLBACK TO one; RELEASE one", NULL, NULL, NULL);
	return failed;
}

/* SQLite does this by itself only as long as nobody else has the hook. */
#define CHECKPOINT_PAGES 1000

int database_checkpoint(sqlite3 *db, const char *name, int pages)
{
	/* A reader may keep it from ending: the next one goes on. */
	if (pages >= CHECKPOINT_PAGES)
		(void)sqlite3_wal_checkpoint(db, name);
	return SQLITE_OK;
}

/* -- prepared statements ----------------------------------------------------- */

/* Those of all open databases: one in a daemon, a few in a test. */
struct statement_kept {
	sqlite3 *db;
	sqlite3_stmt *stmt;
	const char *sql;
	bool used; /* between statement_begin and statement_end */
	LIST_ENTRY(statement_kept) link;
};
static LIST_HEAD(, statement_kept) kept_statements = LIST_HEAD_INITIALIZER(
	kept_statements);

static struct statement_kept *find_kept(sqlite3 *db, const char *sql)
{
	struct statement_kept *kept;
	LIST_FOREACH (kept, &kept_statements, link) {
		if (kept->db == db && !kept->used &&
			(kept->sql == sql || !strcmp(kept->sql, sql)))
			return kept;
	}
	return NULL;
}

/* NULL: without memory, or with a mistake, which *result says. */
static struct statement_kept *keep_statement(
	sqlite3 *db, const char *sql, int *result)
{
	struct statement_kept *kept = calloc(1, sizeof *kept);
	*result = SQLITE_NOMEM;
	if (!kept)
		return NULL;
	*result = sqlite3_prepare_v3(
		db, sql, -1, SQLITE_PREPARE_PERSISTENT, &kept->stmt, NULL);
	if (*result != SQLITE_OK) {
		free(kept);
		return NULL;
	}
	kept->db = db;
	kept->sql = sqlite3_sql(kept->stmt);
	LIST_INSERT_HEAD(&kept_statements, kept, link);
	return kept;
}

static void forget_statements(sqlite3 *db)
{
	struct statement_kept *kept, *next;
	for (kept = LIST_FIRST(&kept_statements); kept; kept = next) {
		next = LIST_NEXT(kept, link);
		if (kept->db != db)
			continue;
		LIST_REMOVE(kept, link);
		sqlite3_finalize(kept->stmt);
		free(kept);
	}
}

/* -- statements ------------------------------------------------------------- */

static void note(struct statement *s, int result)
{
	if (s->result == SQLITE_OK && result != SQLITE_OK)
		s->result = result;
}

void statement_begin(struct statement *s, sqlite3 *db, const char *sql)
{
	*s = (struct statement){.db = db, .kept = find_kept(db, sql)};
	if (!s->kept)
		s->kept = keep_statement(db, sql, &s->result);
	if (!s->kept)
		return;
	s->kept->used = true;
	s->stmt = s->kept->stmt;
}

void statement_text(struct statement *s, int parameter, const char *text)
{
	note(s, sqlite3_bind_text(s->stmt, parameter, text, -1, SQLITE_STATIC));
}

void statement_blob(
	struct statement *s, int parameter, const void *data, size_t bytes)
{
	note(s,
		sqlite3_bind_blob64(
			s->stmt, parameter, data, bytes, SQLITE_STATIC));
}

void statement_number(struct statement *s, int parameter, int value)
{
	note(s, sqlite3_bind_int(s->stmt, parameter, value));
}

void statement_large(struct statement *s, int parameter, int64_t value)
{
	note(s, sqlite3_bind_int64(s->stmt, parameter, value));
}

int statement_row(struct statement *s)
{
	if (s->result != SQLITE_OK)
		return 0;
	int result = sqlite3_step(s->stmt);
	if (result == SQLITE_ROW)
		return 1;
	note(s, result == SQLITE_DONE ? SQLITE_OK : result);
	return 0;
}

void statement_run(struct statement *s)
{
	while (statement_row(s))
		;
	if (s->result == SQLITE_OK)
		note(s, sqlite3_reset(s->stmt));
}

int statement_end(struct statement *s, struct err *err)
{
	int failed = s->result == SQLITE_OK
		? 0
		: database_error(s->db, "cannot be used", err);
	if (s->kept) {
		sqlite3_reset(s->stmt);
		sqlite3_clear_bindings(s->stmt);
		s->kept->used = false;
	}
	s->stmt = NULL;
	s->kept = NULL;
	return failed;
}

/* -- opening ---------------------------------------------------------------- */

static int pragma_number(
	sqlite3 *db, const char *sql, int *value, struct err *err)
{
	struct statement s;
	statement_begin(&s, db, sql);
	*value = statement_row(&s) ? sqlite3_column_int(s.stmt, 0) : 0;
	return statement_end(&s, err);
}

/* Damage is found here, not at the first write. */
static int check_whole(sqlite3 *db, struct err *err)
{
	struct statement s;
	char found[200] = "";
	statement_begin(&s, db, "PRAGMA quick_check(1)");
	if (statement_row(&s))
		strncat(found, (const char *)sqlite3_column_text(s.stmt, 0),
			sizeof found - 1);
	int failed = statement_end(&s, err);
	if (failed || !strcmp(found, "ok"))
		return failed;
	return err_set(err, EIO,
		"%s is damaged (%s): stop here, keep it, and put a copy from "
		"a backup in its place",
		sqlite3_db_filename(db, "main"), found);
}

static int migrate_one(sqlite3 *db, int from, struct err *err)
{
	char *sql = sqlite3_mprintf("BEGIN IMMEDIATE; %s"
				    "PRAGMA application_id = %d;"
				    "PRAGMA user_version = %d; COMMIT;",
		migrations[from], APPLICATION_ID, from + 1);
	if (!sql)
		return err_set(err, ENOMEM, "out of memory");
	int failed = database_run(db, sql, err);
	if (failed)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_free(sql);
	return failed;
}

static int migrate(sqlite3 *db, struct err *err)
{
	const char *path = sqlite3_db_filename(db, "main");
	int schema, owner, tables;
	if (pragma_number(db, "PRAGMA user_version", &schema, err) ||
		pragma_number(db, "PRAGMA application_id", &owner, err) ||
		pragma_number(
			db, "SELECT count(*) FROM sqlite_schema", &tables, err))
		return -EIO;
	if (owner != APPLICATION_ID && (owner || schema || tables))
		return err_set(err, EINVAL,
			"%s belongs to another program: choose another "
			"state_directory",
			path);
	if (schema > SCHEMA)
		return err_set(err, EINVAL,
			"%s was written by a newer cairnd (schema %d, this one "
			"knows %d): run that version, or restore a backup "
			"made before the upgrade",
			path, schema, SCHEMA);
	for (; schema < SCHEMA; schema++) {
		int failed = migrate_one(db, schema, err);
		if (failed)
			return failed;
	}
	return 0;
}

/* SQLite gives its -wal and -shm files the mode of the database. */
static int make_private(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

sqlite3 *database_open(const char *path, struct err *err)
{
	sqlite3 *db = NULL;
	if (make_private(path, err))
		return NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
		err_set(err, EIO, "%s: %s", path,
			db ? sqlite3_errmsg(db) : "out of memory");
		sqlite3_close(db);
		return NULL;
	}
	sqlite3_busy_timeout(db, 2000); /* somebody looks with sqlite3(1) */
	if (check_whole(db, err) || migrate(db, err) ||
		database_run(db, pragmas, err)) {
		database_close(db);
		return NULL;
	}
	return db;
}

void database_close(sqlite3 *db)
{
	forget_statements(db);
	sqlite3_close(db);
}
