/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: the table, every rule at its bounds and beyond.
 */
#include "target/iscsi/keys.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* -- negotiation ------------------------------------------------------------- */

struct round {
	struct keys_state state;
	char text[4096];
	struct keys_offer offer;
	uint8_t answer[4096];
	struct keytext_out out;
	char reason[KEYS_REASON_BYTES];
};

static void begin(struct round *r)
{
	memset(r, 0, sizeof *r);
	keys_defaults(&r->state.agreed);
	keys_defaults(&r->state.ours);
	r->state.ours.header_digest = r->state.ours.data_digest = true;
	r->state.ours.initial_r2t = false;
	r->state.ours.max_burst_bytes = 1 << 20;
	r->state.ours.first_burst_bytes = 256 << 10;
	r->state.ours.max_outstanding_r2t = 16;
	r->state.ours.time2wait_s = r->state.ours.time2retain_s = 0;
	r->state.ours.protocol_level = 2;
}

/* `said` has '\n' for zero bytes; the answer is left so as well. */
static int say_in(struct round *r, enum keys_stage stage, const char *said)
{
	struct keytext text = {r->text, r->text + strlen(said)};
	int rc;

	assert_true(strlen(said) < sizeof r->text);
	for (size_t i = 0; said[i]; i++)
		r->text[i] = said[i];
	for (char *c = text.at; c < text.end; c++)
		*c = *c == '\n' ? 0 : *c;
	r->out =
		(struct keytext_out){r->answer, 0, sizeof r->answer - 1, false};
	rc = keys_collect(
		&r->state, stage, &text, &r->offer, &r->out, r->reason);
	if (rc == 0)
		rc = keys_answer(&r->state, &r->offer, &r->out, r->reason);
	for (uint32_t i = 0; i < r->out.bytes; i++)
		r->answer[i] = r->answer[i] ? r->answer[i] : '\n';
	r->answer[r->out.bytes] = 0;
	return rc;
}

static int say(struct round *r, const char *said)
{
	return say_in(r, KEYS_OPERATIONAL, said);
}

/* One key alone in a fresh negotiation. */
static void expect(const char *said, const char *answer)
{
	struct round r;

	begin(&r);
	assert_int_equal(say(&r, said), 0);
	assert_string_equal((char *)r.answer, answer);
}

static void test_table_is_whole(void **state)
{
	struct iscsi_params params;

	(void)state;
	for (enum keys_id id = 0; id < KEYS_COUNT; id++) {
		const struct keys_row *row = keys_row(id);

		assert_non_null(row->name);
		assert_true(strlen(row->name) <= KEYTEXT_KEY_BYTES);
		assert_true(row->stages || row->rule == KEYS_OURS);
		for (enum keys_id other = 0; other < id; other++)
			assert_string_not_equal(
				row->name, keys_row(other)->name);
	}
	keys_defaults(&params);
	assert_true(params.initial_r2t && params.immediate_data);
	assert_true(params.data_pdu_in_order && params.data_sequence_in_order);
	assert_false(params.header_digest || params.data_digest);
	assert_int_equal(params.max_receive_bytes, 8192);
	assert_int_equal(params.max_send_bytes, 8192);
	assert_int_equal(params.max_burst_bytes, 262144);
	assert_int_equal(params.first_burst_bytes, 65536);
	assert_int_equal(params.time2wait_s, 2);
	assert_int_equal(params.time2retain_s, 20);
	assert_int_equal(params.max_connections, 1);
	assert_int_equal(params.max_outstanding_r2t, 1);
	assert_int_equal(params.error_recovery_level, 0);
	assert_int_equal(params.protocol_level, 1);
}

/* Every number: its bounds are taken, one beyond is rejected and leaves the
 * default. */
