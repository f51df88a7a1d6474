/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file over io_uring, over threads and in the simulator: what hosts
 * may ask of it, what it refuses, what it says when something is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB 1024u
#define MIB (1024u * 1024u)
#define FILE_BYTES (8u * MIB)
#define DISK "protocol: {type: file, path: disk, size: 8M}"

static int transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, unsigned flags, uint64_t offset, uint64_t length,
	void *data)
{
	return block_transfer_co(source, block_core_lane(rig->core, 0), op,
		flags, offset, length, data);
}

/* -- what hosts ask ------------------------------------------------------- */

static void test_read_write_co(struct stack_rig *rig, void *cache)
{
	struct block_source *source;
	uint8_t *data = stack_rig_pattern(MIB, 1);
	char document[256];

	snprintf(document, sizeof document,
		"protocol: {type: file, path: disk, size: 8M, cache: %s}",
		(const char *)cache);
	source = stack_rig_source_co(rig, document);
	stack_rig_expect_co(rig, source, 0, MIB, NULL);
	CHECK_INT(transfer_co(
			  rig, source, BLOCK_WRITE, 0, 3 * KIB, 64 * KIB, data),
		0);
	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, BLOCK_FUA, 4 * MIB, MIB,
			  data),
		0);
	CHECK_INT(transfer_co(rig, source, BLOCK_FLUSH, 0, 0, 0, NULL), 0);
	stack_rig_expect_co(rig, source, 3 * KIB, 64 * KIB, data);
	stack_rig_expect_co(rig, source, 4 * MIB, MIB, data);
	stack_rig_expect_co(rig, source, 0, 3 * KIB, NULL);
	stack_rig_expect_co(rig, source, 67 * KIB, MIB, NULL);
	block_source_put_co(source);

	/* It is in the file, not in the driver. */
	source = stack_rig_source_co(
		rig, "protocol: {type: file, path: disk, read_only: true}");
	stack_rig_expect_co(rig, source, 3 * KIB, 64 * KIB, data);
	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0, 0, 4 * KIB, data),
		-EROFS);
	CHECK_INT(transfer_co(rig, source, BLOCK_FLUSH, 0, 0, 0, NULL), 0);
	block_source_put_co(source);
	free(data);
}

/* What the file system has to say of it, asked without us. */
static bool has_direct(const struct stack_rig *rig)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/disk", rig->folder);
	fd = open(path, O_RDONLY | O_DIRECT);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void expect_direct(
	const struct stack_rig *rig, struct block_source *source, bool direct)
{
	char *status = stack_rig_status(source);

	if (!rig->simulated)
		CHECK(strstr(status,
			direct ? "\"direct\": true" : "\"direct\": false"));
	free(status);
}

static void test_info_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *cache; /* NULL: nothing is said */
		bool volatile_cache, direct;
	} rows[] = {{NULL, true, true}, {"direct", true, true},
		{"writeback", true, false}, {"writethrough", false, false}};
	size_t i;

	(void)argument;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char document[256];
		struct block_source *source;
		struct block_info info;

		snprintf(document, sizeof document,
			"protocol: {type: file, path: disk, size: 8M%s%s}",
			rows[i].cache ? ", cache: " : "",
			rows[i].cache ? rows[i].cache : "");
		source = stack_rig_source_co(rig, document);
		info = block_source_info(source, block_core_lane(rig->core, 0));
		CHECK_INT(info.size_bytes, FILE_BYTES);
		CHECK_INT(info.volatile_cache, rows[i].volatile_cache);
		CHECK_INT(info.read_only, false);
		CHECK(info.physical_block_bytes >= BLOCK_SECTOR_BYTES);
		CHECK(info.ops & BLOCK_OP(BLOCK_DISCARD));
		expect_direct(rig, source, rows[i].direct && has_direct(rig));
		block_source_put_co(source);
	}
}

