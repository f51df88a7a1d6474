/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of logins at its bounds (RFC 7143 6.1, 6.2, 13), over a socket: how long
 * keys and values may be, how numbers may be written, what may not be said twice or at
 * all, how much text there may be and how it may be cut into PDUs.
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

#define AT_ONCE (WIRE_TO_FULL | WIRE_OPERATIONAL)
#define REFUSED 0x200 /* initiator error */
#define NOT_FOUND 0x203
#define PDU_TEXT 8192u /* what a login PDU may carry: 13.12 */
#define STEP_TEXT 16384u /* what we take for one step */

static struct wire_pdu pdu;

/* The login that went through serves. */
static void expect_session(struct wire *wire)
{
	assert_int_equal(pdu.bhs[1], AT_ONCE);
	wire->tsih = (uint16_t)(pdu.bhs[14] << 8 | pdu.bhs[15]);
	wire_expect_quiet(wire);
	wire_logout(wire);
}

/* One Login Request with `text` ends with that status. */
static void expect_login(
	struct target_rig *rig, const char *text, unsigned status)
{
	struct wire wire = {0};

	wire_connect(&wire, rig->port);
	if (status) {
		wire_expect_login_refused(&wire, AT_ONCE, text, status);
		return;
	}
	if (wire_say_login(&wire, AT_ONCE, text, &pdu))
		fail_msg("status %02x%02x: %s", pdu.bhs[36], pdu.bhs[37], text);
	expect_session(&wire);
}

/* As many of `c` as are needed after `from` for a value of `bytes`. */
static const char *long_value(const char *from, char c, size_t bytes)
{
	static char value[4096];
	size_t length = strlen(from);

	assert_true(length <= bytes && bytes < sizeof value);
	memcpy(value, from, length);
	memset(value + length, c, bytes - length);
	value[bytes] = 0;
	return value;
}

/* -- lengths ------------------------------------------------------------------ */

static const struct length {
	const char *before, *key, *from;
	size_t bytes;
	unsigned status;
} lengths[] = {
	{"TargetName=" WIRE_TARGET "\n", "InitiatorName", "iqn.a:", 223, 0},
	{"TargetName=" WIRE_TARGET "\n", "InitiatorName", "iqn.a:", 224,
		REFUSED},
	{"InitiatorName=" WIRE_HOST "\n", "TargetName", "iqn.a:", 223,
		NOT_FOUND},
	{"InitiatorName=" WIRE_HOST "\n", "TargetName", "iqn.a:", 224, REFUSED},
	{WIRE_NAMES, "InitiatorAlias", "", 0, 0},
	{WIRE_NAMES, "InitiatorAlias", "", 255, 0},
	{WIRE_NAMES, "InitiatorAlias", "", 256, REFUSED},
	/* Only a target says it. */
	{WIRE_NAMES, "TargetAlias", "", 1, REFUSED},
	{WIRE_NAMES, "TargetAlias", "", 255, REFUSED},
	{WIRE_NAMES, "HeaderDigest", "None,", 255, 0},
	{WIRE_NAMES, "HeaderDigest", "None,", 256, REFUSED},
	{WIRE_NAMES, "MaxBurstLength", "", 255, 0}, /* answered Reject */
	{WIRE_NAMES, "MaxBurstLength", "", 256, REFUSED},
	/* What nobody knows is not measured either. */
	{WIRE_NAMES, "X-com.example", "", 1024, 0},
};

static void test_lengths_of_values(void **state)
{
	char text[2048];

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		const struct length *l = &lengths[i];

		snprintf(text, sizeof text, "%s%s=%s\n", l->before, l->key,
			long_value(l->from, 'x', l->bytes));
		expect_login(*state, text, l->status);
	}
}

static void test_lengths_of_keys(void **state)
{
	char key[65], text[512];

	memset(key, 'k', sizeof key);
	key[63] = 0;
	snprintf(text, sizeof text, WIRE_NAMES "%s=1\n", key);
	expect_login(*state, text, 0);
	assert_string_equal(wire_value_of(&pdu, key), "NotUnderstood");
	key[63] = 'k';
	key[64] = 0;
	snprintf(text, sizeof text, WIRE_NAMES "%s=1\n", key);
	expect_login(*state, text, REFUSED);
}

