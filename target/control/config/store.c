/* SPDX-License-Identifier: Apache-2.0 */
/* See store.h. */
#include "target/control/config/store.h"

#include "target/control/database.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void bind_number(struct statement *s, int parameter, int64_t value)
{
	if (s->stmt)
		sqlite3_bind_int64(s->stmt, parameter, value);
}

static const char *text_at(const struct statement *s, int column)
{
	const unsigned char *text = sqlite3_column_text(s->stmt, column);
	return text ? (const char *)text : "";
}

/* -- loading ---------------------------------------------------------------- */

static int load_object(struct config_objects *objects,
	const struct statement *s, struct err *err)
{
	int kind = sqlite3_column_int(s->stmt, 0);
	json_t *value = json_loads(text_at(s, 5), 0, NULL);
	struct config_object *object = NULL;
	if (value && kind >= 0 && kind < CONFIG_KINDS)
		object = objects_add(objects, kind, text_at(s, 1), value);
	json_decref(value);
	if (!object)
		return err_set(err, EIO,
			"the database has an object \"%.100s\" that cannot be "
			"read",
			text_at(s, 1));
	object->generation = (uint64_t)sqlite3_column_int64(s->stmt, 2);
	object->created_ms = sqlite3_column_int64(s->stmt, 3);
	object->changed_ms = sqlite3_column_int64(s->stmt, 4);
	object->order = (uint64_t)sqlite3_column_int64(s->stmt, 6);
	return 0;
}

static int load_objects(
	sqlite3 *db, struct config_objects *objects, struct err *err)
{
	struct statement s;
	int failed = 0;
	statement_begin(&s, db,
		"SELECT kind, id, generation, created, changed, json, position"
		" FROM object ORDER BY kind, position");
	while (!failed && statement_row(&s))
		failed = load_object(objects, &s, err);
	int ended = statement_end(&s, failed ? NULL : err);
	return failed ? failed : ended;
}

static int load_counter(
	sqlite3 *db, struct config_objects *objects, struct err *err)
{
	struct statement s;
	statement_begin(
		&s, db, "SELECT next FROM counter WHERE name = 'export'");
	if (statement_row(&s))
		objects->next_export =
			(uint64_t)sqlite3_column_int64(s.stmt, 0);
	return statement_end(&s, err);
}

static int load_number(sqlite3 *db, uint64_t *number, struct err *err)
{
	struct statement s;
	statement_begin(&s, db, "SELECT ifnull(max(number), 0) FROM history");
	if (statement_row(&s))
		*number = (uint64_t)sqlite3_column_int64(s.stmt, 0);
	return statement_end(&s, err);
}

int store_load(struct state *state, struct config_objects *objects,
	uint64_t *number, char **legacy, struct err *err)
{
	sqlite3 *db = state_database(state);
	*legacy = NULL;
	int failed = load_objects(db, objects, err);
	if (!failed)
		failed = load_counter(db, objects, err);
	if (!failed)
		failed = load_number(db, number, err);
	if (!failed)
		failed = state_load_document(state, legacy, err);
	return failed;
}

/* -- one commit ------------------------------------------------------------- */

/* Names are moved aside first, as two volumes may exchange them; who has none in
 * the end has lost it to another volume, and is gone. */
static int save_volumes(
	sqlite3 *db, const struct config_proposal *proposal, struct err *err)
{
	static const char *const sql[] = {
		"UPDATE volume SET name = '/' || hex(uuid)"
		" WHERE uuid = ?1 OR name = ?2",
		"INSERT INTO volume(uuid, name) VALUES (?1, ?2)"
		" ON CONFLICT (uuid) DO UPDATE SET name = excluded.name"};
	for (int pass = 0; pass < 2; pass++) {
		struct statement s;
		statement_begin(&s, db, sql[pass]);
		for (unsigned i = 0; i < proposal->items; i++) {
			const struct config_item *item = &proposal->item[i];
			if (item->kind != CONFIG_VOLUME)
				continue;
			const struct document_volume *v = document_find_volume(
				proposal->document, item->id);
			if (!item->changes && (v->uuid_given || v->uuid_kept))
				continue;
			statement_blob(&s, 1, v->settings.uuid, 16);
			statement_text(&s, 2, v->settings.name);
			statement_run(&s);
		}
		int failed = statement_end(&s, err);
		if (failed)
			return failed;
	}
	return 0;
}

/* With them goes what hosts made durable. One that lives on under another name
 * stays. */
static int drop_volumes(
	sqlite3 *db, const struct config_proposal *proposal, struct err *err)
{
	struct statement s;
	statement_begin(&s, db, "DELETE FROM volume WHERE name = ?1");
	for (unsigned i = 0; i < proposal->gones; i++) {
		if (proposal->gone[i]->kind != CONFIG_VOLUME)
			continue;
		statement_text(&s, 1, proposal->gone[i]->id);
		statement_run(&s);
	}
	int failed = statement_end(&s, err);
	return failed ? failed
		      : database_run(db,
				"DELETE FROM volume"
				" WHERE name >= '/' AND name < '0'",
				err);
}