/* Zeroes and discards of any range, over data and over holes. */
static void test_zeroes_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		enum block_opcode op;
		unsigned flags;
		uint64_t offset, length;
	} rows[] = {
		{BLOCK_WRITE_ZEROES, 0, 0, 4 * KIB},
		{BLOCK_WRITE_ZEROES, 0, 512, 512},
		{BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, 64 * KIB, MIB},
		{BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, 1536, 200 * KIB},
		{BLOCK_WRITE_ZEROES, BLOCK_FUA, 7 * KIB, 9 * KIB},
		{BLOCK_WRITE_ZEROES, BLOCK_FUA | BLOCK_MAY_UNMAP, MIB, MIB},
		{BLOCK_DISCARD, 0, 0, 2 * MIB},
		{BLOCK_DISCARD, 0, 5 * 512, 3 * 512},
		{BLOCK_DISCARD, BLOCK_FUA, MIB - 512, 1024},
	};
	struct block_source *source = stack_rig_source_co(rig, DISK);
	uint8_t *data = stack_rig_pattern(2 * MIB, 5);
	size_t i;

	(void)argument;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t end = rows[i].offset + rows[i].length;

		CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0, 0, 2 * MIB,
				  data),
			0);
		CHECK_INT(transfer_co(rig, source, rows[i].op, rows[i].flags,
				  rows[i].offset, rows[i].length, NULL),
			0);
		stack_rig_expect_co(
			rig, source, rows[i].offset, rows[i].length, NULL);
		if (rows[i].offset)
			stack_rig_expect_co(
				rig, source, 0, rows[i].offset, data);
		if (end < 2 * MIB)
			stack_rig_expect_co(
				rig, source, end, 2 * MIB - end, data + end);
	}
	free(data);
	block_source_put_co(source);
}

static int extents_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint64_t length, struct block_extents *answer)
{
	struct stack_rig_request request;

	stack_rig_submit_extents(source, block_core_lane(rig->core, 0),
		&request, offset, length, answer);
	return stack_rig_wait_co(&request);
}

static void test_extents_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DISK);
	struct block_extent extent[4];
	struct block_extents answer = {.extent = extent, .room = 4};
	uint8_t *data = stack_rig_pattern(MIB, 3);

	(void)argument;
	CHECK_INT(transfer_co(
			  rig, source, BLOCK_WRITE, BLOCK_FUA, MIB, MIB, data),
		0);
	CHECK_INT(extents_co(rig, source, 512 * KIB, 4 * MIB, &answer), 0);
	CHECK_INT(answer.count, 3);
	CHECK_INT(extent[0].offset_bytes, 512 * KIB);
	CHECK_INT(extent[0].length_bytes, 512 * KIB);
	CHECK_INT(extent[0].flags, BLOCK_EXTENT_ZERO);
	CHECK_INT(extent[1].offset_bytes, MIB);
	CHECK_INT(extent[1].length_bytes, MIB);
	CHECK_INT(extent[1].flags, BLOCK_EXTENT_DATA);
	CHECK_INT(extent[2].offset_bytes, 2 * MIB);
	CHECK_INT(extent[2].length_bytes, 2560 * KIB);
	CHECK_INT(extent[2].flags, BLOCK_EXTENT_ZERO);

	/* Where there is room for one only, the start is answered. */
	answer.room = 1;
	CHECK_INT(extents_co(rig, source, MIB + 512, 4 * MIB, &answer), 0);
	CHECK_INT(answer.count, 1);
	CHECK_INT(extent[0].offset_bytes, MIB + 512);
	CHECK_INT(extent[0].length_bytes, MIB - 512);
	free(data);
	block_source_put_co(source);
}

/* Many flushes at once, from all lanes, need few fdatasyncs. */
#define FLUSHES 64

struct flusher {
	struct stack_rig_task task;
	struct block_source *source;
};

static void flusher_co(struct stack_rig_task *task)
{
	struct flusher *flusher = container_of(task, struct flusher, task);
	struct stack_rig_request *request = calloc(FLUSHES, sizeof *request);
	int i;

	for (i = 0; i < FLUSHES; i++)
		stack_rig_submit(flusher->source, task->lane, &request[i],
			BLOCK_FLUSH, 0, 0, 0, NULL);
	for (i = 0; i < FLUSHES; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	free(request);
}

static void test_flushes_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DISK);
	struct flusher flusher[BLOCK_MAX_LANES];
	unsigned i;

	(void)argument;
	for (i = 0; i < rig->lanes; i++) {
		flusher[i].task.run_co = flusher_co;
		flusher[i].source = source;
		stack_rig_start(rig, i, &flusher[i].task);
	}
	for (i = 0; i < rig->lanes; i++)
		stack_rig_join_co(&flusher[i].task);
	CHECK_INT(stack_rig_figure(source, "flushes"), FLUSHES * rig->lanes);
	CHECK(stack_rig_figure(source, "syncs") >= 1);
	/* A batch can begin with any message, but not with every one. */
	CHECK(stack_rig_figure(source, "syncs") <= FLUSHES * rig->lanes / 2);
	block_source_put_co(source);
}

