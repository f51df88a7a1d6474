/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: the moment at which it joined stays what it was, whoever
 * changes the source afterwards and however; what cannot be kept is said, and nothing
 * wrong is read.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "blockcore/job.h"
#include "tests/lib/backup_rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* -- what is kept --------------------------------------------------------- */

static void test_effect_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_co(rig, "", argument),
			    *view;

	view = stack_rig_source_co(rig, VIEW);
	backup_rig_expect_moment_co(rig, view);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 0);
	backup_rig_overwrite_co(rig, source, 512, 512);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 1);
	backup_rig_overwrite_co(rig, source, 1024, 512); /* copied already */
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 1);
	backup_rig_overwrite_co(rig, source, GRANULE * 3 - 512, 2 * GRANULE);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 4);
	CHECK_INT(backup_rig_transfer_co(rig, source, BLOCK_WRITE_ZEROES,
			  GRANULE * 8, GRANULE * 8, NULL),
		0);
	CHECK_INT(backup_rig_transfer_co(rig, source, BLOCK_DISCARD,
			  GRANULE * 20, GRANULE * 9 / 2, NULL),
		0);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 17);
	CHECK_INT(stack_rig_figure(source, "copied_bytes"), 17 * GRANULE);
	backup_rig_expect_moment_co(rig, view);
	stack_rig_expect_co(
		rig, source, GRANULE * 8, GRANULE * 8, NULL); /* hosts' */
	backup_rig_overwrite_co(rig, source, 0, SIZE);
	backup_rig_expect_status(source, "\"state\": \"complete\"");
	backup_rig_expect_moment_co(rig, view);
	backup_rig_end_co(view, source);
}

/* What was zeroes is not written as data. */
static void test_zeroes_co(struct stack_rig *rig, void *argument)
{
	struct block_source *target = stack_rig_source_co(rig,
		"{listeners: [{type: stats, name: s}], protocol: "
		"{type: mem, size: 1M}}");
	struct block_source *source = stack_rig_source_co(rig, MEM);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_attach_co(source,
			  stack_rig_doc(rig,
				  "{type: backup, name: b, target: source-1}"),
			  NULL, &err),
		0);
	backup_rig_overwrite_co(rig, source, 0, SIZE);
	stack_rig_expect_co(rig, target, 0, SIZE, NULL);
	CHECK_INT(stack_rig_figure(target, "memory_bytes"), 0);
	backup_rig_end_co(source, target);
}

/* Compared and written, as one of the changes. */
static void test_compare_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_co(rig, "", MEM), *view;
	uint8_t *data = stack_rig_pattern(1024, 1);

	(void)argument;
	view = stack_rig_source_co(rig, VIEW);
	CHECK_INT(backup_rig_transfer_co(
			  rig, source, BLOCK_COMPARE_AND_WRITE, 0, 512, data),
		0);
	stack_rig_expect_co(rig, source, 0, 512, data + 512);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 1);
	backup_rig_expect_moment_co(rig, view);
	free(data);
	backup_rig_end_co(view, source);
}

/* -- under load ----------------------------------------------------------- */

#define BLOCK 4096u
#define WRITES 300u

struct worker {
	struct stack_rig_task task;
	struct block_source *source, *view;
	_Atomic bool *stop;
};

static void worker_co(struct stack_rig_task *task)
{
	static const enum block_opcode ops[] = {BLOCK_WRITE, BLOCK_WRITE,
		BLOCK_WRITE_ZEROES, BLOCK_DISCARD, BLOCK_READ};
	struct worker *worker = container_of(task, struct worker, task);
	uint64_t random = task->lane->index + 1;
	uint8_t *data = stack_rig_pattern(8 * BLOCK, 1);

	while (!atomic_load(worker->stop)) {
		uint64_t blocks = 1 + prng_below(&random, 8);
		uint64_t at = prng_below(&random, SIZE / BLOCK - blocks + 1);

		memset(data, (int)prng_below(&random, 256), 8 * BLOCK);
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  ops[prng_below(&random, 5)], 0, at * BLOCK,
				  blocks * BLOCK, data),
			0);
		/* In memory all is done at once: else this has all of a turn. */
		loop_sleep_co(task->lane->loop, 50000);
	}
	free(data);
}

