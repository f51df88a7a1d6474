/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener verify: what is equal stays equal, whatever overlaps; what differs is
 * told with its place, and dealt with as the option says.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "blockcore/core/core.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define MEM "{protocol: {type: mem, size: 1M, max_size: 4M}}"

/* source-1 beside source-2, which is the one in use. */
struct pair {
	struct block_source *other, *source;
};

static struct pair pair_co(
	struct stack_rig *rig, const char *action, const char *other)
{
	struct pair pair = {.other = stack_rig_source_co(rig, other)};
	char document[256];

	snprintf(document, sizeof document,
		"{listeners: [{type: verify, name: v, others: [source-1], "
		"action: %s}], protocol: {type: mem, size: 1M, max_size: 4M}}",
		action);
	pair.source = stack_rig_source_co(rig, document);
	return pair;
}

static void pair_end_co(struct pair *pair)
{
	block_source_put_co(pair->source);
	block_source_put_co(pair->other);
}

static int transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset, uint64_t length, void *data)
{
	return block_transfer_co(source, block_core_lane(rig->core, 0), op, 0,
		offset, length, data);
}

static void expect_status(struct block_source *source, const char *text)
{
	char *status = stack_rig_status(source);

	CHECK_FIND(status, text);
	free(status);
}

/* -- what differs --------------------------------------------------------- */

/* One byte of the other is another one. */
static void spoil_co(struct stack_rig *rig, struct pair *pair, uint64_t at)
{
	uint8_t *data = aligned_alloc(BLOCK, BLOCK);
	uint64_t sector = at / 512 * 512;

	CHECK_INT(transfer_co(rig, pair->other, BLOCK_READ, sector, 512, data),
		0);
	data[at - sector] ^= 0xff;
	CHECK_INT(transfer_co(rig, pair->other, BLOCK_WRITE, sector, 512, data),
		0);
	free(data);
}

static void test_place_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(rig, "log", MEM);
	size_t bytes = 600 << 10;
	uint8_t *data = stack_rig_pattern(bytes, 1);
	uint8_t *back = stack_rig_pattern(bytes, 2);
	char expected[96];

	(void)argument;
	CHECK_INT(
		transfer_co(rig, pair.source, BLOCK_WRITE, BLOCK, bytes, data),
		0);
	CHECK_INT(
		transfer_co(rig, pair.source, BLOCK_READ, 0, 1 << 19, back), 0);
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 0);
	CHECK_INT(stack_rig_figure(pair.source, "compared_bytes"), 1 << 19);
	stack_rig_expect_co(rig, pair.other, BLOCK, bytes, data);
	spoil_co(rig, &pair, BLOCK + 333333);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_READ, BLOCK, bytes, back),
		0);
	CHECK(!memcmp(back, data, bytes)); /* what is below, as it is */
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 1);
	CHECK_INT(stack_rig_figure(pair.source, "first_offset_bytes"),
		BLOCK + 333333);
	snprintf(expected, sizeof expected,
		"at byte %u there is 0x%02x, in 'source-1' 0x%02x",
		BLOCK + 333333, data[333333], data[333333] ^ 0xff);
	expect_status(pair.source, expected);
	/* The first stays the first. */
	spoil_co(rig, &pair, BLOCK + 5);
	CHECK_INT(
		transfer_co(rig, pair.source, BLOCK_READ, BLOCK, 512, back), 0);
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 2);
	expect_status(pair.source, expected);
	free(data);
	free(back);
	pair_end_co(&pair);
}

static void test_fail_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(rig, "fail", MEM);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);

	(void)argument;
	spoil_co(rig, &pair, 3 * BLOCK);
	CHECK_INT(transfer_co(
			  rig, pair.source, BLOCK_READ, 3 * BLOCK, BLOCK, data),
		-EIO);
	CHECK_INT(transfer_co(
			  rig, pair.source, BLOCK_READ, 4 * BLOCK, BLOCK, data),
		0);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_WRITE_ZEROES, 3 * BLOCK,
			  BLOCK, NULL),
		0);
	CHECK_INT(transfer_co(
			  rig, pair.source, BLOCK_READ, 3 * BLOCK, BLOCK, data),
		0);
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 1);
	free(data);
	pair_end_co(&pair);
}

