/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login with CHAP: the conversation with each hash, both ways, and every way to
 * get past it that we could think of.
 */
#include "tests/lib/talk.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* -- the conversation ------------------------------------------------------ */

#define SECRET "a secret of sixteen"
#define MUTUAL "another of sixteen"
#define LOCKED_HOST "iqn.1994-05.com.redhat:locked"
#define FIRST "TargetName=" TALK_TARGET "\nAuthMethod=CHAP,None\nInitiatorName="

static const struct tables_host hosts[] = {
	{.name = "locked",
		.iqns = LOCKED_HOST,
		.user = "0x1234",
		.secret = SECRET,
		.mutual_user = "cairn",
		.mutual_secret = MUTUAL},
	{.name = "strict",
		.iqns = "iqn.a:strict",
		.user = "strict",
		.secret = SECRET,
		.weak = ACCESS_WEAK_FORBIDDEN},
	{.name = "careless",
		.iqns = "iqn.a:careless",
		.user = "careless",
		.secret = SECRET,
		.mutual_user = "cairn",
		.mutual_secret = SECRET},
	{.name = NULL},
};
static const struct tables_portal portals[] = {
	{.name = "main", .address = "0.0.0.0", .port = 3260, .group = 1},
	{.name = NULL},
};
static const struct tables_target targets[] = {
	{.iqn = TALK_TARGET, .alias = "db", .hosts = "locked strict careless"},
	{.iqn = NULL},
};

static int setup(void **state)
{
	struct talk *talk = calloc(1, sizeof *talk);

	talk_begin(talk, tables_build(hosts, portals, targets));
	*state = talk;
	return 0;
}

struct hash {
	const char *number, *openssl, *shown;
};
static const struct hash hashes[] = {
	{"5", "MD5", "MD5"},
	{"6", "SHA1", "SHA-1"},
	{"7", "SHA256", "SHA-256"},
	{"8", "SHA3-256", "SHA3-256"},
};

/* The host's side, with OpenSSL only. Writes "0x..." or "0b..." to `value`. */
static void make_response(const char *openssl, unsigned id, const char *secret,
	const uint8_t *challenge, size_t bytes, bool base64, char *value)
{
	uint8_t text[2048], digest[EVP_MAX_MD_SIZE];
	size_t length = 1;
	unsigned digest_bytes;

	text[0] = (uint8_t)id;
	memcpy(text + length, secret, strlen(secret));
	length += strlen(secret);
	memcpy(text + length, challenge, bytes);
	length += bytes;
	assert_true(EVP_Digest(text, length, digest, &digest_bytes,
		EVP_get_digestbyname(openssl), NULL));
	strcpy(value, base64 ? "0b" : "0x");
	if (base64)
		EVP_EncodeBlock(
			(uint8_t *)value + 2, digest, (int)digest_bytes);
	for (unsigned i = 0; i < digest_bytes && !base64; i++)
		sprintf(value + 2 + 2 * i, "%02X", digest[i]);
}

/* Up to the challenge, which is kept in talk->answer. */
static void get_challenge(
	struct talk *talk, const char *host, const char *algorithms)
{
	char text[512];

	talk_again(talk);
	snprintf(text, sizeof text, FIRST "%s\n", host);
	assert_int_equal(talk_say(talk, TALK_TO_OPERATIONAL, text),
		ISCSI_LOGIN_CONTINUE);
	assert_int_equal(talk->answer.flags, TALK_SECURITY); /* not yet */
	talk_expect(talk, "AuthMethod", "CHAP");
	talk_expect(talk, "TargetPortalGroupTag", "1");
	talk_expect(talk, "TargetAlias", NULL);
	snprintf(text, sizeof text, "CHAP_A=%s\n", algorithms);
	talk_say(talk, TALK_SECURITY, text);
}

static void answer_challenge(const struct talk *talk, const struct hash *hash,
	const char *secret, bool base64, char *value)
{
	uint8_t challenge[64];
	size_t bytes = talk_unhex(
		talk_value(talk, "CHAP_C"), challenge, sizeof challenge);

	make_response(hash->openssl, (unsigned)atoi(talk_value(talk, "CHAP_I")),
		secret, challenge, bytes, base64, value);
}