static void test_numbers_at_their_bounds(void **state)
{
	(void)state;
	for (enum keys_id id = 0; id < KEYS_COUNT; id++) {
		const struct keys_row *row = keys_row(id);
		char said[80], owed[80];

		if (row->rule != KEYS_MIN && row->rule != KEYS_MAX)
			continue;
		snprintf(owed, sizeof owed, "%s=Reject\n", row->name);
		snprintf(said, sizeof said, "%s=%u\n", row->name, row->max + 1);
		expect(said, owed);
		snprintf(said, sizeof said, "%s=%d\n", row->name,
			(int)row->min - 1);
		expect(said, owed);
		snprintf(said, sizeof said, "%s=4294967297\n", row->name);
		expect(said, owed);
		snprintf(said, sizeof said, "%s=Yes\n", row->name);
		expect(said, owed);
		snprintf(said, sizeof said, "%s=%u\n", row->name, row->min);
		snprintf(owed, sizeof owed, "%s=%u\n", row->name, row->min);
		expect(said, owed);
	}
	expect("MaxBurstLength=16777215\n", "MaxBurstLength=1048576\n");
	expect("MaxBurstLength=0x1000\n", "MaxBurstLength=4096\n");
	expect("MaxOutstandingR2T=65535\n", "MaxOutstandingR2T=16\n");
	expect("MaxConnections=65535\n", "MaxConnections=1\n");
	expect("ErrorRecoveryLevel=2\n", "ErrorRecoveryLevel=0\n");
	expect("DefaultTime2Wait=3600\n", "DefaultTime2Wait=3600\n");
	expect("DefaultTime2Retain=3600\n", "DefaultTime2Retain=0\n");
	expect("iSCSIProtocolLevel=31\n", "iSCSIProtocolLevel=2\n");
	expect("iSCSIProtocolLevel=1\n", "iSCSIProtocolLevel=1\n");
}

static void test_booleans(void **state)
{
	struct round r;

	(void)state;
	expect("InitialR2T=No\n", "InitialR2T=No\n");
	expect("InitialR2T=Yes\n", "InitialR2T=Yes\n");
	expect("ImmediateData=Yes\n", "ImmediateData=Yes\n");
	expect("ImmediateData=No\n", "ImmediateData=No\n");
	expect("DataPDUInOrder=No\n", "DataPDUInOrder=Yes\n");
	expect("DataSequenceInOrder=No\n", "DataSequenceInOrder=Yes\n");
	expect("InitialR2T=yes\n", "InitialR2T=Reject\n");
	expect("InitialR2T=\n", "InitialR2T=Reject\n");
	expect("ImmediateData=Yes,No\n", "ImmediateData=Reject\n");

	begin(&r);
	r.state.ours.initial_r2t = true;
	r.state.ours.immediate_data = false;
	assert_int_equal(say(&r, "InitialR2T=No\nImmediateData=Yes\n"), 0);
	assert_string_equal(
		(char *)r.answer, "InitialR2T=Yes\nImmediateData=No\n");
	assert_true(r.state.agreed.initial_r2t);
	assert_false(r.state.agreed.immediate_data);
}

static void test_lists_take_the_first_that_we_know(void **state)
{
	struct round r;

	(void)state;
	expect("HeaderDigest=None\n", "HeaderDigest=None\n");
	expect("HeaderDigest=CRC32C\n", "HeaderDigest=CRC32C\n");
	expect("HeaderDigest=CRC32C,None\n", "HeaderDigest=CRC32C\n");
	expect("HeaderDigest=None,CRC32C\n", "HeaderDigest=None\n");
	expect("DataDigest=X-foo,CRC-64,CRC32C\n", "DataDigest=CRC32C\n");
	expect("DataDigest=crc32c\n", "DataDigest=Reject\n");
	expect("DataDigest=\n", "DataDigest=Reject\n");
	expect("TaskReporting=FastAbort,ResponseFence\n",
		"TaskReporting=ResponseFence\n");
	expect("TaskReporting=FastAbort\n", "TaskReporting=Reject\n");
	expect("TaskReporting=RFC3720\n", "TaskReporting=RFC3720\n");
	begin(&r);
	assert_int_equal(say(&r, "HeaderDigest=CRC32C\nDataDigest=None\n"), 0);
	assert_true(r.state.agreed.header_digest);
	assert_false(r.state.agreed.data_digest);
}

