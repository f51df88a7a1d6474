/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login: what real hosts send, who is let in and who is not.
 */
#include "tests/lib/talk.h"

#include "blockcore/base/bytes.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* -- what real hosts send -------------------------------------------------- */

/* The kernel's initiator with open-iscsi: both stages, no authentication. */
static void test_linux(void **state)
{
	struct talk *talk = *state;

	assert_int_equal(
		talk_say(talk, TALK_TO_OPERATIONAL,
			TALK_NAMES
			"InitiatorAlias=web1.example\nSessionType=Normal\n"
			"AuthMethod=None\n"),
		ISCSI_LOGIN_CONTINUE);
	assert_int_equal(talk->answer.flags, TALK_TO_OPERATIONAL);
	assert_int_equal(talk_status(talk), 0);
	talk_expect(talk, "AuthMethod", "None");
	talk_expect(talk, "TargetPortalGroupTag", "7");
	talk_expect(talk, "TargetAlias", "the database");
	/* open-iscsi fails on any other key in this stage */
	assert_int_equal(talk_pairs(talk), 3);

	assert_int_equal(
		talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
			"HeaderDigest=None\nDataDigest=None\nDefaultTime2Wait="
			"2\n"
			"DefaultTime2Retain=0\nIFMarker=No\nOFMarker=No\n"
			"ErrorRecoveryLevel=0\nInitialR2T=No\nImmediateData="
			"Yes\n"
			"MaxBurstLength=16776192\nFirstBurstLength=262144\n"
			"MaxOutstandingR2T=1\nMaxConnections=1\nDataPDUInOrder="
			"Yes\n"
			"DataSequenceInOrder=Yes\nMaxRecvDataSegmentLength="
			"262144\n"),
		ISCSI_LOGIN_READY);
	assert_int_equal(talk->answer.flags, TALK_TO_FULL | TALK_OPERATIONAL);
	talk_expect(talk, "MaxRecvDataSegmentLength", "262144");
	talk_expect(talk, "MaxBurstLength", "1048576");
	talk_expect(talk, "FirstBurstLength", "262144");
	talk_expect(talk, "MaxOutstandingR2T", "1");
	talk_expect(talk, "InitialR2T", "No");
	talk_expect(talk, "IFMarker", "No");
	talk_expect(talk, "TargetPortalGroupTag", NULL); /* once */
	talk_expect(talk, "TargetAlias", NULL);
	assert_int_equal(talk_pairs(talk), 16);

	assert_string_equal(talk->result.initiator, TALK_HOST);
	assert_string_equal(talk->result.initiator_alias, "web1.example");
	assert_ptr_equal(talk->result.target, talk->table->target[0]);
	assert_ptr_equal(talk->result.host, talk->table->host[0]);
	assert_false(talk->result.discovery);
	assert_string_equal(talk->result.chap, "");
	assert_int_equal(talk->result.params.max_send_bytes, 262144);
	assert_int_equal(talk->result.params.max_receive_bytes, 262144);
	assert_int_equal(talk->result.params.max_burst_bytes, 1 << 20);
	assert_false(talk->result.params.initial_r2t);
	assert_true(talk->result.params.immediate_data);
}

/* libiscsi repeats names and SessionType in the operational stage. */
static void test_libiscsi(void **state)
{
	struct talk *talk = *state;

	talk_say(talk, TALK_TO_OPERATIONAL,
		TALK_NAMES "SessionType=Normal\nAuthMethod=CHAP,None\n");
	talk_expect(talk, "AuthMethod", "None");
	assert_int_equal(
		talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
			TALK_NAMES
			"SessionType=Normal\nHeaderDigest=None,CRC32C\n"
			"DataDigest=None\nInitialR2T=No\nImmediateData=Yes\n"
			"MaxBurstLength=262144\nFirstBurstLength=262144\n"
			"DefaultTime2Wait=2\nDefaultTime2Retain=0\n"
			"MaxOutstandingR2T=1\nErrorRecoveryLevel=0\nIFMarker="
			"No\n"
			"OFMarker=No\nMaxConnections=1\n"
			"MaxRecvDataSegmentLength=262144\nDataPDUInOrder=Yes\n"
			"DataSequenceInOrder=Yes\n"),
		ISCSI_LOGIN_READY);
	talk_expect(talk, "InitiatorName", NULL);
	talk_expect(talk, "HeaderDigest", "None");
}

/* Hosts without secrets may begin with the operational stage. */
static void test_operational_stage_at_once(void **state)
{
	struct talk *talk = *state;

	assert_int_equal(
		talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
			TALK_NAMES
			"SessionType=Normal\nHeaderDigest=CRC32C,None\n"
			"DataDigest=CRC32C\n"),
		ISCSI_LOGIN_READY);
	talk_expect(talk, "TargetPortalGroupTag", "7");
	talk_expect(talk, "MaxRecvDataSegmentLength", "262144");
	talk_expect(talk, "HeaderDigest", "CRC32C");
	assert_true(talk->result.params.header_digest);
	assert_true(talk->result.params.data_digest);
	assert_true(talk->result.params.initial_r2t); /* not offered */
	assert_int_equal(talk->result.params.max_send_bytes, 8192);
}

