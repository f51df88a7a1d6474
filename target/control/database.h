/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite with our errors: statements that are prepared, bound, stepped and ended
 * in a line or two. Used by what keeps tables in the state; one thread.
 */
#ifndef TARGET_CONTROL_DATABASE_H
#define TARGET_CONTROL_DATABASE_H

#include "blockcore/base/err.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

/* Opens (makes, 0600) the file with our pragmas, checks that it is ours and has what
 * was written, brings the schema forward. NULL with *err. */
sqlite3 *database_open(const char *path, struct err *err);
void database_close(sqlite3 *db); /* NULL is fine */

/* What to do about a file that is damaged. */
#define DATABASE_DAMAGED \
	"stop here, keep it with its -wal file, and put a copy from a backup " \
	"in the place of both"

/* "FILE: what: SQLite's words". Returns -EIO. */
int database_error(sqlite3 *db, const char *what, struct err *err);

/* Statements without parameters and results. */
int database_run(sqlite3 *db, const char *sql, struct err *err);

/* What lies between both is done as a whole or, if `failed` or if it cannot be
 * made durable, not at all: within a transaction that is open, a part of it, else
 * one of its own. They may be nested; nothing may yield between them. The end
 * returns `failed`, or its own error. */
int database_savepoint(sqlite3 *db, struct err *err);
int database_savepoint_end(sqlite3 *db, int failed, struct err *err);

/* For who takes sqlite3_wal_hook, which says that a commit is durable: keeps the
 * write-ahead log short, as SQLite does when nobody has the hook. SQLITE_OK. */
int database_checkpoint(sqlite3 *db, const char *name, int pages);

/* One statement. Parameters are numbered from 1; texts and blobs must live until
 * statement_end. Errors of all steps are kept and reported by statement_end. `sql`
 * is prepared once and kept with the database. */
void database_forget_statements(sqlite3 *db); /* before it is closed */
struct statement_kept;
struct statement {
	sqlite3 *db;
	sqlite3_stmt *stmt;
	struct statement_kept *kept; /* NULL: it could not be prepared */
	int result; /* SQLite's: the first that was not well */
};
void statement_begin(struct statement *s, sqlite3 *db, const char *sql);
void statement_text(struct statement *s, int parameter, const char *text);
void statement_blob(
	struct statement *s, int parameter, const void *data, size_t bytes);
void statement_number(struct statement *s, int parameter, int value);
void statement_large(struct statement *s, int parameter, int64_t value);
/* True if there is a row; then columns (from 0) may be read. */
int statement_row(struct statement *s);
/* Steps to the end; the statement may then be bound and run again. */
void statement_run(struct statement *s);
/* 0 or -EIO with *err. */
int statement_end(struct statement *s, struct err *err);

#endif
