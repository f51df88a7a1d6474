/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of the listener fault, one part after the other, by what they do: each
 * operation, each error, FUA, COMPARE_AND_WRITE that is no operation of the bottom, and
 * what a held request has changed below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 4096u

static uint8_t data[2 * BYTES] __attribute__((aligned(4096)));

static struct block_source *faulty_co(struct stack_rig *rig, const char *rules)
{
	char document[256];

	snprintf(document, sizeof document,
		"{listeners: [{type: fault, name: bad, rules: [%s]}], "
		"protocol: {type: mem, size: 1M}}",
		rules);
	return stack_rig_source_co(rig, document);
}

static int extents_co(struct stack_rig *rig, struct block_source *source)
{
	struct block_extent extent;
	struct block_extents answer = {.extent = &extent, .room = 1};
	struct stack_rig_request request;

	stack_rig_submit_extents(source, block_core_lane(rig->core, 0),
		&request, 0, BYTES, &answer);
	return stack_rig_wait_co(&request);
}

/* At the start; what is written is zeroes, and so is what is compared. */
static int ask_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op)
{
	bool moves = op == BLOCK_READ || op == BLOCK_WRITE ||
		op == BLOCK_COMPARE_AND_WRITE;

	if (op == BLOCK_EXTENTS)
		return extents_co(rig, source);
	memset(data, 0, sizeof data);
	return block_transfer_co(source, block_core_lane(rig->core, 0), op, 0,
		0, op == BLOCK_FLUSH ? 0 : BYTES, moves ? data : NULL);
}

/* Which rule strikes which operation, and none of the others. */
static void test_operations_co(struct stack_rig *rig, void *argument)
{
	enum { R = 1, W = 2, Z = 4, D = 8, F = 16, C = 32, E = 64 };
	static const enum block_opcode ops[] = {BLOCK_READ, BLOCK_WRITE,
		BLOCK_WRITE_ZEROES, BLOCK_DISCARD, BLOCK_FLUSH,
		BLOCK_COMPARE_AND_WRITE, BLOCK_EXTENTS};
	static const struct {
		const char *op;
		unsigned struck;
	} rows[] = {{"any", R | W | Z | D | F | C | E},
		{"change", W | Z | D | C}, {"read", R | C}, {"write", W | C},
		{"write_zeroes", Z}, {"discard", D}, {"flush", F},
		{"compare_and_write", C}, {"extents", E}};
	char rule[64];

	(void)argument;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct block_source *source;

		snprintf(rule, sizeof rule, "{op: %s, error: ETIMEDOUT}",
			rows[i].op);
		source = faulty_co(rig, rule);
		for (unsigned j = 0; j < sizeof ops / sizeof *ops; j++)
			CHECK_INT(ask_co(rig, source, ops[j]),
				rows[i].struck >> j & 1 ? -ETIMEDOUT : 0);
		block_source_put_co(source);
	}
}

static void test_errors_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *name;
		int error;
	} rows[] = {{"none", 0}, {"EIO", EIO}, {"ENOSPC", ENOSPC},
		{"EROFS", EROFS}, {"ENODEV", ENODEV}, {"ENOMEM", ENOMEM},
		{"ERANGE", ERANGE}, {"EILSEQ", EILSEQ},
		{"ETIMEDOUT", ETIMEDOUT}, {"EBUSY", EBUSY}, {"EAGAIN", EAGAIN},
		{"EOPNOTSUPP", EOPNOTSUPP}, {"ECANCELED", ECANCELED}};
	static const char *const events[] = {"submit", "complete"};
	char rule[64], shown[32];

	(void)argument;
	for (unsigned i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
		struct block_source *source;
		char *status;

		snprintf(rule, sizeof rule, "{op: read, error: %s, event: %s}",
			rows[i / 2].name, events[i % 2]);
		source = faulty_co(rig, rule);
		CHECK_INT(ask_co(rig, source, BLOCK_READ), -rows[i / 2].error);
		status = stack_rig_status(source);
		snprintf(shown, sizeof shown, "\"error\": \"%s\"",
			rows[i / 2].name);
		CHECK_FIND(status, shown);
		free(status);
		block_source_put_co(source);
	}
}

