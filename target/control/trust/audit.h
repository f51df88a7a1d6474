/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: who did what, when, and how it ended; such that a record that was
 * changed, taken out, put in or moved is found.
 *
 *	record	one line of JSON: seq, time, user, via, credential, address,
 *		request, method, operation, object, status, change, note, before, after
 *		(SHA-256 of the object's JSON), previous (SHA-256 of the record
 *		before)
 *	hash	SHA-256 of that line; the next record's `previous`
 *	chain	where the kept records begin and what was before, where they end
 *		and the last hash
 *
 * It is in the database, not in a file beside it: so a record commits with the
 * change it tells of (append joins a transaction that is open), survives kill -9
 * with it, and is found by number. The lines alone verify too: sha256sum of each
 * is `previous` of the next. Who can write the database could make all of it anew;
 * so each hash also goes to the log, for a journal that lies elsewhere to witness:
 * once its record is committed, never that of one which was rolled back.
 *
 * Invariants
 *  1. Bounded: above AUDIT_MAX_RECORDS the oldest AUDIT_DROP go, in the commit of
 *     an append; the chain then begins at the first that is left, with the hash
 *     before it, and a record of the dropping says so.
 *  2. Secrets of hosts and people are in no record: objects appear as digests.
 *  3. Bytes that a stranger chose are cut and escaped.
 *  4. Control thread only.
 */
#ifndef TARGET_CONTROL_TRUST_AUDIT_H
#define TARGET_CONTROL_TRUST_AUDIT_H

#include "blockcore/base/err.h"
#include "blockcore/loop.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define AUDIT_MAX_RECORDS 100000
#define AUDIT_DROP 10000

struct audit;

/* NULL: a member that does not apply. */
struct audit_entry {
	int64_t time_ms;
	const char *user, *via, *credential, *address;
	const char *request, *method, *operation, *object;
	int status; /* of HTTP; 0: none */
	int64_t change; /* number in the configuration's history; 0: none */
	const char *note;
	const char *before, *after; /* JSON; only its digest is kept */
};

/* Takes the WAL hook of `db`. NULL: out of memory. */
struct audit *audit_new(sqlite3 *db);
/* Before the database is closed. */
void audit_free(struct audit *audit);
/* For tests: fewer records. */
void audit_set_bounds(struct audit *audit, int64_t most, int64_t drop);

/* 0 or -errno with *err. */
int audit_append(
	struct audit *audit, const struct audit_entry *entry, struct err *err);

/* Calls `kept` when records have been committed, amid SQLite's commit: it looks at
 * them in a later turn. One watcher; NULL: none. */
void audit_watch(
	struct audit *audit, void (*kept)(void *argument), void *argument);

/* The records after number `after`, in order, at most `max`. Returns how many, or
 * -errno. `each` must not append. */
int audit_read(struct audit *audit, int64_t after, unsigned max,
	void (*each)(void *arg, int64_t seq, const char *record), void *arg,
	struct err *err);

/* The same backward: those before number `before`, newest first. */
int audit_read_back(struct audit *audit, int64_t before, unsigned max,
	void (*each)(void *arg, int64_t seq, const char *record), void *arg,
	struct err *err);

struct audit_verdict {
	bool whole;
	int64_t records, first; /* looked at; the number of the first one */
	int64_t wrong; /* number of the first that is not right; 0: none */
	char reason[160];
};
/* Looks at all records, some hundred in one turn of the loop. 0, or -errno with
 * *err if that could not be done; what it found is in *verdict. */
int audit_verify_co(struct audit *audit, struct loop *loop,
	struct audit_verdict *verdict, struct err *err);

#endif
