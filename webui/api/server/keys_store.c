/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/keys_store.h"

#include "blockcore/base/log.h"
#include "target/control/database.h"
#include "target/control/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The two that answers with a text have. */
static const char *const types[] = {
	"application/json", "application/problem+json"};

static void bind_key(struct statement *s, const struct api_key_record *record)
{
	statement_text(s, 1, record->user);
	statement_text(s, 2, record->name);
}

int api_key_store_save(struct state *state, const struct api_key_record *record,
	struct err *err)
{
	struct statement s;
	statement_begin(&s, state_database(state),
		"INSERT OR REPLACE INTO api_key(user, name, digest, made, "
		"state,"
		" status, problem, place, location, etag, text)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
	bind_key(&s, record);
	statement_blob(&s, 3, record->digest, sizeof record->digest);
	statement_large(&s, 4, record->made_ms);
	statement_number(&s, 5, (int)record->state);
	statement_number(&s, 6, record->status);
	statement_number(
		&s, 7, record->type && !strcmp(record->type, types[1]));
	statement_text(&s, 8, record->place);
	if (record->location)
		statement_text(&s, 9, record->location);
	statement_text(&s, 10, record->etag);
	if (record->text)
		statement_text(&s, 11, record->text);
	statement_run(&s);
	return statement_end(&s, err);
}

int api_key_store_done(struct state *state, const struct api_key_record *record,
	int status, const char *place, struct err *err)
{
	struct api_key_record done = *record;
	done.state = API_KEY_DONE;
	done.status = status;
	done.location = done.text = NULL;
	if ((size_t)snprintf(done.place, sizeof done.place, "%s", place) >=
		sizeof done.place)
		*done.place = '\0';
	return api_key_store_save(state, &done, err);
}

void api_key_store_remove(
	struct state *state, const struct api_key_record *record)
{
	struct statement s;
	struct err err = {0};
	statement_begin(&s, state_database(state),
		"DELETE FROM api_key WHERE user = ?1 AND name = ?2");
	bind_key(&s, record);
	statement_run(&s);
	if (statement_end(&s, &err))
		log_warning("api", "key", "key %s cannot be forgotten: %s",
			record->name, err.text);
}

static const char *column(struct statement *s, int number)
{
	const char *text = (const char *)sqlite3_column_text(s->stmt, number);
	return text ? text : "";
}

/* What follows `digest`, but for what is allocated. */
static void read_columns(struct statement *s, struct api_key_record *record)
{
	record->made_ms = sqlite3_column_int64(s->stmt, 3);
	record->state = (enum api_key_state)sqlite3_column_int(s->stmt, 4);
	record->status = sqlite3_column_int(s->stmt, 5);
	record->type = types[sqlite3_column_int(s->stmt, 6) != 0];
	snprintf(record->place, sizeof record->place, "%s", column(s, 7));
	snprintf(record->etag, sizeof record->etag, "%s", column(s, 9));
}

int api_key_store_look(struct state *state, struct api_key_record *record)
{
	struct statement s;
	statement_begin(&s, state_database(state),
		"SELECT user, name, digest, made, state, status, problem, "
		"place,"
		" location, etag FROM api_key WHERE user = ?1 AND name = ?2");
	bind_key(&s, record);
	int found = statement_row(&s);
	if (found)
		read_columns(&s, record);
	int failed = statement_end(&s, NULL);
	return failed ? failed : found ? 0 : -ENOENT;
}

static char *copy(struct statement *s, int number)
{
	return sqlite3_column_type(s->stmt, number) == SQLITE_NULL
		? NULL
		: strdup(column(s, number));
}

int api_key_store_load(struct state *state,
	int (*found)(const struct api_key_record *record, void *argument),
	void *argument, struct err *err)
{
	struct statement s;
	int failed = 0;
	statement_begin(&s, state_database(state),
		"SELECT user, name, digest, made, state, status, problem, "
		"place,"
		" location, etag, text FROM api_key ORDER BY made, rowid");
	while (!failed && statement_row(&s)) {
		struct api_key_record record = {0};
		snprintf(record.user, sizeof record.user, "%s", column(&s, 0));
		snprintf(record.name, sizeof record.name, "%s", column(&s, 1));
		memcpy(record.digest, sqlite3_column_blob(s.stmt, 2),
			sizeof record.digest);
		read_columns(&s, &record);
		record.location = copy(&s, 8);
		record.text = copy(&s, 10);
		failed = found(&record, argument);
	}
	int ended = statement_end(&s, err);
	return failed ? failed : ended;
}
