/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of the listener mirror: what a leg lacks is known after a stop, and where the
 * map cannot know it, it lacks everything. Power cuts are in sim/test_mirror_power.c.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/mirror_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHERE "granularity: 64K, map: marks"
#define DISK "protocol: {type: file, path: disk, size: 1M}"
#define COPY "leg: {protocol: {type: file, path: copy, size: 1M}}"
#define MIRROR(leg, where) \
	"{listeners: [{type: mirror, name: m, " leg ", " where "}], " DISK "}"

static struct mirror_pair open_co(struct stack_rig *rig, const char *document)
{
	return (struct mirror_pair){
		.rig = rig, .source = stack_rig_source_co(rig, document)};
}

/* In sync, with something written, and closed. */
static void first_co(struct stack_rig *rig)
{
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));

	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK_INT(pair_resync_co(&pair), PAIR_BYTES);
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	block_source_put_co(pair.source);
}

static void test_stop_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	first_co(rig);
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE); /* was not flushed */
	CHECK_INT(pair_resync_co(&pair), PAIR_GRANULE);
	block_source_put_co(pair.source);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	pair_expect_state(&pair, "in sync");
	block_source_put_co(pair.source);
}

/* A leg that fails, and a stop before it is back. */
static void test_failed_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	first_co(rig);
	struct mirror_pair pair = open_co(rig,
		MIRROR("leg: {listeners: [{type: fault, rules: [{op: write, "
		       "error: EIO, offset: 64K, length: 64K}]}], protocol: "
		       "{type: file, path: copy, size: 1M}}",
			WHERE));
	/* It is the same file, with a listener more. */
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE);
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, PAIR_GRANULE, 1), 0);
	CHECK_INT(pair_write_co(&pair, 3 * PAIR_GRANULE, 1), 0);
	pair_expect_state(&pair, "degraded");
	block_source_put_co(pair.source);
	pair = open_co(rig,
		MIRROR("leg: {listeners: [{type: fault, rules: [{op: write, "
		       "error: EIO, offset: 64K, length: 64K}]}], protocol: "
		       "{type: file, path: copy, size: 1M}}",
			WHERE));
	pair_expect_state(&pair, "behind");
	CHECK_INT(pair_behind(&pair), 2 * PAIR_GRANULE);
	block_source_put_co(pair.source);
}

static void expect_all_co(struct stack_rig *rig, const char *document)
{
	struct mirror_pair pair = open_co(rig, document);

	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	block_source_put_co(pair.source);
}

static void test_unknown_co(struct stack_rig *rig, void *argument)
{
	struct err err = {0};

	(void)argument;
	first_co(rig);
	expect_all_co(rig,
		MIRROR("leg: {protocol: {type: file, path: copy2, size: 1M}}",
			WHERE));
	first_co(rig);
	expect_all_co(rig, MIRROR(COPY, "granularity: 128K, map: marks"));
	/* What was done without it. */
	first_co(rig);
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));
	pair_resync_co(&pair);
	CHECK_INT(spec_detach_co(pair.source, "m", 0, &err), 0);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	/* It joins. */
	first_co(rig);
	pair = open_co(rig, "{" DISK "}");
	CHECK_INT(
		spec_attach_co(pair.source,
			stack_rig_doc(rig,
				"{type: mirror, name: m, " COPY ", " WHERE "}"),
			NULL, &err),
		0);
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	/* Another content, or a smaller size, and a stop. */
	first_co(rig);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	struct spec_swap swap = {.document = stack_rig_doc(rig,
					 "{protocol: {type: null, size: "
					 "1M}}")};
	CHECK_INT(spec_swap_bottom_co(pair.source, &swap, &err), 0);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	first_co(rig);
	pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(spec_resize_co(pair.source, PAIR_BYTES / 2, &err), 0);
	CHECK_INT(spec_resize_co(pair.source, PAIR_BYTES, &err), 0);
	block_source_put_co(pair.source);
	expect_all_co(rig, MIRROR(COPY, WHERE));
}

/* Damaged here and there; byte `at` of the map is another one. */
static void spoil(struct stack_rig *rig, off_t at)
{
	char *path = NULL;
	uint8_t byte;

	CHECK(asprintf(&path, "%s/marks", rig->folder) > 0);
	int fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK_INT(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	CHECK_INT(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	free(path);
}

static void test_damaged_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	first_co(rig);
	spoil(rig, 30);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	first_co(rig);
	spoil(rig, 4096);
	expect_all_co(rig, MIRROR(COPY, WHERE));
	first_co(rig);
	spoil(rig, 4096 + 512 + 5); /* of granules that there are none of */
	struct mirror_pair pair = open_co(rig, MIRROR(COPY, WHERE));
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE);
	/* One map is of one mirror. */
	CHECK(stack_rig_build_co(rig,
		      "{listeners: [{type: mirror, leg: {protocol: {type: mem, "
		      "size: 1M}}, map: marks}], protocol: {type: mem, size: "
		      "1M}}",
		      &source, &err) < 0);
	block_source_put_co(pair.source);
	spoil(rig, 2);
	CHECK_INT(stack_rig_build_co(rig, MIRROR(COPY, WHERE), &source, &err),
		-EINVAL);
	CHECK_FIND(err.text, "holds something else");
	CHECK_INT(stack_rig_build_co(rig,
			  MIRROR(COPY, "granularity: 64K, map: \"../marks\""),
			  &source, &err),
		-EINVAL);
}

#define THREADS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		THREADS(test_stop_co),
		STACK_RIG_CASE(test_stop_co, simulated, .world = "simulated",
			.lanes = 3, .seed = 1),
		THREADS(test_failed_co),
		THREADS(test_unknown_co),
		THREADS(test_damaged_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