/* The last text of the host. */
static enum iscsi_verdict say_response(struct talk *talk, const char *name,
	const char *value, const char *more)
{
	char text[4096];

	snprintf(text, sizeof text, "CHAP_N=%s\nCHAP_R=%s\n%s", name, value,
		more);
	return talk_say(talk, TALK_TO_OPERATIONAL, text);
}

static void test_each_hash(void **state)
{
	struct talk *talk = *state;
	char value[128];

	for (size_t i = 0; i < 8; i++) {
		const struct hash *hash = &hashes[i / 2];

		get_challenge(talk, LOCKED_HOST, hash->number);
		talk_expect(talk, "CHAP_A", hash->number);
		assert_int_equal(talk_pairs(talk), 3);
		answer_challenge(talk, hash, SECRET, i % 2, value);
		say_response(talk, "0x1234", value, "");
		assert_int_equal(talk->verdict, ISCSI_LOGIN_CONTINUE);
		assert_int_equal(talk->answer.flags, TALK_TO_OPERATIONAL);
		talk_expect(talk, "CHAP_R", NULL);
		talk_expect(talk, "TargetAlias", "db");
		assert_int_equal(
			talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL, ""),
			ISCSI_LOGIN_READY);
		assert_string_equal(talk->result.chap, hash->shown);
	}
}

static void test_strongest_hash_wins(void **state)
{
	struct talk *talk = *state;

	get_challenge(talk, LOCKED_HOST, "5,6,7");
	talk_expect(talk, "CHAP_A", "7");
	get_challenge(talk, LOCKED_HOST, "7,5");
	talk_expect(talk, "CHAP_A", "7");
}

static void test_weak_hashes_forbidden(void **state)
{
	struct talk *talk = *state;

	get_challenge(talk, "iqn.a:strict", "5,6");
	talk_expect_failure(talk, 0x201, "forbids CHAP with MD5 or SHA-1");
	get_challenge(talk, "iqn.a:strict", "5,7");
	talk_expect(talk, "CHAP_A", "7");
	get_challenge(talk, LOCKED_HOST, "9,1");
	talk_expect_failure(talk, 0x201, "no hash in common");
}

/* T set only once the host is proven; it may also leave T for later. */
static void test_proof_before_the_move(void **state)
{
	struct talk *talk = *state;
	char value[128], text[256];

	get_challenge(talk, LOCKED_HOST, "7");
	answer_challenge(talk, &hashes[2], SECRET, false, value);
	snprintf(text, sizeof text, "CHAP_N=0x1234\nCHAP_R=%s\n", value);
	talk_say(talk, TALK_SECURITY, text);
	assert_int_equal(talk->answer.flags, TALK_SECURITY);
	assert_int_equal(talk_say(talk, TALK_TO_FULL, ""), ISCSI_LOGIN_READY);
	assert_string_equal(talk->result.chap, "SHA-256");
}

static void test_discovery_needs_the_same(void **state)
{
	struct talk *talk = *state;

	talk_say(talk, TALK_TO_FULL,
		"InitiatorName=" LOCKED_HOST
		"\nSessionType=Discovery\nAuthMethod=None\n");
	talk_expect_failure(talk, 0x201, "AuthMethod=CHAP");
	talk_again(talk);
	talk_say(talk, TALK_TO_FULL,
		"InitiatorName=" LOCKED_HOST
		"\nSessionType=Discovery\nAuthMethod=None,CHAP\n");
	talk_expect(talk, "AuthMethod", "CHAP");
	assert_int_equal(talk->answer.flags, TALK_SECURITY);
}

/* -- mutual ---------------------------------------------------------------- */

