/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: every record that was changed, taken out, put in or moved is
 * found and named; it stays whole over restarts, dropping and rolled back changes.
 */
#include "blockcore/base/log.h"
#include "target/control/database.h"
#include "target/control/trust/secret_text.h"
#include "tests/lib/log_capture.h"
#include "tests/lib/trust_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct trust_rig *rig, const char *object)
{
	struct audit_entry entry = {.time_ms = rig->now_ms++,
		.user = "admin",
		.via = "token",
		.credential = "0123456789",
		.address = "192.0.2.1",
		.request = "r-1",
		.method = "PATCH",
		.operation = "patchVolume",
		.object = object,
		.status = 200,
		.note = "a note",
		.before = "{\"size\":1}",
		.after = "{\"size\":2}"};
	if (audit_append(trust_audit(rig->trust), &entry, &rig->err))
		fail_msg("%s", rig->err.text);
}

static void run(struct trust_rig *rig, const char *sql)
{
	if (database_run(state_database(rig->state), sql, &rig->err))
		fail_msg("%s", rig->err.text);
}

static void append_some(struct trust_rig *rig, unsigned count)
{
	run(rig, "SAVEPOINT some"); /* one commit: many would take long */
	for (unsigned i = 0; i < count; i++) {
		char object[32];
		snprintf(object, sizeof object, "volumes/v%u", i);
		append(rig, object);
	}
	run(rig, "RELEASE some");
}

static struct audit_verdict verify(struct trust_rig *rig)
{
	struct audit_verdict verdict;
	if (trust_rig_verify(rig, &verdict))
		fail_msg("%s", rig->err.text);
	return verdict;
}

static void expect_wrong(struct trust_rig *rig, int64_t seq)
{
	struct audit_verdict v = verify(rig);
	assert_false(v.whole);
	if (v.wrong != seq)
		fail_msg("record %lld rather than %lld: %s", (long long)v.wrong,
			(long long)seq, v.reason);
}

static void expect_whole(struct trust_rig *rig, int64_t records)
{
	struct audit_verdict v = verify(rig);
	if (!v.whole)
		fail_msg("record %lld: %s", (long long)v.wrong, v.reason);
	assert_int_equal(v.records, records);
}

static void keep_last(void *arg, int64_t seq, const char *record)
{
	(void)seq;
	snprintf(arg, 1200, "%s", record);
}

static void whole_over_restarts(void **state)
{
	struct trust_rig *rig = *state;
	expect_whole(rig, 0);
	append_some(rig, 1203); /* several pieces */
	expect_whole(rig, 1203);
	trust_rig_restart(rig);
	append_some(rig, 2);
	expect_whole(rig, 1205);
}

static void each_field_is_guarded(void **state)
{
	static const char *const fields[] = {"seq", "time", "user", "via",
		"credential", "address", "request", "method", "operation",
		"object", "status", "note", "before", "after", "previous"};
	struct trust_rig *rig = *state;
	char sql[512];
	append_some(rig, 20);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		run(rig, "SAVEPOINT test");
		snprintf(sql, sizeof sql,
			"UPDATE audit SET record = json_set(record, '$.%s', "
			"'forged') WHERE seq = 7",
			fields[i]);
		run(rig, sql);
		expect_wrong(rig, 7);
		snprintf(sql, sizeof sql,
			"ROLLBACK TO test; UPDATE audit SET record = "
			"json_remove(record, '$.%s') WHERE seq = 20",
			fields[i]);
		run(rig, sql);
		expect_wrong(rig, 20);
		run(rig, "ROLLBACK TO test; RELEASE test");
		expect_whole(rig, 20);
	}
}

/* With the hash made to fit: the next record, or the chain's end, still knows. */
static void forge_with_hash(struct trust_rig *rig, int64_t seq)
{
	char record[1200], sql[1600], hex[65];
	uint8_t digest[32];
	assert_int_equal(audit_read(trust_audit(rig->trust), seq - 1, 1,
				 keep_last, record, &rig->err),
		1);
	char *user = strstr(record, "admin");
	memcpy(user, "other", 5);
	secret_digest(record, digest);
	secret_print_hex(digest, 32, hex);
	snprintf(sql, sizeof sql,
		"UPDATE audit SET record = '%s', hash = x'%s' WHERE seq = %lld",
		record, hex, (long long)seq);
	run(rig, sql);
}

static void forged_hash_is_found(void **state)
{
	struct trust_rig *rig = *state;
	append_some(rig, 20);
	run(rig, "SAVEPOINT test");
	forge_with_hash(rig, 7);
	expect_wrong(rig, 8); /* "one of both" */
	run(rig, "ROLLBACK TO test");
	forge_with_hash(rig, 20);
	expect_wrong(rig, 20);
	run(rig,
		"ROLLBACK TO test; UPDATE audit SET hash = zeroblob(32) WHERE "
		"seq = 3");
	expect_wrong(rig, 3);
	run(rig, "ROLLBACK TO test; RELEASE test");
}