static void test_text_that_is_none(void **state)
{
	static const char *const bad[] = {WIRE_NAMES "=1\n", WIRE_NAMES "=\n",
		WIRE_NAMES "Key\n", WIRE_NAMES "Key", WIRE_NAMES "Key=1",
		WIRE_NAMES "a key=1\n", WIRE_NAMES "k\xc3\xa9y=1\n",
		WIRE_NAMES "Key,1=1\n", "InitiatorName=" WIRE_HOST,
		WIRE_NAMES "InitialR2T:Yes\n"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		expect_login(*state, bad[i], REFUSED);
	/* Only the first '=' is one. */
	expect_login(*state, WIRE_NAMES "X-com.example=a=b\n", 0);
	assert_string_equal(
		wire_value_of(&pdu, "X-com.example"), "NotUnderstood");
	/* Some fill up with zeroes. */
	expect_login(*state, "\n\n" WIRE_NAMES "\n\nInitialR2T=No\n\n", 0);
	assert_string_equal(wire_value_of(&pdu, "InitialR2T"), "No");
}

/* -- numbers ------------------------------------------------------------------ */

static const struct number {
	const char *key, *good; /* a value in range, as it is answered */
	unsigned value;
} numbers[] = {
	{"MaxConnections", "1", 1},
	{"MaxBurstLength", "4096", 4096},
	{"FirstBurstLength", "4096", 4096},
	{"DefaultTime2Wait", "7", 7},
	{"DefaultTime2Retain", "0", 0},
	{"MaxOutstandingR2T", "1", 1},
	{"ErrorRecoveryLevel", "0", 0},
};

static void expect_number(struct target_rig *rig, const char *key,
	const char *value, const char *owed)
{
	char text[512];

	snprintf(text, sizeof text, WIRE_NAMES "%s=%s\n", key, value);
	expect_login(rig, text, 0);
	if (strcmp(wire_value_of(&pdu, key), owed))
		fail_msg("%s=%s: %s, not %s", key, value,
			wire_value_of(&pdu, key), owed);
}

/* Ways to write a number: digits, filled up with zeroes, between two texts. */
static const struct writing {
	const char *before, *after;
	int digits;
	bool hexadecimal, good;
} writings[] = {
	{"", "", 1, false, true},
	{"0x", "", 1, true, true},
	{"0X", "", 1, true, true},
	{"0x", "", 14, true, true},
	{"0x", "", 250, true, true},
	/* Ten or eight? Others read octal, so that nobody knows (6.1). */
	{"0", "", 1, false, false},
	{"", "", 20, false, false},
	{"", "", 250, false, false},
	{"+", "", 1, false, false},
	{"-", "", 1, false, false},
	{" ", "", 1, false, false},
	{"", " ", 1, false, false},
	{"", ".0", 1, false, false},
	{"", ",1", 1, false, false},
	{"", "~1", 1, false, false},
	{"", "k", 1, false, false},
	{"0x", "g", 1, true, false},
	{"x", "", 1, true, false},
	{"0b", "", 1, false, false},
	/* The same modulo 2^32 and 2^64. */
	{"0x1", "", 8, true, false},
	{"0x1", "", 16, true, false},
	{"0x100000000", "", 16, true, false},
};

static void write_number(
	char value[300], const struct writing *w, unsigned number)
{
	if (w->hexadecimal)
		snprintf(value, 300, "%s%0*x%s", w->before, w->digits, number,
			w->after);
	else
		snprintf(value, 300, "%s%0*u%s", w->before, w->digits, number,
			w->after);
}

/* Decimal or hexadecimal, of whatever length, and nothing else. */
static void test_how_numbers_are_written(void **state)
{
	char value[300];

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		const struct number *n = &numbers[i];

		for (size_t j = 0; j < sizeof writings / sizeof *writings;
			j++) {
			write_number(value, &writings[j], n->value);
			expect_number(*state, n->key, value,
				writings[j].good ? n->good : "Reject");
		}
		expect_number(*state, n->key, "18446744073709551616", "Reject");
		expect_number(
			*state, n->key, long_value("1", '0', 255), "Reject");
	}
}

/* -- what one choice makes of another ------------------------------------------ */

