/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in full feature phase: negotiation, and what is rejected.
 */
#include "tests/lib/asking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* -- negotiation ----------------------------------------------------------- */

static void test_segment_length_declared_anew(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	asking_ask(q, "MaxRecvDataSegmentLength=65536\n");
	assert_true(q->answer.params_changed);
	assert_int_equal(q->params.max_send_bytes, 65536);
	assert_string_equal(q->said, "");
	asking_ask(q, "X-a=1\n");
	assert_false(q->answer.params_changed);
	/* not final yet: not in force yet */
	asking_step(q, 0, "MaxRecvDataSegmentLength=4096\n");
	assert_false(q->answer.final || q->answer.continued);
	assert_int_equal(q->params.max_send_bytes, 65536);
	asking_step(q, PDU_FINAL, "");
	assert_true(q->answer.params_changed);
	assert_int_equal(q->params.max_send_bytes, 4096);
}

static void test_keys_that_have_no_place_here(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	asking_ask(q,
		"HeaderDigest=CRC32C\nMaxBurstLength=512\nInitiatorName=a\n"
		"IFMarker=No\nX-com.example=1\nTargetAlias=a\nCHAP_A=5\n"
		"InitiatorAlias=new name\n");
	assert_string_equal(q->said,
		"HeaderDigest=Reject\nMaxBurstLength=Reject\n"
		"InitiatorName=Reject\nIFMarker=Reject\n"
		"X-com.example=NotUnderstood\nTargetAlias=Reject\n"
		"CHAP_A=Reject\n");
	assert_false(q->params.header_digest);
	assert_int_equal(q->params.max_burst_bytes, 262144);
}

static void test_continued_request(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	asking_step(q, PDU_CONTINUE, "SendTar");
	assert_false(q->answer.final || q->answer.continued);
	assert_int_equal(q->answer.text_bytes, 0);
	asking_step(q, PDU_CONTINUE, "gets=" ASKING_B);
	asking_step(q, PDU_FINAL, "\n");
	assert_true(q->answer.final);
	assert_string_equal(q->said, LIST_B);
}

static void test_empty_request(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	assert_int_equal(asking_ask(q, ""), 1);
	assert_string_equal(q->said, "");
}

/* -- rejected -------------------------------------------------------------- */

static void test_rejected(void **state)
{
	static const struct {
		uint8_t flags;
		const char *text;
	} cases[] = {
		{PDU_FINAL | PDU_CONTINUE, "X-a=1\n"},
		{PDU_FINAL, "SendTargets=All"},
		{PDU_FINAL, "SendTargets\n"},
		{PDU_FINAL, "=All\n"},
		{PDU_FINAL, "SendTargets=All\nSendTargets=All\n"},
		{PDU_FINAL, "MaxRecvDataSegmentLength=511\n"},
		{PDU_FINAL, "X-a=1\nMaxRecvDataSegmentLength=0x1000000\n"},
	};
	struct asking *q = *state;

	asking_discover(q);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		asking_step(q, cases[i].flags, cases[i].text);
		asking_expect_rejected(q, PDU_REJECT_PROTOCOL);
		assert_int_equal(q->answer.text_bytes, 0);
		assert_int_equal(q->params.max_send_bytes, 8192);
	}
	/* nothing of it stays */
	asking_ask(q, "SendTargets=" ASKING_B "\n");
	assert_string_equal(q->said, LIST_B);
}

static void test_wrong_tags(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	pdu_put_transfer_tag(q->header, 1); /* there is none */
	asking_step(q, PDU_FINAL, "SendTargets=All\n");
	asking_expect_rejected(q, PDU_REJECT_FIELD);
	pdu_put_transfer_tag(q->header, 0);
	asking_step(q, PDU_FINAL, "");
	asking_expect_rejected(q, PDU_REJECT_FIELD);
	asking_step(q, 0, "X-a=1\n");
	pdu_put_transfer_tag(q->header, q->answer.transfer_tag + 1);
	asking_step(q, PDU_FINAL, "");
	asking_expect_rejected(q, PDU_REJECT_FIELD);
}

/* A request without a tag forgets the negotiation under way (11.10.4). */
static void test_reset(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	asking_step(q, 0, "MaxRecvDataSegmentLength=4096\n");
	pdu_put_transfer_tag(q->header, PDU_NO_TAG);
	asking_ask(q, "X-a=1\n");
	assert_false(q->answer.params_changed);
	assert_int_equal(q->params.max_send_bytes, 8192);
}

static void test_talking_while_we_talk(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	q->limit = 200; /* smaller than a host can ask for */
	asking_step(q, PDU_FINAL, "SendTargets=All\n");
	assert_true(q->answer.continued);
	asking_step(q, PDU_FINAL, "X-a=1\n");
	asking_expect_rejected(q, PDU_REJECT_PROTOCOL);
	assert_int_equal(atomic_load(&q->talk.table->references), 1);
}

static void test_text_is_bounded(void **state)
{
	struct asking *q = *state;
	char piece[4097];

	memset(piece, 'a', 4096);
	piece[4096] = 0;
	asking_discover(q);
	for (unsigned i = 0; i < 4; i++) {
		asking_step(q, PDU_CONTINUE, piece);
		asking_expect_rejected(q, 0);
	}
	asking_step(q, PDU_CONTINUE, "a");
	asking_expect_rejected(q, PDU_REJECT_PROTOCOL);
}

static void test_answers_are_bounded(void **state)
{
	struct asking *q = *state;
	char text[4097] = "";

	for (unsigned i = 0; i < 1024; i++)
		memcpy(text + 4 * i, "K=v\n", 4);
	asking_discover(q);
	asking_step(q, PDU_FINAL, text);
	asking_expect_rejected(q, PDU_REJECT_RESOURCES);
	/* what fits comes in pieces as well */
	q->limit = 512;
	text[4 * 500] = 0;
	assert_int_equal(asking_ask(q, text), (500 * 16 + 511) / 512);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, asking_setup, asking_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_segment_length_declared_anew),
		TEST(test_keys_that_have_no_place_here),
		TEST(test_continued_request),
		TEST(test_empty_request),
		TEST(test_rejected),
		TEST(test_wrong_tags),
		TEST(test_reset),
		TEST(test_talking_while_we_talk),
		TEST(test_text_is_bounded),
		TEST(test_answers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
