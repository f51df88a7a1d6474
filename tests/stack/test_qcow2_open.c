/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: an image is opened for writing only when all that was written to its file
 * before is durable, whoever wrote it; and only with a size that its tables can hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>

#define FILE_OF(more) \
	"{protocol: {type: file, path: disk, size: 4K}, listeners: " \
	"[{type: fault, name: f, rules: [" more "]}]}"

static void made_co(struct stack_rig *rig)
{
	block_source_put_co(stack_rig_source_co(
		rig, "format: {type: qcow2, size: 1M, file: " FILE_OF("") "}"));
}

static void flush_first_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	made_co(rig);
	CHECK_INT(stack_rig_build_co(rig,
			  "format: {type: qcow2, file: " FILE_OF(
				  "{op: flush, error: EIO}") "}",
			  &source, &err),
		-EIO);
	CHECK_ERR(&err, "what was written before cannot be flushed");
}

/* 32 MiB of the first table, each entry of which stands for 1 GiB. */
#define MOST "4503599627370496"

static void too_large_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	CHECK_INT(stack_rig_build_co(rig,
			  "format: {type: qcow2, size: 100P, file: "
			  "{protocol: {type: mem, size: 4M}}}",
			  &source, &err),
		-EFBIG);
	CHECK_ERR(&err, "at most " MOST);
	source = stack_rig_source_co(rig,
		"format: {type: qcow2, size: 1M, file: "
		"{protocol: {type: mem, size: 4M}}}");
	CHECK_INT(spec_resize_co(source, 100ull << 50, &err), -EFBIG);
	CHECK_ERR(&err, "at most " MOST);
	CHECK_INT(stack_rig_figure(source, "size"), 1 << 20);
	block_source_put_co(source);
}

/* What a running image says of itself builds the same again, after a resize, too. */
static void told_size_co(struct stack_rig *rig, void *argument)
{
	struct err err = {0};

	(void)argument;
	struct block_source *source = stack_rig_source_co(rig,
		"format: {type: qcow2, size: 1M, file: "
		"{protocol: {type: mem, size: 4M}}}");
	CHECK_INT(spec_resize_co(source, 2 << 20, &err), 0);
	CHECK_INT(stack_rig_figure(source, "size_bytes"), 2 << 20);
	CHECK_INT(stack_rig_figure(source, "size"), 2 << 20);
	block_source_put_co(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE(flush_first_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(too_large_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(told_size_co, simulated, .world = "simulated",
			.lanes = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
