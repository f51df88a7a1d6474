/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory: what is saved is there again, goes with its document, is
 * private; a second daemon, a newer schema and damage are refused.
 */
#include "target/control/database.h"
#include "target/control/state.h"
#include "tests/lib/kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t uuid_a[16] = "aaaaaaaaaaaaaaaa";
static const uint8_t uuid_b[16] = "bbbbbbbbbbbbbbbb";

struct place {
	char root[64], directory[80], database[96];
	struct state *state;
};

static void reopen(struct place *place)
{
	struct err err = {0};
	state_close(place->state);
	place->state = state_open(place->directory, &err);
	if (!place->state)
		fail_msg("%s", err.text);
}

static int open_place(void **state)
{
	static struct place place;
	snprintf(place.root, sizeof place.root, "/tmp/cairn-state.XXXXXX");
	if (!mkdtemp(place.root))
		return -1;
	snprintf(place.directory, sizeof place.directory, "%s/var/state",
		place.root);
	snprintf(place.database, sizeof place.database, "%s/cairn.db",
		place.directory);
	place.state = NULL;
	reopen(&place);
	*state = &place;
	return 0;
}

static int close_place(void **state)
{
	struct place *place = *state;
	char command[128];
	state_close(place->state);
	snprintf(command, sizeof command, "rm -rf %s", place->root);
	return system(command);
}

#define VOLUME(name, uuid) \
	"- {name: " name ", uuid: " uuid \
	", source: {protocol: {type: 'null', size: 1M}}}\n"
#define UUID_A "61616161616161616161616161616161"
#define UUID_B "62626262626262626262626262626262"
#define HOSTS \
	"hosts:\n- {name: web, iscsi: {iqn: ['*'], chap: {user: u, " \
	"secret: twelve-bytes, mutual: {user: c, secret: other-twelve}}}}\n"
static const char both[] =
	"volumes:\n" VOLUME("a", UUID_A) VOLUME("b", UUID_B) HOSTS;
static const char swapped[] =
	"volumes:\n" VOLUME("b", UUID_A) VOLUME("a", UUID_B) HOSTS;

static int try_save(struct place *place, const char *text, struct err *err)
{
	static struct settings settings = {
		.naming_authority = "iqn.2026-11.example.cairn"};
	return kept_save(place->state, text, &settings, place->root, err);
}

static void save(struct place *place, const char *text)
{
	struct err err = {0};
	if (try_save(place, text, &err))
		fail_msg("%s", err.text);
}

static void nothing_is_there_at_first(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	char *json;
	uint8_t uuid[16];
	assert_int_equal(state_load_document(place->state, &json, &err), 0);
	assert_null(json);
	assert_int_equal(
		state_find_volume(place->state, "a", uuid, &err), -ENOENT);
	assert_int_equal(err.code, 0);
}

static void document_survives(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	char *text;
	uint8_t uuid[16];
	save(place, "volumes:\n" VOLUME("a", UUID_A));
	save(place, both);
	reopen(place);
	text = kept_json(place->state);
	assert_non_null(strstr(text, "\"name\": \"b\""));
	assert_null(strstr(text, "twelve"));
	free(text);
	assert_int_equal(state_find_volume(place->state, "b", uuid, &err), 0);
	assert_memory_equal(uuid, uuid_b, 16);
	assert_int_equal(state_find_secret(place->state, "web", STATE_MUTUAL,
				 &text, &err),
		0);
	assert_string_equal(text, "other-twelve");
	state_free_secret(text);
	assert_int_equal(
		state_find_secret(place->state, "db", STATE_CHAP, &text, &err),
		-ENOENT);
	state_free_secret(text);
}

static void expect_blob(
	struct place *place, const uint8_t *uuid, const char *expected)
{
	struct err err = {0};
	void *data;
	size_t bytes;
	assert_int_equal(state_load_blob(place->state, uuid, "reservation",
				 &data, &bytes, &err),
		0);
	assert_int_equal(bytes, expected ? strlen(expected) : 0);
	if (expected)
		assert_memory_equal(data, expected, bytes);
	free(data);
}

