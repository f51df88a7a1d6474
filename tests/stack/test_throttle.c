/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener throttle: never faster than its limits, not much slower, fair,
 * changed live, and out of the way of what it does not limit. On a virtual clock
 * both bounds are checked; on a real one only that it is never too fast.
 *
 * TSAN: yes
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

#define KIB 1024u
#define SECOND_NS 1000000000ull
#define SLACK_NS (SECOND_NS / 10) /* what can always be saved up */

/* One worker asks, waits, asks again. */
struct worker {
	struct stack_rig_task task;
	struct block_source *source;
	enum block_opcode op;
	uint64_t bytes;
	unsigned requests;
	uint64_t until_ns; /* instead of `requests`, if not 0 */
	unsigned done;
};

static void worker_co(struct stack_rig_task *task)
{
	struct worker *worker = container_of(task, struct worker, task);
	struct loop *loop = task->lane->loop;
	bool moves = worker->op == BLOCK_READ || worker->op == BLOCK_WRITE;
	uint8_t *data = moves ? stack_rig_pattern(worker->bytes, 1) : NULL;

	while (worker->until_ns ? loop_now_ns(loop) < worker->until_ns
				: worker->done < worker->requests) {
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  worker->op, 0,
				  task->lane->index * worker->bytes,
				  worker->bytes, data),
			0);
		worker->done++;
	}
	free(data);
}

/* `count` workers like `like`, over all lanes: ns until the last one is done. */
static uint64_t run_workers_co(
	struct stack_rig *rig, struct worker like, unsigned count)
{
	struct loop *loop = block_core_lane(rig->core, 0)->loop;
	struct worker *worker = calloc(count, sizeof *worker);
	uint64_t from_ns = loop_now_ns(loop);
	unsigned i;

	for (i = 0; i < count; i++) {
		worker[i] = like;
		worker[i].task.run_co = worker_co;
		stack_rig_start(rig, i % rig->lanes, &worker[i].task);
	}
	for (i = 0; i < count; i++)
		stack_rig_join_co(&worker[i].task);
	free(worker);
	return loop_now_ns(loop) - from_ns;
}

/* `units` at `rate` per second took `took_ns`, with `saved_ns` saved up. */
static void check_time(struct stack_rig *rig, uint64_t took_ns, uint64_t units,
	uint64_t rate, uint64_t saved_ns)
{
	uint64_t full_ns = units * SECOND_NS / rate;

	if (took_ns + saved_ns + full_ns / 50 < full_ns)
		check_fail(__FILE__, __LINE__, "too fast: %llu of %llu ns",
			(unsigned long long)took_ns,
			(unsigned long long)full_ns);
	if (rig->simulated && took_ns > full_ns + full_ns / 20)
		check_fail(__FILE__, __LINE__, "too slow: %llu of %llu ns",
			(unsigned long long)took_ns,
			(unsigned long long)full_ns);
}

static struct block_source *limited_co(
	struct stack_rig *rig, const char *options)
{
	char document[256];

	snprintf(document, sizeof document,
		"{listeners: [{type: throttle, name: limit, %s}], "
		"protocol: {type: mem, size: 1M}}",
		options);
	return stack_rig_source_co(rig, document);
}

/* -- limits --------------------------------------------------------------- */

static void test_limits_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *options;
		enum block_opcode op;
		uint64_t bytes, rate;
		bool count_bytes;
	} rows[] = {
		{"iops: 1000", BLOCK_READ, 4 * KIB, 1000, false},
		{"iops: 1000", BLOCK_WRITE, 4 * KIB, 1000, false},
		{"bytes_s: 4M", BLOCK_WRITE, 4 * KIB, 4 << 20, true},
		{"iops_read: 1000", BLOCK_READ, 4 * KIB, 1000, false},
		{"iops_write: 1000", BLOCK_WRITE, 4 * KIB, 1000, false},
		{"bytes_read: 4M", BLOCK_READ, 4 * KIB, 4 << 20, true},
		{"bytes_write: 4M", BLOCK_WRITE, 4 * KIB, 4 << 20, true},
		{"iops: 100000, bytes_s: 4M", BLOCK_READ, 4 * KIB, 4 << 20,
			true},
		{"bytes_s: 4M", BLOCK_WRITE_ZEROES, 4 * KIB, 4 << 20, true},
		{"bytes_write: 4M", BLOCK_WRITE_ZEROES, 4 * KIB, 4 << 20, true},
		{"iops_write: 1000", BLOCK_DISCARD, 4 * KIB, 1000, false},
	};
	size_t i;

	(void)argument;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct block_source *source = limited_co(rig, rows[i].options);
		struct worker like = {.source = source,
			.op = rows[i].op,
			.bytes = rows[i].bytes,
			.requests = 50};
		uint64_t took_ns = run_workers_co(rig, like, 16);

		check_time(rig, took_ns,
			rows[i].count_bytes ? 800 * rows[i].bytes : 800,
			rows[i].rate, SLACK_NS);
		block_source_put_co(source);
	}
}