/* 13.25: never NotUnderstood. */
static void test_obsolete_keys(void **state)
{
	(void)state;
	expect("IFMarker=Yes\nOFMarker=No\n", "IFMarker=No\nOFMarker=No\n");
	expect("IFMarkInt=2048~8192\nOFMarkInt=2048\n",
		"IFMarkInt=Reject\nOFMarkInt=Reject\n");
}

static void test_first_burst_stays_below_max_burst(void **state)
{
	struct round r;

	(void)state;
	/* whatever their order in the text */
	expect("FirstBurstLength=65536\nMaxBurstLength=16384\n",
		"MaxBurstLength=16384\nFirstBurstLength=16384\n");
	expect("FirstBurstLength=16777215\n", "FirstBurstLength=262144\n");
	/* 13.14: irrelevant with these two */
	begin(&r);
	assert_int_equal(say(&r,
				 "FirstBurstLength=1024\nInitialR2T=Yes\n"
				 "ImmediateData=No\n"),
		0);
	assert_non_null(
		strstr((char *)r.answer, "FirstBurstLength=Irrelevant\n"));
	assert_int_equal(r.state.agreed.first_burst_bytes, 65536);
}

static void test_what_discovery_does_not_need(void **state)
{
	struct round r;

	(void)state;
	begin(&r);
	r.state.discovery = true;
	assert_int_equal(say(&r,
				 "MaxConnections=8\nMaxBurstLength=1024\n"
				 "HeaderDigest=CRC32C\n"
				 "DefaultTime2Wait=3\n"),
		0);
	assert_string_equal((char *)r.answer,
		"HeaderDigest=CRC32C\nDefaultTime2Wait=3\n"
		"MaxConnections=Irrelevant\nMaxBurstLength=Irrelevant\n");
	assert_int_equal(r.state.agreed.max_burst_bytes, 262144);
}

static void test_declared_segment_length(void **state)
{
	static const char *const bad[] = {
		"511", "16777216", "0", "many", "", "8192,4096"};
	struct round r;

	(void)state;
	begin(&r);
	assert_int_equal(say(&r, "MaxRecvDataSegmentLength=16777215\n"), 0);
	assert_string_equal((char *)r.answer, ""); /* a declaration */
	assert_int_equal(r.state.agreed.max_send_bytes, 16777215);
	assert_int_equal(r.state.agreed.max_receive_bytes, 8192);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char said[64];

		snprintf(said, sizeof said, "MaxRecvDataSegmentLength=%s\n",
			bad[i]);
		begin(&r);
		assert_int_equal(say(&r, said), -EPROTO);
		assert_non_null(strstr(r.reason, "range"));
	}
}

static void test_not_understood(void **state)
{
	expect("X-com.example.thing=1\nX#Thing=2\nFoo=bar\n",
		"X-com.example.thing=NotUnderstood\nX#Thing=NotUnderstood\n"
		"Foo=NotUnderstood\n");
	/* keys are case-sensitive */
	expect("initialr2t=No\n", "initialr2t=NotUnderstood\n");
	/* no answer to an answer */
	expect("X-a=NotUnderstood\nX-b=Reject\nX-c=Irrelevant\n", "");
	expect("TargetAlias=NotUnderstood\nTargetPortalGroupTag=Reject\n", "");
	(void)state;
}

static void test_twice_is_an_error(void **state)
{
	static const char *const twice[] = {
		"InitialR2T=No\nInitialR2T=No\n",
		"MaxBurstLength=512\nHeaderDigest=None\nMaxBurstLength=1024\n",
		"InitiatorName=iqn.a\nInitiatorName=iqn.a\n",
		"IFMarker=No\nIFMarker=No\n",
		"MaxRecvDataSegmentLength=512\nMaxRecvDataSegmentLength=512\n",
	};
	struct round r;

	(void)state;
	for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
		begin(&r);
		assert_int_equal(say(&r, twice[i]), -EPROTO);
		assert_non_null(strstr(r.reason, "twice"));
	}
	begin(&r); /* also in another text */
	assert_int_equal(say(&r, "InitialR2T=No\n"), 0);
	assert_int_equal(say(&r, "InitialR2T=No\n"), -EPROTO);
	begin(&r); /* but names may be said again: login compares them */
	assert_int_equal(say(&r, "InitiatorName=iqn.a\n"), 0);
	assert_int_equal(say(&r, "InitiatorName=iqn.a\n"), 0);
}

