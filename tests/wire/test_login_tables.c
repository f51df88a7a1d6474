/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login over a socket, whole tables: byte 1 of the first and of the second Login
 * Request in all its 256 values, and every negotiated key at the bounds of RFC
 * 7143 13 and one beyond. The tables here are the RFC's, not the product's.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"
#include "tests/lib/wire_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct wire_pdu pdu;

/* -- moves ----------------------------------------------------------------- */

/* RFC 7143 11.12.1 to 11.12.4, for a request in `stage`, -1: a first one, which
 * begins in either. */
static bool is_legal(unsigned flags, int stage)
{
	unsigned current = flags >> 2 & 3, next = flags & 3;
	bool t = flags & WIRE_T, c = flags & WIRE_C;

	return (stage < 0 ? current < 2 : current == (unsigned)stage) &&
		!(t && c) && (!t || (next != 2 && next > current));
}

/* `wire` is in `stage`, the next request has these flags: the answer owed, and
 * the end of the session or connection. */
static void expect_move(
	struct wire *wire, unsigned flags, int stage, const char *text)
{
	unsigned current = flags >> 2 & 3, next = flags & 3;
	unsigned owed = current << 2;

	if (!is_legal(flags, stage)) {
		wire_expect_login_refused(wire, (uint8_t)flags, text, 0x200);
		return;
	}
	if (flags & WIRE_T)
		owed |= WIRE_T | next;
	if (wire_say_login(wire, (uint8_t)flags, text, &pdu) != 0 ||
		pdu.bhs[1] != owed)
		fail_msg("flags %02x in stage %d: status %02x%02x, flags %02x",
			flags, stage, pdu.bhs[36], pdu.bhs[37], pdu.bhs[1]);
	if (owed & WIRE_T && next == 3) {
		wire->tsih = (uint16_t)(pdu.bhs[14] << 8 | pdu.bhs[15]);
		wire_expect_quiet(wire);
		wire_logout(wire);
	} else {
		wire_close(wire);
	}
}

static void test_every_first_move(void **state)
{
	struct target_rig *rig = *state;

	for (unsigned flags = 0; flags < 256; flags++) {
		struct wire wire = {0};

		wire_connect(&wire, rig->port);
		expect_move(&wire, flags, -1, WIRE_NAMES);
	}
	host_io_goes_on();
}

static void every_second_move(struct target_rig *rig, uint8_t first, int stage)
{
	for (unsigned flags = 0; flags < 256; flags++) {
		struct wire wire = {0};

		wire_connect(&wire, rig->port);
		assert_int_equal(
			wire_say_login(&wire, first, WIRE_NAMES, &pdu), 0);
		expect_move(&wire, flags, stage, "");
	}
	host_io_goes_on();
}

static void test_every_second_move(void **state)
{
	every_second_move(*state, 0, 0);
	every_second_move(*state, WIRE_TO_OPERATIONAL, 1);
	every_second_move(*state, WIRE_OPERATIONAL, 1);
}

/* -- keys ------------------------------------------------------------------ */

enum rule { SMALLER, LARGER };

static const struct number {
	const char *name;
	uint32_t min, max;
	enum rule rule;
} numbers[] = {
	{"MaxConnections", 1, 65535, SMALLER}, /* 13.2 */
	{"MaxBurstLength", 512, 16777215, SMALLER}, /* 13.13 */
	{"FirstBurstLength", 512, 16777215, SMALLER}, /* 13.14 */
	{"DefaultTime2Wait", 0, 3600, LARGER}, /* 13.15 */
	{"DefaultTime2Retain", 0, 3600, SMALLER}, /* 13.16 */
	{"MaxOutstandingR2T", 1, 65535, SMALLER}, /* 13.17 */
	{"ErrorRecoveryLevel", 0, 2, SMALLER}, /* 13.20 */
	{"iSCSIProtocolLevel", 0, 31, SMALLER}, /* RFC 7144 7.1.1 */
};

/* Logs in with `key`=`value`: the session works, what was answered is left in
 * `pdu`. */
static const char *log_in_with(
	struct target_rig *rig, const char *key, const char *value)
{
	struct wire wire = {0};
	char text[256];

	wire_connect(&wire, rig->port);
	snprintf(text, sizeof text, WIRE_NAMES "%s=%s\n", key, value);
	if (wire_say_login(&wire, WIRE_TO_FULL | WIRE_OPERATIONAL, text, &pdu))
		fail_msg("%s=%s: status %02x%02x", key, value, pdu.bhs[36],
			pdu.bhs[37]);
	assert_int_equal(pdu.bhs[1], WIRE_TO_FULL | WIRE_OPERATIONAL);
	wire.tsih = (uint16_t)(pdu.bhs[14] << 8 | pdu.bhs[15]);
	wire.header_digest =
		!strcmp(wire_value_of(&pdu, "HeaderDigest"), "CRC32C");
	wire.data_digest = !strcmp(wire_value_of(&pdu, "DataDigest"), "CRC32C");
	wire_expect_quiet(&wire);
	wire_logout(&wire);
	return wire_value_of(&pdu, key);
}

