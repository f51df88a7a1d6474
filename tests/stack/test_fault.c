/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener fault: each rule strikes what it says, when it says, as often as
 * it says; the verbs change rules under way; a swap is never held up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/fault_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024u
#define BYTES FAULT_RIG_BYTES
#define MS_NS 1000000ull

/* -- what a rule strikes -------------------------------------------------- */

static void test_rules_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *rule;
		enum block_opcode op;
		uint64_t offset;
		int results[5]; /* of five in a row */
	} rows[] = {
		{"", BLOCK_READ, 0, {0, 0, 0, 0, 0}},
		{"{}", BLOCK_READ, 0, {-EIO, -EIO, -EIO, -EIO, -EIO}},
		{"{op: read}", BLOCK_WRITE, 0, {0, 0, 0, 0, 0}},
		{"{op: read, error: ENOSPC, count: 1}", BLOCK_READ, 0,
			{-ENOSPC, 0, 0, 0, 0}},
		{"{op: change, after: 2}", BLOCK_DISCARD, 0,
			{0, 0, -EIO, -EIO, -EIO}},
		{"{op: change, after: 1, count: 2}", BLOCK_WRITE_ZEROES, 0,
			{0, -EIO, -EIO, 0, 0}},
		{"{op: flush, count: 1}", BLOCK_FLUSH, 0, {-EIO, 0, 0, 0, 0}},
		{"{offset: 8K, length: 4K}", BLOCK_READ, 4 * KIB,
			{0, 0, 0, 0, 0}},
		{"{offset: 8K, length: 512}", BLOCK_READ, 8 * KIB,
			{-EIO, -EIO, -EIO, -EIO, -EIO}},
		{"{offset: 10K}", BLOCK_READ, 8 * KIB,
			{-EIO, -EIO, -EIO, -EIO, -EIO}},
		{"{offset: 8K, length: 4K}", BLOCK_READ, 12 * KIB,
			{0, 0, 0, 0, 0}},
		{"{op: write, count: 1, error: EROFS}, {op: any, count: 1}",
			BLOCK_WRITE, 0, {-EROFS, -EIO, 0, 0, 0}},
		{"{probability_ppm: 0}", BLOCK_READ, 0, {0, 0, 0, 0, 0}},
		{"{error: none}", BLOCK_READ, 0, {0, 0, 0, 0, 0}},
		{"{event: complete, error: ENODEV, after: 1, count: 1}",
			BLOCK_READ, 0, {0, -ENODEV, 0, 0, 0}},
	};
	size_t i, j;

	(void)argument;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct block_source *source =
			fault_rig_source_co(rig, rows[i].rule);

		for (j = 0; j < 5; j++)
			CHECK_INT(fault_rig_ask_co(rig, source, rows[i].op,
					  rows[i].offset),
				rows[i].results[j]);
		block_source_put_co(source);
	}
}

/* Before it happens below, or after. */
static void test_event_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(rig,
		"{op: write, offset: 0, length: 4K}, "
		"{op: write, offset: 4K, length: 4K, event: complete}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BYTES, 1);

	(void)argument;
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_WRITE, 0, 0, BYTES, data),
		-EIO);
	CHECK_INT(block_transfer_co(
			  source, lane, BLOCK_WRITE, 0, BYTES, BYTES, data),
		-EIO);
	stack_rig_expect_co(rig, source, 0, BYTES, NULL);
	stack_rig_expect_co(rig, source, BYTES, BYTES, data);
	free(data);
	block_source_put_co(source);
}

/* Of 200, which: one of them after the other as the seed says. */
static void draw_co(struct stack_rig *rig, unsigned seed, bool failed[200])
{
	char document[256];
	struct block_source *source;

	snprintf(document, sizeof document,
		"{listeners: [{type: fault, name: bad, seed: %u, "
		"rules: [{probability_ppm: 250000}]}], "
		"protocol: {type: mem, size: 1M}}",
		seed);
	source = stack_rig_source_co(rig, document);
	for (unsigned i = 0; i < 200; i++)
		failed[i] = fault_rig_ask_co(rig, source, BLOCK_READ, 0);
	CHECK_INT(stack_rig_figure(source, "matches"), 200);
	block_source_put_co(source);
}