static void test_mutual(void **state)
{
	struct talk *talk = *state;
	uint8_t challenge[1024];
	char value[128], more[2200] = "CHAP_I=0xFE\nCHAP_C=0x", owed[128];

	for (size_t i = 0; i < sizeof challenge; i++) {
		challenge[i] = (uint8_t)(i * 7);
		sprintf(more + strlen(more), "%02x", challenge[i]);
	}
	strcat(more, "\n");
	get_challenge(talk, LOCKED_HOST, "8");
	answer_challenge(talk, &hashes[3], SECRET, false, value);
	say_response(talk, "0x1234", value, more);
	assert_int_equal(talk->verdict, ISCSI_LOGIN_CONTINUE);
	talk_expect(talk, "CHAP_N", "cairn");
	make_response("SHA3-256", 0xfe, MUTUAL, challenge, sizeof challenge,
		false, owed);
	assert_int_equal(strcasecmp(talk_value(talk, "CHAP_R"), owed), 0);
	talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL, "");
	assert_string_equal(talk->result.chap, "SHA3-256 mutual");
}

static void test_mutual_refusals(void **state)
{
	static const struct {
		const char *host, *name, *more, *reason;
	} cases[] = {
		{"iqn.a:strict", "strict", "CHAP_I=1\nCHAP_C=0x1234\n",
			"no secret"},
		{"iqn.a:careless", "careless", "CHAP_I=1\nCHAP_C=0x1234\n",
			"same CHAP secret"},
		{LOCKED_HOST, "0x1234", "CHAP_I=1\n", "belong together"},
		{LOCKED_HOST, "0x1234", "CHAP_C=0x12\n", "belong together"},
		{LOCKED_HOST, "0x1234", "CHAP_I=256\nCHAP_C=0x12\n",
			"malformed"},
		{LOCKED_HOST, "0x1234", "CHAP_I=-1\nCHAP_C=0x12\n",
			"malformed"},
		{LOCKED_HOST, "0x1234", "CHAP_I=1\nCHAP_C=0x\n", "malformed"},
		{LOCKED_HOST, "0x1234", "CHAP_I=1\nCHAP_C=\n", "malformed"},
		{LOCKED_HOST, "0x1234", "CHAP_I=1\nCHAP_C=12\n", "malformed"},
		{LOCKED_HOST, "0x1234", "CHAP_I=1\nCHAP_C=0b=\n", "malformed"},
	};
	struct talk *talk = *state;
	char value[128];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		get_challenge(talk, cases[i].host, "7");
		answer_challenge(talk, &hashes[2], SECRET, false, value);
		say_response(talk, cases[i].name, value, cases[i].more);
		talk_expect_failure(talk, 0x201, cases[i].reason);
	}
}

/* The host sends our challenge back, in another notation (9.2.1). */
static void test_reflection(void **state)
{
	struct talk *talk = *state;
	uint8_t challenge[64];
	char value[128], more[256] = "CHAP_I=1\nCHAP_C=0b";
	size_t bytes;

	get_challenge(talk, LOCKED_HOST, "7");
	bytes = talk_unhex(
		talk_value(talk, "CHAP_C"), challenge, sizeof challenge);
	EVP_EncodeBlock((uint8_t *)more + strlen(more), challenge, (int)bytes);
	strcat(more, "\n");
	answer_challenge(talk, &hashes[2], SECRET, false, value);
	say_response(talk, "0x1234", value, more);
	talk_expect_failure(talk, 0x201, "challenge back");
}

/* A challenge of more than 1024 bytes: in base64 it fits the longest value. */
static void test_challenge_too_long(void **state)
{
	struct talk *talk = *state;
	char value[128], more[2200] = "CHAP_I=1\nCHAP_C=0b";
	size_t head = strlen(more);

	memset(more + head, 'A', 1372);
	strcpy(more + head + 1372, "\n");
	get_challenge(talk, LOCKED_HOST, "7");
	answer_challenge(talk, &hashes[2], SECRET, false, value);
	say_response(talk, "0x1234", value, more);
	talk_expect_failure(talk, 0x201, "malformed");
}

/* -- wrong answers --------------------------------------------------------- */

