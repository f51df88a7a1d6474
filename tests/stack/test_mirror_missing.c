/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source opens again whose mirror has no leg: that is missing, broken, another one's.
 * Hosts go on; what they change is known, and nothing else is copied when it is back.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/mirror_pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK "protocol: {type: file, path: disk, size: 1M}"
#define COPY "protocol: {type: file, path: copy, must_exist: true}"
#define MIRROR(options) \
	"{listeners: [{type: mirror, name: m, granularity: 64K, leg: {" COPY \
	"}" options "}], " DISK "}"
#define MAP ", map: marks"

/* In sync, and closed. */
static void first_co(struct stack_rig *rig, const char *document)
{
	block_source_put_co(stack_rig_source_co(
		rig, "{protocol: {type: file, path: copy, size: 1M}}"));
	struct mirror_pair pair = {
		.rig = rig, .source = stack_rig_source_co(rig, document)};

	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	pair_resync_co(&pair);
	block_source_put_co(pair.source);
}

static void leg_moves(
	struct stack_rig *rig, const char *from_name, const char *to_name)
{
	char from[256], to[256];

	snprintf(from, sizeof from, "%s/%s", rig->folder, from_name);
	snprintf(to, sizeof to, "%s/%s", rig->folder, to_name);
	CHECK_INT(rename(from, to), 0);
}

static void expect_error(struct mirror_pair *pair, const char *text)
{
	char *status = stack_rig_status(pair->source);

	CHECK_FIND(status, text);
	free(status);
	pair_expect_state(pair, "degraded");
}

static void expect_equal_co(struct stack_rig *rig)
{
	struct mirror_pair pair = {.rig = rig,
		.source = stack_rig_source_co(rig, "{" DISK "}"),
		.leg = stack_rig_source_co(rig, "{" COPY "}")};

	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
}

/* Without a map it lacks everything. Hosts go on meanwhile. */
static void test_missing_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	first_co(rig, MIRROR(""));
	leg_moves(rig, "copy", "away");
	CHECK_INT(stack_rig_build_co(rig, MIRROR(""), &source, &err), -ENOENT);
	struct mirror_pair pair = pair_degraded_co(rig, MIRROR(""));
	expect_error(&pair, "copy");
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), 0);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), 0);
	pair_job_end_co(pair_job_co(&pair), JOB_FAILED, "the leg: ");
	expect_error(&pair, "copy");
	CHECK_INT(pair_write_co(&pair, 6 * PAIR_GRANULE, 3), 0);
	leg_moves(rig, "away", "copy");
	CHECK_INT(pair_resync_co(&pair), PAIR_BYTES);
	CHECK_INT(pair_write_co(&pair, 7 * PAIR_GRANULE, 4), 0);
	block_source_put_co(pair.source);
	expect_equal_co(rig);
}

/* With one it is known what it lacks, over several starts. */
static void test_map_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	first_co(rig, MIRROR(MAP));
	leg_moves(rig, "copy", "away");
	struct mirror_pair pair = pair_degraded_co(rig, MIRROR(MAP));
	expect_error(&pair, "copy");
	CHECK_INT(pair_behind(&pair), 0);
	CHECK_INT(pair_write_co(&pair, 5 * PAIR_GRANULE, 2), 0);
	CHECK_INT(pair_behind(&pair), PAIR_GRANULE);
	block_source_put_co(pair.source);
	pair = pair_degraded_co(rig, MIRROR(MAP));
	CHECK_INT(pair_write_co(&pair, 7 * PAIR_GRANULE, 3), 0);
	CHECK_INT(pair_behind(&pair), 2 * PAIR_GRANULE);
	block_source_put_co(pair.source);
	leg_moves(rig, "away", "copy");
	pair.source = stack_rig_source_co(rig, MIRROR(MAP));
	pair_expect_state(&pair, "behind");
	CHECK_INT(pair_resync_co(&pair), 2 * PAIR_GRANULE);
	block_source_put_co(pair.source);
	expect_equal_co(rig);
	/* A map that is new while it is away. */
	leg_moves(rig, "copy", "away");
	leg_moves(rig, "marks", "old-marks");
	pair = pair_degraded_co(rig, MIRROR(MAP));
	CHECK_INT(pair_behind(&pair), PAIR_BYTES);
	CHECK_INT(pair_write_co(&pair, 9 * PAIR_GRANULE, 4), 0);
	leg_moves(rig, "away", "copy");
	CHECK_INT(pair_resync_co(&pair), PAIR_BYTES);
	block_source_put_co(pair.source);
	expect_equal_co(rig);
	pair.source = stack_rig_source_co(rig, MIRROR(MAP));
	CHECK(pair_behind(&pair) <= PAIR_GRANULE); /* what was just changed */
	block_source_put_co(pair.source);
}

