/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is let in: the bootstrap token, cookies; for how long, from where, and over
 * restarts. Other credentials: test_passwords.c, test_tokens.c.
 */
#include "target/control/trust/password.h"
#include "target/control/trust/private_file.h"
#include "tests/lib/trust_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MINUTE_MS 60000ll
#define HOUR_MS (60 * MINUTE_MS)
#define HOME "192.0.2.1"
#define ELSEWHERE "198.51.100.9"

static int cookie(struct trust_rig *rig, const char *text)
{
	struct trust_identity who;
	int failed =
		trust_identify_cookie(rig->trust, text, HOME, &who, &rig->err);
	assert_true(failed ? !who.name[0] && who.role == TRUST_PUBLIC
			   : who.name[0] && who.role > TRUST_PUBLIC);
	return failed;
}

/* -- bootstrap -------------------------------------------------------------- */

static void bootstrap_token_makes_the_first_admin_once(void **state)
{
	struct trust_rig *rig = *state;
	char path[128], token[64];
	struct stat found;
	snprintf(path, sizeof path, "%s/bootstrap-token", rig->run_path);
	char *line = private_file_read(path, 100, &rig->err);
	assert_non_null(line);
	snprintf(token, sizeof token, "%s", trust_bootstrap_token(rig->trust));
	assert_int_equal(strlen(token), 32);
	assert_memory_equal(line, token, 32);
	private_file_free(line);
	assert_int_equal(stat(path, &found), 0);
	assert_int_equal(found.st_mode & 0777, 0600);

	assert_int_equal(trust_rig_setup_admin(rig, "0123", TRUST_RIG_PASSWORD),
		-EACCES);
	assert_int_equal(trust_rig_setup_admin(rig, token, "short"), -EINVAL);
	assert_int_equal(
		trust_rig_setup_admin(rig, token, TRUST_RIG_PASSWORD), 0);
	assert_int_equal(rig->in.who.role, TRUST_ADMIN);
	assert_int_equal(cookie(rig, rig->in.cookie), 0);
	assert_int_equal(
		trust_rig_setup_admin(rig, token, TRUST_RIG_PASSWORD), -ENOENT);
	assert_int_equal(stat(path, &found), -1);
	trust_rig_restart(rig);
	assert_null(trust_bootstrap_token(rig->trust));
}

static void bootstrap_token_lasts_an_hour(void **state)
{
	struct trust_rig *rig = *state;
	char first[64], second[64];
	snprintf(first, sizeof first, "%s", trust_bootstrap_token(rig->trust));
	rig->now_ms += HOUR_MS - 1;
	assert_true(trust_setup_open(rig->trust));
	rig->now_ms++;
	assert_int_equal(
		trust_rig_setup_admin(rig, first, TRUST_RIG_PASSWORD), -ENOENT);
	trust_rig_restart(rig);
	snprintf(
		second, sizeof second, "%s", trust_bootstrap_token(rig->trust));
	assert_string_not_equal(first, second);
	assert_int_equal(
		trust_rig_setup_admin(rig, first, TRUST_RIG_PASSWORD), -EACCES);
	assert_int_equal(
		trust_rig_setup_admin(rig, second, TRUST_RIG_PASSWORD), 0);
}

static void bootstrap_token_cannot_be_guessed_at_will(void **state)
{
	struct trust_rig *rig = *state;
	unsigned looked_at = 0;
	for (unsigned i = 0; i < 1000; i++)
		looked_at += trust_rig_setup_admin(rig, "guess",
				     TRUST_RIG_PASSWORD) == -EACCES;
	assert_int_equal(looked_at, 5);
}

/* -- sessions --------------------------------------------------------------- */

static void session_ends_when_idle_and_after_12_hours(void **state)
{
	struct trust_rig *rig = *state;
	trust_rig_admin(rig);
	rig->now_ms += 30 * MINUTE_MS - 1;
	assert_int_equal(cookie(rig, rig->in.cookie), 0);
	rig->now_ms += 30 * MINUTE_MS;
	assert_int_equal(cookie(rig, rig->in.cookie), -EACCES);

	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME), 0);
	assert_int_equal(rig->in.who.expires_s - rig->now_ms / 1000, 12 * 3600);
	for (unsigned i = 0; i < 35; i++) { /* 11 h 40 */
		rig->now_ms += 20 * MINUTE_MS;
		assert_int_equal(cookie(rig, rig->in.cookie), 0);
	}
	rig->now_ms += 20 * MINUTE_MS;
	assert_int_equal(cookie(rig, rig->in.cookie), -EACCES);
}