static void test_wrong_answers(void **state)
{
	struct talk *talk = *state;
	char good[128], other[128];

	for (size_t i = 0; i < 4; i++) {
		get_challenge(talk, LOCKED_HOST, hashes[i].number);
		answer_challenge(talk, &hashes[i], "wrong", false, other);
		say_response(talk, "0x1234", other, "");
		talk_expect_failure(talk, 0x201, "wrong CHAP secret");
		get_challenge(talk, LOCKED_HOST, hashes[i].number);
		answer_challenge(talk, &hashes[i], SECRET, false, good);
		say_response(talk, "4660", good, ""); /* 0x1234 is a name */
		talk_expect_failure(talk, 0x201, "wrong CHAP user name");
		get_challenge(talk, LOCKED_HOST, hashes[i].number);
		/* of another challenge */
		say_response(talk, "0x1234", good, "");
		talk_expect_failure(talk, 0x201, "wrong CHAP secret");
		get_challenge(talk, LOCKED_HOST, hashes[i].number);
		/* with another hash */
		answer_challenge(
			talk, &hashes[(i + 1) % 4], SECRET, false, other);
		say_response(talk, "0x1234", other, "");
		talk_expect_failure(talk, 0x201, "wrong CHAP secret");
	}
}

/* Who limits guesses: asked before anything is verified, told how it ended. */
struct limiter {
	struct iscsi_watcher watcher;
	unsigned left, passed, failed;
	char user[32], host[32];
	bool peer_known;
};

static bool limiter_may_try(
	struct iscsi_watcher *watcher, const struct iscsi_try *try)
{
	struct limiter *limiter = (struct limiter *)watcher;

	snprintf(limiter->user, sizeof limiter->user, "%s", try->user);
	snprintf(limiter->host, sizeof limiter->host, "%s", try->host);
	limiter->peer_known = try->peer->sa_family == AF_INET;
	return limiter->left && limiter->left--;
}

static void limiter_tried(
	struct iscsi_watcher *watcher, const struct iscsi_try *try, bool passed)
{
	struct limiter *limiter = (struct limiter *)watcher;

	(void)try;
	limiter->passed += passed;
	limiter->failed += !passed;
}

static void test_tries_are_limited(void **state)
{
	struct limiter limiter = {.watcher.may_try = limiter_may_try,
		.watcher.tried = limiter_tried,
		.left = 2};
	struct talk *talk = *state;
	char value[128];

	talk->world.watcher = &limiter.watcher;
	get_challenge(talk, LOCKED_HOST, "7");
	answer_challenge(talk, &hashes[2], "wrong", false, value);
	say_response(talk, "0x1234", value, "");
	talk_expect_failure(talk, 0x201, "wrong CHAP secret");
	assert_int_equal(talk->answer.refusal, ISCSI_REFUSED_SECRET);
	assert_int_equal(limiter.failed, 1);
	get_challenge(talk, LOCKED_HOST, "7");
	answer_challenge(talk, &hashes[2], SECRET, false, value);
	say_response(talk, "0x1234", value, "");
	assert_int_equal(talk->verdict, ISCSI_LOGIN_CONTINUE);
	assert_int_equal(limiter.passed, 1);
	/* The third one is right, too, and is not looked at. */
	get_challenge(talk, LOCKED_HOST, "7");
	answer_challenge(talk, &hashes[2], SECRET, false, value);
	say_response(talk, "0x1234", value, "");
	talk_expect_failure(talk, 0x301, "too many failed tries");
	assert_int_equal(talk->answer.refusal, ISCSI_REFUSED_TRIES);
	assert_int_equal(limiter.passed + limiter.failed, 2);
	assert_string_equal(limiter.user, "0x1234");
	assert_string_equal(limiter.host, "locked");
	assert_true(limiter.peer_known);
}

