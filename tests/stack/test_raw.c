/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format raw: a window into its file, and who may hold that file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>

static uint8_t byte_at_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	uint8_t data[512];

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, offset, 512, data),
		0);
	return data[0];
}

static int put_byte_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint8_t byte)
{
	uint8_t data[512];

	memset(data, byte, sizeof(data));
	return block_transfer_co(source, block_core_lane(rig->core, 0),
		BLOCK_WRITE, 0, offset, 512, data);
}

#define FILE_SOURCE "{protocol: {type: mem, size: 1M, max_size: 4M}}"

static void window_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(rig, FILE_SOURCE);
	struct block_source *raw;
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct err err = {0};

	(void)argument;
	CHECK_INT(put_byte_co(rig, file, 4096 - 512, 1), 0);
	CHECK_INT(put_byte_co(rig, file, 4096 + 8192, 2), 0);
	CHECK_INT(stack_rig_build_co(rig,
			  "{format: {type: raw, offset: 4K, size: 8K, "
			  "file: source-1}, view: current}",
			  &raw, &err),
		0);
	CHECK_INT(block_source_info(raw, lane).size_bytes, 8192);
	CHECK_INT(put_byte_co(rig, raw, 0, 3), 0);
	CHECK_INT(put_byte_co(rig, raw, 8192 - 512, 4), 0);
	CHECK_INT(put_byte_co(rig, raw, 8192, 5), -ERANGE);
	CHECK_INT(byte_at_co(rig, raw, 8192 - 512), 4);
	CHECK_INT(byte_at_co(rig, file, 4096 - 512), 1);
	CHECK_INT(byte_at_co(rig, file, 4096), 3);
	CHECK_INT(byte_at_co(rig, file, 4096 + 8192 - 512), 4);
	CHECK_INT(byte_at_co(rig, file, 4096 + 8192), 2);
	CHECK_INT(block_transfer_co(raw, lane, BLOCK_FLUSH, 0, 0, 0, NULL), 0);
	CHECK_INT(spec_resize_co(raw, 4096, &err), -EOPNOTSUPP);
	block_source_put_co(raw);
	block_source_put_co(file);
}

static void extents_co(struct stack_rig *rig, void *argument)
{
	struct block_source *raw = stack_rig_source_co(
		rig, "format: {type: raw, offset: 4K, file: " FILE_SOURCE "}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct block_extent extent[4];
	struct block_extents answer = {.extent = extent, .room = 4};
	struct stack_rig_request request;

	(void)argument;
	CHECK_INT(put_byte_co(rig, raw, 128 << 10, 1), 0);
	stack_rig_submit_extents(
		raw, lane, &request, 0, (1 << 20) - 4096, &answer);
	CHECK_INT(stack_rig_wait_co(&request), 0);
	CHECK_INT(answer.count, 3);
	CHECK_INT(extent[0].offset_bytes, 0);
	CHECK_INT(extent[1].offset_bytes, (128 << 10) - 4096);
	CHECK_INT(extent[2].offset_bytes + extent[2].length_bytes,
		(1 << 20) - 4096);
	block_source_put_co(raw);
}

static void bounds_co(struct stack_rig *rig, void *argument)
{
	static const char *const wrong[] = {
		"format: {type: raw, offset: 1M, file: " FILE_SOURCE "}",
		"format: {type: raw, offset: 4K, size: 1M, file: " FILE_SOURCE
		"}",
		"format: {type: raw, offset: 100, file: " FILE_SOURCE "}",
		"format: {type: raw, size: 1000, file: " FILE_SOURCE "}",
		"format: {type: raw, offset: 4294967296G, file: " FILE_SOURCE
		"}",
	};
	struct block_source *raw;

	(void)argument;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = {0};

		CHECK_INT(
			stack_rig_build_co(rig, wrong[i], &raw, &err), -EINVAL);
		CHECK_ERR(&err, i < 2 ? "do not lie in" : "");
	}
}

/* The file source grows: by way of the view, and by itself. */
static void resize_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(rig, FILE_SOURCE);
	struct block_source *raw = stack_rig_source_co(
		rig, "format: {type: raw, offset: 4K, file: source-1}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_resize_co(raw, 2 << 20, &err), 0);
	CHECK_INT(block_source_info(raw, lane).size_bytes, 2 << 20);
	CHECK_INT(block_source_info(file, lane).size_bytes, (2 << 20) + 4096);
	CHECK_INT(spec_resize_co(file, 3 << 20, &err), 0);
	for (unsigned i = 0; i < 5000 &&
		block_source_info(raw, lane).size_bytes != (3 << 20) - 4096;
		i++)
		loop_sleep_co(lane->loop, 1000000);
	CHECK_INT(put_byte_co(rig, raw, (3 << 20) - 4096 - 512, 1), 0);
	CHECK_INT(spec_resize_co(raw, 64 << 20, &err), -EOPNOTSUPP);
	block_source_put_co(raw);
	block_source_put_co(file);
}

