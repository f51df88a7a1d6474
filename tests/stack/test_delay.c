/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener delay: who waits, how long, and who gets them out of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>

#define MS_NS 1000000ull
#define BYTES 4096u

static struct block_source *delayed_co(
	struct stack_rig *rig, const char *options)
{
	char document[256];

	snprintf(document, sizeof document,
		"{listeners: [{type: delay, name: slow, %s}], "
		"protocol: {type: mem, size: 1M}}",
		options);
	return stack_rig_source_co(rig, document);
}

static uint64_t time_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint8_t *data)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint64_t from_ns = loop_now_ns(lane->loop);

	CHECK_INT(block_transfer_co(source, lane, op, 0, 0,
			  op == BLOCK_FLUSH ? 0 : BYTES,
			  op == BLOCK_READ || op == BLOCK_WRITE ? data : NULL),
		0);
	return loop_now_ns(lane->loop) - from_ns;
}

static void test_times_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		enum block_opcode op;
		uint64_t least_ms;
	} rows[] = {{BLOCK_READ, 20}, {BLOCK_WRITE, 40},
		{BLOCK_WRITE_ZEROES, 40}, {BLOCK_DISCARD, 40},
		{BLOCK_FLUSH, 0}};
	struct block_source *source =
		delayed_co(rig, "read_us: 20000, write_us: 40000");
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	size_t i;

	(void)argument;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t took_ns = time_co(rig, source, rows[i].op, data);

		CHECK(took_ns >= rows[i].least_ms * MS_NS);
		if (rig->simulated)
			CHECK(took_ns <= (rows[i].least_ms + 1) * MS_NS);
	}
	free(data);
	block_source_put_co(source);
}

/* Equal seeds give equal times, within the bounds, not all the same. */
static void test_jitter_co(struct stack_rig *rig, void *argument)
{
	uint64_t took_ns[2][8];
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	unsigned run, i, different = 0;

	(void)argument;
	for (run = 0; run < 2; run++) {
		struct block_source *source = delayed_co(
			rig, "read_us: 1000, jitter_us: 9000, seed: 5");

		for (i = 0; i < 8; i++)
			took_ns[run][i] =
				time_co(rig, source, BLOCK_READ, data);
		block_source_put_co(source);
	}
	for (i = 0; i < 8; i++) {
		CHECK(took_ns[0][i] >= MS_NS);
		if (!rig->simulated)
			continue;
		CHECK(took_ns[0][i] <= 11 * MS_NS);
		CHECK_INT(took_ns[0][i] / 1000, took_ns[1][i] / 1000);
		different += took_ns[0][i] != took_ns[0][0];
	}
	CHECK(!rig->simulated || different >= 6);
	free(data);
}

#define HELD 6
#define FOREVER "read_us: 60000000"

static struct block_source *hold_co(
	struct stack_rig *rig, struct stack_rig_request *request, uint8_t *data)
{
	struct block_source *source = delayed_co(rig, FOREVER);
	unsigned i;

	for (i = 0; i < HELD; i++)
		stack_rig_submit(source, block_core_lane(rig->core, 0),
			&request[i], BLOCK_READ, 0, 0, BYTES, data + i * BYTES);
	CHECK_INT(stack_rig_figure(source, "held"), HELD);
	return source;
}

static void test_cancel_co(struct stack_rig *rig, void *argument)
{
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(HELD * BYTES, 1);
	struct block_source *source = hold_co(rig, request, data);
	unsigned i;

	(void)argument;
	for (i = 0; i < HELD; i++)
		block_cancel(&request[i].request);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), -ECANCELED);
	free(data);
	block_source_put_co(source);
}

static void test_detach_co(struct stack_rig *rig, void *argument)
{
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(HELD * BYTES, 1);
	struct block_source *source = hold_co(rig, request, data);
	struct err err = {0};
	unsigned i;

	(void)argument;
	CHECK_INT(
		spec_detach_co(source, "slow", SPEC_GATE_DEADLINE_NS, &err), 0);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	free(data);
	block_source_put_co(source);
}

/* New values hold for who comes after. */
static void test_configure_co(struct stack_rig *rig, void *argument)
{
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(HELD * BYTES, 1);
	struct block_source *source = hold_co(rig, request, data);
	struct err err = {0};
	unsigned i;

	(void)argument;
	CHECK_INT(spec_configure_co(source, "slow",
			  stack_rig_doc(rig, "{read_us: 0}"), &err),
		0);
	CHECK(time_co(rig, source, BLOCK_READ, data) < 30000 * MS_NS);
	CHECK_INT(stack_rig_figure(source, "held"), HELD);
	for (i = 0; i < HELD; i++)
		block_cancel(&request[i].request);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), -ECANCELED);
	free(data);
	block_source_put_co(source);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 2, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_times_co),
		ROWS(test_jitter_co),
		ROWS(test_cancel_co),
		ROWS(test_detach_co),
		ROWS(test_configure_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