static void test_malformed_answers(void **state)
{
	static const char *const bad[] = {
		"", "0x", "0b", "0x0", "12345", "0xzz", "0b*", "0x1", "none"};
	struct talk *talk = *state;
	char value[256] = "0x", good[128];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		get_challenge(talk, LOCKED_HOST, "5");
		say_response(talk, "0x1234", bad[i], "");
		talk_expect_failure(talk, 0x201, "no response");
	}
	get_challenge(talk, LOCKED_HOST, "5"); /* too long for any hash */
	memset(value + 2, 'a', 2 * 33);
	say_response(talk, "0x1234", value, "");
	talk_expect_failure(talk, 0x201, "no response");
	get_challenge(talk, LOCKED_HOST, "5"); /* cut, and with more behind */
	answer_challenge(talk, &hashes[0], SECRET, false, good);
	good[strlen(good) - 2] = 0;
	say_response(talk, "0x1234", good, "");
	talk_expect_failure(talk, 0x201, "wrong CHAP secret");
	get_challenge(talk, LOCKED_HOST, "5");
	answer_challenge(talk, &hashes[0], SECRET, false, good);
	strcat(good, "00");
	say_response(talk, "0x1234", good, "");
	talk_expect_failure(talk, 0x201, "wrong CHAP secret");
}

static void test_keys_out_of_order(void **state)
{
	struct talk *talk = *state;
	char value[128];

	talk_say(talk, TALK_SECURITY, FIRST LOCKED_HOST "\nCHAP_A=5\n");
	talk_expect_failure(talk, 0x200, "AuthMethod was due");
	talk_again(talk);
	talk_say(talk, TALK_SECURITY,
		"InitiatorName=" LOCKED_HOST "\nTargetName=" TALK_TARGET
		"\nCHAP_N=a\nCHAP_R=0x11\n");
	talk_expect_failure(talk, 0x200, "AuthMethod was due");
	talk_again(talk);
	talk_say(talk, TALK_SECURITY, FIRST LOCKED_HOST "\n");
	talk_say(talk, TALK_SECURITY, "");
	talk_expect_failure(talk, 0x200, "CHAP_A was due");
	talk_again(talk);
	talk_say(talk, TALK_SECURITY, FIRST LOCKED_HOST "\n");
	talk_say(talk, TALK_TO_OPERATIONAL, "CHAP_N=0x1234\nCHAP_R=0x1\n");
	talk_expect_failure(talk, 0x200, "CHAP_A was due");
	get_challenge(talk, LOCKED_HOST, "7");
	talk_say(talk, TALK_TO_OPERATIONAL, "");
	talk_expect_failure(talk, 0x200, "CHAP_N and CHAP_R");
	get_challenge(talk, LOCKED_HOST, "7");
	talk_say(talk, TALK_TO_OPERATIONAL, "CHAP_N=0x1234\n");
	talk_expect_failure(talk, 0x200, "CHAP_N and CHAP_R");
	get_challenge(talk, LOCKED_HOST, "7");
	talk_say(talk, TALK_SECURITY, "CHAP_A=7\n"); /* another challenge? */
	talk_expect_failure(talk, 0x200, "twice");
	get_challenge(talk, LOCKED_HOST, "7");
	talk_say(talk, TALK_SECURITY, "AuthMethod=None\n");
	talk_expect_failure(talk, 0x200, "twice");
	get_challenge(talk, LOCKED_HOST, "7"); /* a second answer */
	answer_challenge(talk, &hashes[2], SECRET, false, value);
	say_response(talk, "0x1234", value, "");
	talk_say(talk, TALK_OPERATIONAL, "CHAP_N=0x1234\n");
	talk_expect_failure(talk, 0x200, "stage");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, talk_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_hash),
		TEST(test_strongest_hash_wins),
		TEST(test_weak_hashes_forbidden),
		TEST(test_proof_before_the_move),
		TEST(test_discovery_needs_the_same),
		TEST(test_mutual),
		TEST(test_mutual_refusals),
		TEST(test_reflection),
		TEST(test_challenge_too_long),
		TEST(test_wrong_answers),
		TEST(test_tries_are_limited),
		TEST(test_malformed_answers),
		TEST(test_keys_out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
