/* SPDX-License-Identifier: Apache-2.0 */
/* Records and their chain: appending, dropping, reading. See audit.h. */
#include "target/control/trust/audit.h"

#include "blockcore/base/log.h"
#include "target/control/database.h"
#include "target/control/trust/audit_parts.h"
#include "target/control/unix_time.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 300u

/* -- the chain -------------------------------------------------------------- */

static void take_hash(struct statement *s, int column, uint8_t out[HASH_BYTES])
{
	memset(out, 0, HASH_BYTES);
	if (sqlite3_column_bytes(s->stmt, column) == HASH_BYTES)
		memcpy(out, sqlite3_column_blob(s->stmt, column), HASH_BYTES);
}

int audit_load_chain(
	struct audit *audit, struct audit_chain *chain, struct err *err)
{
	struct statement s;
	bool found = false;
	statement_begin(&s, audit->db,
		"SELECT first, before, next, head FROM audit_chain");
	if (statement_row(&s)) {
		found = true;
		chain->first = sqlite3_column_int64(s.stmt, 0);
		take_hash(&s, 1, chain->before);
		chain->next = sqlite3_column_int64(s.stmt, 2);
		take_hash(&s, 3, chain->head);
	}
	int failed = statement_end(&s, err);
	if (!failed && !found)
		failed = err_set(err, EIO, "the audit log has lost its chain");
	return failed;
}

static int save_chain(
	struct audit *audit, const struct audit_chain *chain, struct err *err)
{
	struct statement s;
	statement_begin(&s, audit->db,
		"UPDATE audit_chain SET first = ?, before = ?, next = ?, "
		"head = ?");
	statement_large(&s, 1, chain->first);
	statement_blob(&s, 2, chain->before, HASH_BYTES);
	statement_large(&s, 3, chain->next);
	statement_blob(&s, 4, chain->head, HASH_BYTES);
	statement_run(&s);
	return statement_end(&s, err);
}

/* -- the log as a witness ---------------------------------------------------- */

static const char *column(const struct statement *s, int number)
{
	const unsigned char *text = sqlite3_column_text(s->stmt, number);
	return text ? (const char *)text : "-";
}

static void witness(struct audit *audit)
{
	struct statement s;
	struct err err = {0};
	statement_begin(&s, audit->db,
		"SELECT seq, lower(hex(hash)), record ->> 'user', "
		"record ->> 'operation', record ->> 'object' "
		"FROM audit WHERE seq > ? ORDER BY seq");
	statement_large(&s, 1, audit->witnessed);
	while (statement_row(&s)) {
		audit->witnessed = sqlite3_column_int64(s.stmt, 0);
		log_info("audit", "record", "%lld sha256 %s; %s %s %s",
			(long long)audit->witnessed, column(&s, 1),
			column(&s, 2), column(&s, 3), column(&s, 4));
	}
	if (statement_end(&s, &err))
		log_error("audit", "failed", "%s", err.text);
}

/* SQLite calls it when a commit is durable: that of the record, or one after the
 * record was rolled back. */
static int committed(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct audit *audit = arg;
	int result = database_checkpoint(db, name, pages);
	if (!audit->appended)
		return result;
	audit->appended = false;
	witness(audit);
	if (audit->watch)
		audit->watch(audit->watch_argument);
	return result;
}

void audit_watch(
	struct audit *audit, void (*kept)(void *argument), void *argument)
{
	audit->watch = kept;
	audit->watch_argument = argument;
}

struct audit *audit_new(sqlite3 *db)
{
	struct err err;
	struct audit_chain chain;
	struct audit *audit = calloc(1, sizeof *audit);
	if (!audit)
		return NULL;
	*audit = (struct audit){
		.db = db, .most = AUDIT_MAX_RECORDS, .drop = AUDIT_DROP};
	/* Without a chain no append will succeed either. */
	if (!audit_load_chain(audit, &chain, &err))
		audit->witnessed = chain.next - 1;
	sqlite3_wal_hook(db, committed, audit);
	return audit;
}

void audit_free(struct audit *audit)
{
	if (audit)
		sqlite3_wal_hook(audit->db, NULL, NULL);
	free(audit);
}

void audit_set_bounds(struct audit *audit, int64_t most, int64_t drop)
{
	audit->most = most;
	audit->drop = drop;
}

/* -- one record ------------------------------------------------------------- */

static void set_text(json_t *record, const char *key, const char *text)
{
	char safe[TEXT_BYTES];
	if (!text)
		return;
	log_escape(
		safe, sizeof safe, text, (unsigned)strnlen(text, TEXT_BYTES));
	json_object_set_new(record, key, json_string(safe));
}

static void set_digest(json_t *record, const char *key, const char *text)
{
	char hex[2 * HASH_BYTES + 1];
	uint8_t digest[HASH_BYTES];
	if (!text)
		return;
	secret_digest(text, digest);
	secret_print_hex(digest, sizeof digest, hex);
	json_object_set_new(record, key, json_string(hex));
}