static void cookie_of_somebody_else_is_none(void **state)
{
	struct trust_rig *rig = *state;
	char text[TRUST_SECRET_BYTES];
	trust_rig_admin(rig);
	for (unsigned i = 0; i < 43; i++) {
		memcpy(text, rig->in.cookie, sizeof text);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_int_equal(cookie(rig, text), -EACCES);
	}
	assert_int_equal(cookie(rig, ""), -EACCES);
	text[42] = '\0';
	assert_int_equal(cookie(rig, text), -EACCES);
	assert_int_equal(
		trust_sign_out(rig->trust, rig->in.cookie, &rig->err), 0);
	assert_int_equal(cookie(rig, rig->in.cookie), -EACCES);
}

static void csrf_token_is_bound_to_its_cookie(void **state)
{
	struct trust_rig *rig = *state;
	trust_rig_admin(rig);
	struct trust_signed_in first = rig->in;
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME), 0);
	assert_true(trust_csrf_right(first.cookie, first.csrf));
	assert_false(trust_csrf_right(first.cookie, rig->in.csrf));
	assert_false(trust_csrf_right(first.cookie, first.cookie));
	assert_false(trust_csrf_right(first.cookie, ""));
	assert_false(trust_csrf_right(first.cookie, NULL));
}

static void the_oldest_session_of_a_user_gives_way(void **state)
{
	struct trust_rig *rig = *state;
	trust_rig_admin(rig);
	struct trust_signed_in first = rig->in;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(cookie(rig, first.cookie), 0);
		rig->now_ms += 1000;
		assert_int_equal(trust_rig_sign_in(rig, "admin",
					 TRUST_RIG_PASSWORD, HOME),
			0);
	}
	assert_int_equal(cookie(rig, first.cookie), -EACCES);
	assert_int_equal(cookie(rig, rig->in.cookie), 0);
}

/* -- users ------------------------------------------------------------------ */

static void last_admin_stays(void **state)
{
	struct trust_rig *rig = *state;
	struct trust_user user = {
		.name = "admin", .role = TRUST_OPERATOR, .enabled = true};
	trust_rig_admin(rig);
	assert_int_equal(
		trust_user_delete(rig->trust, "admin", &rig->err), -EBUSY);
	assert_int_equal(
		trust_user_change(rig->trust, &user, &rig->err), -EBUSY);
	assert_int_equal(trust_rig_create(rig, "second", TRUST_ADMIN), 0);
	assert_int_equal(trust_user_change(rig->trust, &user, &rig->err), 0);
	assert_int_equal(cookie(rig, rig->in.cookie), -EACCES);
	assert_int_equal(
		trust_user_delete(rig->trust, "second", &rig->err), -EBUSY);
	assert_int_equal(trust_user_delete(rig->trust, "admin", &rig->err), 0);
	assert_int_equal(
		trust_user_delete(rig->trust, "admin", &rig->err), -ENOENT);
}

static int change_own(struct trust_rig *rig, void *arg)
{
	struct trust_attempt attempt = {.user = "admin",
		.password = TRUST_RIG_PASSWORD,
		.address = HOME};
	return trust_change_password_co(rig->trust, &attempt,
		"other words of mine", arg, &rig->wait_s, &rig->err);
}

static void own_password_keeps_own_session(void **state)
{
	struct trust_rig *rig = *state;
	trust_rig_admin(rig);
	struct trust_signed_in other = rig->in;
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME), 0);
	assert_int_equal(trust_rig_run(rig, change_own, rig->in.cookie), 0);
	assert_int_equal(cookie(rig, rig->in.cookie), 0);
	assert_int_equal(cookie(rig, other.cookie), -EACCES);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME),
		-EACCES);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", "other words of mine", HOME),
		0);
}

static void names_that_are_taken_or_wrong(void **state)
{
	struct trust_rig *rig = *state;
	trust_rig_admin(rig);
	assert_int_equal(trust_rig_create(rig, "admin", TRUST_VIEWER), -EEXIST);
	assert_int_equal(trust_rig_create(rig, "root", TRUST_VIEWER), -EINVAL);
	assert_int_equal(trust_rig_create(rig, "a b", TRUST_VIEWER), -EINVAL);
	assert_int_equal(trust_rig_create(rig, "x", TRUST_PUBLIC), -EINVAL);
}

