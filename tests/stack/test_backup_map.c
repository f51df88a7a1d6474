/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of the listener backup: the moment is there after a stop; where the map cannot
 * know that it is whole, the backup is broken and says why. Power cuts are in
 * sim/test_backup_power.c.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/job.h"
#include "tests/lib/backup_rig.h"
#include "tests/lib/power_cut.h"
#include "tests/lib/sim_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISK "protocol: {type: file, path: disk, size: 1M}"
#define FILE_OF(path) "{protocol: {type: file, path: " path ", size: 1M}}"
#define MEMORY "{protocol: {type: mem, size: 1M}}"
#define LISTENER(granularity, target) \
	"{listeners: [{type: backup, name: b, granularity: " granularity \
	", map: marks, target: " target "}], " DISK "}"
#define OPENED LISTENER("16K", FILE_OF("copy"))

/* Durable, with two granules in the target. */
static struct block_source *first_co(struct stack_rig *rig)
{
	struct block_source *source = backup_rig_begin_with_co(
		rig, "{" DISK "}", ", map: marks", FILE_OF("copy"));

	backup_rig_overwrite_co(rig, source, 512, 512);
	backup_until_durable_co(rig, source);
	backup_rig_overwrite_co(rig, source, 5 * GRANULE, 512);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 2);
	return source;
}

/* source-N, N as the rig counts. */
static struct block_source *view_co(
	struct stack_rig *rig, struct block_source *source)
{
	char text[160];

	snprintf(text, sizeof text, "{source: %s, view: {backup: b}}",
		block_source_name(source));
	return stack_rig_source_co(rig, text);
}

static void expect_moment_co(struct stack_rig *rig, struct block_source *source)
{
	struct block_source *view = view_co(rig, source);

	backup_rig_expect_moment_co(rig, view);
	block_source_put_co(view);
}

static void expect_broken_co(
	struct stack_rig *rig, const char *document, const char *why)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	struct block_source *view;
	struct err err = {0};
	char text[160];

	backup_rig_expect_status(source, "\"state\": \"broken\"");
	backup_rig_expect_status(source, why);
	snprintf(text, sizeof text, "{source: %s, view: {backup: b}}",
		block_source_name(source));
	CHECK_INT(stack_rig_build_co(rig, text, &view, &err), -ENODATA);
	backup_rig_overwrite_co(
		rig, source, 9 * GRANULE, 512); /* hosts go on */
	block_source_put_co(source);
}

static void poke(struct stack_rig *rig, const char *name, off_t offset)
{
	char path[256];
	uint8_t byte;

	snprintf(path, sizeof path, "%s/%s", rig->folder, name);
	int fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK_INT(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x55;
	CHECK_INT(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

/* -- stops ---------------------------------------------------------------- */

static void test_stop_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = first_co(rig);
	struct job_progress progress;
	struct job *job;
	struct err err = {0};

	(void)argument;
	block_source_put_co(source);
	source = stack_rig_source_co(rig, OPENED);
	backup_rig_expect_status(source, "\"state\": \"active\"");
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 2);
	expect_moment_co(rig, source);
	backup_rig_overwrite_co(rig, source, 0, 8 * GRANULE);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 8);
	expect_moment_co(rig, source);
	CHECK_INT(job_start_co(rig->core, source, "backup",
			  stack_rig_doc(rig, "{listener: b}"), 0, &job, &err),
		0);
	job_wait_co(job);
	job_get_progress(job, &progress);
	CHECK_INT(progress.state, JOB_DONE);
	job_free(job);
	block_source_put_co(source);
	source = stack_rig_source_co(rig, OPENED);
	backup_rig_expect_status(source, "\"state\": \"complete\"");
	backup_rig_overwrite_co(rig, source, 0, SIZE);
	expect_moment_co(rig, source);
	block_source_put_co(source);
	source = stack_rig_source_co(rig, FILE_OF("copy"));
	backup_rig_expect_moment_co(rig, source);
	block_source_put_co(source);
}

/* What was broken stays so, with its reason. */
static void test_broken_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = first_co(rig);

	(void)argument;
	free(stack_rig_command_co(rig, source, "b", "stop", NULL));
	backup_rig_overwrite_co(rig, source, 7 * GRANULE, 512);
	block_source_put_co(source);
	expect_broken_co(rig, OPENED, "stopped by command");
	expect_broken_co(rig, OPENED, "stopped by command");
}