static void expect_answer(struct target_rig *rig, const char *key,
	const char *value, const char *owed)
{
	const char *answer = log_in_with(rig, key, value);

	if (strcmp(answer, owed))
		fail_msg("%s=%s: %s, not %s", key, value, answer, owed);
}

static void expect_number(
	struct target_rig *rig, const struct number *number, uint32_t value)
{
	char text[16], *end;
	const char *answer;
	unsigned long agreed;

	snprintf(text, sizeof text, "%u", value);
	answer = log_in_with(rig, number->name, text);
	agreed = strtoul(answer, &end, 10);
	if (*end || end == answer || agreed < number->min ||
		agreed > number->max ||
		(number->rule == SMALLER ? agreed > value : agreed < value))
		fail_msg("%s=%u: %s", number->name, value, answer);
}

static void test_numbers_at_their_bounds(void **state)
{
	static const char *const no_numbers[] = {
		"4294967296", "4294967297", "-1", "0x", "Yes", ""};
	char text[16];

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		const struct number *number = &numbers[i];

		expect_number(*state, number, number->min);
		expect_number(*state, number, number->max);
		snprintf(text, sizeof text, "%u", number->max + 1);
		expect_answer(*state, number->name, text, "Reject");
		snprintf(text, sizeof text, "%d", (int)number->min - 1);
		expect_answer(*state, number->name, text, "Reject");
		for (size_t j = 0; j < sizeof no_numbers / sizeof *no_numbers;
			j++)
			expect_answer(
				*state, number->name, no_numbers[j], "Reject");
	}
	host_io_goes_on();
}

/* Declared, not negotiated (13.12): beyond its bounds there is no login. */
static void test_declared_segment_length(void **state)
{
	static const char *const good[] = {"512", "16777215", "0x200"};
	static const char *const bad[] = {"511", "16777216", "0", "-1", "many",
		"4294967808", "", "8192,4096"};
	const char *key = "MaxRecvDataSegmentLength";
	struct target_rig *rig = *state;
	char text[256];

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		int declared = atoi(log_in_with(rig, key, good[i]));

		assert_in_range(declared, 512, 16777215); /* the target's own */
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct wire wire = {0};

		wire_connect(&wire, rig->port);
		snprintf(text, sizeof text, WIRE_NAMES "%s=%s\n", key, bad[i]);
		wire_expect_login_refused(
			&wire, WIRE_TO_FULL | WIRE_OPERATIONAL, text, 0x200);
	}
	host_io_goes_on();
}

static void test_words(void **state)
{
	static const char *const cases[][3] = {
		{"InitialR2T", "Yes", "Yes"},
		{"InitialR2T", "No", "No"},
		{"InitialR2T", "yes", "Reject"},
		{"ImmediateData", "Yes", "Yes"},
		{"ImmediateData", "No", "No"},
		{"ImmediateData", "Maybe", "Reject"},
		{"DataPDUInOrder", "No", "Yes"},
		{"DataPDUInOrder", "1", "Reject"},
		{"DataSequenceInOrder", "No", "Yes"},
		{"DataSequenceInOrder", "", "Reject"},
		{"HeaderDigest", "CRC32C,None", "CRC32C"},
		{"HeaderDigest", "None,CRC32C", "None"},
		{"HeaderDigest", "CRC-64,CRC32C", "CRC32C"},
		{"HeaderDigest", "CRC-64", "Reject"},
		{"DataDigest", "CRC32C", "CRC32C"},
		{"DataDigest", "crc32c", "Reject"},
		{"IFMarker", "Yes", "No"}, /* 13.25 */
		{"OFMarker", "Yes", "No"},
		{"IFMarkInt", "2048", "Reject"},
		{"OFMarkInt", "2048~8192", "Reject"},
		{"TaskReporting", "RFC3720", "RFC3720"},
		{"TaskReporting", "Nothing", "Reject"},
		{"X-com.example.key", "1", "NotUnderstood"},
		{"Unheard", "1", "NotUnderstood"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_answer(*state, cases[i][0], cases[i][1], cases[i][2]);
	host_io_goes_on();
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown( \
		name, host_io_rig_set_up, host_io_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_every_first_move),
		TEST(test_every_second_move),
		TEST(test_numbers_at_their_bounds),
		TEST(test_declared_segment_length),
		TEST(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
