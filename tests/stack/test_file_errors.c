/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file on a disk that fails: an error is an error for who asked, but
 * one that makes earlier promises doubtful ends the driver before anything else is
 * promised.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "tests/lib/stack_rig.h"
#include "tests/lib/stack_sim.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES 4096u
#define DISK "{type: file, path: disk, size: 1M, locking: false"

static uint8_t data[BYTES] __attribute__((aligned(4096)));

static int ask_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, unsigned flags, uint64_t offset, uint64_t length)
{
	return block_transfer_co(source, block_core_lane(rig->core, 0), op,
		flags, offset, length,
		op == BLOCK_READ || op == BLOCK_WRITE ? data : NULL);
}

static void check_state(struct block_source *source, bool failed)
{
	char *status = stack_rig_status(source);

	CHECK_FIND(status,
		failed ? "\"state\": \"failed\"" : "\"state\": \"good\"");
	free(status);
}

static void check_failed_co(struct stack_rig *rig, struct block_source *source)
{
	check_state(source, true);
	while (!rig->failures) /* its message is on its way */
		loop_sleep_co(block_core_lane(rig->core, 0)->loop, 1000);
	CHECK_INT(rig->failures, 1);
	CHECK_INT(ask_co(rig, source, BLOCK_READ, 0, 0, BYTES), -EIO);
	CHECK_INT(ask_co(rig, source, BLOCK_WRITE, 0, 0, BYTES), -EIO);
	CHECK_INT(ask_co(rig, source, BLOCK_WRITE, BLOCK_FUA, 0, BYTES), -EIO);
	CHECK_INT(ask_co(rig, source, BLOCK_DISCARD, 0, 0, BYTES), -EIO);
	CHECK_INT(ask_co(rig, source, BLOCK_FLUSH, 0, 0, 0), -EIO);
}

/* -- flushes -------------------------------------------------------------- */

#define FLUSHES 8

struct flusher {
	struct stack_rig_task task;
	struct block_source *source;
	unsigned failed;
};

static void flusher_co(struct stack_rig_task *task)
{
	struct flusher *flusher = container_of(task, struct flusher, task);
	struct stack_rig_request request[FLUSHES];
	unsigned i;

	for (i = 0; i < FLUSHES; i++)
		stack_rig_submit(flusher->source, task->lane, &request[i],
			BLOCK_FLUSH, 0, 0, 0, NULL);
	for (i = 0; i < FLUSHES; i++)
		flusher->failed += stack_rig_wait_co(&request[i]) == -EIO;
}

/* One fdatasync fails, the next would not: nobody of then or later succeeds. */
static void test_flush_fails_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: " DISK "}");
	struct sim_fault fault = {
		.opcodes = 1u << RING_DATASYNC, .times = 1, .error = -EIO};
	struct flusher flusher[3];
	unsigned i;

	(void)argument;
	CHECK_INT(ask_co(rig, source, BLOCK_WRITE, 0, 0, BYTES), 0);
	sim_world_fail(rig->world, &fault);
	for (i = 0; i < 3; i++) {
		flusher[i] = (struct flusher){
			.task.run_co = flusher_co, .source = source};
		stack_rig_start(rig, i, &flusher[i].task);
	}
	for (i = 0; i < 3; i++) {
		stack_rig_join_co(&flusher[i].task);
		CHECK_INT(flusher[i].failed, FLUSHES);
	}
	sim_world_heal(rig->world, &fault);
	CHECK(fault.hits > 0);
	check_failed_co(rig, source);
	block_source_put_co(source);
}

/* Opened anew by somebody who has looked at it, it works again. */
static void test_reopen_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: " DISK "}");
	struct sim_fault fault = {
		.opcodes = 1u << RING_DATASYNC, .times = 1, .error = -ENOSPC};
	struct spec_swap swap = {
		.document = stack_rig_doc(rig, "{protocol: " DISK "}}"),
		.same_content = true,
		.deadline_ns = SPEC_GATE_DEADLINE_NS};
	struct err err = {0};

	(void)argument;
	sim_world_fail(rig->world, &fault);
	/* Also ENOSPC, if it is of what was acknowledged before. */
	CHECK_INT(ask_co(rig, source, BLOCK_FLUSH, 0, 0, 0), -EIO);
	sim_world_heal(rig->world, &fault);
	check_failed_co(rig, source);
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	check_state(source, false);
	CHECK_INT(ask_co(rig, source, BLOCK_WRITE, 0, 0, BYTES), 0);
	CHECK_INT(ask_co(rig, source, BLOCK_FLUSH, 0, 0, 0), 0);
	block_source_put_co(source);
}

/* -- single requests ------------------------------------------------------ */

