/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements, transactions and errors of the database; see database.h.
 *
 * Invariant: a statement is prepared once for each database and text.
 */
#include "target/control/database.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* What to do, by SQLite's code. */
static const char *cure_of(int code)
{
	static const struct {
		int code;
		const char *cure;
	} cures[] = {
		{SQLITE_FULL,
			"make room on its file system; nothing was changed"},
		{SQLITE_CORRUPT, DATABASE_DAMAGED},
		{SQLITE_NOTADB, DATABASE_DAMAGED},
		{SQLITE_READONLY, "its directory must be writable"},
		{SQLITE_CANTOPEN, "its directory must be writable"},
		{SQLITE_IOERR,
			"look for failures of its disk, and make room on it"},
	};
	for (size_t i = 0; i < sizeof cures / sizeof *cures; i++) {
		if (cures[i].code == code)
			return cures[i].cure;
	}
	return NULL;
}

int database_error(sqlite3 *db, const char *what, struct err *err)
{
	const char *cure = cure_of(sqlite3_errcode(db) & 0xff);
	return err_set(err, EIO, "%s: %s: %s%s%s",
		sqlite3_db_filename(db, "main"), what, sqlite3_errmsg(db),
		cure ? ": " : "", cure ? cure : "");
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

void database_forget_statements(sqlite3 *db)
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
