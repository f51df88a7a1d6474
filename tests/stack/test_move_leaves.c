/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A commit of the image that hosts write to: what is durable in the backing file leaves
 * the image, what hosts have changed since that was flushed stays, and what is read is the
 * same all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/core/core.h"
#include "blockcore/figures.h"
#include "blockcore/format/format.h"
#include "blockcore/job.h"
#include "tests/lib/stack_rig.h"

#define BYTES (4u << 20)
#define PIECE (256u << 10)
#define RATE \
	PIECE /* per second: several pieces until the cursor is made durable */
#define MS 1000000ull
#define SOURCE(size) \
	"{format: {type: qcow2, cluster_size: 4K, size: 4M, file: " \
	"{protocol: {type: mem, size: 32M}}, backing: {listeners: [{type: " \
	"fault, name: f}], protocol: {type: file, locking: false, path: " \
	"disk, size: " size "}}}}"

static struct block_source *backing_of(const struct block_source *source)
{
	struct block_driver *bottom =
		source->current->driver[source->current->count - 1];

	return container_of(bottom, struct block_view, driver)->format->backing;
}

static void write_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint64_t bytes, uint8_t *data)
{
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, 0, offset, bytes, data),
		0);
}

/* Whether the image itself holds the block at `offset`. */
static bool is_held_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	struct block_extent extent = {0};
	struct block_extents answer = {.extent = &extent, .room = 1};

	CHECK_INT(block_extents_co(source, block_core_lane(rig->core, 0),
			  BLOCK_INTERNAL | BLOCK_LOCAL, offset, 4096, &answer),
		0);
	CHECK_INT(answer.count, 1);
	return !(extent.flags & BLOCK_EXTENT_BACKING);
}

static uint64_t cursor_of(const struct job *job)
{
	struct job_progress progress;

	job_get_progress(job, &progress);
	CHECK_INT(progress.state, JOB_RUNNING);
	return progress.cursor;
}

static struct job *commit_co(struct stack_rig *rig, struct block_source *source)
{
	struct job *job;
	struct err err = {0};

	if (job_start_co(rig->core, source, "commit", NULL, 0, &job, &err))
		fail_msg("%s", err.text);
	job_set_rate(job, RATE);
	return job;
}

static void until_cursor_co(struct stack_rig *rig, const struct job *job)
{
	while (cursor_of(job) <= 2 * PIECE)
		loop_sleep_co(block_core_lane(rig->core, 0)->loop, MS);
}

static void end_co(struct job *job)
{
	job_cancel(job);
	job_wait_co(job);
	job_free(job);
}

/* What the host writes while the target is being flushed may not be durable there. */
static void changed_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, SOURCE("4M"));
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	struct block_source *backing = backing_of(source);

	(void)argument;
	write_co(rig, source, 0, BYTES, data);
	free(stack_rig_command_co(
		rig, backing, "f", "hold", "{op: flush, event: complete}"));
	struct job *job = commit_co(rig, source);
	stack_rig_until_co(rig, backing, "held", 1);
	memset(data + 4096, 7, 4096);
	write_co(rig, source, 4096, 4096, data + 4096);
	free(stack_rig_command_co(rig, backing, "f", "clear", NULL));
	until_cursor_co(rig, job);
	CHECK(is_held_co(rig, source, 4096));
	CHECK(!is_held_co(rig, source, PIECE));
	CHECK(is_held_co(rig, source, BYTES - 4096));
	stack_rig_expect_co(rig, source, 0, BYTES, data);
	end_co(job);
	stack_rig_expect_co(rig, source, 0, BYTES, data);
	free(data);
	block_source_put_co(source);
}

/* The image does not know that its backing file has grown: behind its old end nothing
 * would show through. */
static void short_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, SOURCE("260K"));
	uint8_t *data = stack_rig_pattern(BYTES, 2);

	(void)argument;
	write_co(rig, source, 0, BYTES, data);
	struct job *job = commit_co(rig, source);
	until_cursor_co(rig, job);
	CHECK(!is_held_co(rig, source, 0));
	CHECK(!is_held_co(rig, source, PIECE));
	CHECK(is_held_co(rig, source, PIECE + 4096));
	stack_rig_expect_co(rig, source, 0, BYTES, data);
	job_set_rate(job, 0);
	job_wait_co(job);
	job_free(job);
	stack_rig_expect_co(rig, source, 0, BYTES, data);
	free(data);
	block_source_put_co(source);
}

#define ROW(body) \
	STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 2, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {ROW(changed_co), ROW(short_co)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