/* Detached: there is no moment any more, and another one begins anew. */
static void test_detached_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = first_co(rig);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_detach_co(source, "b", 10000000000ull, &err), 0);
	backup_rig_overwrite_co(rig, source, 0, SIZE);
	block_source_put_co(source);
	source = stack_rig_source_co(rig, OPENED);
	backup_rig_expect_status(source, "\"state\": \"none\"");
	CHECK_INT(spec_detach_co(source, "b", 10000000000ull, &err), 0);
	block_source_put_co(source);
	source = first_co(rig);
	block_source_put_co(source);
	source = stack_rig_source_co(rig, OPENED);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 2);
	expect_moment_co(rig, source);
	block_source_put_co(source);
}

/* -- what the map cannot know --------------------------------------------- */

/* Somebody else writes to the image while the daemon stands still. */
static void test_image_changed_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	block_source_put_co(first_co(rig));
	poke(rig, "disk", 100000);
	expect_broken_co(rig, OPENED, "the image was changed");
}

static void test_other_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;

	(void)argument;
	block_source_put_co(first_co(rig));
	expect_broken_co(rig, LISTENER("16K", FILE_OF("other")),
		"of another target or granularity");
	source = stack_rig_source_co(rig, OPENED); /* that is remembered */
	backup_rig_expect_status(source, "\"state\": \"broken\"");
	block_source_put_co(source);
}

/* What was kept in a target that is another one now is lost, though its document is the
 * same: a file that was taken away is made anew, and memory is new each time. */
static void test_made_anew_co(struct stack_rig *rig, void *argument)
{
	char copy[256];

	(void)argument;
	block_source_put_co(first_co(rig));
	snprintf(copy, sizeof copy, "%s/copy", rig->folder);
	CHECK_INT(unlink(copy), 0);
	expect_broken_co(rig, OPENED, "of another target or granularity");
}

static void test_memory_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_with_co(
		rig, "{" DISK "}", ", map: marks", MEMORY);

	(void)argument;
	backup_rig_overwrite_co(rig, source, 512, 512);
	backup_until_durable_co(rig, source);
	block_source_put_co(source);
	expect_broken_co(rig, LISTENER("16K", MEMORY),
		"of another target or granularity");
}

static void test_damaged_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	block_source_put_co(first_co(rig));
	poke(rig, "marks", 4096);
	expect_broken_co(rig, OPENED, "its map is damaged");
	block_source_put_co(first_co(rig));
	poke(rig, "marks", 24);
	expect_broken_co(rig, OPENED, "its map is damaged");
}

static void test_foreign_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	block_source_put_co(first_co(rig));
	poke(rig, "marks", 0);
	CHECK_INT(stack_rig_build_co(rig, OPENED, &source, &err), -EINVAL);
	CHECK_ERR(&err, "something else than marks of this version");
}

/* Smaller than the moment: what was copied before does not break it, what is lost does. */
static void test_smaller_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = first_co(rig), *view;
	uint8_t *data = stack_rig_pattern(SIZE, 1);
	struct err err = {0};

	(void)argument;
	backup_rig_overwrite_co(rig, source, SIZE / 2, SIZE / 2);
	CHECK_INT(spec_resize_co(source, SIZE / 2, &err), 0);
	backup_until_durable_co(rig, source); /* again */
	block_source_put_co(source);
	source = stack_rig_source_co(rig, OPENED);
	backup_rig_expect_status(source, "\"state\": \"active\"");
	view = view_co(rig, source);
	stack_rig_expect_co(rig, view, 0, SIZE / 2, data);
	block_source_put_co(view);
	CHECK_INT(spec_resize_co(source, SIZE / 4, &err), 0);
	backup_rig_expect_status(source, "has become smaller");
	block_source_put_co(source);
	expect_broken_co(rig, OPENED, "has become smaller");
	free(data);
}

/* -- where it cannot be written ------------------------------------------- */

#define ANY_WRITE (1u << RING_WRITE)
#define AGAIN_NS (1100ull * 1000 * 1000)

/* What is there if the power fails now. */
static void expect_broken_after_co(struct stack_rig *rig, void *argument)
{
	expect_broken_co(rig, OPENED, argument);
}

static void expect_after_cut(struct stack_rig *rig, const char *why)
{
	struct power_cut cut;

	power_cut_take(&cut, rig, 1, 0, NULL);
	power_cut_reopen(&cut, expect_broken_after_co, (void *)why);
}

static void expect_broken_now_co(
	struct stack_rig *rig, struct block_source *source, const char *why)
{
	backup_rig_expect_status(source, "\"state\": \"broken\"");
	backup_rig_expect_status(source, why);
	backup_rig_overwrite_co(rig, source, 0, SIZE);
}

/* A write that has failed may have changed anything of what it was to change. */
#define ANY_REASON "\"broken\": \""
#define NOT_DURABLE "what it copies cannot be made durable"

