/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database file: schema and opening.
 *
 * Invariants
 *  1. `migrations[n]` brings schema n to n + 1; all that are wanted are done in one
 *     transaction with the new number. A row is never changed once it was released.
 *  2. application_id is ours: another program's database is refused.
 *  3. What is opened is whole: SQLite finds no fault, the tables are those of its
 *     schema, their rows those that were written (seal.h). Nothing is changed before
 *     that is known.
 */
#include "target/control/database.h"

#include "target/control/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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
	/* Sums of the rows of each table: seal.h. */
	"CREATE TABLE seal("
	" name TEXT PRIMARY KEY,"
	" sum BLOB NOT NULL) WITHOUT ROWID;",
	/* Requests that must not be done twice, and how they were answered. */
	"CREATE TABLE api_key("
	" user TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" digest BLOB NOT NULL CHECK (length(digest) = 32),"
	" made INTEGER NOT NULL,"
	" state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),"
	" status INTEGER NOT NULL,"
	" problem INTEGER NOT NULL,"
	" place TEXT NOT NULL,"
	" location TEXT,"
	" etag TEXT NOT NULL,"
	" text TEXT,"
	" PRIMARY KEY(user, name));",
};
#define SCHEMA ((int)(sizeof migrations / sizeof *migrations))

static const char pragmas[] = "PRAGMA journal_mode = WAL;"
			      "PRAGMA synchronous = FULL;"
			      "PRAGMA foreign_keys = ON;"
			      "PRAGMA recursive_triggers = ON;"
			      "PRAGMA secure_delete = ON;"
			      "PRAGMA temp_store = MEMORY;"
			      "PRAGMA trusted_schema = OFF;";

/* -- opening ---------------------------------------------------------------- */

static int pragma_number(
	sqlite3 *db, const char *sql, int *value, struct err *err)
{
	struct statement s;
	statement_begin(&s, db, sql);
	*value = statement_row(&s) ? sqlite3_column_int(s.stmt, 0) : 0;
	return statement_end(&s, err);
}

static int damaged(sqlite3 *db, const char *how, struct err *err)
{
	return err_set(err, EIO, "%s is damaged (%s): %s",
		sqlite3_db_filename(db, "main"), how, DATABASE_DAMAGED);
}

/* Damage is found here, not at the first write. */
static int check_whole(sqlite3 *db, struct err *err)
{
	struct statement s;
	char found[200] = "";
	statement_begin(&s, db, "PRAGMA integrity_check(1)");
	if (statement_row(&s))
		strncat(found, (const char *)sqlite3_column_text(s.stmt, 0),
			sizeof found - 1);
	int failed = statement_end(&s, err);
	if (failed || !strcmp(found, "ok"))
		return failed;
	return damaged(db, found, err);
}

/* Who wrote it, and what it says its schema is. */
static int check_owner(sqlite3 *db, int *schema, struct err *err)
{
	const char *path = sqlite3_db_filename(db, "main");
	int owner, tables;
	if (pragma_number(db, "PRAGMA user_version", schema, err) ||
		pragma_number(db, "PRAGMA application_id", &owner, err) ||
		pragma_number(
			db, "SELECT count(*) FROM sqlite_schema", &tables, err))
		return -EIO;
	if (owner != APPLICATION_ID && (owner || *schema || tables))
		return err_set(err, EINVAL,
			"%s belongs to another program: choose another "
			"state_directory",
			path);
	if (*schema > SCHEMA)
		return err_set(err, EINVAL,
			"%s was written by a newer cairnd (schema %d, this one "
			"knows %d): run that version, or restore a backup "
			"made before the upgrade",
			path, *schema, SCHEMA);
	return 0;
}

