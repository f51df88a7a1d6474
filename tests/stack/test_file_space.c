/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space on the disk that the protocol file takes and gives back, as the file system
 * counts it: sparse and preallocated files, what discards and zeroes do, resizing. Where
 * the file system cannot do it (asked without us), that the content is right is all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024u * 1024u)
#define SLACK (256u * 1024u) /* what the file system needs for itself */

static char path[256];
static bool punches, zeroes_ranges;

static bool can(int fd, int mode)
{
	return fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, 0, 64 * 1024) == 0;
}

static void ask_file_system(struct stack_rig *rig)
{
	int fd;

	snprintf(path, sizeof path, "%s/probe", rig->folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_INT(ftruncate(fd, MIB), 0);
	punches = can(fd, FALLOC_FL_PUNCH_HOLE);
	zeroes_ranges = can(fd, FALLOC_FL_ZERO_RANGE);
	close(fd);
	CHECK_INT(unlink(path), 0);
	snprintf(path, sizeof path, "%s/disk", rig->folder);
}

static uint64_t taken(void)
{
	struct stat st;

	CHECK_INT(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static uint64_t size(void)
{
	struct stat st;

	CHECK_INT(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static void ask_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, unsigned flags, uint64_t bytes, void *data)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);

	CHECK_INT(
		block_transfer_co(source, lane, op, flags, 0, bytes, data), 0);
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_FLUSH, 0, 0, 0, NULL), 0);
}

/* A file is sparse until it is written to; discards, and zeroes that may unmap, give
 * back what they cover, other zeroes keep it. */
static void kept_or_given_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		enum block_opcode op;
		unsigned flags;
		bool gives;
	} rows[] = {{BLOCK_DISCARD, 0, true},
		{BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, true},
		{BLOCK_WRITE_ZEROES, 0, false},
		{BLOCK_WRITE_ZEROES, BLOCK_FUA, false}};
	struct block_source *source = stack_rig_source_co(
		rig, "protocol: {type: file, path: disk, size: 8M}");
	uint8_t *data = stack_rig_pattern(4 * MIB, 1);

	(void)argument;
	ask_file_system(rig);
	CHECK_INT(size(), 8 * MIB);
	CHECK(taken() < SLACK);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		ask_co(rig, source, BLOCK_WRITE, 0, 4 * MIB, data);
		CHECK(taken() >= 4 * MIB);
		ask_co(rig, source, rows[i].op, rows[i].flags, 3 * MIB, NULL);
		if (punches && rows[i].gives)
			CHECK(taken() < MIB + SLACK);
		if (!rows[i].gives)
			CHECK(taken() >= 4 * MIB);
		stack_rig_expect_co(rig, source, 0, 3 * MIB, NULL);
		stack_rig_expect_co(rig, source, 3 * MIB, MIB, data + 3 * MIB);
		CHECK_INT(size(), 8 * MIB);
	}
	block_source_put_co(source);
	free(data);
}

/* All its space is there at once, and stays when zeroes are written. */
static void preallocated_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"protocol: {type: file, path: disk, size: 4M, "
		"preallocate: true}");

	(void)argument;
	ask_file_system(rig);
	CHECK_INT(size(), 4 * MIB);
	CHECK(taken() >= 4 * MIB);
	stack_rig_expect_co(rig, source, 0, 4 * MIB, NULL);
	ask_co(rig, source, BLOCK_WRITE_ZEROES, 0, 4 * MIB, NULL);
	if (zeroes_ranges)
		CHECK(taken() >= 4 * MIB);
	block_source_put_co(source);
}

/* The file is as long as the source; what is cut off is given back. */
static void resized_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(
		rig, "protocol: {type: file, path: disk, size: 2M}");
	uint8_t *data = stack_rig_pattern(2 * MIB, 1);
	struct err err = {0};

	(void)argument;
	ask_file_system(rig);
	ask_co(rig, source, BLOCK_WRITE, 0, 2 * MIB, data);
	CHECK_INT(spec_resize_co(source, 64 * MIB, &err), 0);
	CHECK_INT(size(), 64 * MIB);
	CHECK(taken() < 2 * MIB + SLACK);
	CHECK_INT(spec_resize_co(source, MIB, &err), 0);
	CHECK_INT(size(), MIB);
	CHECK(taken() < MIB + SLACK);
	CHECK_INT(spec_resize_co(source, 2 * MIB, &err), 0);
	stack_rig_expect_co(rig, source, 0, MIB, data);
	stack_rig_expect_co(rig, source, MIB, MIB, NULL);
	block_source_put_co(source);
	free(data);
}

#define ROWS(body) \
	STACK_RIG_CASE(body, io_uring, .world = "io_uring", .lanes = 2), \
		STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(kept_or_given_co),
		ROWS(preallocated_co),
		ROWS(resized_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