static int drop_secrets(sqlite3 *db, const char *host, struct err *err)
{
	struct statement s;
	statement_begin(&s, db, "DELETE FROM secret WHERE host = ?1");
	statement_text(&s, 1, host);
	statement_run(&s);
	return statement_end(&s, err);
}

/* Those in files stay there. */
static int save_host(sqlite3 *db, const struct document *document, unsigned i,
	struct err *err)
{
	const struct access_host *host = document->table->host[i];
	const char *secret[2] = {host->chap.secret, host->chap.mutual_secret};
	struct statement s;
	int failed = drop_secrets(db, host->name, err);
	if (failed)
		return failed;
	statement_begin(&s, db, "INSERT INTO secret VALUES (?1, ?2, ?3)");
	for (int kind = 0; kind < 2; kind++) {
		if (!secret[kind] || document->host[i].file[kind])
			continue;
		statement_text(&s, 1, host->name);
		statement_number(&s, 2, kind);
		statement_text(&s, 3, secret[kind]);
		statement_run(&s);
	}
	return statement_end(&s, err);
}

static int save_secrets(
	sqlite3 *db, const struct config_proposal *proposal, struct err *err)
{
	int failed = 0;
	unsigned host = 0;
	for (unsigned i = 0; !failed && i < proposal->gones; i++) {
		if (proposal->gone[i]->kind == CONFIG_HOST)
			failed = drop_secrets(db, proposal->gone[i]->id, err);
	}
	for (unsigned i = 0; !failed && i < proposal->items; i++) {
		if (proposal->item[i].kind != CONFIG_HOST)
			continue;
		if (proposal->item[i].changes)
			failed = save_host(db, proposal->document, host, err);
		host++;
	}
	return failed;
}

static int drop_objects(
	sqlite3 *db, const struct config_proposal *proposal, struct err *err)
{
	struct statement s;
	statement_begin(
		&s, db, "DELETE FROM object WHERE kind = ?1 AND id = ?2");
	for (unsigned i = 0; i < proposal->gones; i++) {
		statement_number(&s, 1, (int)proposal->gone[i]->kind);
		statement_text(&s, 2, proposal->gone[i]->id);
		statement_run(&s);
	}
	return statement_end(&s, err);
}

static void save_object(
	struct statement *s, const struct config_item *item, int64_t now_ms)
{
	char *text = json_dumps(item->value, JSON_COMPACT);
	statement_number(s, 1, (int)item->kind);
	statement_text(s, 2, item->id);
	bind_number(s, 3,
		item->present ? (int64_t)item->present->generation + 1 : 1);
	bind_number(s, 4, item->present ? item->present->created_ms : now_ms);
	bind_number(s, 5, now_ms);
	statement_text(s, 6, text);
	bind_number(s, 7, (int64_t)item->order);
	statement_run(s);
	free(text);
}

/* A row is written if its value or its order in the document is another one. */
static int save_objects(
	sqlite3 *db, const struct store_commit *commit, struct err *err)
{
	const struct config_proposal *proposal = commit->proposal;
	struct statement put, move;
	statement_begin(&put, db,
		"INSERT OR REPLACE INTO object(kind, id, generation, created,"
		" changed, json, position) VALUES (?1,?2,?3,?4,?5,?6,?7)");
	statement_begin(&move, db,
		"UPDATE object SET position = ?3 WHERE kind = ?1 AND id = ?2");
	for (unsigned i = 0; i < proposal->items; i++) {
		const struct config_item *item = &proposal->item[i];
		if (item->changes) {
			save_object(&put, item, commit->now_ms);
		} else if (item->present->order != item->order) {
			statement_number(&move, 1, (int)item->kind);
			statement_text(&move, 2, item->id);
			bind_number(&move, 3, (int64_t)item->order);
			statement_run(&move);
		}
	}
	int failed = statement_end(&put, err);
	int moved = statement_end(&move, failed ? NULL : err);
	return failed ? failed : moved;
}

static int save_counter(
	sqlite3 *db, const struct config_proposal *proposal, struct err *err)
{
	struct statement s;
	statement_begin(
		&s, db, "UPDATE counter SET next = ?1 WHERE name = 'export'");
	bind_number(&s, 1, (int64_t)proposal->next_export);
	statement_run(&s);
	return statement_end(&s, err);
}

static int save_history(
	sqlite3 *db, const struct store_commit *commit, struct err *err)
{
	struct statement s;
	char *text = json_dumps(commit->changes, JSON_COMPACT);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	statement_begin(&s, db,
		"INSERT INTO history(number, time, who, title, changes)"
		" VALUES (?1, ?2, ?3, ?4, ?5)");
	bind_number(&s, 1, (int64_t)commit->number);
	bind_number(&s, 2, commit->now_ms);
	statement_text(&s, 3, commit->who);
	statement_text(&s, 4, commit->title);
	statement_text(&s, 5, text);
	statement_run(&s);
	int failed = statement_end(&s, err);
	free(text);
	if (failed)
		return failed;
	statement_begin(&s, db, "DELETE FROM history WHERE number <= ?1");
	bind_number(&s, 1, (int64_t)commit->number - CONFIG_HISTORY);
	statement_run(&s);
	return statement_end(&s, err);
}