static void blobs_go_with_their_volume(void **state)
{
	struct place *place = *state;
	struct volume_store *store = state_volume_store(place->state);
	struct err err = {0};
	save(place, both);
	assert_int_equal(
		store->save_co(store, uuid_a, "reservation", "old", 3, &err),
		0);
	assert_int_equal(
		store->save_co(store, uuid_a, "reservation", "key", 3, &err),
		0);
	assert_int_equal(
		store->save_co(store, uuid_b, "reservation", "two", 3, &err),
		0);
	reopen(place);
	expect_blob(place, uuid_a, "key");
	save(place, swapped); /* names change, identities stay */
	expect_blob(place, uuid_a, "key");
	expect_blob(place, uuid_b, "two");
	save(place, "volumes:\n" VOLUME("a", UUID_A) HOSTS); /* b goes */
	expect_blob(place, uuid_a, "key");
	expect_blob(place, uuid_b, NULL);
	store = state_volume_store(place->state);
	assert_int_equal(
		store->save_co(store, uuid_a, "reservation", NULL, 0, &err), 0);
	expect_blob(place, uuid_a, NULL);
}

static void blobs_without_volume_or_bounds_are_refused(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	save(place, "volumes:\n" VOLUME("a", UUID_A) HOSTS);
	assert_true(state_save_blob(place->state, uuid_b, "modepages", "x", 1,
			    &err) < 0);
	char *large = calloc(1, VOLUME_BLOB_BYTES + 1);
	assert_int_equal(state_save_blob(place->state, uuid_a, "modepages",
				 large, VOLUME_BLOB_BYTES + 1, &err),
		-EFBIG);
	assert_int_equal(state_save_blob(place->state, uuid_a, "modepages",
				 large, VOLUME_BLOB_BYTES, &err),
		0);
	free(large);
}

static void run_sql(struct place *place, const char *sql)
{
	struct err err;
	state_close(place->state);
	place->state = NULL;
	sqlite3 *db = database_open(place->database, &err);
	assert_non_null(db);
	if (database_run(db, sql, &err))
		fail_msg("%s", err.text);
	database_close(db);
}

/* What is written last breaks a rule of the database: all is as before. */
static void failed_save_changes_nothing(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	uint8_t uuid[16];
	save(place, both);
	assert_int_equal(
		database_run(state_database(place->state),
			"CREATE TEMP TRIGGER no BEFORE INSERT ON history"
			" BEGIN SELECT RAISE(ABORT, 'not now'); END",
			&err),
		0);
	char *before = kept_json(place->state);
	assert_true(
		try_save(place, "volumes:\n" VOLUME("c", UUID_A), &err) < 0);
	assert_non_null(strstr(err.text, "not now"));
	char *after = kept_json(place->state);
	assert_string_equal(before, after);
	free(before);
	free(after);
	assert_int_equal(state_find_volume(place->state, "b", uuid, &err), 0);
	assert_int_equal(
		state_find_volume(place->state, "c", uuid, &err), -ENOENT);
}

static void files_are_private(void **state)
{
	struct place *place = *state;
	struct stat found;
	char path[128];
	save(place, both);
	assert_int_equal(stat(place->directory, &found), 0);
	assert_int_equal(found.st_mode & 0777, 0700);
	static const char *const names[] = {"", "-wal", "-shm"};
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s%s", place->database, names[i]);
		assert_int_equal(stat(path, &found), 0);
		assert_int_equal(found.st_mode & 0777, 0600);
	}
}

static void second_daemon_is_refused(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	char number[16];
	assert_null(state_open(place->directory, &err));
	assert_int_equal(err.code, EBUSY);
	snprintf(number, sizeof number, "%d", (int)getpid());
	assert_non_null(strstr(err.text, number));
	assert_non_null(strstr(err.text, place->directory));
}

