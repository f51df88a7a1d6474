/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror and the job resync: what goes to both, how the leg gets what it
 * lacks, who may come and go meanwhile.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/mirror_pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- what goes to both ---------------------------------------------------- */

static void test_changes_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	uint8_t *data = stack_rig_pattern(PAIR_BYTES, 7);

	(void)argument;
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	pair_expect_state(&pair, "behind");
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK(!pair_is_equal_co(
		&pair)); /* the leg is fresh: nothing goes there */
	CHECK_INT(pair_resync_co(&pair), PAIR_BYTES);
	CHECK(pair_is_equal_co(&pair));
	CHECK_INT(pair_transfer_co(&pair, BLOCK_WRITE, 0, PAIR_BYTES, data), 0);
	CHECK(pair_is_equal_co(&pair));
	CHECK_INT(pair_transfer_co(&pair, BLOCK_WRITE_ZEROES, PAIR_BLOCK,
			  PAIR_BLOCK, NULL),
		0);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_DISCARD, 5 * PAIR_BLOCK,
			  PAIR_BLOCK, NULL),
		0);
	memcpy(data + PAIR_BLOCK, data, PAIR_BLOCK);
	CHECK_INT(
		pair_transfer_co(&pair, BLOCK_COMPARE_AND_WRITE, 0, 512, data),
		0);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), 0);
	CHECK(pair_is_equal_co(&pair));
	pair_expect_state(&pair, "in sync");
	CHECK_INT(pair_resync_co(&pair), 0);
	free(data);
	mirror_pair_end_co(&pair);
}

/* Both are under way at once, and it is done when both are. */
static void test_parallel_co(struct stack_rig *rig, void *argument)
{
	static const enum block_opcode ops[] = {
		BLOCK_WRITE, BLOCK_WRITE_ZEROES, BLOCK_FLUSH};
	struct mirror_pair pair = mirror_pair_co(rig, "");
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 7);
	struct stack_rig_request request;

	(void)argument;
	pair_resync_co(&pair);
	for (unsigned i = 0; i < 6; i++) {
		struct block_source *first = i % 2 ? pair.leg : pair.source;
		struct block_source *last = i % 2 ? pair.source : pair.leg;
		enum block_opcode op = ops[i / 2];

		free(stack_rig_command_co(
			rig, pair.leg, "f", "hold", "{op: any, name: h}"));
		free(stack_rig_command_co(
			rig, pair.source, "f", "hold", "{op: any, name: h}"));
		stack_rig_submit(pair.source, block_core_lane(rig->core, 0),
			&request, op, 0, 0, op == BLOCK_FLUSH ? 0 : PAIR_BLOCK,
			op == BLOCK_WRITE ? data : NULL);
		stack_rig_until_co(rig, pair.leg, "held", 1);
		stack_rig_until_co(rig, pair.source, "held", 1);
		free(stack_rig_command_co(rig, first, "f", "clear", NULL));
		stack_rig_until_co(rig, last, "held", 1);
		CHECK(!request.done);
		free(stack_rig_command_co(rig, last, "f", "clear", NULL));
		CHECK_INT(stack_rig_wait_co(&request), 0);
	}
	CHECK(pair_is_equal_co(&pair));
	free(data);
	mirror_pair_end_co(&pair);
}

/* What a host does not want any more is no difference. */
static void test_cancel_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 7);
	struct stack_rig_request request;

	(void)argument;
	pair_resync_co(&pair);
	free(stack_rig_command_co(rig, pair.source, "f", "hold", "{op: any}"));
	stack_rig_submit(pair.source, block_core_lane(rig->core, 0), &request,
		BLOCK_WRITE, 0, 0, PAIR_BLOCK, data);
	stack_rig_until_co(rig, pair.source, "held", 1);
	block_cancel(&request.request);
	pair_clear_co(&pair);
	stack_rig_wait_co(&request);
	pair_expect_state(&pair, "in sync");
	CHECK(pair_is_equal_co(&pair));
	free(data);
	mirror_pair_end_co(&pair);
}

/* -- resync --------------------------------------------------------------- */