static void test_errors_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *cache;
		unsigned ring_op;
		int error;
		enum block_opcode op;
		unsigned flags;
		int result;
		bool failed;
	} rows[] = {
		{"direct", RING_READ, -EIO, BLOCK_READ, 0, -EIO, false},
		{"direct", RING_WRITE, -EIO, BLOCK_WRITE, 0, -EIO, false},
		{"direct", RING_WRITE, -ENOSPC, BLOCK_WRITE, 0, -ENOSPC, false},
		{"direct", RING_WRITE, -EIO, BLOCK_WRITE, BLOCK_FUA, -EIO,
			true},
		{"direct", RING_WRITE, -ENOSPC, BLOCK_WRITE, BLOCK_FUA, -ENOSPC,
			false},
		{"direct", RING_WRITE, -EDQUOT, BLOCK_WRITE, 0, -ENOSPC, false},
		{"direct", RING_ZERO_RANGE, -EDQUOT, BLOCK_WRITE_ZEROES, 0,
			-ENOSPC, false},
		{"direct", RING_WRITE, -EFBIG, BLOCK_WRITE, 0, -ENOSPC, false},
		{"direct", RING_DATASYNC, -EIO, BLOCK_DISCARD, BLOCK_FUA, -EIO,
			true},
		{"direct", RING_DATASYNC, -EIO, BLOCK_WRITE_ZEROES, 0, 0,
			false},
		{"writeback", RING_WRITE, -EIO, BLOCK_WRITE, BLOCK_FUA, -EIO,
			false},
		{"writeback", RING_DATASYNC, -EIO, BLOCK_WRITE, BLOCK_FUA, -EIO,
			true},
		{"writethrough", RING_DATASYNC, -EIO, BLOCK_WRITE, 0, -EIO,
			true},
		{"direct", RING_PUNCH, -EIO, BLOCK_DISCARD, 0, -EIO, false},
		{"direct", RING_ZERO_RANGE, -ENOSPC, BLOCK_WRITE_ZEROES, 0,
			-ENOSPC, false},
	};
	size_t i;

	(void)argument;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct sim_fault fault = {.opcodes = 1u << rows[i].ring_op,
			.times = 1,
			.error = rows[i].error};
		struct block_source *source;
		char document[128];

		snprintf(document, sizeof document, "protocol: %s, cache: %s}",
			DISK, rows[i].cache);
		source = stack_rig_source_co(rig, document);
		sim_world_fail(rig->world, &fault);
		CHECK_INT(ask_co(rig, source, rows[i].op, rows[i].flags, 0,
				  BYTES),
			rows[i].result);
		sim_world_heal(rig->world, &fault);
		check_state(source, rows[i].failed);
		CHECK_INT(ask_co(rig, source, BLOCK_FLUSH, 0, 0, 0),
			rows[i].failed ? -EIO : 0);
		block_source_put_co(source);
	}
}

/* Whatever step of a read-modify-write fails, the block is free again and holds
 * what it held, or what was written. */
static void test_merge_fails_co(struct stack_rig *rig, void *argument)
{
	unsigned step;

	(void)argument;
	for (step = 0; step < 3; step++) {
		struct block_source *source =
			stack_rig_source_co(rig, "protocol: " DISK "}");
		struct sim_fault fault = {
			.opcodes = 1u << RING_READ | 1u << RING_WRITE,
			.skip = step,
			.times = 1,
			.error = -EIO};

		sim_world_fail(rig->world, &fault);
		CHECK_INT(
			ask_co(rig, source, BLOCK_WRITE, 0, 3584, BYTES), -EIO);
		sim_world_heal(rig->world, &fault);
		CHECK(fault.hits > 0);
		CHECK_INT(ask_co(rig, source, BLOCK_WRITE, 0, 3584, BYTES), 0);
		stack_rig_expect_co(rig, source, 3584, BYTES, data);
		stack_rig_expect_co(rig, source, 0, 3584, NULL);
		block_source_put_co(source);
	}
}

/* Zeroes that have to be written take long; who asked may change their mind. */
static void test_cancel_zeroes_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(
		rig, "protocol: {type: file, path: disk, size: 64M}");
	struct stack_rig_request request;

	(void)argument;
	stack_rig_submit(source, block_core_lane(rig->core, 0), &request,
		BLOCK_WRITE_ZEROES, 0, 0, 64 << 20, NULL);
	block_cancel(&request.request);
	CHECK_INT(stack_rig_wait_co(&request), -ECANCELED);
	CHECK_INT(ask_co(rig, source, BLOCK_WRITE, 0, 0, BYTES), 0);
	block_source_put_co(source);
}

/* A file system that turns out not to have a way: the next one makes zeroes, and the
 * first is not tried again on that lane. */
static void test_refused_ways_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		enum block_opcode op;
		unsigned flags, refused;
		uint64_t tries; /* of what is refused, by three requests */
	} rows[] = {
		{BLOCK_DISCARD, 0, 1u << RING_PUNCH, 1},
		{BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, 1u << RING_PUNCH, 1},
		{BLOCK_WRITE_ZEROES, 0, 1u << RING_PUNCH, 0},
		{BLOCK_WRITE_ZEROES, 0, 1u << RING_ZERO_RANGE, 1},
		{BLOCK_DISCARD, BLOCK_FUA,
			1u << RING_PUNCH | 1u << RING_ZERO_RANGE, 2},
	};
	size_t i, j;

	(void)argument;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct sim_fault fault = {
			.opcodes = rows[i].refused, .error = -EOPNOTSUPP};
		struct block_source *source =
			stack_rig_source_co(rig, "protocol: " DISK "}");

		sim_world_fail(rig->world, &fault);
		for (j = 0; j < 3; j++) {
			data[0] = 1;
			CHECK_INT(ask_co(rig, source, BLOCK_WRITE, 0, 0, BYTES),
				0);
			CHECK_INT(ask_co(rig, source, rows[i].op, rows[i].flags,
					  0, BYTES),
				0);
			stack_rig_expect_co(rig, source, 0, BYTES, NULL);
		}
		CHECK_INT(fault.hits, rows[i].tries);
		sim_world_heal(rig->world, &fault);
		check_state(source, false);
		block_source_put_co(source);
	}
	data[0] = 0;
}

#define CASE(name, align) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 3, \
		.seed = 1, .direct_align_bytes = (align))

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_flush_fails_co, 512),
		CASE(test_reopen_co, 512),
		CASE(test_errors_co, 512),
		CASE(test_errors_co, 4096),
		CASE(test_merge_fails_co, 4096),
		CASE(test_refused_ways_co, 512),
		STACK_RIG_CASE(test_cancel_zeroes_co, simulated,
			.world = "simulated", .lanes = 1, .no_punch = true,
			.no_zero_range = true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