static void test_stop_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(rig, "stop", MEM);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);

	(void)argument;
	spoil_co(rig, &pair, 3 * BLOCK);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_READ, 0, BLOCK, data), 0);
	CHECK_INT(transfer_co(
			  rig, pair.source, BLOCK_READ, 3 * BLOCK, BLOCK, data),
		-EIO);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_READ, 0, BLOCK, data),
		-EIO);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_WRITE, 0, BLOCK, data),
		-EIO);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_FLUSH, 0, 0, NULL), -EIO);
	CHECK(block_source_failed(pair.source));
	free(data);
	pair_end_co(&pair);
}

#define FAULTY(rule) \
	"{listeners: [{type: fault, name: f, rules: [" rule "]}], " \
	"protocol: {type: mem, size: 1M}}"

/* One fails what the other does. */
static void test_results_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(rig, "fail",
		FAULTY("{op: write, offset: 8K, length: 4K, error: EIO}, "
		       "{op: read, offset: 64K, length: 4K, error: EIO}, "
		       "{op: flush, error: EIO}"));
	uint8_t *data = stack_rig_pattern(BLOCK, 1);

	(void)argument;
	CHECK_INT(
		transfer_co(rig, pair.source, BLOCK_WRITE, 0, BLOCK, data), 0);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_WRITE, 2 * BLOCK, BLOCK,
			  data),
		-EIO);
	expect_status(pair.source, "write at byte 8192: done, in 'source-1' ");
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_READ, 16 * BLOCK, BLOCK,
			  data),
		-EIO);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_FLUSH, 0, 0, NULL), -EIO);
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 3);
	free(data);
	pair_end_co(&pair);
}

/* -- what is equal -------------------------------------------------------- */

#define BLOCKS 16u
#define REQUESTS 300u

struct worker {
	struct stack_rig_task task;
	struct block_source *source;
};

static void worker_co(struct stack_rig_task *task)
{
	static const enum block_opcode ops[] = {BLOCK_READ, BLOCK_WRITE,
		BLOCK_READ, BLOCK_WRITE_ZEROES, BLOCK_DISCARD, BLOCK_FLUSH,
		BLOCK_COMPARE_AND_WRITE};
	struct worker *worker = container_of(task, struct worker, task);
	uint64_t random = task->lane->index + 1;
	uint8_t *data = stack_rig_pattern(4 * BLOCK, 1);

	for (unsigned i = 0; i < REQUESTS; i++) {
		enum block_opcode op = ops[prng_below(&random, 7)];
		uint64_t first = prng_below(&random, BLOCKS);
		uint64_t count = 1 + prng_below(&random, 2);
		int result;

		memset(data, (int)prng_below(&random, 256), 4 * BLOCK);
		result = block_transfer_co(worker->source, task->lane, op, 0,
			op == BLOCK_FLUSH ? 0 : first * BLOCK,
			op == BLOCK_FLUSH ? 0 : count * BLOCK, data);
		if (op != BLOCK_COMPARE_AND_WRITE || result != -EILSEQ)
			CHECK_INT(result, 0);
	}
	free(data);
}

static void run_workers_co(struct stack_rig *rig, struct block_source *source)
{
	struct worker *worker = calloc(4 * rig->lanes, sizeof *worker);

	for (unsigned i = 0; i < 4 * rig->lanes; i++) {
		worker[i] = (struct worker){
			.task = {.run_co = worker_co}, .source = source};
		stack_rig_start(rig, i % rig->lanes, &worker[i].task);
	}
	for (unsigned i = 0; i < 4 * rig->lanes; i++)
		stack_rig_join_co(&worker[i].task);
	free(worker);
}

#define SLOW "{op: any, delay_us: 100, probability_ppm: 300000}"