static void test_choices_that_meet(void **state)
{
	static const struct {
		const char *text, *key, *owed;
	} cases[] = {
		/* 13.14: not above MaxBurstLength, whichever comes first. */
		{"MaxBurstLength=4096\nFirstBurstLength=8192\n",
			"FirstBurstLength", "4096"},
		{"FirstBurstLength=8192\nMaxBurstLength=4096\n",
			"FirstBurstLength", "4096"},
		{"MaxBurstLength=512\nFirstBurstLength=512\n",
			"FirstBurstLength", "512"},
		{"MaxBurstLength=4096\nFirstBurstLength=4095\n",
			"FirstBurstLength", "4095"},
		/* ... and of no use where nothing comes unasked. */
		{"InitialR2T=Yes\nImmediateData=No\nFirstBurstLength=512\n",
			"FirstBurstLength", "Irrelevant"},
		{"FirstBurstLength=512\nInitialR2T=Yes\nImmediateData=No\n",
			"FirstBurstLength", "Irrelevant"},
		{"InitialR2T=No\nImmediateData=No\nFirstBurstLength=512\n",
			"FirstBurstLength", "512"},
		{"InitialR2T=Yes\nImmediateData=Yes\nFirstBurstLength=512\n",
			"FirstBurstLength", "512"},
		/* Words that only an answer may be (6.2). */
		{"MaxBurstLength=Reject\n", "MaxBurstLength", "Reject"},
		{"MaxBurstLength=Irrelevant\n", "MaxBurstLength", "Reject"},
		{"MaxBurstLength=NotUnderstood\n", "MaxBurstLength", "Reject"},
		{"InitialR2T=Irrelevant\n", "InitialR2T", "Reject"},
		{"DataDigest=NotUnderstood\n", "DataDigest", "Reject"},
		/* An answer to what is not known is not answered. */
		{"X-com.example=NotUnderstood\n", "X-com.example", "absent"},
		{"X-com.example=Reject\n", "X-com.example", "absent"},
		{"X-com.example=Irrelevant\n", "X-com.example", "absent"},
		/* The answer to what we declare. */
		{"TargetAlias=NotUnderstood\n", "TargetAlias", "absent"},
		{"HeaderDigest=\n", "HeaderDigest", "Reject"},
		{"DataDigest=,\n", "DataDigest", "Reject"},
		{"InitialR2T=\n", "InitialR2T", "Reject"},
		{"X-com.example=\n", "X-com.example", "NotUnderstood"},
		/* Keys are known by every letter (6.1). */
		{"initialr2t=No\n", "initialr2t", "NotUnderstood"},
	};
	char text[512];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *answer;

		snprintf(text, sizeof text, WIRE_NAMES "%s", cases[i].text);
		expect_login(*state, text, 0);
		answer = wire_value_of(&pdu, cases[i].key);
		if (strcmp(answer, cases[i].owed))
			fail_msg("%s: %s, not %s", cases[i].text, answer,
				cases[i].owed);
	}
}

/* -- twice ---------------------------------------------------------------------- */

static void test_keys_that_come_twice(void **state)
{
	static const char *const twice[] = {"InitialR2T=No\n",
		"MaxBurstLength=4096\n", "HeaderDigest=None\n",
		"MaxRecvDataSegmentLength=512\n", "IFMarker=No\n",
		"OFMarkInt=512\n"};
	struct target_rig *rig = *state;
	char text[512];

	for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
		struct wire wire = {0};

		snprintf(text, sizeof text, WIRE_NAMES "%s%s", twice[i],
			twice[i]);
		expect_login(rig, text, REFUSED);
		/* In two requests. */
		wire_connect(&wire, rig->port);
		snprintf(text, sizeof text, WIRE_NAMES "%s", twice[i]);
		assert_int_equal(
			wire_say_login(&wire, WIRE_OPERATIONAL, text, &pdu), 0);
		wire_expect_login_refused(
			&wire, WIRE_OPERATIONAL, twice[i], REFUSED);
	}
	/* Names: amid one text too, for nobody can tell which is meant. */
	expect_login(rig, WIRE_NAMES WIRE_NAMES, REFUSED);
}

