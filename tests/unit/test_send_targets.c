/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SendTargets: for every kind of session, and long lists in pieces.
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

/* -- SendTargets ----------------------------------------------------------- */

/* Own targets, those for everybody; not those that need more proof, nor those
 * of others, nor those of nobody. */
static void test_discovery_all(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	assert_int_equal(asking_ask(q, "SendTargets=All\n"), 1);
	assert_string_equal(q->said, LIST_A LIST_B LIST_PUBLIC);
	/* and again */
	assert_int_equal(asking_ask(q, "SendTargets=All\n"), 1);
	assert_string_equal(q->said, LIST_A LIST_B LIST_PUBLIC);
}

static void test_discovery_by_name(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	asking_ask(q, "SendTargets=" ASKING_B "\n");
	assert_string_equal(q->said, LIST_B);
	asking_ask(q, "SendTargets=IQN.2026-11.example.cairn:B\n");
	assert_string_equal(q->said, LIST_B);
	asking_ask(q, "SendTargets=iqn.2026-11.example.cairn:none\n");
	assert_string_equal(q->said, "");
	asking_ask(q, "SendTargets=iqn.2026-11.example.cairn:locked\n");
	assert_string_equal(q->said, "");
	asking_ask(q, "SendTargets=all\n");
	assert_string_equal(q->said, "");
	asking_ask(q, "SendTargets=\n"); /* there is no target of its own */
	assert_string_equal(q->said, "SendTargets=Reject\n");
}

static void test_discovery_by_another_host(void **state)
{
	struct asking *q = *state;

	asking_log_in(q,
		"InitiatorName=iqn.1993-08.org.debian:01:x\n"
		"SessionType=Discovery\n");
	asking_ask(q, "SendTargets=All\n");
	assert_string_equal(q->said, LIST_PUBLIC);
}

/* After a change of the table the session's entry may be gone. */
static void test_discovery_by_a_host_that_is_gone(void **state)
{
	struct asking *q = *state;

	asking_discover(q);
	q->talk.result.host = NULL;
	asking_ask(q, "SendTargets=iqn.2026-11.example.cairn:members\n");
	assert_string_equal(q->said, "");
}

static void test_normal_session(void **state)
{
	struct asking *q = *state;

	asking_log_in(
		q, "InitiatorName=" TALK_HOST "\nTargetName=" ASKING_A "\n");
	asking_ask(q, "SendTargets=\n");
	assert_string_equal(q->said, LIST_A);
	asking_ask(q, "SendTargets=" ASKING_A "\n");
	assert_string_equal(q->said, LIST_A);
	asking_ask(q, "SendTargets=" ASKING_B "\n");
	assert_string_equal(q->said, "SendTargets=Reject\n");
	asking_ask(q, "SendTargets=All\n");
	assert_string_equal(q->said, "SendTargets=Reject\n");
	asking_ask(q, "SendTargets=nonsense\n");
	assert_string_equal(q->said, "SendTargets=Reject\n");
	q->talk.settings.normal_send_targets_all = true;
	asking_ask(q, "SendTargets=All\n");
	assert_string_equal(q->said, LIST_A LIST_B LIST_PUBLIC);
	asking_ask(q, "SendTargets=" ASKING_B "\n");
	assert_string_equal(q->said, LIST_B);
}

/* Connected by IPv6: its address for the wildcards, but not for IPv4's. */
static void test_addresses_over_ipv6(void **state)
{
	struct asking *q = *state;

	strcpy(q->talk.world.portal_text, "[2001:db8::1]:3262");
	q->talk.world.portal = q->talk.table->portal[4];
	asking_discover(q);
	asking_ask(q, "SendTargets=" ASKING_A "\n");
	assert_string_equal(q->said,
		"TargetName=" ASKING_A "\n"
		"TargetAddress=[2001:db8::7]:3260,1\n"
		"TargetAddress=san.example:860,2\n"
		"TargetAddress=[2001:db8::1]:3262,3\n");
}

/* -- long lists ------------------------------------------------------------ */

#define MANY 700u

static struct access_table *many_targets(void)
{
	static struct tables_target many[MANY + 1];
	static char names[MANY][80];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof names[i],
			"iqn.2026-11.example.cairn:target-number-%05u", i);
		many[i] = (struct tables_target){
			.iqn = names[i], .hosts = "any", .portals = "main"};
	}
	return tables_build(asking_hosts, asking_portals, many);
}

/* Each piece begins with a target and holds whole ones; nothing is missing. */
static void expect_many(struct asking *q)
{
	char line[200];
	const char *at = q->said;

	for (unsigned i = 0; i < MANY; i++) {
		int bytes = snprintf(line, sizeof line,
			"TargetName=iqn.2026-11.example.cairn:target-number-"
			"%05u\nTargetAddress=192.0.2.1:3260,1\n",
			i);

		assert_memory_equal(at, line, (size_t)bytes);
		at += bytes;
	}
	assert_string_equal(at, "");
}

