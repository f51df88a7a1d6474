/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login over a socket: the fields of the Login Response (RFC 7143 11.13),
 * discovery, and hosts that break the rules. CHAP is test_login_chap.c's, moves
 * and keys are test_login_tables.c's; every rule of negotiation is tested on the
 * machine itself, too, in tests/unit/test_login*.c.
 */
#include "tests/lib/tables.h"
#include "tests/lib/target_rig.h"
#include "tests/lib/wire_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LOCKED "iqn.1994-05.com.redhat:locked"
#define SECRET "a secret of sixteen"
#define TARGETS 100u

static struct wire_pdu pdu;

/* -- the rig, with hosts of ours ------------------------------------------- */

static const struct tables_host hosts[] = {
	{.name = "web1", .iqns = WIRE_HOST, .networks = "127.0.0.0/8"},
	{.name = "locked", .iqns = LOCKED, .user = "0xname", .secret = SECRET},
	{.name = NULL},
};
static const struct tables_portal portals[] = {
	{.name = "main", .address = "127.0.0.1", .group = 1},
	{.name = "nat",
		.address = "192.0.2.7",
		.port = 3260,
		.group = 2,
		.advertised = "san.example:860"},
	{.name = NULL},
};

static void publish_co(struct target_rig *rig, void *argument)
{
	static struct tables_target targets[TARGETS + 1];
	static char names[TARGETS][64];
	struct access_table *old = rig->table;

	(void)argument;
	for (unsigned i = 1; i < TARGETS; i++) {
		snprintf(names[i], sizeof names[i],
			"iqn.2026-11.example.cairn:number-%03u", i);
		targets[i] = (struct tables_target){
			.iqn = names[i], .hosts = "web1"};
	}
	targets[0] = (struct tables_target){.iqn = WIRE_TARGET,
		.alias = "the database",
		.hosts = "web1 locked"};
	rig->table = tables_build(hosts, portals, targets);
	for (unsigned i = 0; i < TARGETS; i++)
		rig->table->target[i]->export[0].volume = rig->volume[0];
	iscsi_server_publish(rig->server, rig->table);
	access_put(old);
}

static int set_up(void **state)
{
	target_rig_set_up(state);
	target_rig_run(*state, publish_co, NULL);
	return 0;
}

/* -- saying ---------------------------------------------------------------- */

static unsigned say(struct wire *wire, uint8_t flags, const char *text)
{
	return wire_say_login(wire, flags, text, &pdu);
}

static const char *value_of(const char *key)
{
	return wire_value_of(&pdu, key);
}

/* -- the header ------------------------------------------------------------ */