static void test_names_that_change(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_connect(&wire, rig->port);
	assert_int_equal(
		wire_say_login(&wire, WIRE_OPERATIONAL, WIRE_NAMES, &pdu), 0);
	assert_int_equal(wire_say_login(&wire, AT_ONCE, WIRE_NAMES, &pdu), 0);
	expect_session(&wire);
	wire = (struct wire){0};
	wire_connect(&wire, rig->port);
	assert_int_equal(
		wire_say_login(&wire, WIRE_OPERATIONAL, WIRE_NAMES, &pdu), 0);
	wire_expect_login_refused(
		&wire, AT_ONCE, "InitiatorName=iqn.a:other\n", REFUSED);
}

/* -- how much, and in what pieces ------------------------------------------------ */

/* Cut at each place of a text: within key, value, and before the zero byte. */
static void test_pieces_cut_anywhere(void **state)
{
	static const char whole[] = WIRE_NAMES "MaxBurstLength=4096\n";
	struct target_rig *rig = *state;

	for (size_t cut = 1; cut < sizeof whole - 1; cut++) {
		char first[sizeof whole];
		struct wire wire = {0};

		memcpy(first, whole, cut);
		first[cut] = 0;
		wire_connect(&wire, rig->port);
		assert_int_equal(
			wire_say_login(
				&wire, WIRE_C | WIRE_OPERATIONAL, first, &pdu),
			0);
		assert_int_equal(pdu.bytes, 0);
		assert_int_equal(pdu.bhs[1], WIRE_OPERATIONAL);
		assert_int_equal(
			wire_say_login(&wire, AT_ONCE, whole + cut, &pdu), 0);
		assert_string_equal(
			wire_value_of(&pdu, "MaxBurstLength"), "4096");
		expect_session(&wire);
	}
}

/* Zeroes after `text` up to `bytes`. */
static const char *filled(const char *text, size_t bytes)
{
	static char full[PDU_TEXT + 2];
	size_t length = strlen(text);

	assert_true(bytes < sizeof full);
	memcpy(full, text, length);
	memset(full + length, '\n', bytes - length);
	full[bytes] = 0;
	return full;
}

static void test_as_much_text_as_a_pdu_takes(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	expect_login(rig, filled(WIRE_NAMES, PDU_TEXT - 1), 0);
	expect_login(rig, filled(WIRE_NAMES, PDU_TEXT), 0);
	wire_connect(&wire, rig->port);
	wire_send_login(&wire, AT_ONCE, filled(WIRE_NAMES, PDU_TEXT + 1));
	wire_expect_closed(&wire);
	wire_close(&wire);
}

static void test_as_much_text_as_a_step_takes(void **state)
{
	struct target_rig *rig = *state;

	for (unsigned beyond = 0; beyond < 2; beyond++) {
		struct wire wire = {0};

		wire_connect(&wire, rig->port);
		assert_int_equal(
			wire_say_login(&wire, WIRE_C | WIRE_OPERATIONAL,
				filled(WIRE_NAMES, PDU_TEXT), &pdu),
			0);
		assert_int_equal(
			wire_say_login(&wire, WIRE_C | WIRE_OPERATIONAL,
				filled("", STEP_TEXT - PDU_TEXT), &pdu),
			0);
		if (beyond) {
			wire_expect_login_refused(
				&wire, AT_ONCE, "\n", REFUSED);
			continue;
		}
		assert_int_equal(wire_say_login(&wire, AT_ONCE, "", &pdu), 0);
		expect_session(&wire);
	}
}

/* More answers than a response takes. */
static void test_more_keys_than_can_be_answered(void **state)
{
	char text[PDU_TEXT];
	size_t bytes = (size_t)snprintf(text, sizeof text, WIRE_NAMES);

	for (unsigned i = 0; bytes + 8 < sizeof text; i++)
		bytes += (size_t)snprintf(
			text + bytes, sizeof text - bytes, "k%04u=\n", i);
	expect_login(*state, text, REFUSED);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown( \
		name, host_io_rig_set_up, host_io_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_lengths_of_values),
		TEST(test_lengths_of_keys),
		TEST(test_text_that_is_none),
		TEST(test_how_numbers_are_written),
		TEST(test_choices_that_meet),
		TEST(test_keys_that_come_twice),
		TEST(test_names_that_change),
		TEST(test_pieces_cut_anywhere),
		TEST(test_as_much_text_as_a_pdu_takes),
		TEST(test_as_much_text_as_a_step_takes),
		TEST(test_more_keys_than_can_be_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
