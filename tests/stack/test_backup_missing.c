/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source opens again whose backup has no target: that is missing. The backup is
 * broken and says why, for good; hosts go on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/backup_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES 4096u
#define DISK "protocol: {type: file, path: disk, size: 1M}"
#define COPY "protocol: {type: file, path: copy, must_exist: true}"
#define BACKUP(map) "{type: backup, name: b, target: {" COPY "}" map "}"
#define WITH(map) "{listeners: [" BACKUP(map) "], " DISK "}"
#define MAP ", map: marks"

struct documents {
	const char *backup, *whole;
	const char *after; /* its state when the target is back */
	bool keeps;
};

static int write_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, unsigned seed)
{
	struct stack_rig_request request;
	uint8_t *data = stack_rig_pattern(BYTES, seed);

	stack_rig_submit(source, block_core_lane(rig->core, 0), &request,
		BLOCK_WRITE, 0, offset, BYTES, data);
	int result = stack_rig_wait_co(&request);
	free(data);
	return result;
}

static void expect_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, unsigned seed)
{
	uint8_t *data = stack_rig_pattern(BYTES, seed);

	stack_rig_expect_co(rig, source, offset, BYTES, data);
	free(data);
}

static void target_moves(
	struct stack_rig *rig, const char *from_name, const char *to_name)
{
	char from[256], to[256];

	snprintf(from, sizeof from, "%s/%s", rig->folder, from_name);
	snprintf(to, sizeof to, "%s/%s", rig->folder, to_name);
	CHECK_INT(rename(from, to), 0);
}

static void expect_status(struct block_source *source, const char *text)
{
	char *status = stack_rig_status(source);

	CHECK_FIND(status, text);
	free(status);
}

/* It keeps a moment, of which something was copied; then the source is closed. */
static void first_co(struct stack_rig *rig, const struct documents *d)
{
	struct err err = {0};

	block_source_put_co(stack_rig_source_co(
		rig, "{protocol: {type: file, path: copy, size: 1M}}"));
	struct block_source *source = stack_rig_source_co(rig, "{" DISK "}");
	CHECK_INT(write_co(rig, source, 0, 1), 0);
	CHECK_INT(spec_attach_co(
			  source, stack_rig_doc(rig, d->backup), NULL, &err),
		0);
	CHECK_INT(write_co(rig, source, 0, 2), 0);
	expect_status(source, "\"state\": \"active\"");
	if (d->keeps)
		backup_until_durable_co(rig, source);
	block_source_put_co(source);
}

static void test_missing_co(struct stack_rig *rig, void *argument)
{
	const struct documents *d = argument;
	struct block_source *source;
	struct err err = {0};

	first_co(rig, d);
	target_moves(rig, "copy", "away");
	CHECK_INT(stack_rig_build_co(rig, d->whole, &source, &err), -ENOENT);
	CHECK_INT(spec_build_degraded_co(rig->core, "again", NULL,
			  stack_rig_doc(rig, d->whole), &source, &err),
		0);
	expect_status(source, "\"state\": \"broken\"");
	expect_status(source, "its target is not there");
	expect_co(rig, source, 0, 2);
	CHECK_INT(write_co(rig, source, 0, 3), 0);
	CHECK_INT(write_co(rig, source, 65536, 4), 0);
	expect_co(rig, source, 0, 3);
	block_source_put_co(source);
	/* What was changed meanwhile it has not copied. */
	target_moves(rig, "away", "copy");
	CHECK_INT(spec_build_degraded_co(rig->core, "again", NULL,
			  stack_rig_doc(rig, d->whole), &source, &err),
		0);
	expect_status(source, d->after);
	expect_co(rig, source, 65536, 4);
	block_source_put_co(source);
}

static const struct documents without = {
	BACKUP(""), WITH(""), "\"state\": \"none\"", false};
static const struct documents with = {
	BACKUP(MAP), WITH(MAP), "\"broken\": \"its target is not there", true};

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE_WITH(test_missing_co, &without, "without a map",
			.world = "threads", .lanes = 2),
		STACK_RIG_CASE_WITH(test_missing_co, &with, "with a map",
			.world = "threads", .lanes = 2),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