static void start_workers(struct stack_rig *rig, struct worker *worker,
	struct block_source *source, _Atomic bool *stop)
{
	for (unsigned i = 0; i < 2 * rig->lanes; i++) {
		worker[i] = (struct worker){.task = {.run_co = worker_co},
			.source = source,
			.stop = stop};
		stack_rig_start(rig, i % rig->lanes, &worker[i].task);
	}
}

static void join_workers_co(
	struct stack_rig *rig, struct worker *worker, _Atomic bool *stop)
{
	atomic_store(stop, true);
	for (unsigned i = 0; i < 2 * rig->lanes; i++)
		stack_rig_join_co(&worker[i].task);
}

/* Pieces of the moment, read in any order while all lanes write. */
static void read_pieces_co(struct stack_rig *rig, struct block_source *view,
	uint8_t *moment, uint64_t *random, bool known)
{
	uint8_t *data = stack_rig_pattern(16 * BLOCK, 3);

	for (unsigned i = 0; i < WRITES; i++) {
		uint64_t blocks = 1 + prng_below(random, 16);
		uint64_t at = prng_below(random, SIZE / BLOCK - blocks + 1);

		CHECK_INT(backup_rig_transfer_co(rig, view, BLOCK_READ,
				  at * BLOCK, blocks * BLOCK, data),
			0);
		if (known)
			CHECK(!memcmp(
				data, moment + at * BLOCK, blocks * BLOCK));
	}
	free(data);
}

#define SLOW "{op: any, delay_us: 150, probability_ppm: 300000}"

/* A machine that is busy may be late at the gate; then nothing was changed. */
static void attach_co(struct block_source *source, const struct doc *listener)
{
	struct err err = {0};
	int error = -ETIMEDOUT;

	for (unsigned i = 0; i < 100 && error == -ETIMEDOUT; i++) {
		err.code = 0;
		error = spec_attach_co(source, listener, NULL, &err);
	}
	CHECK_INT(error, 0);
}

/* With more options (after a comma): it joins under load: whatever the moment was, it stays that. And the job makes it
 * whole, under load. */
static void test_load_co(struct stack_rig *rig, void *argument)
{
	struct block_source *target, *source, *view;
	struct worker worker[2 * BLOCK_MAX_LANES];
	uint8_t *moment = stack_rig_pattern(SIZE, 2);
	_Atomic bool stop = false;
	uint64_t random = 99;
	struct err err = {0};
	struct job *job;
	struct job_progress progress;
	char text[160];

	source = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: f, seed: 3, rules: [" SLOW
		"]}], protocol: {type: mem, size: 1M}}");
	target = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: f, seed: 4, rules: [" SLOW
		"]}], protocol: {type: mem, size: 1M}}");
	start_workers(rig, worker, source, &stop);
	snprintf(text, sizeof text,
		"{type: backup, name: b, granularity: 16K, copies: 2%s, "
		"target: source-2}",
		argument ? (const char *)argument : "");
	attach_co(source, stack_rig_doc(rig, text));
	view = stack_rig_source_co(rig, VIEW);
	CHECK_INT(
		backup_rig_transfer_co(rig, view, BLOCK_READ, 0, SIZE, moment),
		0);
	read_pieces_co(rig, view, moment, &random, true);
	CHECK_INT(job_start_co(rig->core, source, "backup",
			  stack_rig_doc(rig, "{listener: b}"), 0, &job, &err),
		0);
	read_pieces_co(rig, view, moment, &random, true);
	job_wait_co(job);
	job_get_progress(job, &progress);
	CHECK_INT(progress.result, 0);
	CHECK_INT(progress.done, SIZE);
	job_free(job);
	backup_rig_expect_status(source, "\"state\": \"complete\"");
	stack_rig_expect_co(rig, target, 0, SIZE, moment);
	join_workers_co(rig, worker, &stop);
	stack_rig_expect_co(rig, view, 0, SIZE, moment);
	block_source_put_co(view);
	CHECK_INT(spec_detach_co(source, "b", SPEC_GATE_DEADLINE_NS, &err), 0);
	stack_rig_expect_co(rig, target, 0, SIZE, moment);
	CHECK(!block_source_shared(target));
	free(moment);
	backup_rig_end_co(source, target);
}