/* A disk that is full, or that does not take marks: hosts go on, the header says so. */
static void test_mark_fails_co(struct stack_rig *rig, void *argument)
{
	static const int errors[] = {-ENOSPC, -EIO};

	(void)argument;
	for (unsigned i = 0; i < 2; i++) {
		struct sim_fault fault = {.opcodes = ANY_WRITE,
			.path = "data/marks",
			.error = errors[i],
			.offset_bytes = 4096,
			.length_bytes = 1 << 20};
		struct block_source *source = first_co(rig);
		struct err err = {0};

		sim_world_fail(rig->world, &fault);
		backup_rig_overwrite_co(rig, source, 9 * GRANULE, 512);
		CHECK(fault.hits > 0);
		expect_broken_now_co(rig, source, NOT_DURABLE);
		expect_after_cut(rig, NOT_DURABLE);
		sim_world_heal(rig->world, &fault);
		CHECK_INT(spec_detach_co(source, "b", 10000000000ull, &err), 0);
		block_source_put_co(source);
	}
}

/* Nor the header: other sectors of the map say that it is not whole. */
static void test_header_fails_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {.opcodes = ANY_WRITE,
		.path = "data/marks",
		.error = -EIO,
		.length_bytes = 4096};
	struct block_source *source = first_co(rig);

	(void)argument;
	sim_world_fail(rig->world, &fault);
	free(stack_rig_command_co(rig, source, "b", "stop", NULL));
	CHECK(fault.hits > 0);
	expect_broken_now_co(rig, source, "stopped by command");
	expect_after_cut(rig, ANY_REASON);
	sim_world_heal(rig->world, &fault);
	block_source_put_co(source);
	expect_broken_co(rig, OPENED, "stopped by command");
}

/* Nothing of it can be written, but it can be cut off. */
static void test_writes_fail_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {
		.opcodes = ANY_WRITE, .path = "data/marks", .error = -EIO};
	struct block_source *source = first_co(rig);

	(void)argument;
	sim_world_fail(rig->world, &fault);
	backup_rig_overwrite_co(rig, source, 9 * GRANULE, 512);
	expect_broken_now_co(rig, source, NOT_DURABLE);
	expect_after_cut(rig, ANY_REASON);
	sim_world_heal(rig->world, &fault);
	block_source_put_co(source);
	expect_broken_co(rig, OPENED, NOT_DURABLE);
}

/* A disk that takes nothing: hosts go on, and it says so when it can. */
static void test_dead_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {.opcodes = ANY_WRITE | 1u << RING_DATASYNC,
		.path = "data/marks",
		.error = -EIO};
	struct block_source *source = first_co(rig);

	(void)argument;
	sim_world_fail(rig->world, &fault);
	backup_rig_overwrite_co(rig, source, 9 * GRANULE, 512);
	expect_broken_now_co(rig, source, NOT_DURABLE);
	backup_rig_expect_status(
		source, "\"map_error\": \"Input/output error\"");
	sim_world_heal(rig->world, &fault);
	loop_sleep_co(block_core_lane(rig->core, 0)->loop, AGAIN_NS);
	char *status = stack_rig_status(source);
	CHECK(!strstr(status, "map_error"));
	free(status);
	expect_after_cut(rig, NOT_DURABLE);
	block_source_put_co(source);
}

/* Where hosts are to wait for the backup, or to fail, they do. */
static void test_dead_fail_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {.opcodes = ANY_WRITE | 1u << RING_DATASYNC,
		.path = "data/marks",
		.error = -EIO};
	struct block_source *source = backup_rig_begin_with_co(rig,
		"{" DISK "}", ", map: marks, on_error: fail", FILE_OF("copy"));
	uint8_t data[512] = {1};

	(void)argument;
	backup_until_durable_co(rig, source);
	sim_world_fail(rig->world, &fault);
	CHECK_INT(backup_rig_transfer_co(
			  rig, source, BLOCK_WRITE, 0, sizeof data, data),
		-EIO);
	sim_world_heal(rig->world, &fault);
	backup_rig_overwrite_co(rig, source, 0, GRANULE);
	expect_after_cut(rig, NOT_DURABLE);
	block_source_put_co(source);
}

#define SIMULATED(name) \
	STACK_RIG_CASE( \
		name, simulated, .world = "simulated", .lanes = 3, .seed = 1)

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, uring, .world = "io_uring", .lanes = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_stop_co),
		ROWS(test_broken_co),
		ROWS(test_detached_co),
		ROWS(test_image_changed_co),
		ROWS(test_other_co),
		ROWS(test_made_anew_co),
		ROWS(test_memory_co),
		ROWS(test_damaged_co),
		ROWS(test_foreign_co),
		ROWS(test_smaller_co),
		SIMULATED(test_mark_fails_co),
		SIMULATED(test_header_fails_co),
		SIMULATED(test_writes_fail_co),
		SIMULATED(test_dead_co),
		SIMULATED(test_dead_fail_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