/* The line; free it. NULL: out of memory. */
static char *print_record(
	const struct audit_entry *e, const struct audit_chain *chain)
{
	char previous[2 * HASH_BYTES + 1];
	json_t *record = json_object();
	secret_print_hex(chain->head, HASH_BYTES, previous);
	json_object_set_new(record, "seq", json_integer(chain->next));
	json_object_set_new(record, "time", unix_time_json(e->time_ms));
	set_text(record, "user", e->user);
	set_text(record, "via", e->via);
	set_text(record, "credential", e->credential);
	set_text(record, "address", e->address);
	set_text(record, "request", e->request);
	set_text(record, "method", e->method);
	set_text(record, "operation", e->operation);
	set_text(record, "object", e->object);
	if (e->status)
		json_object_set_new(record, "status", json_integer(e->status));
	if (e->change)
		json_object_set_new(record, "change", json_integer(e->change));
	set_text(record, "note", e->note);
	set_digest(record, "before", e->before);
	set_digest(record, "after", e->after);
	json_object_set_new(record, "previous", json_string(previous));
	char *line = json_dumps(record, JSON_COMPACT);
	json_decref(record);
	return line;
}

static int insert(struct audit *audit, const struct audit_entry *entry,
	struct audit_chain *chain, struct err *err)
{
	struct statement s;
	char *line = print_record(entry, chain);
	if (!line)
		return err_set(err, ENOMEM, "out of memory");
	secret_digest(line, chain->head);
	statement_begin(&s, audit->db, "INSERT INTO audit VALUES (?, ?, ?)");
	statement_large(&s, 1, chain->next++);
	statement_text(&s, 2, line);
	statement_blob(&s, 3, chain->head, HASH_BYTES);
	statement_run(&s);
	int failed = statement_end(&s, err);
	free(line);
	return failed;
}

/* -- bounds ----------------------------------------------------------------- */

static int drop_oldest(
	struct audit *audit, struct audit_chain *chain, struct err *err)
{
	struct statement s;
	int64_t first = chain->first + audit->drop;
	statement_begin(&s, audit->db, "SELECT hash FROM audit WHERE seq = ?");
	statement_large(&s, 1, first - 1);
	if (statement_row(&s))
		take_hash(&s, 0, chain->before);
	int failed = statement_end(&s, err);
	if (failed)
		return failed;
	chain->first = first;
	statement_begin(&s, audit->db, "DELETE FROM audit WHERE seq < ?");
	statement_large(&s, 1, first);
	statement_run(&s);
	return statement_end(&s, err);
}

static int bound(struct audit *audit, const struct audit_entry *cause,
	struct audit_chain *chain, struct err *err)
{
	char note[80];
	if (chain->next - chain->first < audit->most)
		return 0;
	int failed = drop_oldest(audit, chain, err);
	if (failed)
		return failed;
	snprintf(note, sizeof note, "records before %lld were dropped",
		(long long)chain->first);
	struct audit_entry entry = {.time_ms = cause->time_ms,
		.user = "cairnd",
		.operation = "dropAudit",
		.note = note};
	return insert(audit, &entry, chain, err);
}

/* -- the door --------------------------------------------------------------- */

static int append(struct audit *audit, const struct audit_entry *entry,
	struct audit_chain *chain, struct err *err)
{
	int failed = audit_load_chain(audit, chain, err);
	if (!failed)
		failed = bound(audit, entry, chain, err);
	if (!failed)
		failed = insert(audit, entry, chain, err);
	if (!failed)
		failed = save_chain(audit, chain, err);
	return failed;
}

int audit_append(
	struct audit *audit, const struct audit_entry *entry, struct err *err)
{
	struct audit_chain chain;
	int failed = database_savepoint(audit->db, err);
	if (failed)
		return failed;
	audit->appended = true;
	return database_savepoint_end(
		audit->db, append(audit, entry, &chain, err), err);
}

typedef void audit_each(void *arg, int64_t seq, const char *record);

static int read_some(struct audit *audit, const char *sql, int64_t from,
	unsigned max, audit_each *each, void *arg, struct err *err)
{
	struct statement s;
	int count = 0;
	statement_begin(&s, audit->db, sql);
	statement_large(&s, 1, from);
	statement_large(&s, 2, max);
	while (statement_row(&s)) {
		each(arg, sqlite3_column_int64(s.stmt, 0),
			(const char *)sqlite3_column_text(s.stmt, 1));
		count++;
	}
	int failed = statement_end(&s, err);
	return failed ? failed : count;
}

int audit_read(struct audit *audit, int64_t after, unsigned max,
	audit_each *each, void *arg, struct err *err)
{
	return read_some(audit,
		"SELECT seq, record FROM audit WHERE seq > ? ORDER BY seq "
		"LIMIT ?",
		after, max, each, arg, err);
}

int audit_read_back(struct audit *audit, int64_t before, unsigned max,
	audit_each *each, void *arg, struct err *err)
{
	return read_some(audit,
		"SELECT seq, record FROM audit WHERE seq < ? ORDER BY seq DESC "
		"LIMIT ?",
		before, max, each, arg, err);
}