static void test_long_list_in_pieces(void **state)
{
	static const uint32_t limits[] = {512, 600, 4096, 8192, 1u << 20};
	struct asking *q = *state;
	uint32_t total;

	asking_end(q);
	asking_begin(q, many_targets());
	asking_discover(q);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		unsigned pieces;

		q->limit = limits[i];
		pieces = asking_ask(q, "SendTargets=All\n");
		total = (uint32_t)strlen(q->said);
		expect_many(q);
		assert_true(pieces > total / 8192 && pieces >= 3);
		/* nothing is left behind */
		assert_int_equal(atomic_load(&q->talk.table->references), 1);
	}
	q->limit = 512;
	asking_step(q, PDU_FINAL, "SendTargets=All\n");
	assert_true(q->answer.continued);
	assert_memory_equal(q->answer.text, "TargetName=", 11);
	asking_step(q, PDU_FINAL, "");
	assert_true(q->answer.continued);
	assert_memory_equal(q->answer.text, "TargetName=", 11);
}

/* Thousands of targets that the host may not see, the one it may is the last: what
 * is done at a time is bounded, and the answer is one. */
#define HIDDEN 20000u

static struct access_table *hidden_targets(void)
{
	struct tables_target *many = calloc(HIDDEN + 2, sizeof *many);
	char(*names)[80] = calloc(HIDDEN, sizeof *names);
	struct access_table *table;

	for (unsigned i = 0; i < HIDDEN; i++) {
		snprintf(names[i], sizeof names[i],
			"iqn.2026-11.example.cairn:hidden-%05u", i);
		many[i] = (struct tables_target){
			.iqn = names[i], .hosts = "locked any-locked"};
	}
	many[HIDDEN] =
		(struct tables_target){.iqn = ASKING_A, .hosts = "locked web1"};
	table = tables_build(asking_hosts, asking_portals, many);
	free(many);
	free(names);
	return table;
}

static void test_hidden_targets_take_turns(void **state)
{
	struct asking *q = *state;

	asking_end(q);
	asking_begin(q, hidden_targets());
	asking_discover(q);
	assert_int_equal(asking_ask(q, "SendTargets=All\n"), 1);
	assert_string_equal(q->said, LIST_A);
	/* Two hosts fit ("web1" and "any-locked", "any"): at least three looks
	 * for each of two hosts of an export. */
	assert_true(q->turns > HIDDEN * 6 / 8192);
	/* One target among them, and few: one turn each. */
	asking_ask(q, "SendTargets=" ASKING_A "\n");
	assert_string_equal(q->said, LIST_A);
	assert_true(q->turns <= 1 + HIDDEN / 8192);
}

/* A target with more portals than fit in one piece. */
static void test_long_target_in_pieces(void **state)
{
	static const struct tables_target one[] = {
		{.iqn = ASKING_A, .hosts = "web1"}, {.iqn = NULL}};
	static struct tables_portal wide[61];
	static char names[60][8], addresses[60][24];
	struct asking *q = *state;

	for (unsigned i = 0; i < 60; i++) {
		snprintf(names[i], sizeof names[i], "p%u", i);
		snprintf(addresses[i], sizeof addresses[i], "198.51.100.%u", i);
		wide[i] = (struct tables_portal){.name = names[i],
			.address = addresses[i],
			.port = 3260,
			.group = 1};
	}
	asking_end(q);
	asking_begin(q, tables_build(asking_hosts, wide, one));
	asking_discover(q);
	q->limit = 512;
	/* the answer to another key is in front, in a piece of its own if the
	 * target would not fit behind it */
	assert_true(asking_ask(q, "X-a=1\nSendTargets=All\n") > 4);
	for (unsigned i = 1; i < 60; i++) {
		char line[80];

		snprintf(line, sizeof line, "TargetAddress=%s:3260,1\n",
			addresses[i]);
		assert_non_null(strstr(q->said, line));
	}
}

/* The table may be replaced while a list is on its way. */
static void test_list_keeps_its_table(void **state)
{
	struct asking *q = *state;
	struct access_table *old;

	asking_end(q);
	asking_begin(q, many_targets());
	asking_discover(q);
	q->limit = 512;
	asking_step(q, PDU_FINAL, "SendTargets=All\n");
	old = q->talk.table;
	q->talk.table = q->talk.world.table =
		tables_build(asking_hosts, asking_portals, asking_targets);
	q->talk.world.portal = q->talk.table->portal[0];
	q->talk.result.host = q->talk.table->host[0];
	access_put(old);
	while (!q->answer.final)
		asking_step(q, PDU_FINAL, "");
	expect_many(q);
	asking_ask(q, "SendTargets=All\n");
	assert_string_equal(q->said, LIST_A LIST_B LIST_PUBLIC);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, asking_setup, asking_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_discovery_all),
		TEST(test_discovery_by_name),
		TEST(test_discovery_by_another_host),
		TEST(test_discovery_by_a_host_that_is_gone),
		TEST(test_normal_session),
		TEST(test_addresses_over_ipv6),
		TEST(test_long_list_in_pieces),
		TEST(test_hidden_targets_take_turns),
		TEST(test_long_target_in_pieces),
		TEST(test_list_keeps_its_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