static void expect_text(sqlite3 *db, const char *sql, const char *text)
{
	sqlite3_stmt *stmt;
	assert_int_equal(
		sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), text);
	sqlite3_finalize(stmt);
}

static void expect_refusal(struct place *place, const char *word)
{
	struct err err = {0};
	place->state = state_open(place->directory, &err);
	assert_null(place->state);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" lacks \"%s\"", err.text, word);
}

static void newer_schema_is_refused(void **state)
{
	struct place *place = *state;
	run_sql(place, "PRAGMA user_version = 1000");
	expect_refusal(place,
		"cairn.db was written by a newer cairnd (schema 1000, this one "
		"knows ");
	expect_refusal(place, "run that version, or restore a backup");
}

static void other_tables_are_refused(void **state)
{
	static const char *const changes[] = {"PRAGMA user_version = 7",
		"DROP TABLE job", "CREATE TABLE more(x)",
		"CREATE TRIGGER t AFTER DELETE ON job BEGIN SELECT 1; END",
		"ALTER TABLE job RENAME COLUMN json TO text"};
	struct place *place = *state;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		run_sql(place, changes[i]);
		expect_refusal(place, "cairn.db is damaged (its tables are ");
		expect_refusal(place, "a copy from a backup in the place");
		unlink(place->database);
		reopen(place);
	}
}

/* What is well formed, but not what was written: SQLite finds nothing wrong. */
static void other_rows_are_refused(void **state)
{
	static const char *const changes[] = {
		"UPDATE object SET json = replace(json, '1M', '2M')",
		"UPDATE volume SET name = 'c' WHERE name = 'b'",
		"DELETE FROM secret WHERE kind = 1", "DELETE FROM seal",
		"UPDATE seal SET sum = zeroblob(32) WHERE name = 'object'",
		"INSERT INTO job VALUES(1, '{}')",
		"UPDATE counter SET next = next + 1"};
	struct place *place = *state;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		sqlite3 *db;
		save(place, both);
		state_close(place->state);
		assert_int_equal(sqlite3_open(place->database, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, changes[i], NULL, NULL, NULL),
			SQLITE_OK);
		sqlite3_close(db);
		expect_refusal(place, "cairn.db is damaged (rows of ");
		expect_refusal(place, "are not those that were written");
		unlink(place->database);
		reopen(place);
	}
}

/* Each way by which a row comes, changes and goes; what was rolled back counts as
 * little as what never was. */
static void every_change_keeps_its_seal(void **state)
{
	static const char changes[] =
		"INSERT INTO trust_user(name, role, enabled, created) VALUES"
		" ('a', 1, 1, 1), ('b', 2, 1, 1), ('c', 3, 1, 1);"
		"INSERT INTO trust_session VALUES"
		" (zeroblob(32), 'a', 'x', 1, 1);"
		"INSERT OR REPLACE INTO trust_user(name, role, enabled,"
		" created) VALUES ('b', 3, 1, 2);"
		"INSERT INTO trust_user(name, role, enabled, created) VALUES"
		" ('c', 1, 1, 1) ON CONFLICT(name) DO UPDATE SET created = 9;"
		"UPDATE trust_user SET password_at = 1.5, password = 'x';"
		"SAVEPOINT x; DELETE FROM trust_user WHERE name = 'b';"
		"ROLLBACK TO x; RELEASE x;"
		"DELETE FROM trust_user WHERE name = 'a';"
		"INSERT INTO job(json) VALUES ('{}'); DELETE FROM job;";
	struct place *place = *state;
	struct err err = {0};
	save(place, both);
	if (database_run(state_database(place->state), changes, &err))
		fail_msg("%s", err.text);
	reopen(place);
	expect_text(state_database(place->state),
		"SELECT count(*) FROM trust_session", "0");
}