/* Hosts go on while it copies, also where it is just copying. */
static void test_resync_load_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 7);
	struct stack_rig_request request;
	struct err err = {0};

	(void)argument;
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	free(stack_rig_command_co(rig, pair.leg, "f", "hold", "{op: any}"));
	struct job *job = pair_job_co(&pair);
	stack_rig_until_co(rig, pair.leg, "held", 1);
	/* The one range is locked: this waits. */
	stack_rig_submit(pair.source, block_core_lane(rig->core, 0), &request,
		BLOCK_WRITE, 0, PAIR_GRANULE, PAIR_BLOCK, data);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_READ, 0, PAIR_BLOCK, data), 0);
	CHECK_INT(spec_detach_co(pair.source, "m", SPEC_GATE_DEADLINE_NS, &err),
		-EBUSY);
	CHECK_ERR(&err, "job 'resync' is at work through listener 'm'");
	pair_job_end_co(
		pair_job_co(&pair), JOB_FAILED, "job 'resync' is at work");
	CHECK(!request.done);
	pair_clear_co(&pair);
	CHECK_INT(stack_rig_wait_co(&request), 0);
	pair_job_end_co(job, JOB_DONE, NULL);
	pair_expect_state(&pair, "in sync");
	CHECK(pair_is_equal_co(&pair));
	free(data);
	mirror_pair_end_co(&pair);
}

static void test_resync_fails_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");

	(void)argument;
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 1), 0);
	pair_fault_co(&pair, pair.leg, "{op: any, error: EIO, count: 1}");
	pair_job_end_co(pair_job_co(&pair), JOB_FAILED, "Input/output error");
	pair_expect_state(&pair, "degraded");
	pair_resync_co(&pair);
	CHECK(pair_is_equal_co(&pair));
	/* What cannot be read is not in the leg. */
	pair_fault_co(&pair, pair.leg, "{op: write, error: EIO, count: 1}");
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), 0);
	pair_fault_co(&pair, pair.source, "{op: read, error: EIO, count: 1}");
	pair_job_end_co(
		pair_job_co(&pair), JOB_FAILED, "65536 bytes at 327680");
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE);
	pair_resync_co(&pair);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

static void test_resync_cancel_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	struct job_progress progress;

	(void)argument;
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 1), 0);
	free(stack_rig_command_co(rig, pair.leg, "f", "hold", "{op: any}"));
	struct job *job = pair_job_co(&pair);
	stack_rig_until_co(rig, pair.leg, "held", 1);
	job_pause(job);
	job_get_progress(job, &progress);
	CHECK_INT(progress.state, JOB_PAUSED);
	CHECK_INT(progress.total, PAIR_BYTES);
	job_cancel(job);
	pair_job_end_co(job, JOB_CANCELLED, NULL);
	pair_clear_co(&pair);
	pair_expect_state(&pair, "behind");
	pair_resync_co(&pair);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

/* -- life ----------------------------------------------------------------- */

/* It joins a source in use, leaves it, and joins it again: everything is lacked. */
static void test_attach_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	struct spec_swap swap = {.document = stack_rig_doc(rig,
					 "{protocol: {type: mem, size: 1M}}")};
	struct err err = {0};

	(void)argument;
	pair_resync_co(&pair);
	CHECK_INT(spec_detach_co(pair.source, "m", SPEC_GATE_DEADLINE_NS, &err),
		0);
	CHECK(!block_source_shared(pair.leg));
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	CHECK_INT(spec_attach_co(pair.source,
			  stack_rig_doc(rig,
				  "{type: mirror, name: m, leg: source-1, "
				  "granularity: 64K}"),
			  NULL, &err),
		0);
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	pair_resync_co(&pair);
	CHECK(pair_is_equal_co(&pair));
	/* Another content comes below it. */
	CHECK_INT(spec_swap_bottom_co(pair.source, &swap, &err), 0);
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK(!pair_is_equal_co(&pair));
	pair_resync_co(&pair);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

static void test_resize_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct err err = {0};

	(void)argument;
	pair_resync_co(&pair);
	CHECK_INT(spec_resize_co(pair.source, 2 << 20, &err), -EBUSY);
	CHECK_ERR(&err, "has a life of its own: let that grow first");
	CHECK_INT(block_source_info(pair.source, lane).size_bytes, PAIR_BYTES);
	CHECK_INT(spec_resize_co(
			  pair.source, 3 * PAIR_GRANULE + PAIR_BLOCK, &err),
		0);
	CHECK_INT(pair_write_co(&pair, 3 * PAIR_GRANULE, 1), 0);
	CHECK_INT(spec_resize_co(pair.source, PAIR_BYTES, &err), 0);
	CHECK(pair_behind(&pair) >= PAIR_BYTES - 4 * PAIR_GRANULE);
	pair_resync_co(&pair);
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

#define GROWING(leg) \
	"{listeners: [{type: mirror, name: m, granularity: 64K, " leg "}], " \
	"protocol: {type: mem, size: 1M, max_size: 2M}}"

static void expect_resize_co(
	struct mirror_pair *pair, uint64_t bytes, int error, const char *text)
{
	struct block_lane *lane = block_core_lane(pair->rig->core, 0);
	uint64_t was = block_source_info(pair->source, lane).size_bytes;
	struct err err = {0};

