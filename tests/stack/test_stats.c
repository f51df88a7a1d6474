/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener stats: what it counts is what was asked, from all lanes, also when
 * it comes and goes while requests are under way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 4096u
#define REQUESTS 50u

struct worker {
	struct stack_rig_task task;
	struct block_source *source;
};

/* Of each lane: REQUESTS writes, twice as many reads, one failure. */
static void worker_co(struct stack_rig_task *task)
{
	struct worker *worker = container_of(task, struct worker, task);
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	unsigned i;

	for (i = 0; i < REQUESTS; i++) {
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  BLOCK_WRITE, 0, 0, BYTES, data),
			0);
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  BLOCK_READ, 0, 0, BYTES, data),
			0);
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  BLOCK_READ, 0, BYTES, BYTES, data),
			i ? 0 : -EIO);
	}
	free(data);
}

/* The object after "name": of the status; to be freed. */
static char *part(struct block_source *source, const char *name)
{
	char *status = stack_rig_status(source), quoted[64], *copy;
	const char *at, *end;

	snprintf(quoted, sizeof quoted, "\"%s\": {", name);
	at = CHECK_FIND(status, quoted);
	end = strchr(at, '}');
	CHECK(end != NULL);
	copy = strndup(at, (size_t)(end - at));
	free(status);
	return copy;
}

static uint64_t number(const char *text, const char *key)
{
	const char *at = CHECK_FIND(text, key);

	return strtoull(at + strlen(key) + 3, NULL, 10);
}

/* Sum of the histogram. */
static uint64_t histogram(const char *text)
{
	char *at = strchr(text, '[');
	uint64_t sum = 0;

	for (CHECK(at != NULL); *at && *at != ']'; at++)
		if (*at == '[' || *at == ',')
			sum += strtoull(at + 1, NULL, 10);
	return sum;
}

static void check_op(struct block_source *source, const char *name,
	uint64_t requests, uint64_t bytes, uint64_t errors)
{
	char *text = part(source, name);

	CHECK_INT(number(text, "requests"), requests);
	CHECK_INT(number(text, "bytes"), bytes);
	CHECK_INT(number(text, "errors"), errors);
	CHECK_INT(histogram(text), requests);
	free(text);
}

/* Each operation under its own name, with its bytes, and with its failures. */
static void test_operations_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		enum block_opcode op;
		const char *name;
		uint64_t bytes;
	} rows[] = {{BLOCK_READ, "read", BYTES}, {BLOCK_WRITE, "write", 512},
		{BLOCK_WRITE_ZEROES, "write_zeroes", 2 * BYTES},
		{BLOCK_DISCARD, "discard", 3 * BYTES},
		{BLOCK_COMPARE_AND_WRITE, "compare_and_write", BYTES},
		{BLOCK_FLUSH, "flush", 0}};
	static uint8_t data[2 * BYTES];
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: stats, name: figures}, {type: fault, "
		"rules: [{offset: 512K, error: EIO}]}], "
		"protocol: {type: mem, size: 1M}}");

	(void)argument;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool moves = BLOCK_OP(rows[i].op) &
			(BLOCK_OPS_DATA | BLOCK_OP(BLOCK_COMPARE_AND_WRITE));
		bool fails = rows[i].bytes;

		CHECK_INT(block_transfer_co(source, lane, rows[i].op, 0, 0,
				  rows[i].bytes, moves ? data : NULL),
			0);
		if (fails)
			CHECK_INT(block_transfer_co(source, lane, rows[i].op, 0,
					  512 << 10, rows[i].bytes,
					  moves ? data : NULL),
				-EIO);
		check_op(source, rows[i].name, 1 + fails, rows[i].bytes, fails);
	}
	CHECK_INT(stack_rig_figure(source, "in_flight"), 0);
	block_source_put_co(source);
}

#define HELD 5