/* open-iscsi's discovery with defaults: security stage, then all at once. */
static void test_discovery_skips_the_operational_stage(void **state)
{
	struct talk *talk = *state;

	assert_int_equal(
		talk_say(talk, TALK_TO_FULL,
			"InitiatorName=" TALK_HOST "\nSessionType=Discovery\n"
			"AuthMethod=None\n"),
		ISCSI_LOGIN_READY);
	assert_int_equal(talk->answer.flags, TALK_TO_FULL);
	talk_expect(talk, "TargetPortalGroupTag", NULL);
	talk_expect(talk, "MaxRecvDataSegmentLength", NULL);
	assert_true(talk->result.discovery);
	assert_null(talk->result.target);
	assert_ptr_equal(talk->result.host, talk->table->host[0]);
	assert_int_equal(talk->result.params.max_receive_bytes, 8192);
}

static void test_names_are_folded(void **state)
{
	struct talk *talk = *state;

	assert_int_equal(talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
				 "InitiatorName=IQN.1994-05.com.RedHat:WEB1\n"
				 "TargetName=iqn.2026-11.EXAMPLE.cairn:DB01\n"),
		ISCSI_LOGIN_READY);
	assert_string_equal(talk->result.initiator, TALK_HOST);
}

/* A host that goes step by step, with empty requests between. */
static void test_slow_host(void **state)
{
	struct talk *talk = *state;

	assert_int_equal(talk_say(talk, TALK_SECURITY, TALK_NAMES),
		ISCSI_LOGIN_CONTINUE);
	assert_int_equal(talk->answer.flags, TALK_SECURITY);
	talk_expect(talk, "TargetPortalGroupTag", "7");
	talk_say(talk, TALK_SECURITY, "AuthMethod=None\n");
	talk_say(talk, TALK_SECURITY, "");
	assert_int_equal(talk_pairs(talk), 0);
	assert_int_equal(
		talk_say(talk, TALK_TO_OPERATIONAL, ""), ISCSI_LOGIN_CONTINUE);
	assert_int_equal(talk->answer.flags, TALK_TO_OPERATIONAL);
	assert_int_equal(talk_say(talk, TALK_OPERATIONAL, "InitialR2T=No\n"),
		ISCSI_LOGIN_CONTINUE);
	assert_int_equal(talk->answer.flags, TALK_OPERATIONAL);
	talk_expect(talk, "MaxRecvDataSegmentLength", "262144");
	talk_say(talk, TALK_OPERATIONAL, "MaxConnections=1\n");
	talk_expect(talk, "MaxRecvDataSegmentLength", NULL); /* once */
	assert_int_equal(talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL, ""),
		ISCSI_LOGIN_READY);
	assert_false(talk->result.params.initial_r2t);
}

static void test_result_carries_the_header(void **state)
{
	static const uint8_t isid[6] = {0x40, 1, 2, 3, 4, 5};
	struct talk *talk = *state;

	memcpy(talk->header + 8, isid, 6);
	put_be16(talk->header + 14, 0x1234);
	put_be16(talk->header + 20, 3);
	assert_int_equal(
		talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL, TALK_NAMES),
		ISCSI_LOGIN_READY);
	assert_memory_equal(talk->result.isid, isid, 6);
	assert_int_equal(talk->result.tsih, 0x1234);
	assert_int_equal(talk->result.cid, 3);
}

static void test_settings_are_clamped_to_the_keys(void **state)
{
	struct talk *talk = *state;

	talk->settings.max_receive_bytes = 100;
	talk->settings.max_burst_bytes = 1u << 30;
	talk->settings.max_r2t = 0;
	talk_again(talk);
	talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
		TALK_NAMES "MaxBurstLength=16777215\nMaxOutstandingR2T=9\n");
	talk_expect(talk, "MaxRecvDataSegmentLength", "512");
	talk_expect(talk, "MaxBurstLength", "16777215");
	talk_expect(talk, "MaxOutstandingR2T", "1");
}

/* -- who is let in --------------------------------------------------------- */

/* Level 2 would promise task management functions that are not there. */
static void test_protocol_level(void **state)
{
	struct talk *talk = *state;

	talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL,
		TALK_NAMES "iSCSIProtocolLevel=2\n");
	talk_expect(talk, "iSCSIProtocolLevel", "1");
}