static void log_without_database_is_refused(void **state)
{
	struct place *place = *state;
	char log[104], aside[110];
	save(place, both);
	snprintf(log, sizeof log, "%s-wal", place->database);
	snprintf(aside, sizeof aside, "%s.aside", log);
	assert_int_equal(link(log, aside), 0);
	state_close(place->state);
	assert_int_equal(rename(aside, log), 0);
	assert_int_equal(truncate(place->database, 0), 0);
	expect_refusal(place, "cairn.db-wal is there");
	assert_int_equal(unlink(log), 0);
	reopen(place); /* nothing is there, and nothing is damaged */
}

static void foreign_database_is_refused(void **state)
{
	run_sql(*state, "PRAGMA application_id = 7");
	expect_refusal(*state, "another program");
}

static void damage_is_refused(void **state)
{
	struct place *place = *state;
	state_close(place->state);
	int fd = open(place->database, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "garbage garbage", 15, 0), 15);
	close(fd);
	expect_refusal(place, place->database);
}

static void useless_directory_is_refused(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	assert_null(state_open(place->database, &err));
	assert_int_equal(err.code, ENOTDIR);
	assert_null(state_open("/proc/cairn", &err));
	assert_non_null(strstr(err.text, "/proc/cairn"));
}

#define ENTRY(kind, id) "{\"kind\":\"" kind "\",\"id\":\"" id "\"}"

/* Exports were called by target and LUN once; what the history says of those that
 * are there goes along. */
static void exports_of_old_get_numbers(void **state)
{
	struct place *place = *state;
	run_sql(place,
		"INSERT INTO object VALUES(3, 'iqn.x:a,0', 0, 4, 1, 1, '{}');"
		"INSERT INTO object VALUES(3, 'iqn.x:a,0,two', 4, 1, 1, 1, "
		"'{}');"
		"INSERT INTO object VALUES(0, 'a', 0, 1, 1, 1, '{}');"
		"INSERT INTO history VALUES(1, 1, 'w', 't', '[" ENTRY(
			"export", "iqn.x:a,0,two") "," ENTRY("export",
			"iqn.x:gone,1") "," ENTRY("volume",
			"a") "]');"
			     "DROP TABLE counter; DROP TABLE snapshot_lock; "
			     "DROP TABLE snapshot_intent; DROP TABLE schedule; "
			     "DROP TABLE schedule_snapshot; DROP TABLE seal; "
			     "DROP TABLE api_key; "
			     "PRAGMA user_version = 5");
	reopen(place);
	sqlite3 *db = state_database(place->state);
	expect_text(db,
		"SELECT group_concat(kind || ':' || id || ':' || generation,"
		" ' ') FROM (SELECT * FROM object ORDER BY kind, position)",
		"0:a:1 3:1:4 3:5:1");
	expect_text(db, "SELECT next FROM counter WHERE name = 'export'", "6");
	expect_text(db, "SELECT changes FROM history",
		"[" ENTRY("export", "5") "," ENTRY(
			"export", "iqn.x:gone,1") "," ENTRY("volume", "a") "]");
}

#define STATE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, open_place, close_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STATE_TEST(nothing_is_there_at_first),
		STATE_TEST(document_survives),
		STATE_TEST(blobs_go_with_their_volume),
		STATE_TEST(blobs_without_volume_or_bounds_are_refused),
		STATE_TEST(failed_save_changes_nothing),
		STATE_TEST(files_are_private),
		STATE_TEST(second_daemon_is_refused),
		STATE_TEST(exports_of_old_get_numbers),
		STATE_TEST(newer_schema_is_refused),
		STATE_TEST(other_tables_are_refused),
		STATE_TEST(other_rows_are_refused),
		STATE_TEST(every_change_keeps_its_seal),
		STATE_TEST(log_without_database_is_refused),
		STATE_TEST(foreign_database_is_refused),
		STATE_TEST(damage_is_refused),
		STATE_TEST(useless_directory_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