static void taken_out_put_in_and_moved(void **state)
{
	static const struct {
		const char *sql;
		int64_t wrong;
	} rows[] = {
		{"DELETE FROM audit WHERE seq = 1", 1},
		{"DELETE FROM audit WHERE seq = 9", 9},
		{"DELETE FROM audit WHERE seq = 20", 20},
		{"DELETE FROM audit", 1},
		{"INSERT INTO audit SELECT 21, record, hash FROM audit WHERE "
		 "seq = 20",
			21},
		{"INSERT INTO audit SELECT 0, record, hash FROM audit WHERE "
		 "seq = 1",
			0},
		{"UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET "
		 "seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = "
		 "99",
			4},
		{"DELETE FROM audit WHERE seq = 20; UPDATE audit_chain SET "
		 "next = 20",
			19},
	};
	struct trust_rig *rig = *state;
	append_some(rig, 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		run(rig, "SAVEPOINT test");
		run(rig, rows[i].sql);
		expect_wrong(rig, rows[i].wrong);
		run(rig, "ROLLBACK TO test; RELEASE test");
	}
	expect_whole(rig, 20);
}

static void bounded_and_still_whole(void **state)
{
	struct trust_rig *rig = *state;
	char record[1200];
	audit_set_bounds(trust_audit(rig->trust), 100, 10);
	append_some(rig, 1000);
	struct audit_verdict v = verify(rig);
	assert_true(v.whole);
	assert_in_range(v.records, 90, 101);
	assert_in_range(v.first, 900, 1200);
	run(rig, "DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)");
	expect_wrong(rig, v.first);
	assert_true(audit_read(trust_audit(rig->trust), 0, 1000, keep_last,
			    record, &rig->err) > 80);
}

static void goes_with_the_change_it_tells_of(void **state)
{
	struct trust_rig *rig = *state;
	append_some(rig, 3);
	run(rig, "BEGIN");
	append_some(rig, 3);
	run(rig, "ROLLBACK");
	expect_whole(rig, 3);
	run(rig, "BEGIN");
	append_some(rig, 3);
	run(rig, "COMMIT");
	expect_whole(rig, 6);
}

/* The log witnesses what is in the database, each record once, and nothing else:
 * who compares both must not find a record that never was. */
static void log_witnesses_what_was_committed(void **state)
{
	struct trust_rig *rig = *state;
	struct log_capture capture = log_capture_begin();
	log_set_level(LOG_INFO);
	append(rig, "volumes/alone");
	run(rig, "SAVEPOINT change");
	append(rig, "volumes/undone");
	run(rig, "ROLLBACK TO change; RELEASE change");
	run(rig, "UPDATE audit_chain SET one = 1"); /* another commit */
	run(rig, "SAVEPOINT change");
	append(rig, "volumes/first");
	append(rig, "volumes/second");
	run(rig, "RELEASE change");
	log_set_level(LOG_ERROR);
	char *text = log_capture_end(capture);
	static const char *const objects[] = {"alone", "first", "second"};
	const char *at = text;
	for (int i = 0; i < 3; i++) {
		char start[64], end[64];
		snprintf(start, sizeof start, "info audit record: %d sha256 ",
			i + 1);
		snprintf(end, sizeof end, "; admin patchVolume volumes/%s\n",
			objects[i]);
		assert_int_equal(strncmp(at, start, strlen(start)), 0);
		at += strlen(start) + 64;
		assert_int_equal(strncmp(at, end, strlen(end)), 0);
		at += strlen(end);
	}
	assert_string_equal(at, "");
	free(text);
	expect_whole(rig, 3);
}

static void strange_bytes_are_cut_and_escaped(void **state)
{
	struct trust_rig *rig = *state;
	char record[1200], longest[5000];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	longest[0] = '\n';
	longest[1] = '\xff';
	append(rig, longest);
	audit_read(trust_audit(rig->trust), 0, 1, keep_last, record, &rig->err);
	json_t *json = json_loads(record, 0, NULL);
	assert_non_null(json);
	const char *object = json_string_value(json_object_get(json, "object"));
	assert_true(strlen(object) < 300);
	assert_null(strchr(record, '\n'));
	json_decref(json);
	expect_whole(rig, 1);
}

static void sign_ins_are_in_it_without_their_secrets(void **state)
{
	struct trust_rig *rig = *state;
	char record[1200], token[64];
	snprintf(token, sizeof token, "%s", trust_bootstrap_token(rig->trust));
	assert_int_equal(
		trust_rig_setup_admin(rig, token, TRUST_RIG_PASSWORD), 0);
	assert_int_equal(trust_rig_sign_in(rig, "admin", "something wrong",
				 "198.51.100.9"),
		-EACCES);
	assert_int_equal(audit_read(trust_audit(rig->trust), 0, 9, keep_last,
				 record, &rig->err),
		2);
	assert_non_null(strstr(record, "\"user\":\"admin\""));
	assert_non_null(strstr(record, "\"address\":\"198.51.100.9\""));
	assert_non_null(strstr(record, "\"status\":401"));
	assert_null(strstr(record, "something"));
	expect_whole(rig, 2);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown( \
		function, trust_rig_setup, trust_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(whole_over_restarts),
		TEST(each_field_is_guarded),
		TEST(forged_hash_is_found),
		TEST(taken_out_put_in_and_moved),
		TEST(bounded_and_still_whole),
		TEST(goes_with_the_change_it_tells_of),
		TEST(log_witnesses_what_was_committed),
		TEST(strange_bytes_are_cut_and_escaped),
		TEST(sign_ins_are_in_it_without_their_secrets),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