/* A limit of one direction leaves the other alone: with both at hand, one waits and
 * the other does not. */
static void test_apart_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *limits;
		enum block_opcode free, limited;
	} rows[] = {
		{"iops_write: 1, bytes_write: 1K", BLOCK_READ, BLOCK_WRITE},
		{"iops_read: 1, bytes_read: 1K", BLOCK_WRITE, BLOCK_READ},
		{"iops_read: 1, bytes_read: 1K", BLOCK_WRITE_ZEROES,
			BLOCK_READ},
	};
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(4 * KIB, 1);

	(void)argument;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct block_source *source = limited_co(rig, rows[i].limits);
		struct worker like = {.source = source,
			.op = rows[i].free,
			.bytes = 4 * KIB,
			.requests = 200};
		struct stack_rig_request held;

		CHECK(run_workers_co(rig, like, 8) < 30 * SECOND_NS);
		CHECK_INT(stack_rig_figure(source, "waited"), 0);
		CHECK_INT(block_transfer_co(source, lane, rows[i].limited, 0, 0,
				  4 * KIB, data),
			0);
		stack_rig_submit(source, lane, &held, rows[i].limited, 0, 0,
			4 * KIB, data);
		CHECK_INT(stack_rig_figure(source, "held"), 1);
		block_cancel(&held.request);
		CHECK_INT(stack_rig_wait_co(&held), -ECANCELED);
		block_source_put_co(source);
	}
	free(data);
}

/* A discard moves nothing: it costs a request, and no bytes. */
static void test_discard_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		limited_co(rig, "bytes_s: 1K, bytes_write: 1K");
	struct worker like = {.source = source,
		.op = BLOCK_DISCARD,
		.bytes = 64 * KIB,
		.requests = 20};

	(void)argument;
	run_workers_co(rig, like, 4);
	CHECK_INT(stack_rig_figure(source, "waited"), 0);
	block_source_put_co(source);
}

/* Zeroes of any length in one request, at one byte a second: nobody lives to see the
 * next one go, whatever their product is in nanoseconds. */
static void test_large_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: throttle, name: limit, bytes_s: 1}], "
		"protocol: {type: \"null\", size: 32P}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request next;

	(void)argument;
	CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE_ZEROES, 0, 0,
			  32ull << 50, NULL),
		0);
	stack_rig_submit(
		source, lane, &next, BLOCK_WRITE_ZEROES, 0, 0, 512, NULL);
	CHECK_INT(stack_rig_figure(source, "held"), 1);
	block_cancel(&next.request);
	CHECK_INT(stack_rig_wait_co(&next), -ECANCELED);
	block_source_put_co(source);
}

/* After a rest four times the limit, for so many seconds: 400 requests in each, of which
 * 300 were saved up; then 100 each second. */
static void expect_burst_co(struct stack_rig *rig, unsigned seconds)
{
	char limits[80];
	struct worker like = {.op = BLOCK_READ, .bytes = 512};
	uint64_t first_ns, second_ns;

	snprintf(limits, sizeof limits,
		"iops: 100, burst: 4, burst_seconds: %u", seconds);
	like.source = limited_co(rig, limits);
	like.requests = 25 * seconds;
	first_ns = run_workers_co(rig, like, 16);
	like.requests = 25;
	second_ns = run_workers_co(rig, like, 4);
	check_time(rig, first_ns, 400 * seconds, 400, SLACK_NS);
	check_time(rig, second_ns, 100, 100, SLACK_NS);
	block_source_put_co(like.source);
}

static void test_burst_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	expect_burst_co(rig, 1);
	expect_burst_co(rig, 3);
}

/* -- groups --------------------------------------------------------------- */

static void test_group_co(struct stack_rig *rig, void *argument)
{
	struct block_source *one = limited_co(rig, "iops: 1000, group: g");
	struct block_source *two = limited_co(rig, "group: g");
	struct loop *loop = block_core_lane(rig->core, 0)->loop;
	struct worker deep[32], shallow;
	uint64_t from_ns = loop_now_ns(loop), until_ns = from_ns + SECOND_NS;
	unsigned i, sum = 0;

	(void)argument;
	for (i = 0; i < 32; i++) {
		deep[i] = (struct worker){.task.run_co = worker_co,
			.source = one,
			.op = BLOCK_READ,
			.bytes = 512,
			.until_ns = until_ns};
		stack_rig_start(rig, 0, &deep[i].task);
	}
	shallow = deep[0];
	shallow.source = two;
	stack_rig_start(rig, rig->lanes - 1, &shallow.task);
	for (i = 0; i < 32; i++) {
		stack_rig_join_co(&deep[i].task);
		sum += deep[i].done;
	}
	stack_rig_join_co(&shallow.task);
	check_time(rig, loop_now_ns(loop) - from_ns, sum + shallow.done, 1000,
		SLACK_NS);
	/* The one with one request at a time gets its turns. */
	if (rig->simulated)
		CHECK(shallow.done * 3 > sum);
	CHECK(shallow.done > 0);
	block_source_put_co(two);
	block_source_put_co(one);
}