static void test_wrong_stage(void **state)
{
	static const struct {
		enum keys_stage stage;
		const char *said, *reason;
	} bad[] = {
		{KEYS_SECURITY, "HeaderDigest=None\n", "stage"},
		{KEYS_SECURITY, "MaxBurstLength=512\n", "stage"},
		{KEYS_SECURITY, "SendTargets=All\n", "stage"},
		{KEYS_OPERATIONAL, "AuthMethod=None\n", "stage"},
		{KEYS_OPERATIONAL, "CHAP_A=5\n", "stage"},
		{KEYS_OPERATIONAL, "SendTargets=All\n", "stage"},
		{KEYS_OPERATIONAL, "TargetAlias=mine\n", "only a target"},
		{KEYS_SECURITY, "TargetPortalGroupTag=1\n", "only a target"},
		{KEYS_SECURITY, "TargetAddress=a\n", "only a target"},
	};
	struct round r;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		begin(&r);
		assert_int_equal(
			say_in(&r, bad[i].stage, bad[i].said), -EPROTO);
		assert_non_null(strstr(r.reason, bad[i].reason));
	}
	begin(&r); /* in full feature phase it is the key that is rejected */
	assert_int_equal(
		say_in(&r, KEYS_FULL,
			"HeaderDigest=None\nMaxRecvDataSegmentLength=512\n"
			"TargetAlias=a\n"),
		0);
	assert_string_equal(
		(char *)r.answer, "HeaderDigest=Reject\nTargetAlias=Reject\n");
	assert_int_equal(r.state.agreed.max_send_bytes, 512);
}

static void test_long_values(void **state)
{
	static const struct {
		const char *key;
		enum keys_stage stage;
		unsigned longest;
	} cases[] = {
		{"InitiatorAlias", KEYS_SECURITY, 255},
		{"InitiatorName", KEYS_SECURITY, 223},
		{"TargetName", KEYS_SECURITY, 223},
		{"CHAP_N", KEYS_SECURITY, 255},
		{"CHAP_R", KEYS_SECURITY, 255},
		{"CHAP_C", KEYS_SECURITY, 2050},
		{"HeaderDigest", KEYS_OPERATIONAL, 255},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned more = 0; more < 2; more++) {
			struct round r;
			char said[2200];
			int head = snprintf(
				said, sizeof said, "%s=", cases[i].key);

			memset(said + head, 'a', cases[i].longest + more);
			strcpy(said + head + cases[i].longest + more, "\n");
			begin(&r);
			assert_int_equal(say_in(&r, cases[i].stage, said),
				more ? -EPROTO : 0);
		}
}

static void test_reasons_escape_what_the_host_sent(void **state)
{
	struct round r;

	(void)state;
	begin(&r);
	assert_int_equal(
		say(&r, "MaxRecvDataSegmentLength=\x1b[2Jgone\n"), -EPROTO);
	assert_null(strchr(r.reason, 0x1b));
	assert_non_null(strstr(r.reason, "gone"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_whole),
		cmocka_unit_test(test_numbers_at_their_bounds),
		cmocka_unit_test(test_booleans),
		cmocka_unit_test(test_lists_take_the_first_that_we_know),
		cmocka_unit_test(test_obsolete_keys),
		cmocka_unit_test(test_first_burst_stays_below_max_burst),
		cmocka_unit_test(test_what_discovery_does_not_need),
		cmocka_unit_test(test_declared_segment_length),
		cmocka_unit_test(test_not_understood),
		cmocka_unit_test(test_twice_is_an_error),
		cmocka_unit_test(test_wrong_stage),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_reasons_escape_what_the_host_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