/* Sizes that no file has: the file must not be cut by an overflow. */
static void resize_overflow_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(rig, FILE_SOURCE);
	struct block_source *raw = stack_rig_source_co(
		rig, "format: {type: raw, offset: 512K, file: source-1}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_resize_co(raw, -(256ull << 10), &err), -EFBIG);
	CHECK_INT(spec_resize_co(raw, 1ull << 63, &err), -EFBIG);
	CHECK_INT(block_source_info(file, lane).size_bytes, 1 << 20);
	CHECK_INT(block_source_info(raw, lane).size_bytes, 512 << 10);
	block_source_put_co(raw);
	block_source_put_co(file);
}

/* What a format lies on is not cut from under it; it may cut it itself. */
static void shrink_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(rig, FILE_SOURCE);
	struct block_source *raw = stack_rig_source_co(
		rig, "format: {type: raw, offset: 512K, file: source-1}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_resize_co(file, 256 << 10, &err), -EBUSY);
	CHECK_ERR(&err, "format of 'source-2'");
	CHECK_INT(block_source_info(raw, lane).size_bytes, 512 << 10);
	CHECK_INT(spec_resize_co(raw, 64 << 10, &err), 0);
	CHECK_INT(block_source_info(file, lane).size_bytes, 576 << 10);
	block_source_put_co(raw);
	CHECK_INT(spec_resize_co(file, 256 << 10, &err), 0);
	block_source_put_co(file);
}

/* A file that an image lies in is nobody else's to write to. */
static void claims_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(rig, FILE_SOURCE);
	struct block_source *raw =
		stack_rig_source_co(rig, "format: {type: raw, file: source-1}");
	struct block_source *other;
	struct err err = {0};

	(void)argument;
	CHECK_INT(stack_rig_build_co(rig, "format: {type: raw, file: source-1}",
			  &other, &err),
		-EBUSY);
	CHECK_ERR(&err, "format of 'source-2' writes alone");
	CHECK_INT(stack_rig_build_co(rig, "source: source-1", &other, &err),
		-EBUSY);
	struct block_claim volume = {
		.mode = BLOCK_CLAIM_SHARED, .holder = "volume x"};
	CHECK_INT(block_source_claim(file, &volume, &err), -EBUSY);
	block_source_put_co(raw);
	CHECK_INT(block_source_claim(file, &volume, &err), 0);
	block_source_unclaim(&volume);
	block_source_put_co(file);
}

static void read_only_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(rig,
		"{listeners: [{type: readonly}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_source *one =
		stack_rig_source_co(rig, "format: {type: raw, file: source-1}");
	struct block_source *two = stack_rig_source_co(
		rig, "format: {type: raw, offset: 4K, file: source-1}");

	(void)argument;
	CHECK(block_source_info(one, block_core_lane(rig->core, 0)).read_only);
	CHECK_INT(put_byte_co(rig, one, 0, 1), -EROFS);
	CHECK_INT(put_byte_co(rig, two, 0, 1), -EROFS);
	CHECK_INT(byte_at_co(rig, two, 0), 0);
	block_source_put_co(two);
	block_source_put_co(one);
	block_source_put_co(file);
}

/* The locks are the upper source's; the file is not made tracked. */
static void compare_co(struct stack_rig *rig, void *argument)
{
	struct block_source *raw = stack_rig_source_co(
		rig, "format: {type: raw, offset: 4K, file: " FILE_SOURCE "}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t data[1024] = {0};

	(void)argument;
	data[512] = 'x';
	CHECK_INT(block_transfer_co(raw, lane, BLOCK_COMPARE_AND_WRITE,
			  BLOCK_FUA, 512, 512, data),
		0);
	CHECK_INT(block_transfer_co(raw, lane, BLOCK_COMPARE_AND_WRITE, 0, 512,
			  512, data),
		-EILSEQ);
	CHECK_INT(byte_at_co(rig, raw, 512), 'x');
	block_source_put_co(raw);
}

#define ROW(body) STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(window_co),
		ROW(extents_co),
		ROW(bounds_co),
		ROW(resize_co),
		ROW(resize_overflow_co),
		ROW(shrink_co),
		ROW(claims_co),
		ROW(read_only_co),
		ROW(compare_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