/* Everybody writes and reads the same few blocks; each leg takes its own time. */
static void test_overlap_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: verify, name: v, action: fail, others: ["
		"{listeners: [{type: fault, seed: 5, rules: [" SLOW "]}], "
		"protocol: {type: mem, size: 1M}}, "
		"{format: {type: raw, file: {protocol: {type: file, "
		"path: other, size: 1M, locking: false}}}, view: current}]}, "
		"{type: fault, name: f, seed: 9, rules: [" SLOW "]}], "
		"protocol: {type: file, path: disk, size: 1M, "
		"locking: false}}");

	(void)argument;
	run_workers_co(rig, source);
	CHECK_INT(stack_rig_figure(source, "differences"), 0);
	CHECK(stack_rig_figure(source, "compared_bytes") > 0);
	block_source_put_co(source);
}

/* More than a lane works on at a time; half of them are not wanted any more. */
static void test_many_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(
		rig, "fail", FAULTY("{op: read, hold: true, name: stuck}"));
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request *request = calloc(64, sizeof *request);
	uint8_t *data = stack_rig_pattern(64 * 512, 1);

	(void)argument;
	for (unsigned i = 0; i < 64; i++)
		stack_rig_submit(pair.source, lane, &request[i], BLOCK_READ, 0,
			i * 512, 512, data + i * 512);
	stack_rig_until_co(rig, pair.other, "held", 16);
	for (unsigned i = 0; i < 64; i += 2)
		block_cancel(&request[i].request);
	for (unsigned i = 0; i < 64; i += 2)
		CHECK_INT(stack_rig_wait_co(&request[i]), -ECANCELED);
	free(stack_rig_command_co(rig, pair.other, "f", "clear", NULL));
	for (unsigned i = 1; i < 64; i += 2)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 0);
	free(request);
	free(data);
	pair_end_co(&pair);
}

/* No memory for all of a change's children: none is done; nor is it a difference. */
static void test_no_memory_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(rig, "stop", MEM);
	struct slab *children =
		&block_core_lane(rig->core, 0)->private->children;
	uint8_t *data = stack_rig_pattern(BLOCK, 1);

	(void)argument;
	CHECK_INT(
		transfer_co(rig, pair.source, BLOCK_WRITE, 0, BLOCK, data), 0);
	children->limit = children->out + 1;
	CHECK_INT(
		transfer_co(rig, pair.source, BLOCK_WRITE, BLOCK, BLOCK, data),
		-ENOMEM);
	children->limit = 0;
	stack_rig_expect_co(rig, pair.other, BLOCK, BLOCK, NULL);
	stack_rig_expect_co(rig, pair.source, BLOCK, BLOCK, NULL);
	stack_rig_expect_co(rig, pair.source, 0, BLOCK, data);
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 0);
	free(data);
	pair_end_co(&pair);
}

/* -- life ----------------------------------------------------------------- */

/* It cannot leave a change half done; then it leaves, and lets go of the other. */
static void test_detach_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(
		rig, "fail", FAULTY("{op: write, hold: true, name: stuck}"));
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);
	struct stack_rig_request request;
	struct err err = {0};

	(void)argument;
	stack_rig_submit(
		pair.source, lane, &request, BLOCK_WRITE, 0, 0, BLOCK, data);
	stack_rig_until_co(rig, pair.other, "held", 1);
	CHECK_INT(spec_detach_co(pair.source, "v", SPEC_GATE_DEADLINE_NS, &err),
		-ETIMEDOUT);
	CHECK_FIND(err.text, "held by 'v'");
	free(stack_rig_command_co(rig, pair.other, "f", "clear", NULL));
	CHECK_INT(stack_rig_wait_co(&request), 0);
	CHECK_INT(spec_detach_co(pair.source, "v", SPEC_GATE_DEADLINE_NS, &err),
		0);
	CHECK(!block_source_shared(pair.other));
	free(data);
	pair_end_co(&pair);
}