/* In flight counts what a fault holds; the histogram has how long. */
static void test_in_flight_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: stats, name: figures}, "
		"{type: delay, name: slow, read_us: 3000}, "
		"{type: fault, name: bad, rules: [{op: write, hold: true}]}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	char *text;
	unsigned i;

	(void)argument;
	for (i = 0; i < HELD; i++)
		stack_rig_submit(source, lane, &request[i], BLOCK_WRITE, 0, 0,
			BYTES, data);
	CHECK_INT(stack_rig_figure(source, "in_flight"), HELD);
	free(stack_rig_command_co(rig, source, "bad", "release", NULL));
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	CHECK_INT(stack_rig_figure(source, "in_flight"), 0);
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_READ, 0, 0, BYTES, data),
		0);
	text = part(source, "read");
	CHECK(number(text, "total_ns") >= 3000000);
	/* 3 ms lie in bucket 21: 20 zeroes and more come before it. */
	CHECK(strstr(text,
		"[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
		"0, 0, 0, 0"));
	if (rig->simulated) /* that one, and no other */
		CHECK(strstr(text, "0, 0, 0, 0, 0, 1]"));
	free(text);
	free(data);
	block_source_put_co(source);
}

/* Requests under way when it comes are not counted; when it goes, they end. */
static void test_attach_detach_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: bad, "
		"rules: [{op: write, hold: true}]}], "
		"protocol: {type: mem, size: 1M}}");
	const struct doc *stats =
		stack_rig_doc(rig, "{type: stats, name: figures}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request early, late;
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	struct err err = {0};

	(void)argument;
	stack_rig_submit(source, lane, &early, BLOCK_WRITE, 0, 0, BYTES, data);
	/* Needs no gate: it is there while the write is held. */
	CHECK_INT(spec_attach_co(source, stats, NULL, &err), 0);
	CHECK_INT(stack_rig_figure(source, "in_flight"), 0);
	stack_rig_submit(source, lane, &late, BLOCK_WRITE, 0, 0, BYTES, data);
	CHECK_INT(stack_rig_figure(source, "in_flight"), 1);
	CHECK_INT(
		spec_detach_co(source, "figures", SPEC_GATE_DEADLINE_NS, &err),
		0);
	CHECK(!early.done && !late.done);
	free(stack_rig_command_co(rig, source, "bad", "release", NULL));
	CHECK_INT(stack_rig_wait_co(&early), 0);
	CHECK_INT(stack_rig_wait_co(&late), 0);
	free(data);
	block_source_put_co(source);
}

/* Lanes count apart and are added up. */
static void test_lanes_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: stats, name: figures}], "
		"protocol: {type: mem, size: 1M}}");
	struct worker worker[BLOCK_MAX_LANES];
	unsigned i;

	(void)argument;
	for (i = 0; i < rig->lanes; i++) {
		worker[i].task.run_co = worker_co;
		worker[i].source = source;
	}
	for (i = 0; i < rig->lanes; i++) {
		struct err err = {0};
		const struct doc *bad = stack_rig_doc(rig,
			"{type: fault, name: bad, rules: [{op: read, "
			"offset: 4096, length: 4096, count: 1}]}");

		CHECK_INT(spec_attach_co(source, bad, NULL, &err), 0);
		stack_rig_start(rig, i, &worker[i].task);
		stack_rig_join_co(&worker[i].task);
		CHECK_INT(spec_detach_co(
				  source, "bad", SPEC_GATE_DEADLINE_NS, &err),
			0);
	}
	check_op(source, "write", rig->lanes * REQUESTS,
		(uint64_t)rig->lanes * REQUESTS * BYTES, 0);
	check_op(source, "read", 2 * rig->lanes * REQUESTS,
		(uint64_t)rig->lanes * (2 * REQUESTS - 1) * BYTES, rig->lanes);
	block_source_put_co(source);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_operations_co),
		ROWS(test_in_flight_co),
		ROWS(test_attach_detach_co),
		ROWS(test_lanes_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
