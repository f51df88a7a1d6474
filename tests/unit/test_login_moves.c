/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login: every move between stages, headers and texts that break the rules.
 */
#include "tests/lib/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* -- stages and moves ------------------------------------------------------ */

/* Byte 1 of the first request, all 256: RFC 7143 11.12.1 to 11.12.3. */
static void test_every_first_move(void **state)
{
	struct talk *talk = *state;

	for (unsigned flags = 0; flags < 256; flags++) {
		unsigned stage = flags >> 2 & 3, next = flags & 3;
		bool t = flags & TALK_T, c = flags & TALK_C;
		bool legal = stage < 2 && !(t && c) &&
			(!t || (next != 2 && next > stage));

		talk_again(talk);
		talk_say(talk, (uint8_t)flags, TALK_NAMES);
		if (!legal)
			talk_expect_failure(talk, 0x200, "move");
		else
			assert_int_equal(talk->verdict,
				t && next == 3 ? ISCSI_LOGIN_READY
					       : ISCSI_LOGIN_CONTINUE);
	}
}

static void test_stage_must_be_ours(void **state)
{
	struct talk *talk = *state;

	talk_say(talk, TALK_SECURITY, TALK_NAMES);
	talk_say(talk, TALK_OPERATIONAL, "");
	talk_expect_failure(talk, 0x200, "stage 1 in stage 0");
	talk_again(talk);
	talk_say(talk, TALK_TO_OPERATIONAL, TALK_NAMES);
	talk_say(talk, TALK_TO_OPERATIONAL, "");
	talk_expect_failure(talk, 0x200, "stage 0 in stage 1");
	talk_again(talk);
	talk_say(talk, TALK_OPERATIONAL, TALK_NAMES);
	talk_say(talk, TALK_SECURITY, "AuthMethod=None\n");
	talk_expect_failure(talk, 0x200, "stage 0 in stage 1");
}

static void test_header_stays_the_same(void **state)
{
	static const unsigned offsets[] = {8, 13, 14, 15, 20, 21};
	struct talk *talk = *state;

	for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
		talk_again(talk);
		talk_say(talk, TALK_SECURITY, TALK_NAMES);
		talk->header[offsets[i]] ^= 1;
		talk_say(talk, TALK_SECURITY, "");
		talk_expect_failure(talk, 0x200, "changed");
	}
}

static void test_versions(void **state)
{
	struct talk *talk = *state;

	talk->header[2] = 0xff; /* Version-max: we answer with 0 */
	assert_int_equal(talk_say(talk, TALK_SECURITY, TALK_NAMES),
		ISCSI_LOGIN_CONTINUE);
	talk_again(talk);
	talk->header[2] = 2;
	talk->header[3] = 1; /* Version-min */
	talk_say(talk, TALK_SECURITY, TALK_NAMES);
	talk_expect_failure(talk, 0x205, "version 1");
}

static void test_other_pdus(void **state)
{
	struct talk *talk = *state;

	talk->header[0] = 0x01; /* a SCSI Command before everything */
	assert_int_equal(talk_say(talk, TALK_SECURITY, ""), ISCSI_LOGIN_DROP);
	talk_again(talk);
	talk_say(talk, TALK_SECURITY, TALK_NAMES);
	talk->header[0] = 0x44; /* a Text Request amid it */
	talk_say(talk, TALK_T, "SendTargets=All\n");
	talk_expect_failure(talk, 0x20b, "0x04");
	talk_again(talk);
	talk->header[0] = 0x03; /* not immediate */
	talk_say(talk, TALK_SECURITY, TALK_NAMES);
	talk_expect_failure(talk, 0x200, "immediate");
	talk_again(talk);
	talk->header[4] = 1; /* an AHS */
	talk_say(talk, TALK_SECURITY, TALK_NAMES);
	talk_expect_failure(talk, 0x200, "AHS");
}

/* -- texts ----------------------------------------------------------------- */

static void test_continued_text(void **state)
{
	struct talk *talk = *state;

	/* a pair may be cut anywhere */
	assert_int_equal(
		talk_say(talk, TALK_C, "Initiator"), ISCSI_LOGIN_CONTINUE);
	assert_int_equal(talk->answer.flags, 0);
	assert_int_equal(talk->answer.text_bytes, 0);
	talk_say(talk, TALK_C, "Name=" TALK_HOST "\nTarget");
	assert_int_equal(talk->answer.text_bytes, 0);
	talk_say(talk, TALK_C, "");
	assert_int_equal(
		talk_say(talk, TALK_TO_OPERATIONAL, "Name=" TALK_TARGET "\n"),
		ISCSI_LOGIN_CONTINUE);
	talk_expect(talk, "TargetPortalGroupTag", "7");
	/* the next text begins anew */
	assert_int_equal(talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
				 "InitialR2T=No\n"),
		ISCSI_LOGIN_READY);
}