/* About one in four, the same ones again with the same seed, others with another. */
static void test_probability_co(struct stack_rig *rig, void *argument)
{
	static const unsigned seeds[] = {3, 3, 4};
	bool failed[3][200];

	(void)argument;
	for (unsigned run = 0; run < 3; run++) {
		unsigned sum = 0;

		draw_co(rig, seeds[run], failed[run]);
		for (unsigned i = 0; i < 200; i++)
			sum += failed[run][i];
		CHECK(sum > 25 && sum < 75);
	}
	CHECK(!memcmp(failed[0], failed[1], sizeof failed[0]));
	CHECK(memcmp(failed[0], failed[2], sizeof failed[0]) != 0);
}

static void test_delay_co(struct stack_rig *rig, void *argument)
{
	static const char *const events[] = {"submit", "complete"};
	struct loop *loop = block_core_lane(rig->core, 0)->loop;
	unsigned i;

	(void)argument;
	for (i = 0; i < 2; i++) {
		char rule[128];
		struct block_source *source;
		uint64_t from_ns = loop_now_ns(loop);

		snprintf(rule, sizeof rule,
			"{op: read, event: %s, delay_us: 20000}, "
			"{op: write, event: %s, delay_us: 20000, "
			"error: ENOSPC}",
			events[i], events[i]);
		source = fault_rig_source_co(rig, rule);
		CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), 0);
		CHECK(loop_now_ns(loop) - from_ns >= 20 * MS_NS);
		CHECK_INT(
			fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), -ENOSPC);
		CHECK(loop_now_ns(loop) - from_ns >= 40 * MS_NS);
		CHECK_INT(stack_rig_figure(source, "held"), 0);
		block_source_put_co(source);
	}
}

/* -- verbs ---------------------------------------------------------------- */

static void test_verbs_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		fault_rig_source_co(rig, "{op: read, name: first}");
	struct err err = {0};

	(void)argument;
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), -EIO);
	fault_rig_verb_co(
		rig, source, "add", "{op: write, error: EROFS, name: second}");
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), -EROFS);
	fault_rig_verb_co(rig, source, "remove", "{name: first}");
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), 0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), -EROFS);
	CHECK_INT(stack_rig_figure(source, "hits"), 2);
	fault_rig_verb_co(rig, source, "list", NULL);
	fault_rig_verb_co(rig, source, "clear", NULL);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), 0);

	CHECK_INT(spec_command_co(source, "bad", "remove",
			  stack_rig_doc(rig, "{name: first}"), stderr, &err),
		-ENOENT);
	CHECK_ERR(&err, "no such rule");
	CHECK_INT(spec_command_rehearse_co(source, "bad", "remove",
			  stack_rig_doc(rig, "{name: first}"), &err),
		-ENOENT);
	CHECK_INT(spec_command_rehearse_co(source, "bad", "hold",
			  stack_rig_doc(rig, "{op: write}"), &err),
		0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), 0);
	CHECK_INT(spec_command_co(source, "bad", "break", NULL, stderr, &err),
		-EINVAL);
	CHECK_ERR(&err, "there are add, hold");
	CHECK_INT(spec_command_co(source, "bad", "add",
			  stack_rig_doc(rig, "{error: EWHAT}"), stderr, &err),
		-EINVAL);
	CHECK_ERR(&err, "EWHAT is none of");
	CHECK_INT(spec_command_co(source, "bad", "add",
			  stack_rig_doc(rig, "{hold: true, delay_us: 5}"),
			  stderr, &err),
		-EINVAL);
	CHECK_ERR(&err, "not both");
	block_source_put_co(source);
}

static void test_configure_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(rig, "{op: read}");
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_configure_co(source, "bad",
			  stack_rig_doc(rig, "{rules: [{op: write}]}"), &err),
		0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), 0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), -EIO);
	CHECK_INT(spec_configure_co(source, "bad",
			  stack_rig_doc(rig, "{rules: [{op: sleep}]}"), &err),
		-EINVAL);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), -EIO);
	block_source_put_co(source);
}