static void test_refusals(void **state)
{
	static const struct talk_refusal cases[] = {
		{"", 0x207, "InitiatorName"},
		{"TargetName=" TALK_TARGET "\n", 0x207, "InitiatorName"},
		{"InitiatorName=" TALK_HOST "\n", 0x207, "TargetName"},
		{"InitiatorName=" TALK_HOST "\nSessionType=Normal\n", 0x207,
			"TargetName"},
		{TALK_NAMES "SessionType=Strange\n", 0x209, "Strange"},
		{TALK_NAMES "SessionType=\n", 0x209, "SessionType"},
		{TALK_NAMES "SessionType=discovery\n", 0x209, "discovery"},
		{"InitiatorName=web1\nTargetName=" TALK_TARGET "\n", 0x200,
			"no iSCSI name"},
		{"InitiatorName=\nTargetName=" TALK_TARGET "\n", 0x200,
			"no iSCSI name"},
		{"InitiatorName=" TALK_HOST "\nTargetName=*\n", 0x200,
			"no iSCSI name"},
		{TALK_NAMES "AuthMethod=CHAP\n", 0x201, "AuthMethod=None"},
		{TALK_NAMES "AuthMethod=KRB5,SRP\n", 0x201, "AuthMethod=None"},
		{TALK_NAMES "AuthMethod=\n", 0x201, "AuthMethod=None"},
		{"InitiatorName=iqn.1993-08.org.debian:01:x\n"
		 "SessionType=Discovery\n",
			0x202, "no host"},
	};

	talk_expect_refusals(*state, cases, sizeof cases / sizeof *cases);
}

/* All of these look the same from outside. */
static void test_what_does_not_exist_and_what_is_forbidden(void **state)
{
	static const struct talk_refusal cases[] = {
		{"InitiatorName=" TALK_HOST
		 "\nTargetName=iqn.2026-11.no:such\n",
			0x203, "no such target"},
		{"InitiatorName=iqn.1993-08.org.debian:01:"
		 "x\nTargetName=" TALK_TARGET "\n",
			0x203, "no host"},
		{"InitiatorName=" TALK_HOST
		 "\nTargetName=iqn.2026-11.example.cairn:others\n",
			0x203, "no host"},
		{"InitiatorName=" TALK_HOST
		 "\nTargetName=iqn.2026-11.example.cairn:back\n",
			0x203, "not on this portal"},
	};

	talk_expect_refusals(*state, cases, sizeof cases / sizeof *cases);
}

static void test_right_name_from_the_wrong_address(void **state)
{
	struct talk *talk = *state;
	struct sockaddr_in *in = (void *)&talk->peer;

	inet_pton(AF_INET, "203.0.113.9", &in->sin_addr);
	talk_say(talk, TALK_TO_OPERATIONAL, TALK_NAMES);
	talk_expect_failure(talk, 0x203, "address");
}

static void test_portal_of_the_target(void **state)
{
	struct talk *talk = *state;

	talk->world.portal = talk->table->portal[1];
	talk_say(talk, TALK_TO_OPERATIONAL,
		"InitiatorName=" TALK_HOST
		"\nTargetName=iqn.2026-11.example.cairn:back\n");
	talk_expect(talk, "TargetPortalGroupTag", "8");
	talk_expect(talk, "TargetAlias", NULL); /* it has none */
}

/* Nothing that such a host says leads past CHAP. */
static void test_chap_cannot_be_avoided(void **state)
{
#define LOCKED \
	"InitiatorName=iqn.1994-05.com.redhat:locked\nTargetName=" TALK_TARGET \
	"\n"
	struct talk *talk = *state;

	talk_say(talk, TALK_TO_FULL | TALK_OPERATIONAL, LOCKED);
	talk_expect_failure(talk, 0x201, "skips");
	talk_again(talk);
	talk_say(talk, TALK_OPERATIONAL, LOCKED);
	talk_expect_failure(talk, 0x201, "skips");
	talk_again(talk);
	talk_say(talk, TALK_TO_OPERATIONAL, LOCKED "AuthMethod=None\n");
	talk_expect_failure(talk, 0x201, "AuthMethod=CHAP");
	talk_again(talk);
	talk_say(talk, TALK_TO_OPERATIONAL, LOCKED);
	talk_expect_failure(talk, 0x201, "offers nothing");
	talk_again(talk);
	talk_say(talk, TALK_SECURITY, LOCKED);
	talk_expect(talk, "TargetAlias", NULL); /* told once it is proven */
	talk_say(talk, TALK_TO_FULL, "");
	talk_expect_failure(talk, 0x201, "offers nothing");
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, talk_setup, talk_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_linux),
		TEST(test_libiscsi),
		TEST(test_operational_stage_at_once),
		TEST(test_discovery_skips_the_operational_stage),
		TEST(test_names_are_folded),
		TEST(test_slow_host),
		TEST(test_result_carries_the_header),
		TEST(test_settings_are_clamped_to_the_keys),
		TEST(test_protocol_level),
		TEST(test_refusals),
		TEST(test_what_does_not_exist_and_what_is_forbidden),
		TEST(test_right_name_from_the_wrong_address),
		TEST(test_portal_of_the_target),
		TEST(test_chap_cannot_be_avoided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
