/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords: guessed at, compared, hashed two at a time and at what cost, and their
 * rules.
 */
#include "blockcore/base/co.h"
#include "target/control/state.h"
#include "target/control/trust/limiter.h"
#include "target/control/trust/password.h"
#include "tests/lib/trust_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOME "192.0.2.1"
#define ELSEWHERE "198.51.100.9"

static void ten_thousand_wrong_passwords(void **state)
{
	struct trust_rig *rig = *state;
	unsigned looked_at = 0;
	char user[32];
	trust_rig_admin(rig);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(user, sizeof user, i % 2 ? "admin" : "guess%u", i);
		int failed = trust_rig_sign_in(
			rig, user, "wrong wrong wrong", ELSEWHERE);
		assert_true(failed == -EACCES || failed == -EAGAIN);
		looked_at += failed == -EACCES;
		rig->now_ms += 100;
	}
	/* In 1000 s: 5 at once (and what came back meanwhile), then after 1, 2, 4
	 * and 8 minutes. */
	assert_in_range(looked_at, 5, 10);
	assert_true(rig->wait_s > 0 && rig->wait_s <= LIMITER_MAX_WAIT_S);
	assert_in_range(limiter_tries(trust_limiter(rig->trust)), 1, 16);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, ELSEWHERE),
		-EAGAIN);
	assert_int_equal(trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD,
				 "203.0.113.4"),
		0);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME), 0);
}

static void guesses_from_everywhere_do_not_lock_out(void **state)
{
	struct trust_rig *rig = *state;
	unsigned looked_at = 0;
	char address[64];
	trust_rig_admin(rig);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(address, sizeof address, "2001:db8:%x:%x::1", i / 256,
			i % 256);
		looked_at += trust_rig_sign_in(rig, "admin",
				     "wrong wrong wrong", address) == -EACCES;
	}
	assert_int_equal(looked_at, 20);
	assert_in_range(
		limiter_tries(trust_limiter(rig->trust)), 1, LIMITER_MAX_TRIES);
	assert_int_equal(/* where the owner signed in before */
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME), 0);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, "unix"), 0);
}

static void wrong_user_and_wrong_password_look_alike(void **state)
{
	struct trust_rig *rig = *state;
	char text[ERR_TEXT_BYTES];
	struct trust_user off = {.name = "off", .role = TRUST_VIEWER};
	trust_rig_admin(rig);
	assert_int_equal(trust_rig_create(rig, "off", TRUST_VIEWER), 0);
	assert_int_equal(trust_user_change(rig->trust, &off, &rig->err), 0);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", "wrong", "unix"), -EACCES);
	memcpy(text, rig->err.text, sizeof text);
	assert_int_equal(
		trust_rig_sign_in(rig, "nobody", "wrong", "unix"), -EACCES);
	assert_string_equal(text, rig->err.text);
	assert_int_equal(
		trust_rig_sign_in(rig, "off", TRUST_RIG_PASSWORD, "unix"),
		-EACCES);
	assert_string_equal(text, rig->err.text);
}

struct crowd {
	struct trust_rig *rig;
	unsigned well, full, running;
	bool done;
};

static void one_of_crowd_co(void *arg)
{
	struct crowd *crowd = arg;
	struct trust_attempt attempt = {.user = "admin",
		.password = TRUST_RIG_PASSWORD,
		.address = "unix"};
	struct trust_signed_in in;
	uint32_t wait_s;
	int failed = trust_sign_in_co(
		crowd->rig->trust, &attempt, &in, &wait_s, NULL);
	crowd->well += !failed;
	crowd->full += failed == -EAGAIN && wait_s;
	crowd->done = --crowd->running == 0;
}

static void two_hash_and_sixteen_wait(void **state)
{
	struct trust_rig *rig = *state;
	struct crowd crowd = {.rig = rig};
	trust_rig_admin(rig);
	for (unsigned i = 0; i < 25; i++) {
		crowd.running++;
		assert_true(co_start(one_of_crowd_co, &crowd));
	}
	assert_true(sim_run_until(rig->sim, &crowd.done));
	assert_int_equal(crowd.well, 18);
	assert_int_equal(crowd.full, 7);
}

/* N = 2^17, r = 8, p = 1, unless a test says otherwise. */
static void passwords_are_dear(void **state)
{
	struct trust_rig *rig = *state;
	static const char parameters[] = "$scrypt$ln=17,r=8,p=1$";
	sqlite3_stmt *row;
	rig->dear = true;
	trust_rig_restart(rig);
	trust_rig_admin(rig);
	assert_int_equal(
		sqlite3_prepare_v2(state_database(rig->state),
			"SELECT password FROM trust_user", -1, &row, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	assert_memory_equal(
		sqlite3_column_text(row, 0), parameters, sizeof parameters - 1);
	sqlite3_finalize(row);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME), 0);
}

static void rules_of_passwords(void **state)
{
	static const struct {
		const char *password;
		int result;
	} rows[] = {
		{"eleven char", -EINVAL},
		{"twelve chars", 0},
		{"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa4\xc3\xb6", -EINVAL},
		{"aaaaaaaaaaaaaaaa", -EINVAL},
		{"abababababab", -EINVAL},
		{"123456789012", -EINVAL},
		{"abcdefghijklmn", -EINVAL},
		{"Password123456", -EINVAL},
		{"!!admin!!2026!!", -EINVAL},
		{"operator12345x", -EINVAL},
		{"tab\tin the middle", -EINVAL},
		{TRUST_RIG_PASSWORD, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (password_rules("operator", rows[i].password, NULL) !=
			rows[i].result)
			fail_msg("%s", rows[i].password);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown( \
		function, trust_rig_setup, trust_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(ten_thousand_wrong_passwords),
		TEST(guesses_from_everywhere_do_not_lock_out),
		TEST(wrong_user_and_wrong_password_look_alike),
		TEST(two_hash_and_sixteen_wait),
		TEST(passwords_are_dear),
		TEST(rules_of_passwords),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
