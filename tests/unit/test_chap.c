/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHAP: the hashes against published and independent answers, and the choice
 * among them.
 */
#include "target/iscsi/chap.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* -- hashes ---------------------------------------------------------------- */

static void expect_response(enum chap_algorithm algorithm, uint8_t id,
	const char *secret, const void *challenge, size_t bytes,
	const char *owed_hex)
{
	uint8_t response[CHAP_DIGEST_BYTES];
	char hex[2 * CHAP_DIGEST_BYTES + 1] = "";
	size_t length =
		chap_respond(algorithm, id, secret, challenge, bytes, response);

	for (size_t i = 0; i < length; i++)
		sprintf(hex + 2 * i, "%02x", response[i]);
	assert_string_equal(hex, owed_hex);
}

/* hash("abc") of RFC 1321 A.5, FIPS 180-4 and FIPS 202, cut into an identifier
 * 'a', a secret "b" and a challenge "c". */
static void test_published_answers(void **state)
{
	(void)state;
	expect_response(
		CHAP_MD5, 'a', "b", "c", 1, "900150983cd24fb0d6963f7d28e17f72");
	expect_response(CHAP_SHA1, 'a', "b", "c", 1,
		"a9993e364706816aba3e25717850c26c9cd0d89d");
	expect_response(CHAP_SHA256, 'a', "b", "c", 1,
		"ba7816bf8f01cfea414140de5dae2223"
		"b00361a396177a9cb410ff61f20015ad");
	expect_response(CHAP_SHA3_256, 'a', "b", "c", 1,
		"3a985da74fe225b2045c172d6bd390bd"
		"855f086e3e9d525b46bfe24511431532");
}

/* printf '\x27a secret of sixteen\x00\x01 ... \x0f' | openssl dgst -HASH
 * with HASH md5, sha1, sha256, sha3-256 */
static void test_independent_answers(void **state)
{
	static const uint8_t challenge[16] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	static const char secret[] = "a secret of sixteen";

	(void)state;
	expect_response(CHAP_MD5, 0x27, secret, challenge, 16,
		"97b9916e0ba5145fef9141e0412e5d25");
	expect_response(CHAP_SHA1, 0x27, secret, challenge, 16,
		"fa69e79dc8f9cb7ec195ecca9d177cde908175c6");
	expect_response(CHAP_SHA256, 0x27, secret, challenge, 16,
		"28441db5adb2c15d8f2daac85831d09b"
		"4297ac97cbde157ba866df09af5719e5");
	expect_response(CHAP_SHA3_256, 0x27, secret, challenge, 16,
		"93d9d5cb1cac6bc8c2b560823dbf467f"
		"97999f4c0f137a646f6b81f41a119860");
}

static void test_choice(void **state)
{
	static const struct {
		const char *list;
		enum chap_algorithm all, strong;
	} cases[] = {
		{"5", CHAP_MD5, CHAP_NONE},
		{"6", CHAP_SHA1, CHAP_NONE},
		{"7", CHAP_SHA256, CHAP_SHA256},
		{"8", CHAP_SHA3_256, CHAP_SHA3_256},
		{"5,6", CHAP_SHA1, CHAP_NONE},
		{"6,5", CHAP_SHA1, CHAP_NONE},
		{"5,6,7,8", CHAP_SHA3_256, CHAP_SHA3_256},
		{"8,7,6,5", CHAP_SHA3_256, CHAP_SHA3_256},
		{"7,5", CHAP_SHA256, CHAP_SHA256},
		{"0x7", CHAP_SHA256, CHAP_SHA256},
		{"", CHAP_NONE, CHAP_NONE},
		{"0", CHAP_NONE, CHAP_NONE},
		{"4", CHAP_NONE, CHAP_NONE},
		{"9", CHAP_NONE, CHAP_NONE},
		{"4294967301", CHAP_NONE, CHAP_NONE},
		{"5 ,7", CHAP_SHA256, CHAP_SHA256},
		{"SHA-256", CHAP_NONE, CHAP_NONE},
		{"9,,x,5", CHAP_MD5, CHAP_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(
			chap_choose(cases[i].list, true), cases[i].all);
		assert_int_equal(
			chap_choose(cases[i].list, false), cases[i].strong);
	}
}

/* As under FIPS, where a hash is not there: not chosen, and no answer fits. */
static void test_hash_that_openssl_does_not_have(void **state)
{
	struct chap_challenge challenge = {.algorithm = CHAP_MD5, .bytes = 16};
	uint8_t response[CHAP_DIGEST_BYTES];

	(void)state;
	assert_true(EVP_set_default_properties(NULL, "provider=absent"));
	assert_int_equal(chap_choose("5,6,7,8", true), CHAP_NONE);
	assert_int_equal(
		chap_respond(CHAP_MD5, 1, "s", response, 1, response), 0);
	assert_false(chap_check(&challenge, "s", response, 0));
	assert_true(EVP_set_default_properties(NULL, ""));
	assert_int_equal(chap_choose("5", true), CHAP_MD5);
}

static void test_challenges_differ(void **state)
{
	struct chap_challenge a, b;

	(void)state;
	assert_true(chap_challenge(&a, CHAP_SHA256));
	assert_true(chap_challenge(&b, CHAP_SHA256));
	assert_int_equal(a.bytes, 32);
	assert_memory_not_equal(a.value, b.value, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_answers),
		cmocka_unit_test(test_independent_answers),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_hash_that_openssl_does_not_have),
		cmocka_unit_test(test_challenges_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