/* -- restarts --------------------------------------------------------------- */

static struct trust_token token_of(struct trust_rig *rig, enum trust_role role,
	char text[TRUST_TOKEN_BYTES])
{
	struct trust_token token = {.user = "admin",
		.comment = "a script",
		.role = role,
		.expires_ms = rig->now_ms + 24 * HOUR_MS,
		.networks = 2,
		.network = {"192.0.2.0/28", "2001:db8::/32"},
		.scopes = 1,
		.scope = {"db01"}};
	if (trust_token_create(rig->trust, &token, text, &rig->err))
		fail_msg("%s", rig->err.text);
	return token;
}

static int bearer(struct trust_rig *rig, const char *text, const char *from)
{
	struct trust_identity who;
	return trust_identify_bearer(rig->trust, text, from, &who, &rig->err);
}

static void restart_keeps_users_tokens_and_sessions(void **state)
{
	struct trust_rig *rig = *state;
	char text[TRUST_TOKEN_BYTES];
	trust_rig_admin(rig);
	token_of(rig, TRUST_VIEWER, text);
	trust_rig_restart(rig);
	assert_int_equal(cookie(rig, rig->in.cookie), 0);
	assert_int_equal(bearer(rig, text, HOME), 0);
	assert_int_equal(
		trust_rig_sign_in(rig, "admin", TRUST_RIG_PASSWORD, HOME), 0);
}

/* The child tells each name once it is made, and is then killed at work. */
static void make_users(struct trust_rig *rig, int out)
{
	char name[TRUST_NAME_BYTES];
	trust_rig_start(rig);
	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof name, "u%u", i);
		if (trust_rig_create(rig, name, TRUST_ADMIN) ||
			write(out, &i, sizeof i) != sizeof i)
			_exit(1);
	}
}

static void killed_at_work_loses_nothing(void **state)
{
	struct trust_rig *rig = *state;
	int ends[2];
	unsigned made = 0;
	assert_int_equal(pipe(ends), 0);
	/* The child opens the database anew: none may cross a fork. */
	trust_rig_stop(rig);
	pid_t child = fork();
	if (!child)
		make_users(rig, ends[1]);
	close(ends[1]);
	while (made < 20)
		assert_int_equal(
			read(ends[0], &made, sizeof made), sizeof made);
	kill(child, SIGKILL);
	while (read(ends[0], &made, sizeof made) == sizeof made)
		;
	close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	trust_rig_start(rig);
	for (unsigned i = 0; i <= made; i++) {
		char name[TRUST_NAME_BYTES];
		snprintf(name, sizeof name, "u%u", i);
		assert_int_equal(trust_rig_sign_in(
					 rig, name, TRUST_RIG_PASSWORD, "unix"),
			0);
	}
	assert_null(trust_bootstrap_token(rig->trust));
}

static void secrets_are_not_in_the_database(void **state)
{
	struct trust_rig *rig = *state;
	char text[TRUST_TOKEN_BYTES], command[256];
	trust_rig_admin(rig);
	token_of(rig, TRUST_VIEWER, text);
	const char *secrets[] = {
		text + 17, rig->in.cookie, rig->in.csrf, TRUST_RIG_PASSWORD};
	for (unsigned i = 0; i < 4; i++) {
		snprintf(command, sizeof command, "grep -rqaF -e '%s' %s",
			secrets[i], rig->state_path);
		assert_int_not_equal(system(command), 0);
	}
	snprintf(command, sizeof command, "grep -rqaF -e 'scrypt$ln' %s",
		rig->state_path);
	assert_int_equal(system(command), 0);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown( \
		function, trust_rig_setup, trust_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(bootstrap_token_makes_the_first_admin_once),
		TEST(bootstrap_token_lasts_an_hour),
		TEST(bootstrap_token_cannot_be_guessed_at_will),
		TEST(session_ends_when_idle_and_after_12_hours),
		TEST(cookie_of_somebody_else_is_none),
		TEST(csrf_token_is_bound_to_its_cookie),
		TEST(the_oldest_session_of_a_user_gives_way),
		TEST(last_admin_stays),
		TEST(own_password_keeps_own_session),
		TEST(names_that_are_taken_or_wrong),
		TEST(restart_keeps_users_tokens_and_sessions),
		TEST(killed_at_work_loses_nothing),
		TEST(secrets_are_not_in_the_database),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