	CHECK_INT(spec_resize_co(pair->source, bytes, &err), error);
	if (text)
		CHECK_ERR(&err, text);
	CHECK_INT(block_source_info(pair->source, lane).size_bytes,
		error ? was : bytes);
}

/* The leg grows first; what is new is lacked. Where one of both cannot grow, neither
 * does. */
static void test_grow_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = {.rig = rig};
	char *status;

	(void)argument;
	pair.source = stack_rig_source_co(rig,
		GROWING("leg: {protocol: {type: mem, size: 1M, "
			"max_size: 4M}}"));
	pair_resync_co(&pair);
	expect_resize_co(
		&pair, PAIR_BYTES + PAIR_GRANULE + PAIR_BLOCK, 0, NULL);
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE + PAIR_BLOCK);
	CHECK_INT(pair_write_co(&pair, PAIR_BYTES + PAIR_GRANULE, 1), 0);
	CHECK_INT(pair_resync_co(&pair), PAIR_GRANULE + PAIR_BLOCK);
	CHECK_INT(pair_write_co(&pair, PAIR_BYTES, 2), 0);
	pair_expect_state(&pair, "in sync");
	expect_resize_co(&pair, 3 << 20, -EOPNOTSUPP, NULL); /* 2M at most */
	status = stack_rig_status(pair.source);
	CHECK(!strstr(status, "\"size\": 3145728"));
	free(status);
	pair_expect_state(&pair, "in sync");
	block_source_put_co(pair.source);
	pair.source = stack_rig_source_co(rig,
		GROWING("leg: {protocol: {type: mem, size: 1M, "
			"max_size: 1M}}"));
	expect_resize_co(&pair, 2 << 20, -EOPNOTSUPP, "listener 'm'");
	block_source_put_co(pair.source);
	pair.source = stack_rig_source_co(rig,
		GROWING("leg: {listeners: [{type: fault, rules: [{op: "
			"write, error: EIO}]}], protocol: {type: mem, size: "
			"1M, "
			"max_size: 4M}}"));
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, 0, 2), 0);
	pair_expect_state(&pair, "degraded");
	expect_resize_co(&pair, 2 << 20, -EBUSY, "its leg is not there");
	block_source_put_co(pair.source);
}

static void refuse_co(struct stack_rig *rig, const char *options,
	const char *bottom, int error, const char *text)
{
	struct block_source *source;
	struct err err = {0};
	char document[512];

	snprintf(document, sizeof document,
		"{listeners: [{type: mirror, name: m%s}], %s}", options,
		bottom);
	CHECK_INT(stack_rig_build_co(rig, document, &source, &err), error);
	CHECK_FIND(err.text, text);
}

static void test_refusals_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");
	const struct doc *itself =
		stack_rig_doc(rig, "{type: mirror, leg: source-1}");
	struct err err = {0};

	(void)argument;
	refuse_co(rig, "", PAIR_MEM, -EINVAL, "leg");
	refuse_co(rig, ", leg: []", PAIR_MEM, -EINVAL, "leg");
	refuse_co(rig, ", leg: nobody", PAIR_MEM, -ENOENT,
		"there is no source 'nobody'");
	refuse_co(rig, ", leg: {protocol: {type: mem, size: 512K}}", PAIR_MEM,
		-EINVAL, "must be as large");
	refuse_co(rig,
		", leg: {listeners: [{type: readonly}], protocol: {type: mem, "
		"size: 1M}}",
		PAIR_MEM, -EROFS, "cannot be written to");
	refuse_co(rig, ", granularity: 96K, leg: source-1", PAIR_MEM, -EINVAL,
		"power of two");
	refuse_co(rig, ", granularity: 2M, leg: source-1", PAIR_MEM, -EINVAL,
		"granularity");
	refuse_co(rig, ", leg: source-1", PAIR_MEM, -EBUSY, "mirror 'm'");
	refuse_co(rig, ", leg: {" PAIR_MEM "}", "source: source-2", -EINVAL,
		"must see every write");
	CHECK_INT(spec_attach_co(pair.leg, itself, NULL, &err), -ELOOP);
	CHECK_INT(spec_detach_co(pair.source, "m", 0, &err), 0);
	pair_job_end_co(pair_job_co(&pair), JOB_FAILED, "there is no mirror");
	mirror_pair_end_co(&pair);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_changes_co),
		ROWS(test_parallel_co),
		ROWS(test_cancel_co),
		ROWS(test_resync_load_co),
		ROWS(test_resync_fails_co),
		ROWS(test_resync_cancel_co),
		ROWS(test_attach_co),
		ROWS(test_resize_co),
		ROWS(test_grow_co),
		ROWS(test_refusals_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