/* A file that was made anew under its name: what is known is of another one. */
static void test_replaced_co(struct stack_rig *rig, void *argument)
{
	struct block_source *other;

	(void)argument;
	for (unsigned i = 0; i < 2; i++) {
		first_co(rig, MIRROR(MAP));
		leg_moves(rig, "copy", "away");
		struct mirror_pair pair = {.rig = rig};
		if (i) /* while it is away */
			pair = pair_degraded_co(rig, MIRROR(MAP));
		other = stack_rig_source_co(
			rig, "{protocol: {type: file, path: copy, size: 1M}}");
		block_source_put_co(other);
		if (!i)
			pair.source = stack_rig_source_co(rig, MIRROR(MAP));
		else
			CHECK_INT(pair_behind(&pair), 0);
		CHECK_INT(pair_resync_co(&pair), PAIR_BYTES);
		block_source_put_co(pair.source);
		expect_equal_co(rig);
	}
}

/* It is there, and no leg; nobody reads what it has. */
static void test_broken_co(struct stack_rig *rig, void *argument)
{
	static const struct {
		const char *leg, *text;
	} row[] = {
		{"{protocol: {type: mem, size: 512K}}", "1048576 are needed"},
		{"{listeners: [{type: readonly}], protocol: {type: mem, size: "
		 "1M}}",
			"cannot be written to"},
		{"nobody", "there is no source 'nobody'"},
		{"{format: {type: qcow2, file: {protocol: {type: mem, size: "
		 "1M}}}}",
			"qcow2"},
	};
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 0);
	char document[512];

	(void)argument;
	for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++) {
		snprintf(document, sizeof document,
			"{listeners: [{type: mirror, name: m, leg: %s}, {type: "
			"fault, rules: [{op: read, error: EIO}]}], protocol: "
			"{type: mem, size: 1M}}",
			row[i].leg);
		struct mirror_pair pair = pair_degraded_co(rig, document);
		expect_error(&pair, row[i].text);
		CHECK_INT(pair_write_co(&pair, 0, 1), 0);
		CHECK_INT(pair_transfer_co(
				  &pair, BLOCK_READ, 0, PAIR_BLOCK, data),
			-EIO);
		pair_job_end_co(pair_job_co(&pair), JOB_FAILED, NULL);
		expect_error(&pair, "");
		block_source_put_co(pair.source);
	}
	free(data);
}

/* Where hosts are to see that. */
static void test_fail_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	first_co(rig, MIRROR(", on_error: fail" MAP));
	leg_moves(rig, "copy", "away");
	struct mirror_pair pair =
		pair_degraded_co(rig, MIRROR(", on_error: fail" MAP));
	CHECK_INT(pair_write_co(&pair, 0, 2), -ENOENT);
	leg_moves(rig, "away", "copy");
	CHECK_INT(pair_resync_co(&pair), 0);
	CHECK_INT(pair_write_co(&pair, 0, 2), 0);
	block_source_put_co(pair.source);
	expect_equal_co(rig);
}

#define THREADS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		THREADS(test_missing_co),
		THREADS(test_map_co),
		THREADS(test_replaced_co),
		THREADS(test_broken_co),
		THREADS(test_fail_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