/* What must be durable is struck, and what need not be is not. */
static void test_fua_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = faulty_co(rig, "{op: write, fua: true}");
	struct block_lane *lane = block_core_lane(rig->core, 0);

	(void)argument;
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_WRITE, 0, 0, BYTES, data),
		0);
	CHECK_INT(block_transfer_co(
			  source, lane, BLOCK_WRITE, BLOCK_FUA, 0, BYTES, data),
		-EIO);
	CHECK_INT(stack_rig_figure(source, "matches"), 1);
	block_source_put_co(source);
}

/* -- COMPARE_AND_WRITE ------------------------------------------------------ */

/* Writes zeroes and ones over zeroes, if they are zeroes. */
static int compare_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	memset(data, 0, BYTES);
	memset(data + BYTES, 1, BYTES);
	return block_transfer_co(source, block_core_lane(rig->core, 0),
		BLOCK_COMPARE_AND_WRITE, 0, offset, BYTES, data);
}

/* Below the core it is a read and a write. It is struck once: before both, or after;
 * not where nothing was written. */
static void test_compare_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = faulty_co(rig,
		"{op: compare_and_write, offset: 0, length: 4K}, "
		"{op: compare_and_write, event: complete}");
	static uint8_t ones[BYTES];

	(void)argument;
	memset(ones, 1, BYTES);
	CHECK_INT(compare_co(rig, source, 0), -EIO);
	stack_rig_expect_co(rig, source, 0, BYTES, NULL);
	CHECK_INT(stack_rig_figure(source, "hits"), 1);
	CHECK_INT(compare_co(rig, source, BYTES), -EIO);
	stack_rig_expect_co(rig, source, BYTES, BYTES, ones);
	CHECK_INT(compare_co(rig, source, BYTES), -EILSEQ);
	CHECK_INT(ask_co(rig, source, BLOCK_READ), 0);
	CHECK_INT(ask_co(rig, source, BLOCK_WRITE), 0);
	block_source_put_co(source);
}

/* FUA is of the whole. */
static void test_compare_fua_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		faulty_co(rig, "{op: compare_and_write, fua: true}");

	(void)argument;
	CHECK_INT(ask_co(rig, source, BLOCK_COMPARE_AND_WRITE), 0);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_COMPARE_AND_WRITE, BLOCK_FUA, 0, BYTES, data),
		-EIO);
	block_source_put_co(source);
}

/* -- holding ---------------------------------------------------------------- */

/* A hold at `submit` keeps it from happening, one at `complete` only its end; looked
 * at below the fault. Released, the first happens; cancelled, it never does. */
static void test_hold_effect_co(struct stack_rig *rig, void *argument)
{
	struct block_source *below =
		stack_rig_source_co(rig, "{protocol: {type: mem, size: 1M}}");
	struct block_source *source;
	struct stack_rig_request request[3];
	uint8_t *mine = stack_rig_pattern(BYTES, 1);
	char document[256];

	(void)argument;
	snprintf(document, sizeof document,
		"{listeners: [{type: fault, name: bad, rules: ["
		"{op: write, offset: 4K, length: 4K, event: complete, "
		"hold: true}, {op: write, length: 4K, hold: true}, "
		"{op: write, offset: 8K, hold: true}]}], source: %s}",
		block_source_name(below));
	source = stack_rig_source_co(rig, document);
	for (unsigned i = 0; i < 3; i++)
		stack_rig_submit(source, block_core_lane(rig->core, 0),
			&request[i], BLOCK_WRITE, 0, i * BYTES, BYTES, mine);
	stack_rig_until_co(rig, source, "held", 3);
	stack_rig_expect_co(rig, below, 0, BYTES, NULL);
	stack_rig_expect_co(rig, below, BYTES, BYTES, mine);
	CHECK(!request[1].done);
	block_cancel(&request[2].request);
	CHECK_INT(stack_rig_wait_co(&request[2]), -ECANCELED);
	free(stack_rig_command_co(rig, source, "bad", "release", NULL));
	CHECK_INT(stack_rig_wait_co(&request[0]), 0);
	CHECK_INT(stack_rig_wait_co(&request[1]), 0);
	stack_rig_expect_co(rig, below, 0, BYTES, mine);
	stack_rig_expect_co(rig, below, 2 * BYTES, BYTES, NULL);
	free(mine);
	block_source_put_co(source);
	block_source_put_co(below);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 2, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_operations_co),
		ROWS(test_errors_co),
		ROWS(test_fua_co),
		ROWS(test_compare_co),
		ROWS(test_compare_fua_co),
		ROWS(test_hold_effect_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