static void test_group_refused_co(struct stack_rig *rig, void *argument)
{
	struct block_source *one = limited_co(rig, "iops: 1000, group: g");
	struct block_source *two = NULL;
	struct err err = {0};

	(void)argument;
	CHECK_INT(stack_rig_build_co(rig,
			  "{listeners: [{type: throttle, name: limit, iops: 5, "
			  "group: g}], protocol: {type: mem, size: 1M}}",
			  &two, &err),
		-EINVAL);
	CHECK_ERR(&err, "has other limits");
	two = limited_co(rig, "iops: 1000, group: g");
	CHECK_INT(stack_rig_figure(two, "iops"), 1000);
	CHECK_INT(spec_configure_co(
			  two, "limit", stack_rig_doc(rig, "{iops: 70}"), &err),
		0);
	CHECK_INT(stack_rig_figure(one, "iops"), 70);
	block_source_put_co(two);
	block_source_put_co(one);
}

/* -- under way ------------------------------------------------------------ */

#define HELD 8

/* Fills a throttle of one request per 1000 seconds; the first one passes. */
static struct block_source *hold_co(
	struct stack_rig *rig, struct stack_rig_request *request, uint8_t *data)
{
	struct block_source *source = limited_co(rig, "bytes_s: 1");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	unsigned i;

	CHECK_INT(block_transfer_co(
			  source, lane, BLOCK_WRITE, 0, 0, 4 * KIB, data),
		0);
	for (i = 0; i < HELD; i++)
		stack_rig_submit(
			source, lane, &request[i], BLOCK_READ, 0, 0, 512, data);
	CHECK_INT(stack_rig_figure(source, "held"), HELD);
	return source;
}

static void test_configure_co(struct stack_rig *rig, void *argument)
{
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(4 * KIB, 1);
	struct block_source *source = hold_co(rig, request, data);
	struct err err = {0};
	unsigned i;

	(void)argument;
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_FLUSH, 0, 0, 0, NULL),
		0); /* a flush does not wait */
	CHECK_INT(spec_configure_co(source, "limit",
			  stack_rig_doc(rig, "{bytes_s: 0}"), &err),
		0);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	CHECK_INT(stack_rig_figure(source, "held"), 0);
	free(data);
	block_source_put_co(source);
}

static void test_cancel_co(struct stack_rig *rig, void *argument)
{
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(4 * KIB, 1);
	struct block_source *source = hold_co(rig, request, data);
	unsigned i;

	(void)argument;
	for (i = 0; i < HELD; i++)
		block_cancel(&request[i].request);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), -ECANCELED);
	CHECK_INT(stack_rig_figure(source, "held"), 0);
	free(data);
	block_source_put_co(source);
}

static void test_detach_co(struct stack_rig *rig, void *argument)
{
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(4 * KIB, 1);
	struct block_source *source = hold_co(rig, request, data);
	struct err err = {0};
	unsigned i;

	(void)argument;
	CHECK_INT(spec_detach_co(source, "limit", SPEC_GATE_DEADLINE_NS, &err),
		0);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	free(data);
	block_source_put_co(source);
}

/* What the throttle holds does not hold up a swap below it. */
static void test_swap_below_co(struct stack_rig *rig, void *argument)
{
	struct stack_rig_request request[HELD];
	uint8_t *data = stack_rig_pattern(4 * KIB, 1);
	struct block_source *source = hold_co(rig, request, data);
	struct spec_swap swap = {.document = stack_rig_doc(rig,
					 "{protocol: {type: mem, size: 1M}}"),
		.deadline_ns = SPEC_GATE_DEADLINE_NS};
	struct err err = {0};
	unsigned i;

	(void)argument;
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	CHECK_INT(stack_rig_figure(source, "held"), HELD);
	CHECK_INT(spec_configure_co(source, "limit",
			  stack_rig_doc(rig, "{bytes_s: 0}"), &err),
		0);
	for (i = 0; i < HELD; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	free(data);
	block_source_put_co(source);
}

/* -- the table ------------------------------------------------------------ */

#define SIMULATED(name) \
	STACK_RIG_CASE( \
		name, simulated, .world = "simulated", .lanes = 3, .seed = 1)
#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 2), \
		SIMULATED(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_limits_co),
		ROWS(test_apart_co),
		ROWS(test_discard_co),
		ROWS(test_large_co),
		SIMULATED(test_burst_co),
		ROWS(test_group_co),
		ROWS(test_group_refused_co),
		ROWS(test_configure_co),
		ROWS(test_cancel_co),
		ROWS(test_detach_co),
		ROWS(test_swap_below_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