/* A reader has a granule below: who changes it waits for that, whoever copied it. */
static void test_reader_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_with_co(rig,
		"{listeners: [{type: fault, name: f}], protocol: {type: mem, "
		"size: 1M}}",
		"", MEM);
	struct block_source *view = stack_rig_source_co(rig, VIEW);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(GRANULE, 9);
	uint8_t *back = stack_rig_pattern(GRANULE, 8);
	uint8_t *old = stack_rig_pattern(GRANULE, 1);
	struct stack_rig_request read, write;

	(void)argument;
	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: read, hold: true, count: 1, event: submit}"));
	stack_rig_submit(view, lane, &read, BLOCK_READ, 0, 0, GRANULE, back);
	stack_rig_until_co(rig, source, "held", 1);
	stack_rig_submit(source, lane, &write, BLOCK_WRITE, 0, 0, 512, data);
	stack_rig_until_co(rig, source, "waited", 1);
	CHECK(!write.done);
	free(stack_rig_command_co(rig, source, "f", "clear", NULL));
	CHECK_INT(stack_rig_wait_co(&read), 0);
	CHECK(!memcmp(back, old, GRANULE));
	CHECK_INT(stack_rig_wait_co(&write), 0);
	stack_rig_expect_co(rig, source, 0, 512, data);
	backup_rig_expect_moment_co(rig, view);
	free(data);
	free(back);
	free(old);
	backup_rig_end_co(view, source);
}

/* More changes than operations; half of them are not wanted any more. */
static void test_many_co(struct stack_rig *rig, void *argument)
{
	struct block_source *target = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: f, rules: [{op: write, "
		"hold: true}]}], protocol: {type: mem, size: 1M}}");
	struct block_source *source = stack_rig_source_co(rig, MEM), *view;
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request *request = calloc(64, sizeof *request);
	uint8_t *data = stack_rig_pattern(SIZE, 1);
	uint8_t *new = stack_rig_pattern(64 * 512, 5);
	struct err err = {0};

	(void)argument;
	CHECK_INT(
		backup_rig_transfer_co(rig, source, BLOCK_WRITE, 0, SIZE, data),
		0);
	CHECK_INT(spec_attach_co(source,
			  stack_rig_doc(rig,
				  "{type: backup, name: b, granularity: 16K, "
				  "target: source-1}"),
			  NULL, &err),
		0);
	view = stack_rig_source_co(
		rig, "{source: source-2, view: {backup: b}}");
	for (unsigned i = 0; i < 64; i++)
		stack_rig_submit(source, lane, &request[i], BLOCK_WRITE, 0,
			i * GRANULE, 512, new + i * 512);
	stack_rig_until_co(rig, target, "held", 8);
	for (unsigned i = 0; i < 64; i += 2)
		block_cancel(&request[i].request);
	for (unsigned i = 0; i < 64; i += 2)
		CHECK_INT(stack_rig_wait_co(&request[i]), -ECANCELED);
	free(stack_rig_command_co(rig, target, "f", "clear", NULL));
	for (unsigned i = 1; i < 64; i += 2)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	backup_rig_expect_status(source, "\"state\": \"active\"");
	stack_rig_expect_co(rig, view, 0, SIZE, data);
	for (unsigned i = 0; i < 64; i++)
		stack_rig_expect_co(rig, source, i * GRANULE, 512,
			i % 2 ? new + i * 512 : data + i *GRANULE);
	free(request);
	free(data);
	free(new);
	block_source_put_co(view);
	backup_rig_end_co(source, target);
}

#define ROWS_WITH(name, argument, label) \
	STACK_RIG_CASE_WITH(name, argument, label " threads", \
		.world = "threads", .lanes = 3), \
		STACK_RIG_CASE_WITH(name, argument, label " simulated", \
			.world = "simulated", .lanes = 3, .seed = 1)
#define ROWS(name) ROWS_WITH(name, NULL, "")

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS_WITH(test_effect_co, MEM, "raw"),
		ROWS_WITH(test_effect_co,
			"{format: {type: qcow2, size: 1M, file: {protocol: "
			"{type: mem, size: 64K, max_size: 4M}}}}",
			"qcow2"),
		ROWS(test_zeroes_co),
		ROWS(test_compare_co),
		ROWS(test_load_co),
		ROWS_WITH(test_load_co, ", map: marks", "map"),
		ROWS(test_reader_co),
		ROWS(test_many_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