/* A rule that the new list has as it was goes on: what it has counted, and what it
 * holds. A second one that says the same is another rule. */
static void test_configure_keeps_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(rig,
		"{op: read, count: 2, name: twice}, "
		"{op: flush, hold: true, name: kept}");
	struct stack_rig_request held = {0};
	struct err err = {0};

	(void)argument;
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), -EIO);
	stack_rig_submit(source, block_core_lane(rig->core, 0), &held,
		BLOCK_FLUSH, 0, 0, 0, NULL);
	stack_rig_until_co(rig, source, "held", 1);
	CHECK_INT(spec_configure_co(source, "bad",
			  stack_rig_doc(rig,
				  "{rules: [{op: read, count: 2, name: twice}, "
				  "{op: write, error: EROFS}, "
				  "{op: flush, hold: true, name: kept}, "
				  "{op: read, count: 2, offset: 512K, "
				  "name: twice}]}"),
			  &err),
		0);
	CHECK_INT(stack_rig_figure(source, "hits"), 1); /* the first one's */
	CHECK_INT(stack_rig_figure(source, "held"), 1);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), -EIO);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), 0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), -EROFS);
	CHECK_INT(spec_configure_co(source, "bad",
			  stack_rig_doc(rig, "{rules: []}"), &err),
		0);
	CHECK_INT(stack_rig_wait_co(&held), 0);
	block_source_put_co(source);
}

/* -- holding -------------------------------------------------------------- */

#define HELD 6

static struct stack_rig_request request[HELD];
static uint8_t held_data[BYTES] __attribute__((aligned(4096)));

static void submit_all(struct stack_rig *rig, struct block_source *source)
{
	unsigned i;

	for (i = 0; i < HELD; i++)
		stack_rig_submit(source, block_core_lane(rig->core, 0),
			&request[i], i % 2 ? BLOCK_WRITE : BLOCK_READ, 0,
			(uint64_t)i * BYTES, BYTES, held_data);
}

static void test_hold_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(rig, "");
	unsigned i;

	(void)argument;
	fault_rig_verb_co(rig, source, "hold", "{op: read, name: reads}");
	fault_rig_verb_co(rig, source, "hold",
		"{op: write, event: complete, name: writes, error: ENOSPC}");
	submit_all(rig, source);
	stack_rig_until_co(rig, source, "held", HELD);
	fault_rig_verb_co(rig, source, "release", "{name: reads}");
	for (i = 0; i < HELD; i += 2)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	CHECK_INT(stack_rig_figure(source, "held"), HELD / 2);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0),
		0); /* its rule is gone */
	fault_rig_verb_co(rig, source, "release", NULL);
	for (i = 1; i < HELD; i += 2)
		CHECK_INT(stack_rig_wait_co(&request[i]), -ENOSPC);
	CHECK_INT(stack_rig_figure(source, "held"), 0);
	block_source_put_co(source);
}

static void test_cancel_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(
		rig, "{op: read, hold: true}, {op: write, delay_us: 60000000}");
	unsigned i;

	(void)argument;
	submit_all(rig, source);
	CHECK_INT(stack_rig_figure(source, "held"), HELD);
	for (i = 0; i < HELD; i++)
		block_cancel(&request[i].request);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), -ECANCELED);
	block_source_put_co(source);
}

/* It stands where a swap waits, and lets go for it. */
static void test_detach_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(
		rig, "{op: read, hold: true}, {op: write, delay_us: 60000000}");
	struct err err = {0};
	unsigned i;

	(void)argument;
	submit_all(rig, source);
	CHECK_INT(
		spec_detach_co(source, "bad", 10 * SPEC_GATE_DEADLINE_NS, &err),
		0);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	block_source_put_co(source);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 2, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_rules_co),
		ROWS(test_event_co),
		ROWS(test_probability_co),
		ROWS(test_delay_co),
		ROWS(test_verbs_co),
		ROWS(test_configure_co),
		ROWS(test_configure_keeps_co),
		ROWS(test_hold_co),
		ROWS(test_cancel_co),
		ROWS(test_detach_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