/* -- resizing ------------------------------------------------------------- */

/* Without status it is what builds the same stack again. */
static void check_told_size(struct block_source *source, uint64_t bytes)
{
	CHECK_INT(stack_rig_figure(source, "size_bytes"), bytes);
	CHECK_INT(stack_rig_figure(source, "size"), bytes);
}

static void test_resize_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DISK);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(64 * KIB, 8);
	struct err err = {0};

	(void)argument;
	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0,
			  FILE_BYTES - 64 * KIB, 64 * KIB, data),
		0);
	CHECK_INT(spec_resize_co(source, 2 * FILE_BYTES, &err), 0);
	CHECK_INT(block_source_info(source, lane).size_bytes, 2 * FILE_BYTES);
	check_told_size(source, 2 * FILE_BYTES);
	stack_rig_expect_co(rig, source, FILE_BYTES - 64 * KIB, 64 * KIB, data);
	stack_rig_expect_co(rig, source, FILE_BYTES, MIB, NULL);
	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0,
			  2 * FILE_BYTES - 64 * KIB, 64 * KIB, data),
		0);
	CHECK_INT(spec_resize_co(source, MIB, &err), 0);
	CHECK_INT(block_source_info(source, lane).size_bytes, MIB);
	check_told_size(source, MIB);
	CHECK_INT(transfer_co(rig, source, BLOCK_READ, 0, MIB, 512, data),
		-ERANGE);
	CHECK_INT(spec_resize_co(source, MIB + 1, &err), -EINVAL);
	CHECK_ERR(&err, "multiple of");
	free(data);
	block_source_put_co(source);
}

/* -- real files only ------------------------------------------------------ */

/* Somebody else cuts the file: no byte is made up. */
static void test_short_file_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DISK);
	struct block_extent extent[4];
	struct block_extents answer = {.extent = extent, .room = 4};
	uint8_t *data = stack_rig_pattern(64 * KIB, 8);
	char path[256];

	(void)argument;
	snprintf(path, sizeof path, "%s/disk", rig->folder);
	CHECK_INT(
		transfer_co(rig, source, BLOCK_WRITE, 0, 0, 64 * KIB, data), 0);
	CHECK_INT(truncate(path, 32 * KIB), 0);
	CHECK_INT(transfer_co(rig, source, BLOCK_READ, 0, 0, 64 * KIB, data),
		-EIO);
	CHECK_INT(
		transfer_co(rig, source, BLOCK_READ, 0, MIB, 512, data), -EIO);
	CHECK_INT(
		transfer_co(rig, source, BLOCK_READ, 0, 0, 32 * KIB, data), 0);
	CHECK_INT(extents_co(rig, source, MIB, MIB, &answer), -EIO);
	/* A write beyond makes it longer again, and is there. */
	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0, MIB, 64 * KIB, data),
		0);
	stack_rig_expect_co(rig, source, MIB, 64 * KIB, data);
	free(data);
	block_source_put_co(source);
}

static void make_file(
	const struct stack_rig *rig, const char *name, uint64_t bytes)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", rig->folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_INT(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static void test_refused_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *document, *text;
		int code;
	} rows[] = {
		{"protocol: {type: file, path: absent}",
			"absent: no such file; create it, or give size:",
			ENOENT},
		{"protocol: {type: file, path: none/absent, size: 1M}",
			"make the folder", ENOENT},
		{"protocol: {type: file, path: /dev/cairn-absent, size: 1M}",
			"no such device", ENOENT},
		{"protocol: {type: file, path: ../disk, size: 1M}",
			"must not contain '..'", EINVAL},
		{"protocol: {type: file, path: a/../../disk, size: 1M}",
			"must not contain '..'", EINVAL},
		{"protocol: {type: file, path: /etc/passwd}",
			"outside of the data directory", EINVAL},
		{"protocol: {type: file, path: /dev/null}", "block device",
			EINVAL},
		{"protocol: {type: file, path: ''}", "empty", EINVAL},
		{"protocol: {type: file, path: nothing}", "is empty", EINVAL},
		{"protocol: {type: file, path: disk, cache: unsafe}", "cache",
			EINVAL},
		{"protocol: {type: file, path: disk, speed: 9}", "speed",
			EINVAL},
		{"protocol: {type: file}", "path", EINVAL},
		{"protocol: {type: file, path: disk, size: 1}", "size", EINVAL},
	};
	size_t i;

	(void)argument;
	make_file(rig, "nothing", 0);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct block_source *source = NULL;
		struct err err = {0};

		CHECK_INT(stack_rig_build_co(
				  rig, rows[i].document, &source, &err),
			-rows[i].code);
		CHECK_ERR(&err, rows[i].text);
		CHECK(!source);
	}
}

