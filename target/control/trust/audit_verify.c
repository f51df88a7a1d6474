/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the whole chain, a piece in each turn of the loop.
 */
#include "target/control/database.h"
#include "target/control/trust/audit_parts.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PIECE 500u

struct look {
	int64_t next; /* the number that must come */
	uint8_t hash[HASH_BYTES]; /* of the record before it */
	struct audit_verdict *verdict;
};

static void blame(struct look *look, int64_t seq, const char *reason)
{
	struct audit_verdict *v = look->verdict;
	v->whole = false;
	v->wrong = seq;
	snprintf(v->reason, sizeof v->reason, "%s", reason);
}

/* Whether its own words say the number and the record before it. */
static bool says(const char *record, int64_t seq, const char *previous)
{
	json_t *json = json_loads(record, JSON_REJECT_DUPLICATES, NULL);
	const char *said = json_string_value(json_object_get(json, "previous"));
	bool right = json_integer_value(json_object_get(json, "seq")) == seq &&
		said && !strcmp(said, previous);
	json_decref(json);
	return right;
}

/* False at the first that is not right. */
static bool look_at(struct look *look, struct statement *s)
{
	int64_t seq = sqlite3_column_int64(s->stmt, 0);
	const char *record = (const char *)sqlite3_column_text(s->stmt, 1);
	char previous[2 * HASH_BYTES + 1];
	uint8_t hash[HASH_BYTES];
	if (seq != look->next) {
		blame(look, look->next, "this record is missing");
		return false;
	}
	secret_digest(record ? record : "", hash);
	if (sqlite3_column_bytes(s->stmt, 2) != HASH_BYTES ||
		memcmp(sqlite3_column_blob(s->stmt, 2), hash, HASH_BYTES)) {
		blame(look, seq, "this record does not fit its hash");
		return false;
	}
	secret_print_hex(look->hash, HASH_BYTES, previous);
	if (!says(record, seq, previous)) {
		blame(look, seq,
			"this record does not follow the one before it: one of "
			"both was changed");
		return false;
	}
	memcpy(look->hash, hash, HASH_BYTES);
	look->next++;
	look->verdict->records++;
	return true;
}

/* *more: there may be more. */
static int look_at_piece(
	struct audit *audit, struct look *look, bool *more, struct err *err)
{
	struct statement s;
	unsigned count = 0;
	statement_begin(&s, audit->db,
		"SELECT seq, record, hash FROM audit WHERE seq >= ? "
		"ORDER BY seq LIMIT ?");
	statement_large(&s, 1, look->next);
	statement_large(&s, 2, PIECE);
	while (look->verdict->whole && statement_row(&s)) {
		count++;
		look_at(look, &s);
	}
	*more = look->verdict->whole && count == PIECE;
	return statement_end(&s, err);
}

static void look_at_end(struct look *look, const struct audit_chain *chain)
{
	if (!look->verdict->whole)
		return;
	if (look->next < chain->next)
		blame(look, look->next, "this record is missing");
	else if (look->next > chain->next)
		blame(look, chain->next, "this record was put in");
	else if (memcmp(look->hash, chain->head, HASH_BYTES))
		blame(look, chain->next - 1,
			"the last record is not the one that was written last");
}

/* Some may have been dropped since the last turn. */
static void begin_at(struct look *look, const struct audit_chain *chain)
{
	if (look->next >= chain->first)
		return;
	look->next = chain->first;
	look->verdict->first = chain->first;
	memcpy(look->hash, chain->before, HASH_BYTES);
}

/* Something that lies before the first, though it was dropped. */
static int look_before(struct audit *audit, struct look *look,
	const struct audit_chain *chain, struct err *err)
{
	struct statement s;
	statement_begin(
		&s, audit->db, "SELECT seq FROM audit WHERE seq < ? LIMIT 1");
	statement_large(&s, 1, chain->first);
	if (statement_row(&s))
		blame(look, sqlite3_column_int64(s.stmt, 0),
			"this record was put in");
	return statement_end(&s, err);
}

int audit_verify_co(struct audit *audit, struct loop *loop,
	struct audit_verdict *verdict, struct err *err)
{
	struct look look = {.verdict = verdict};
	struct audit_chain chain;
	bool more = true;
	*verdict = (struct audit_verdict){.whole = true};
	int failed = audit_load_chain(audit, &chain, err);
	if (!failed)
		failed = look_before(audit, &look, &chain, err);
	while (!failed && more) {
		begin_at(&look, &chain);
		failed = look_at_piece(audit, &look, &more, err);
		if (!failed && more)
			loop_sleep_co(loop, 0);
		if (!failed)
			failed = audit_load_chain(audit, &chain, err);
	}
	if (!failed)
		look_at_end(&look, &chain);
	return failed;
}
