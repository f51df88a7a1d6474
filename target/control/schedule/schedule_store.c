/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is durable of schedules beside the document: a record of each, as JSON, and a
 * row for every snapshot that is a schedule's own.
 *
 * Invariant: rows are bounded: of one schedule and volume the newest OWN_MOST stay. A
 * snapshot that others deleted leaves a row without harm, as names are not made twice.
 */
#include "target/control/schedule/schedules.h"

#include "blockcore/base/log.h"
#include "target/control/database.h"
#include "target/control/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OWN_MOST (2 * (int)SCHEDULE_MOST_KEPT)

static sqlite3 *database_of(const struct schedules *schedules)
{
	return state_database(schedules->parts->state);
}

/* -- records ------------------------------------------------------------------- */

static json_t *record_json(const struct schedule_record *record)
{
	return json_pack("{sI, sI, sI, ss, ss, ss, sI, sI, sO?}", "due",
		(json_int_t)record->due, "ran", (json_int_t)record->ran_ms,
		"ended", (json_int_t)record->ended_ms, "result",
		schedule_result_names[record->result], "text", record->text,
		"snapshot", record->snapshot, "made", (json_int_t)record->made,
		"deleted", (json_int_t)record->deleted, "kept", record->kept);
}

static void copy_text(
	char *to, size_t bytes, const json_t *json, const char *member)
{
	const char *text = json_string_value(json_object_get(json, member));
	snprintf(to, bytes, "%s", text ? text : "");
}

static int64_t number(const json_t *json, const char *member)
{
	return json_integer_value(json_object_get(json, member));
}

static void fill_record(struct schedule_record *record, const json_t *json)
{
	char result[16];
	record->due = number(json, "due");
	record->ran_ms = number(json, "ran");
	record->ended_ms = number(json, "ended");
	record->made = (unsigned)number(json, "made");
	record->deleted = (unsigned)number(json, "deleted");
	copy_text(record->text, sizeof record->text, json, "text");
	copy_text(record->snapshot, sizeof record->snapshot, json, "snapshot");
	copy_text(result, sizeof result, json, "result");
	for (unsigned i = 0; i < SCHEDULE_RESULTS; i++) {
		if (!strcmp(schedule_result_names[i], result))
			record->result = (enum schedule_result)i;
	}
	json_decref(record->kept);
	record->kept = json_incref(json_object_get(json, "kept"));
}

static int load_row(
	struct schedules *schedules, struct statement *s, struct err *err)
{
	const char *name = (const char *)sqlite3_column_text(s->stmt, 0);
	const char *text = (const char *)sqlite3_column_text(s->stmt, 1);
	struct kept_schedule *schedule =
		name ? kept_schedule_of(schedules, name) : NULL;
	json_t *json = text ? json_loads(text, 0, NULL) : NULL;
	if (schedule && json)
		fill_record(&schedule->record, json);
	json_decref(json);
	return schedule ? 0 : err_set(err, ENOMEM, "out of memory");
}

int schedule_store_load(struct schedules *schedules, struct err *err)
{
	struct statement s;
	int failed = 0;
	statement_begin(
		&s, database_of(schedules), "SELECT name, json FROM schedule");
	while (!failed && statement_row(&s))
		failed = load_row(schedules, &s, err);
	int ended = statement_end(&s, failed ? NULL : err);
	return failed ? failed : ended;
}

int schedule_store_save(struct schedules *schedules,
	const struct schedule_record *record, struct err *err)
{
	struct statement s;
	json_t *json = record_json(record);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	statement_begin(&s, database_of(schedules),
		"INSERT OR REPLACE INTO schedule(name, json) VALUES (?1, ?2)");
	statement_text(&s, 1, record->name);
	statement_text(&s, 2, text);
	statement_run(&s);
	int failed = statement_end(&s, err);
	free(text);
	return failed;
}

void schedule_store_forget(struct schedules *schedules, const char *name)
{
	static const char *const rows[] = {
		"DELETE FROM schedule WHERE name = ?1",
		"DELETE FROM schedule_snapshot WHERE schedule = ?1"};
	for (unsigned i = 0; i < 2; i++) {
		struct statement s;
		struct err err = {0};
		statement_begin(&s, database_of(schedules), rows[i]);
		statement_text(&s, 1, name);
		statement_run(&s);
		if (statement_end(&s, &err))
			log_warning("api", "schedule",
				"schedule %s cannot be forgotten: %s", name,
				err.text);
	}
}

/* -- its own snapshots ----------------------------------------------------------- */

int schedule_own_add(struct schedules *schedules, const char *schedule,
	const char *volume, const char *snapshot, int64_t instant,
	struct err *err)
{
	struct statement s;
	statement_begin(&s, database_of(schedules),
		"DELETE FROM schedule_snapshot WHERE schedule = ?1 AND"
		" volume = ?2 AND snapshot IN (SELECT snapshot FROM"
		" schedule_snapshot WHERE schedule = ?1 AND volume = ?2"
		" ORDER BY made DESC LIMIT -1 OFFSET ?3)");
	statement_text(&s, 1, schedule);
	statement_text(&s, 2, volume);
	statement_number(&s, 3, OWN_MOST - 1);
	statement_run(&s);
	if (statement_end(&s, err))
		return -EIO;
	statement_begin(&s, database_of(schedules),
		"INSERT OR IGNORE INTO schedule_snapshot"
		"(schedule, volume, snapshot, made) VALUES (?1, ?2, ?3, ?4)");
	statement_text(&s, 1, schedule);
	statement_text(&s, 2, volume);
	statement_text(&s, 3, snapshot);
	statement_large(&s, 4, instant);
	statement_run(&s);
	if (statement_end(&s, err))
		return -EIO;
	if (!sqlite3_changes(database_of(schedules)))
		return err_set(err, EEXIST,
			"schedule %s has made snapshot %s already: its next "
			"has a name of its own in a second",
			schedule, snapshot);
	return 0;
}

void schedule_own_remove(struct schedules *schedules, const char *schedule,
	const char *volume, const char *snapshot)
{
	struct statement s;
	struct err err = {0};
	statement_begin(&s, database_of(schedules),
		"DELETE FROM schedule_snapshot WHERE schedule = ?1 AND"
		" volume = ?2 AND snapshot = ?3");
	statement_text(&s, 1, schedule);
	statement_text(&s, 2, volume);
	statement_text(&s, 3, snapshot);
	statement_run(&s);
	if (statement_end(&s, &err))
		log_warning("api", "schedule", "snapshot %s: %s", snapshot,
			err.text);
}

json_t *schedule_own_list(struct schedules *schedules, const char *schedule,
	const char *volume, struct err *err)
{
	struct statement s;
	json_t *list = json_object();
	statement_begin(&s, database_of(schedules),
		"SELECT snapshot, made FROM schedule_snapshot"
		" WHERE schedule = ?1 AND volume = ?2");
	statement_text(&s, 1, schedule);
	statement_text(&s, 2, volume);
	while (statement_row(&s)) {
		const char *name = (const char *)sqlite3_column_text(s.stmt, 0);
		if (name)
			json_object_set_new(list, name,
				json_integer(sqlite3_column_int64(s.stmt, 1)));
	}
	if (!statement_end(&s, err))
		return list;
	json_decref(list);
	return NULL;
}