/* What grows shows no more than all of them have. */
static void test_resize_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(rig, "fail", MEM);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);
	struct err err = {0};

	(void)argument;
	spec_resize_co(pair.source, 2 << 20, &err);
	CHECK_INT(block_source_info(pair.source, lane).size_bytes, 1 << 20);
	CHECK_INT(transfer_co(rig, pair.source, BLOCK_WRITE, (1 << 20) - BLOCK,
			  BLOCK, data),
		0);
	CHECK_INT(transfer_co(
			  rig, pair.source, BLOCK_WRITE, 1 << 20, BLOCK, data),
		-ERANGE);
	CHECK_INT(stack_rig_figure(pair.source, "differences"), 0);
	free(data);
	pair_end_co(&pair);
}

static void refuse_co(struct stack_rig *rig, const char *others,
	const char *bottom, int error, const char *text)
{
	struct block_source *source;
	struct err err = {0};
	char document[512];

	snprintf(document, sizeof document,
		"{listeners: [{type: verify, name: v%s}], %s}", others, bottom);
	CHECK_INT(stack_rig_build_co(rig, document, &source, &err), error);
	CHECK_FIND(err.text, text);
}

#define BOTTOM "protocol: {type: mem, size: 1M}"

static void test_refusals_co(struct stack_rig *rig, void *argument)
{
	struct pair pair = pair_co(rig, "log", MEM);
	const struct doc *itself =
		stack_rig_doc(rig, "{type: verify, others: [source-1]}");
	struct err err = {0};

	(void)argument;
	refuse_co(rig, "", BOTTOM, -EINVAL, "others");
	refuse_co(rig, ", others: []", BOTTOM, -EINVAL, "1 to 3 sources");
	refuse_co(rig, ", others: [a, b, c, d]", BOTTOM, -EINVAL,
		"1 to 3 sources");
	refuse_co(rig, ", others: [nobody]", BOTTOM, -ENOENT,
		"there is no source 'nobody'");
	refuse_co(rig, ", others: [{protocol: {type: memm}}]", BOTTOM, -EINVAL,
		"there is no protocol 'memm'");
	refuse_co(rig, ", others: [{protocol: {type: mem, size: 512K}}]",
		BOTTOM, -EINVAL, "must be as large");
	refuse_co(rig, ", others: [source-1]", BOTTOM, -EBUSY, "listener 'v'");
	refuse_co(rig, ", others: [" MEM "]", "source: source-2", -EINVAL,
		"must see every write");
	CHECK_INT(spec_attach_co(pair.other, itself, NULL, &err), -ELOOP);
	pair_end_co(&pair);
}

/* The most frames that a request can need: one of the listener above whose child it
 * is, one of each of its own, that of the gate, two of an image. */
static void test_deepest_co(struct stack_rig *rig, void *argument)
{
	char document[2048] = "{listeners: [{type: stats}";
	uint8_t *data = stack_rig_pattern(BLOCK, 1);

	(void)argument;
	for (unsigned i = 1; i < BLOCK_MAX_DRIVERS - 1; i++)
		strcat(document, ", {type: stats}");
	strcat(document,
		"], format: {type: qcow2, size: 1M, file: {protocol: "
		"{type: mem, size: 64K, max_size: 4M}}}}");
	struct pair pair = pair_co(rig, "fail", document);
	for (unsigned i = 0; i < 2; i++) /* allocates, then writes in place */
		CHECK_INT(block_transfer_co(pair.source,
				  block_core_lane(rig->core, 0), BLOCK_WRITE,
				  BLOCK_FUA, 0, BLOCK, data),
			0);
	stack_rig_expect_co(rig, pair.other, 0, BLOCK, data);
	free(data);
	pair_end_co(&pair);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_place_co),
		ROWS(test_fail_co),
		ROWS(test_stop_co),
		ROWS(test_results_co),
		ROWS(test_overlap_co),
		ROWS(test_many_co),
		ROWS(test_detach_co),
		ROWS(test_resize_co),
		ROWS(test_no_memory_co),
		ROWS(test_deepest_co),
		ROWS(test_refusals_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
