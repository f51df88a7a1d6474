/* SPDX-License-Identifier: Apache-2.0 */
#include "target/control/jobs/job_store.h"

#include "blockcore/base/log.h"
#include "target/control/database.h"
#include "target/control/state.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *print(const struct kept_job_record *r)
{
	json_t *json = json_pack(
		"{sI, ss, ss, ss, ss, si, sI, sI, sI, sI, sI, sI, sI, ss, ss}",
		"generation", (json_int_t)r->generation, "volume", r->volume,
		"kind", r->kind, "user", r->user, "options", r->options,
		"state", (int)r->state, "cursor", (json_int_t)r->cursor, "done",
		(json_int_t)r->done_bytes, "total", (json_int_t)r->total_bytes,
		"rate", (json_int_t)r->rate_bytes, "ground",
		(json_int_t)r->ground, "created", (json_int_t)r->created_ms,
		"ended", (json_int_t)r->ended_ms, "error", r->error, "note",
		r->note);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

int kept_job_store_save(struct state *state,
	const struct kept_job_record *record, struct err *err)
{
	struct statement s;
	char id[24], *text = print(record);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(id, sizeof id, "%" PRIu64, record->id);
	statement_begin(&s, state_database(state),
		"INSERT OR REPLACE INTO job(id, json) VALUES (?1, ?2)");
	statement_text(&s, 1, id);
	statement_text(&s, 2, text);
	statement_run(&s);
	int failed = statement_end(&s, err);
	free(text);
	return failed;
}

void kept_job_store_remove(struct state *state, uint64_t id)
{
	struct statement s;
	struct err err = {0};
	char text[24];
	snprintf(text, sizeof text, "%" PRIu64, id);
	statement_begin(
		&s, state_database(state), "DELETE FROM job WHERE id = ?1");
	statement_text(&s, 1, text);
	statement_run(&s);
	if (statement_end(&s, &err))
		log_warning("api", "job", "job %s cannot be forgotten: %s",
			text, err.text);
}

/* A member that is absent or of another type is "" or 0. */
static const char *text_of(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));
	return text ? text : "";
}

static int64_t number_of(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json, name));
}

static void read_record(struct kept_job_record *r, const json_t *json)
{
	int64_t state = number_of(json, "state");
	snprintf(r->volume, sizeof r->volume, "%s", text_of(json, "volume"));
	snprintf(r->kind, sizeof r->kind, "%s", text_of(json, "kind"));
	snprintf(r->user, sizeof r->user, "%s", text_of(json, "user"));
	snprintf(r->error, sizeof r->error, "%s", text_of(json, "error"));
	snprintf(r->note, sizeof r->note, "%s", text_of(json, "note"));
	r->options = strdup(text_of(json, "options"));
	r->state = state >= 0 && state <= KEPT_JOB_CANCELLED
		? (enum kept_job_state)state
		: KEPT_JOB_FAILED;
	r->generation = (uint64_t)number_of(json, "generation");
	r->cursor = (uint64_t)number_of(json, "cursor");
	r->done_bytes = (uint64_t)number_of(json, "done");
	r->total_bytes = (uint64_t)number_of(json, "total");
	r->rate_bytes = (uint64_t)number_of(json, "rate");
	r->ground = (uint32_t)number_of(json, "ground");
	r->created_ms = number_of(json, "created");
	r->ended_ms = number_of(json, "ended");
}

int kept_job_store_load(struct state *state,
	int (*found)(struct kept_job_record *record, void *argument),
	void *argument, struct err *err)
{
	struct statement s;
	int failed = 0;
	statement_begin(&s, state_database(state),
		"SELECT id, json FROM job ORDER BY id");
	while (!failed && statement_row(&s)) {
		struct kept_job_record record = {
			.id = (uint64_t)sqlite3_column_int64(s.stmt, 0)};
		json_t *json = json_loads(
			(const char *)sqlite3_column_text(s.stmt, 1), 0, NULL);
		read_record(&record, json);
		json_decref(json);
		failed = record.options ? found(&record, argument) : -ENOMEM;
	}
	int broken = statement_end(&s, err);
	if (!broken && failed)
		return err_set(err, -failed, "out of memory");
	return broken;
}
