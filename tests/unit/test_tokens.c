/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens, the socket, client certificates: as whom they are let in, from
 * where, for how long; and that what was forged or revoked is not.
 */
#include "target/control/trust/certificate.h"
#include "tests/lib/trust_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOUR_MS 3600000ll
#define HOME "192.0.2.1"

/* -- tokens ----------------------------------------------------------------- */

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

static void token_is_its_user_with_less(void **state)
{
	struct trust_rig *rig = *state;
	char text[TRUST_TOKEN_BYTES];
	struct trust_identity who;
	trust_rig_admin(rig);
	struct trust_token token = token_of(rig, TRUST_OPERATOR, text);
	assert_memory_equal(text, "cairn_", 6);
	assert_int_equal(
		trust_identify_bearer(rig->trust, text, HOME, &who, &rig->err),
		0);
	assert_int_equal(who.role, TRUST_OPERATOR);
	assert_string_equal(who.name, "admin");
	assert_string_equal(who.credential, token.id);
	assert_true(trust_may(&who, TRUST_VIEWER));
	assert_false(trust_may(&who, TRUST_ADMIN));
	assert_true(trust_may_volume(&who, "db01"));
	assert_false(trust_may_volume(&who, "db02"));
	assert_int_equal(
		trust_token_find(rig->trust, token.id, &token, &rig->err), 0);
	assert_int_equal(token.used_ms, rig->now_ms);
	assert_string_equal(token.used_from, HOME);
	assert_int_equal(token.networks, 2);
}

static void token_from_elsewhere_expired_revoked_or_forged(void **state)
{
	struct trust_rig *rig = *state;
	char text[TRUST_TOKEN_BYTES], forged[TRUST_TOKEN_BYTES];
	trust_rig_admin(rig);
	struct trust_token token = token_of(rig, TRUST_VIEWER, text);
	assert_int_equal(bearer(rig, text, "192.0.2.15"), 0);
	assert_int_equal(bearer(rig, text, "::ffff:192.0.2.15"), 0);
	assert_int_equal(bearer(rig, text, "192.0.2.16"), -EACCES);
	assert_int_equal(bearer(rig, text, "2001:db8:1::1"), 0);
	assert_int_equal(bearer(rig, text, "2001:db9::1"), -EACCES);
	for (size_t i = 0; i < strlen(text); i++) {
		memcpy(forged, text, sizeof forged);
		forged[i] = forged[i] == 'A' ? 'B' : 'A';
		assert_int_equal(bearer(rig, forged, HOME), -EACCES);
		forged[i] = '\0';
		assert_int_equal(bearer(rig, forged, HOME), -EACCES);
	}
	rig->now_ms += 24 * HOUR_MS;
	assert_int_equal(bearer(rig, text, HOME), -EACCES);
	rig->now_ms -= HOUR_MS;
	assert_int_equal(bearer(rig, text, HOME), 0);
	assert_int_equal(
		trust_token_delete(rig->trust, token.id, &rig->err), 0);
	assert_int_equal(bearer(rig, text, HOME), -EACCES);
	assert_int_equal(
		trust_token_delete(rig->trust, token.id, &rig->err), -ENOENT);
}

static void token_follows_its_user(void **state)
{
	struct trust_rig *rig = *state;
	char text[TRUST_TOKEN_BYTES];
	struct trust_identity who;
	struct trust_user user = {
		.name = "admin", .role = TRUST_VIEWER, .enabled = true};
	trust_rig_admin(rig);
	token_of(rig, TRUST_ADMIN, text);
	assert_int_equal(trust_rig_create(rig, "second", TRUST_ADMIN), 0);
	assert_int_equal(trust_user_change(rig->trust, &user, &rig->err), 0);
	assert_int_equal(
		trust_identify_bearer(rig->trust, text, HOME, &who, &rig->err),
		0);
	assert_int_equal(who.role, TRUST_VIEWER);
	user.enabled = false;
	assert_int_equal(trust_user_change(rig->trust, &user, &rig->err), 0);
	assert_int_equal(bearer(rig, text, HOME), -EACCES);
	assert_int_equal(trust_user_delete(rig->trust, "admin", &rig->err), 0);
	assert_int_equal(bearer(rig, text, HOME), -EACCES);
}

static void tokens_that_are_refused(void **state)
{
	struct trust_rig *rig = *state;
	trust_rig_admin(rig);
	assert_int_equal(trust_rig_create(rig, "eye", TRUST_VIEWER), 0);
	struct trust_token good = {.user = "eye",
		.role = TRUST_VIEWER,
		.expires_ms = rig->now_ms + HOUR_MS};
	assert_int_equal(trust_token_check(rig->trust, &good, &rig->err), 0);
	struct trust_token bad = good;
	bad.role = TRUST_OPERATOR;
	assert_int_equal(
		trust_token_check(rig->trust, &bad, &rig->err), -EPERM);
	bad = good;
	bad.expires_ms = rig->now_ms;
	assert_int_equal(
		trust_token_check(rig->trust, &bad, &rig->err), -EINVAL);
	bad = good;
	bad.networks = 1;
	strcpy(bad.network[0], "192.0.2.0/33");
	assert_int_equal(
		trust_token_check(rig->trust, &bad, &rig->err), -EINVAL);
	bad = good;
	strcpy(bad.user, "nobody");
	assert_int_equal(
		trust_token_check(rig->trust, &bad, &rig->err), -ENOENT);
}

/* -- the others ------------------------------------------------------------- */

static void socket_knows_root_and_ourselves(void **state)
{
	struct trust_rig *rig = *state;
	struct trust_identity who;
	assert_int_equal(
		trust_identify_peer(rig->trust, 0, &who, &rig->err), 0);
	assert_int_equal(who.role, TRUST_ADMIN);
	assert_int_equal(
		trust_identify_peer(rig->trust, geteuid(), &who, &rig->err), 0);
	assert_int_equal(trust_identify_peer(rig->trust, geteuid() + 12345,
				 &who, &rig->err),
		-EACCES);
	assert_int_equal(who.role, TRUST_PUBLIC);
}

static void client_certificate_is_its_user(void **state)
{
	struct trust_rig *rig = *state;
	static const struct certificate_names names = {
		2, {"backup.example", "other.example"}};
	static const struct certificate_names strange = {
		1, {"strange.example"}};
	struct trust_user user = {.name = "eye",
		.role = TRUST_VIEWER,
		.enabled = true,
		.certificate = "other.example"};
	struct trust_identity who;
	trust_rig_admin(rig);
	assert_int_equal(trust_rig_create(rig, "eye", TRUST_VIEWER), 0);
	assert_int_equal(trust_user_change(rig->trust, &user, &rig->err), 0);
	struct certificate *c =
		certificate_make(&names, rig->now_ms / 1000, &rig->err);
	assert_int_equal(trust_identify_certificate(
				 rig->trust, c->leaf, HOME, &who, &rig->err),
		0);
	assert_string_equal(who.name, "eye");
	certificate_free(c);
	c = certificate_make(&strange, rig->now_ms / 1000, &rig->err);
	assert_int_equal(trust_identify_certificate(
				 rig->trust, c->leaf, HOME, &who, &rig->err),
		-EACCES);
	certificate_free(c);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown( \
		function, trust_rig_setup, trust_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(token_is_its_user_with_less),
		TEST(token_from_elsewhere_expired_revoked_or_forged),
		TEST(token_follows_its_user),
		TEST(tokens_that_are_refused),
		TEST(socket_knows_root_and_ourselves),
		TEST(client_certificate_is_its_user),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