static void test_fields_of_the_response(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {.isid = {0x80, 1, 2, 3, 4, 5}, .cid = 7};
	uint32_t status_sn;

	wire_connect(&wire, rig->port);
	wire.command_sn = 0xfffffff0;
	wire.expected_status_sn = 0x1000;
	wire.tag = 0xabcd;
	assert_int_equal(say(&wire, WIRE_TO_OPERATIONAL, WIRE_NAMES), 0);
	assert_int_equal(pdu.bhs[1], WIRE_TO_OPERATIONAL);
	assert_int_equal(pdu.bhs[2], 0); /* Version-max, Version-active */
	assert_int_equal(pdu.bhs[3], 0);
	assert_memory_equal(pdu.bhs + 8, wire.isid, 6);
	assert_int_equal(pdu.bhs[14] << 8 | pdu.bhs[15], 0); /* not yet */
	assert_int_equal(wire_get32(pdu.bhs + 16), 0xabcd);
	status_sn = wire_get32(pdu.bhs + 24);
	assert_int_equal(wire_get32(pdu.bhs + 28), 0xfffffff0);
	assert_string_equal(value_of("TargetPortalGroupTag"), "1");
	assert_string_equal(value_of("TargetAlias"), "the database");

	assert_int_equal(
		say(&wire, WIRE_TO_FULL | WIRE_OPERATIONAL, "InitialR2T=No\n"),
		0);
	assert_int_equal(pdu.bhs[1], WIRE_TO_FULL | WIRE_OPERATIONAL);
	assert_int_not_equal(pdu.bhs[14] << 8 | pdu.bhs[15], 0);
	assert_int_equal(wire_get32(pdu.bhs + 16), 0xabce);
	assert_int_equal(wire_get32(pdu.bhs + 24), status_sn + 1);
	assert_int_equal(wire_get32(pdu.bhs + 28), 0xfffffff0);
	/* a window is open: from ExpCmdSN, across the end of the numbers */
	assert_true((int32_t)(wire_get32(pdu.bhs + 32) - 0xfffffff0) > 16);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

static void test_text_in_pieces_byte_by_byte(void **state)
{
	static const char names[] = WIRE_NAMES;
	const unsigned pieces = 60; /* a login has at most 64 requests */
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_connect(&wire, rig->port);
	for (unsigned i = 0; i < pieces; i++) {
		char piece[2] = {names[i], 0};

		assert_int_equal(
			say(&wire, WIRE_C | WIRE_OPERATIONAL, piece), 0);
		assert_int_equal(pdu.bytes, 0);
		assert_int_equal(pdu.bhs[1], WIRE_OPERATIONAL);
	}
	assert_int_equal(
		say(&wire, WIRE_TO_FULL | WIRE_OPERATIONAL, &names[pieces]), 0);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

static void test_digests_begin_after_the_login(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_connect(&wire, rig->port);
	assert_int_equal(
		say(&wire, WIRE_TO_FULL | WIRE_OPERATIONAL,
			WIRE_NAMES
			"HeaderDigest=CRC32C\nDataDigest=None,CRC32C\n"),
		0);
	assert_string_equal(value_of("HeaderDigest"), "CRC32C");
	assert_string_equal(value_of("DataDigest"), "None");
	wire.header_digest = true;
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

/* -- refused --------------------------------------------------------------- */

static void test_refused_logins_are_answered_and_closed(void **state)
{
	static const struct {
		uint8_t flags;
		const char *text;
		unsigned status;
	} cases[] = {
		{WIRE_TO_FULL | WIRE_OPERATIONAL, "SessionType=Normal\n",
			0x207},
		{WIRE_TO_FULL | WIRE_OPERATIONAL,
			"InitiatorName=" WIRE_HOST "\n", 0x207},
		{WIRE_TO_FULL | WIRE_OPERATIONAL,
			WIRE_NAMES "SessionType=Odd\n", 0x209},
		{WIRE_TO_FULL | WIRE_OPERATIONAL,
			"InitiatorName=" WIRE_HOST
			"\nTargetName=iqn.2026-11.no:such\n",
			0x203},
		{WIRE_TO_FULL | WIRE_OPERATIONAL,
			"InitiatorName=iqn.no:body\nTargetName=" WIRE_TARGET
			"\n",
			0x203},
		{WIRE_TO_FULL | WIRE_OPERATIONAL,
			"InitiatorName=iqn.no:body\nSessionType=Discovery\n",
			0x202},
		{WIRE_TO_FULL | WIRE_OPERATIONAL,
			"InitiatorName=" LOCKED "\nTargetName=" WIRE_TARGET
			"\n",
			0x201},
		{WIRE_TO_FULL | WIRE_OPERATIONAL, "InitiatorName", 0x200},
		{WIRE_T | WIRE_C, WIRE_NAMES, 0x200},
		{WIRE_T | 2, WIRE_NAMES, 0x200},
	};
	struct target_rig *rig = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct wire wire = {0};

		wire_connect(&wire, rig->port);
		wire_expect_login_refused(
			&wire, cases[i].flags, cases[i].text, cases[i].status);
	}
}

static void test_what_is_no_login_is_dropped(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	static char text[8200];

	wire_connect(&wire, rig->port);
	wire_send_nop(&wire, NULL, 0);
	wire_expect_closed(&wire);
	wire_close(&wire);

	wire = (struct wire){0};
	wire_connect(&wire, rig->port);
	assert_int_equal(say(&wire, 0, WIRE_NAMES), 0);
	wire_send_nop(&wire, NULL, 0); /* amid a login */
	wire_expect_closed(&wire);
	wire_close(&wire);

	wire = (struct wire){0};
	wire_connect(&wire, rig->port); /* more than 8192 bytes at once */
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = 0;
	wire_send_login(&wire, WIRE_C, text);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

/* A login that fails leaves the others and the next one alone. */
static void test_others_are_not_disturbed(void **state)
{
	struct target_rig *rig = *state;
	struct wire good = {0}, bad = {0};

	wire_open(&good, rig->port, "");
	for (unsigned i = 0; i < 20; i++) {
		bad = (struct wire){0};
		wire_connect(&bad, rig->port);
		wire_expect_login_refused(&bad, WIRE_TO_FULL, "X", 0x200);
	}
	wire_expect_quiet(&good);
	wire_logout(&good);
}

/* -- discovery ------------------------------------------------------------- */

/* One Text Request; the answer is in `pdu`. */
static void ask(struct wire *wire, uint32_t transfer_tag, const char *text)
{
	uint32_t bytes = (uint32_t)strlen(text);
	uint8_t bhs[48];

	wire_begin(wire, bhs, WIRE_TEXT);
	wire_put32(bhs + 20, transfer_tag);
	wire_send(wire, bhs, text, bytes ? bytes + 1 : 0);
	wire_expect(wire, WIRE_TEXT_RESPONSE, &pdu);
}

static void test_discovery(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	char owed[256];
	int bytes;

	wire_open_discovery(&wire, rig->port);
	ask(&wire, 0xffffffff, "SendTargets=" WIRE_TARGET);
	bytes = snprintf(owed, sizeof owed,
		"TargetName=" WIRE_TARGET "%cTargetAddress=127.0.0.1:%u,1%c"
		"TargetAddress=san.example:860,2%c",
		0, rig->port, 0, 0);
	assert_int_equal(pdu.bytes, bytes);
	assert_memory_equal(pdu.data, owed, (size_t)bytes);
	assert_int_equal(pdu.bhs[1], 0x80);
	assert_int_equal(wire_get32(pdu.bhs + 20), 0xffffffff);
	wire_logout(&wire);
}

static void test_long_discovery(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	unsigned targets = 0, pieces = 1;

	wire_connect(&wire, rig->port);
	assert_int_equal(
		say(&wire, WIRE_TO_FULL | WIRE_OPERATIONAL,
			"InitiatorName=" WIRE_HOST "\nSessionType=Discovery\n"
			"MaxRecvDataSegmentLength=512\n"),
		0);
	wire.tsih = (uint16_t)(pdu.bhs[14] << 8 | pdu.bhs[15]);
	for (ask(&wire, 0xffffffff, "SendTargets=All");;
		ask(&wire, wire_get32(pdu.bhs + 20), "")) {
		assert_true(pdu.bytes <= 512);
		assert_memory_equal(pdu.data, "TargetName=", 11);
		for (uint32_t i = 0; i + 11 <= pdu.bytes; i++)
			targets += !memcmp(pdu.data + i, "TargetName=", 11);
		if (pdu.bhs[1] & 0x80)
			break;
		assert_int_equal(pdu.bhs[1], 0x40);
		pieces++;
	}
	assert_int_equal(targets, TARGETS);
	assert_true(pieces > TARGETS / 5);
	wire_logout(&wire);
}

static void test_text_that_is_rejected(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint8_t bhs[48];

	wire_open_discovery(&wire, rig->port);
	wire_begin(&wire, bhs, WIRE_TEXT);
	wire_put32(bhs + 20, 0xffffffff);
	wire_send(&wire, bhs, "SendTargets=All", 15); /* no zero byte */
	wire_expect_reject(&wire, 0x04);
	wire_begin(&wire, bhs, WIRE_TEXT);
	wire_put32(bhs + 20, 12345); /* not a tag of ours */
	wire_send(&wire, bhs, NULL, 0);
	wire_expect_reject(&wire, 0x09);
	ask(&wire, 0xffffffff, "X-com.example=1"); /* and it goes on */
	assert_string_equal(value_of("X-com.example"), "NotUnderstood");
	wire_logout(&wire);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, target_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_fields_of_the_response),
		TEST(test_text_in_pieces_byte_by_byte),
		TEST(test_digests_begin_after_the_login),
		TEST(test_refused_logins_are_answered_and_closed),
		TEST(test_what_is_no_login_is_dropped),
		TEST(test_others_are_not_disturbed),
		TEST(test_discovery),
		TEST(test_long_discovery),
		TEST(test_text_that_is_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