static int save_made(
	struct state *state, const struct appliance_made *made, struct err *err)
{
	int failed = 0;
	for (unsigned i = 0; !failed && made && i < made->count; i++)
		failed = state_save_blob(state, made->volume[i].uuid, "files",
			made->volume[i].list, strlen(made->volume[i].list),
			err);
	return failed;
}

static int save_all(
	struct state *state, const struct store_commit *commit, struct err *err)
{
	const struct config_proposal *proposal = commit->proposal;
	sqlite3 *db = state_database(state);
	int failed = save_volumes(db, proposal, err);
	if (!failed)
		failed = drop_volumes(db, proposal, err);
	if (!failed)
		failed = save_made(state, commit->made, err);
	if (!failed)
		failed = save_secrets(db, proposal, err);
	if (!failed)
		failed = drop_objects(db, proposal, err);
	if (!failed)
		failed = save_objects(db, commit, err);
	if (!failed)
		failed = save_counter(db, proposal, err);
	if (!failed)
		failed = save_history(db, commit, err);
	if (!failed)
		failed = database_run(db, "DELETE FROM document", err);
	if (!failed && commit->witness)
		failed = commit->witness->record(
			commit->witness, commit->changes, commit->number, err);
	return failed;
}

int store_save(
	struct state *state, const struct store_commit *commit, struct err *err)
{
	sqlite3 *db = state_database(state);
	int failed = database_run(db, "BEGIN IMMEDIATE", err);
	if (failed)
		return failed;
	failed = save_all(state, commit, err);
	if (!failed)
		failed = database_run(db, "COMMIT", err);
	if (failed)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return failed;
}

/* -- the first filling -------------------------------------------------------- */

static void fill_row(struct statement *s, const struct config_object *object)
{
	char *text = json_dumps(object->value, JSON_COMPACT);
	statement_number(s, 1, (int)object->kind);
	statement_text(s, 2, object->id);
	bind_number(s, 3, (int64_t)object->generation);
	bind_number(s, 4, object->created_ms);
	bind_number(s, 5, object->changed_ms);
	statement_text(s, 6, text);
	bind_number(s, 7, (int64_t)object->order);
	statement_run(s);
	free(text);
}

int store_fill(struct state *state, const struct config_objects *objects,
	enum config_kind kind, struct err *err)
{
	sqlite3 *db = state_database(state);
	const struct config_list *list = &objects->list[kind];
	struct statement s;
	int failed = database_run(db, "BEGIN IMMEDIATE", err);
	if (failed)
		return failed;
	statement_begin(&s, db,
		"INSERT INTO object(kind, id, generation, created, changed,"
		" json, position) VALUES (?1,?2,?3,?4,?5,?6,?7)");
	for (unsigned i = 0; i < list->count; i++)
		fill_row(&s, list->item[i]);
	failed = statement_end(&s, err);
	if (!failed)
		failed = database_run(db, "COMMIT", err);
	if (failed)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return failed;
}

/* -- the history ------------------------------------------------------------ */

static json_t *entry_json(const struct statement *s)
{
	json_t *changes = json_loads(text_at(s, 4), 0, NULL);
	return json_pack("{sI, sI, ss, ss, so}", "number",
		(json_int_t)sqlite3_column_int64(s->stmt, 0), "time",
		(json_int_t)sqlite3_column_int64(s->stmt, 1), "who",
		text_at(s, 2), "title", text_at(s, 3), "changes",
		changes ? changes : json_array());
}

int store_history(struct state *state, uint64_t before, unsigned limit,
	json_t **list, struct err *err)
{
	struct statement s;
	*list = json_array();
	statement_begin(&s, state_database(state),
		"SELECT number, time, who, title, changes FROM history"
		" WHERE ?1 = 0 OR number < ?1 ORDER BY number DESC LIMIT ?2");
	bind_number(&s, 1, (int64_t)before);
	bind_number(&s, 2, limit);
	while (statement_row(&s))
		json_array_append_new(*list, entry_json(&s));
	return statement_end(&s, err);
}

int store_history_entry(
	struct state *state, uint64_t number, json_t **entry, struct err *err)
{
	struct statement s;
	*entry = NULL;
	statement_begin(&s, state_database(state),
		"SELECT number, time, who, title, changes FROM history"
		" WHERE number = ?1");
	bind_number(&s, 1, (int64_t)number);
	if (statement_row(&s))
		*entry = entry_json(&s);
	int failed = statement_end(&s, err);
	if (failed || *entry)
		return failed;
	return err_set(err, ENOENT,
		"the history has no change %llu (any more): it keeps the "
		"latest %u",
		(unsigned long long)number, CONFIG_HISTORY);
}