static void test_continued_text_is_bounded(void **state)
{
	struct talk *talk = *state;
	char piece[8192];

	memset(piece, 'a', sizeof piece);
	talk_say_bytes(talk, TALK_C, piece, sizeof piece);
	talk_say_bytes(talk, TALK_C, piece, sizeof piece);
	assert_int_equal(talk->verdict, ISCSI_LOGIN_CONTINUE);
	talk_say_bytes(talk, TALK_C, piece, 1);
	talk_expect_failure(talk, 0x200, "16384");
}

static void test_endless_login_is_bounded(void **state)
{
	struct talk *talk = *state;
	unsigned requests = 1;

	talk_say(talk, TALK_SECURITY, TALK_NAMES);
	while (talk->verdict == ISCSI_LOGIN_CONTINUE && requests++ < 1000)
		talk_say(talk, requests % 2 ? TALK_SECURITY : TALK_C, "");
	talk_expect_failure(talk, 0x200, "more than 64 requests");
}

static void test_too_many_keys_for_an_answer(void **state)
{
	struct talk *talk = *state;
	char text[8192] = TALK_NAMES;
	uint32_t bytes = (uint32_t)strlen(text);

	for (uint32_t i = 0; i < bytes; i++)
		text[i] = text[i] == '\n' ? 0 : text[i];
	for (; bytes + 4 <= sizeof text; bytes += 4)
		memcpy(text + bytes, "K=v", 4);
	talk_say_bytes(talk, TALK_SECURITY, text, bytes);
	talk_expect_failure(talk, 0x200, "do not fit");
}

static void test_malformed_texts(void **state)
{
	static const struct talk_refusal cases[] = {
		{"InitiatorName=" TALK_HOST, 0x200, "zero byte"},
		{"InitiatorName\n", 0x200, "'='"},
		{TALK_NAMES "=x\n", 0x200, "empty key"},
		{TALK_NAMES "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			    "aaaaa"
			    "a"
			    "aaaaaaaa=x\n",
			0x200, "63"},
		{TALK_NAMES "InitiatorName=" TALK_HOST "\n", 0x200, "twice"},
		{TALK_NAMES "HeaderDigest=None\n", 0x200, "stage"},
		{TALK_NAMES "TargetAlias=x\n", 0x200, "only a target"},
		{TALK_NAMES "MaxRecvDataSegmentLength=1\n", 0x200, "range"},
	};

	talk_expect_refusals(*state, cases, sizeof cases / sizeof *cases);
}

static void test_who_cannot_change(void **state)
{
	static const struct talk_refusal cases[] = {
		{"InitiatorName=iqn.1994-05.com.redhat:other\n", 0x200,
			"began with"},
		{"TargetName=iqn.2026-11.example.cairn:others\n", 0x200,
			"began with"},
		{"SessionType=Discovery\n", 0x200, "began with"},
		{"SessionType=Strange\n", 0x209, "Strange"},
	};
	struct talk *talk = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		talk_again(talk);
		talk_say(talk, TALK_TO_OPERATIONAL, TALK_NAMES);
		talk_say(talk, TALK_OPERATIONAL, cases[i].text);
		talk_expect_failure(talk, cases[i].status, cases[i].reason);
	}
	talk_again(talk);
	talk_say(talk, TALK_SECURITY,
		"InitiatorName=" TALK_HOST "\nSessionType=Discovery\n");
	talk_say(talk, TALK_SECURITY, "SessionType=Normal\n");
	talk_expect_failure(talk, 0x200, "began with");
}

static void test_alias_is_escaped(void **state)
{
	struct talk *talk = *state;

	talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
		TALK_NAMES "InitiatorAlias=a\x1b[31m\xff\n");
	assert_string_equal(talk->result.initiator_alias, "a\\x1b[31m\\xff");
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, talk_setup, talk_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_first_move),
		TEST(test_stage_must_be_ours),
		TEST(test_header_stays_the_same),
		TEST(test_versions),
		TEST(test_other_pdus),
		TEST(test_continued_text),
		TEST(test_continued_text_is_bounded),
		TEST(test_endless_login_is_bounded),
		TEST(test_too_many_keys_for_an_answer),
		TEST(test_malformed_texts),
		TEST(test_who_cannot_change),
		TEST(test_alias_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