/* Tables and indexes as SQL: to be freed with sqlite3_free. NULL with *err. */
static char *print_schema(sqlite3 *db, struct err *err)
{
	struct statement s;
	sqlite3_str *out = sqlite3_str_new(db);
	statement_begin(&s, db,
		"SELECT type, name, tbl_name, sql FROM sqlite_schema"
		" WHERE name NOT GLOB 'sqlite_*' ORDER BY name");
	while (statement_row(&s))
		for (int i = 0; i < 4; i++)
			sqlite3_str_appendf(
				out, "%s\n", sqlite3_column_text(s.stmt, i));
	sqlite3_str_appendchar(out, 1, '\n'); /* none is no text at all */
	int failed = statement_end(&s, err);
	char *text = sqlite3_str_finish(out);
	if (!failed)
		return text;
	sqlite3_free(text);
	return NULL;
}

/* The same of a database that was just made, up to a schema. */
static char *print_wanted(int schema, struct err *err)
{
	sqlite3 *db;
	char *text = NULL;
	int failed = 0;
	if (sqlite3_open(":memory:", &db) == SQLITE_OK) {
		for (int i = 0; !failed && i < schema; i++)
			failed = database_run(db, migrations[i], err);
		text = failed ? NULL : print_schema(db, err);
	}
	database_close(db);
	return text;
}

static int check_schema(sqlite3 *db, int schema, struct err *err)
{
	char *is = print_schema(db, err);
	char *wanted = print_wanted(schema, err);
	char how[64];
	bool same = is && wanted && !strcmp(is, wanted);
	snprintf(how, sizeof how, "its tables are not those of schema %d",
		schema);
	int failed = same ? 0 : damaged(db, how, err);
	sqlite3_free(is);
	sqlite3_free(wanted);
	return failed;
}

/* Older schemas have none. */
static int check_seals(sqlite3 *db, struct err *err)
{
	int sealed;
	if (pragma_number(db,
		    "SELECT count(*) FROM sqlite_schema WHERE name = 'seal'",
		    &sealed, err))
		return -EIO;
	struct err broken = {0};
	if (!sealed || !seal_check(db, &broken))
		return 0;
	return damaged(db, broken.text, err);
}

static int migrate_within(sqlite3 *db, int schema, struct err *err)
{
	char number[80];
	int failed = 0;
	for (; !failed && schema < SCHEMA; schema++)
		failed = database_run(db, migrations[schema], err);
	snprintf(number, sizeof number,
		"PRAGMA application_id = %d; PRAGMA user_version = %d;",
		APPLICATION_ID, SCHEMA);
	if (!failed)
		failed = seal_renew(db, err);
	return failed ? failed : database_run(db, number, err);
}

static int migrate(sqlite3 *db, int schema, struct err *err)
{
	if (schema == SCHEMA)
		return 0;
	int failed = database_savepoint(db, err);
	if (failed)
		return failed;
	return database_savepoint_end(db, migrate_within(db, schema, err), err);
}

/* Looks at all of it before anything is changed. */
static int check_all(sqlite3 *db, int *schema, struct err *err)
{
	int failed = check_whole(db, err);
	if (!failed)
		failed = check_owner(db, schema, err);
	if (!failed)
		failed = check_schema(db, *schema, err);
	return failed ? failed : check_seals(db, err);
}

/* SQLite would take it for a new one, and forget what the log has. */
static int check_alone(const char *path, struct err *err)
{
	char log[4100];
	struct stat found;
	snprintf(log, sizeof log, "%s-wal", path);
	if (stat(log, &found) || !found.st_size)
		return 0;
	return err_set(err, EIO, "%s is empty, but %s is there: %s", path, log,
		DATABASE_DAMAGED);
}

/* SQLite gives its -wal and -shm files the mode of the database. */
static int make_private(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat found;
	if (fd < 0 || fstat(fd, &found)) {
		int failed =
			err_set(err, errno, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return failed;
	}
	close(fd);
	return found.st_size ? 0 : check_alone(path, err);
}

sqlite3 *database_open(const char *path, struct err *err)
{
	sqlite3 *db = NULL;
	int schema;
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
	if (seal_prepare(db, err) || check_all(db, &schema, err) ||
		migrate(db, schema, err) || database_run(db, pragmas, err) ||
		seal_follow(db, err)) {
		database_close(db);
		return NULL;
	}
	return db;
}

void database_close(sqlite3 *db)
{
	database_forget_statements(db);
	sqlite3_close(db);
}