static void test_locking_co(struct stack_rig *rig, void *argument)
{
	struct block_source *first, *second = NULL;
	struct err err = {0};

	(void)argument;
	first = stack_rig_source_co(rig, DISK);
	CHECK_INT(stack_rig_build_co(rig, DISK, &second, &err), -EBUSY);
	CHECK_ERR(&err, "in use");
	CHECK_INT(stack_rig_build_co(rig,
			  "protocol: {type: file, path: disk, "
			  "read_only: true}",
			  &second, &err),
		-EBUSY);
	second = stack_rig_source_co(
		rig, "protocol: {type: file, path: disk, locking: false}");
	block_source_put_co(second);
	block_source_put_co(first);

	/* Readers stand each other, and no writer. */
	first = stack_rig_source_co(
		rig, "protocol: {type: file, path: disk, read_only: true}");
	second = stack_rig_source_co(
		rig, "protocol: {type: file, path: disk, read_only: true}");
	block_source_put_co(second);
	CHECK_INT(stack_rig_build_co(rig, DISK, &second, &err), -EBUSY);
	block_source_put_co(first);
}

/* O_DIRECT cannot reach the end of such a file; its last sector is shown whole. */
static void test_odd_size_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	uint8_t *data = stack_rig_pattern(512, 8);
	struct stat st;
	char path[256];

	(void)argument;
	make_file(rig, "odd", MIB + 700);
	source = stack_rig_source_co(rig, "protocol: {type: file, path: odd}");
	CHECK_INT(block_source_info(source, block_core_lane(rig->core, 0))
			  .size_bytes,
		MIB + 1024);
	CHECK_INT(transfer_co(rig, source, BLOCK_WRITE, 0, MIB, 512, data), 0);
	stack_rig_expect_co(rig, source, MIB, 512, data);
	expect_direct(rig, source, false);
	/* The rest of the last sector is made up. */
	stack_rig_expect_co(rig, source, MIB + 512, 512, NULL);
	block_source_put_co(source);
	snprintf(path, sizeof path, "%s/odd", rig->folder);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_size, MIB + 700);
	free(data);
}

/* -- the table ------------------------------------------------------------ */

#define CASE(body, argument, label, ...) \
	STACK_RIG_CASE_WITH(body, argument, argument " " label, __VA_ARGS__)
#define REAL(body, argument) \
	CASE(body, argument, "io_uring", .world = "io_uring", .lanes = 2), \
		CASE(body, argument, "threads", .world = "threads", \
			.lanes = 2)
#define EVERYWHERE(body, argument) \
	REAL(body, argument), \
		CASE(body, argument, "simulated", .world = "simulated", \
			.lanes = 3, .seed = 1), \
		CASE(body, argument, "simulated 4096", .world = "simulated", \
			.lanes = 3, .seed = 2, .direct_align_bytes = 4096)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERYWHERE(test_read_write_co, "direct"),
		EVERYWHERE(test_read_write_co, "writeback"),
		EVERYWHERE(test_read_write_co, "writethrough"),
		EVERYWHERE(test_info_co, ""),
		EVERYWHERE(test_zeroes_co, ""),
		CASE(test_zeroes_co, "no punch", "simulated",
			.world = "simulated", .lanes = 2, .no_punch = true),
		CASE(test_zeroes_co, "no zero range", "simulated",
			.world = "simulated", .lanes = 2,
			.no_zero_range = true),
		CASE(test_zeroes_co, "neither", "simulated",
			.world = "simulated", .lanes = 2, .no_punch = true,
			.no_zero_range = true, .direct_align_bytes = 4096),
		EVERYWHERE(test_extents_co, ""),
		EVERYWHERE(test_flushes_co, ""),
		EVERYWHERE(test_resize_co, ""),
		REAL(test_short_file_co, ""),
		REAL(test_refused_co, ""),
		REAL(test_locking_co, ""),
		REAL(test_odd_size_co, ""),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
