/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limiter in front of CHAP: a host with a wrong secret stops itself at its
 * address and nobody else, and the audit knows.
 */
#include "target/control/tries.h"
#include "tests/lib/trust_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static bool may_try(struct tries *tries, const char *host, const char *address)
{
	struct sockaddr_in peer = {.sin_family = AF_INET};
	struct iscsi_try one = {
		(const struct sockaddr *)&peer, host, "any user"};
	inet_pton(AF_INET, address, &peer.sin_addr);
	return tries->watcher.may_try(&tries->watcher, &one);
}

static void passed(struct tries *tries, const char *host, const char *address)
{
	struct sockaddr_in peer = {.sin_family = AF_INET};
	struct iscsi_try one = {
		(const struct sockaddr *)&peer, host, "any user"};
	inet_pton(AF_INET, address, &peer.sin_addr);
	tries->watcher.tried(&tries->watcher, &one, true);
}

static void a_wrong_secret_stops_itself_only(void **state)
{
	struct trust_rig *rig = *state;
	struct tries tries;
	tries_init(&tries, rig->trust);
	for (unsigned i = 0; i < 5; i++)
		assert_true(may_try(&tries, "bad", "192.0.2.1"));
	assert_false(may_try(&tries, "bad", "192.0.2.1"));
	assert_true(may_try(&tries, "good", "192.0.2.1"));
	assert_true(may_try(&tries, "bad", "192.0.2.2"));
}

static void right_secrets_are_not_slowed(void **state)
{
	struct trust_rig *rig = *state;
	struct tries tries;
	tries_init(&tries, rig->trust);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(may_try(&tries, "good", "192.0.2.1"));
		passed(&tries, "good", "192.0.2.1");
	}
}

static void keep(void *arg, int64_t seq, const char *record)
{
	(void)seq;
	snprintf(arg, 1200, "%s", record);
}

static void wrong_secrets_are_in_the_audit(void **state)
{
	struct trust_rig *rig = *state;
	struct tries tries;
	struct audit_verdict verdict;
	char record[1200];
	struct iscsi_refused refused = {.time_ms = rig->now_ms,
		.refusal = ISCSI_REFUSED_SECRET,
		.initiator = "iqn.2026-11.example:web",
		.host = "web",
		.peer = "192.0.2.1:5000"};
	tries_init(&tries, rig->trust);
	tries.watcher.login_refused(&tries.watcher, &refused);
	refused.refusal = ISCSI_REFUSED_TARGET; /* is no guess */
	tries.watcher.login_refused(&tries.watcher, &refused);
	assert_int_equal(audit_read(trust_audit(rig->trust), 0, 9, keep, record,
				 &rig->err),
		1);
	assert_non_null(strstr(record, "\"object\":\"hosts/web\""));
	assert_non_null(strstr(record, "\"operation\":\"loginHost\""));
	assert_int_equal(trust_rig_verify(rig, &verdict), 0);
	assert_true(verdict.whole);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown( \
		function, trust_rig_setup, trust_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_wrong_secret_stops_itself_only),
		TEST(right_secrets_are_not_slowed),
		TEST(wrong_secrets_are_in_the_audit),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
