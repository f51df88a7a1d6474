/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: what cannot be kept is said, by the option that was given, and
 * nothing wrong is read; when the moment ends; what is refused.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/backup_rig.h"

#include <errno.h>
#include <stdlib.h>

/* -- what cannot be kept -------------------------------------------------- */

#define FULL \
	"{listeners: [{type: fault, name: f, rules: [{op: change, offset: " \
	"32K, error: ENOSPC}]}], protocol: {type: mem, size: 1M}}"

/* Hosts go on; nothing wrong is read. */
static void test_break_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_co(rig, "", FULL);
	struct block_source *view = stack_rig_source_co(rig, VIEW), *again;
	uint8_t *data = stack_rig_pattern(GRANULE, 9);
	struct err err = {0};

	(void)argument;
	backup_rig_overwrite_co(rig, source, 0, 512);
	backup_rig_expect_moment_co(rig, view);
	backup_rig_overwrite_co(rig, source, 2 * GRANULE, 512);
	backup_rig_expect_status(source, "\"state\": \"broken\"");
	backup_rig_expect_status(source,
		"the target cannot be written at byte 32768: No space left");
	CHECK_INT(backup_rig_transfer_co(rig, view, BLOCK_READ, 0, 512, data),
		-EIO);
	CHECK_INT(backup_rig_transfer_co(
			  rig, view, BLOCK_READ, 4 * GRANULE, 512, data),
		-EIO);
	CHECK_INT(stack_rig_build_co(rig, VIEW, &again, &err), -ENODATA);
	CHECK_FIND(err.text, "keeps no moment");
	backup_rig_overwrite_co(rig, source, 0, SIZE);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 1);
	free(data);
	backup_rig_end_co(view, source);
}

static void test_fail_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		backup_rig_begin_co(rig, ", on_error: fail", FULL);
	struct block_source *view = stack_rig_source_co(rig, VIEW);
	uint8_t *data = stack_rig_pattern(GRANULE, 9);

	(void)argument;
	CHECK_INT(backup_rig_transfer_co(
			  rig, source, BLOCK_WRITE, 2 * GRANULE, 512, data),
		-ENOSPC);
	backup_rig_overwrite_co(rig, source, 0, 512);
	backup_rig_expect_moment_co(rig, view);
	backup_rig_expect_status(source, "\"state\": \"active\"");
	free(data);
	backup_rig_end_co(view, source);
}

/* It waits until the target works again; or until it is told not to. */
static void test_wait_co(struct stack_rig *rig, void *argument)
{
	struct block_source *target = stack_rig_source_co(rig, FULL);
	struct block_source *source = stack_rig_source_co(rig, MEM);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(GRANULE, 9);
	struct stack_rig_request request[2];
	struct err err = {0};
	const struct doc *backup = stack_rig_doc(rig,
		"{type: backup, name: b, granularity: 16K, on_error: wait, "
		"target: source-1}");

	(void)argument;
	CHECK_INT(backup_rig_transfer_co(
			  rig, source, BLOCK_WRITE, 0, GRANULE, data),
		0);
	CHECK_INT(backup_rig_transfer_co(
			  rig, source, BLOCK_WRITE, 2 * GRANULE, GRANULE, data),
		0);
	CHECK_INT(spec_attach_co(source, backup, NULL, &err), 0);
	stack_rig_submit(source, lane, &request[0], BLOCK_WRITE, 0, 2 * GRANULE,
		512, data + 512);
	stack_rig_submit(source, lane, &request[1], BLOCK_WRITE, 0,
		2 * GRANULE + 512, 512, data);
	stack_rig_until_co(rig, target, "hits", 2);
	CHECK(!request[0].done && !request[1].done);
	block_cancel(&request[1].request);
	CHECK_INT(stack_rig_wait_co(&request[1]), -ECANCELED);
	free(stack_rig_command_co(rig, target, "f", "clear", NULL));
	CHECK_INT(stack_rig_wait_co(&request[0]), 0);
	stack_rig_expect_co(rig, source, 2 * GRANULE, 512, data + 512);
	stack_rig_expect_co(rig, target, 2 * GRANULE, GRANULE, data);
	free(stack_rig_command_co(
		rig, target, "f", "add", "{op: change, error: EIO}"));
	stack_rig_submit(
		source, lane, &request[0], BLOCK_WRITE, 0, 0, 512, data + 512);
	stack_rig_until_co(rig, target, "hits", 1);
	free(stack_rig_command_co(rig, source, "b", "stop", NULL));
	CHECK_INT(stack_rig_wait_co(&request[0]), 0);
	backup_rig_expect_status(source, "it was stopped by command");
	free(data);
	backup_rig_end_co(source, target);
}

/* Old data that cannot be read. */
static void test_unreadable_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_with_co(rig,
		"{listeners: [{type: fault, name: f}], protocol: {type: mem, "
		"size: 1M}}",
		"", MEM);

	(void)argument;
	free(stack_rig_command_co(rig, source, "f", "add",
		"{op: read, offset: 0, length: 4K, error: EIO, count: 1}"));
	backup_rig_overwrite_co(rig, source, GRANULE, 512);
	backup_rig_expect_status(source, "\"state\": \"active\"");
	backup_rig_overwrite_co(rig, source, 8192, 512);
	backup_rig_expect_status(
		source, "the old data cannot be read at byte ");
	backup_rig_end_co(NULL, source);
}

/* -- life ----------------------------------------------------------------- */

static void test_content_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_co(rig, "", MEM);
	struct spec_swap swap = {.document = stack_rig_doc(rig, MEM),
		.same_content = true,
		.deadline_ns = SPEC_GATE_DEADLINE_NS};
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	backup_rig_expect_status(source, "\"state\": \"active\"");
	swap.same_content = false;
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	backup_rig_expect_status(
		source, "shows other content than at the moment");
	backup_rig_end_co(NULL, source);
}

static void test_resize_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_co(rig, "", MEM);
	struct block_source *view = stack_rig_source_co(rig, VIEW);
	uint8_t *data = stack_rig_pattern(GRANULE, 5);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_resize_co(source, 2 * SIZE, &err), 0);
	CHECK_INT(backup_rig_transfer_co(
			  rig, source, BLOCK_WRITE, SIZE, 4096, data),
		0);
	CHECK_INT(block_source_info(view, block_core_lane(rig->core, 0))
			  .size_bytes,
		SIZE);
	backup_rig_expect_moment_co(rig, view);
	CHECK_INT(stack_rig_figure(source, "copied_granules"), 0);
	backup_rig_overwrite_co(rig, source, SIZE - 2 * GRANULE, 2 * GRANULE);
	CHECK_INT(spec_resize_co(source, SIZE - 2 * GRANULE, &err), 0);
	backup_rig_expect_status(source, "\"state\": \"active\"");
	CHECK_INT(spec_resize_co(source, SIZE / 2, &err), 0);
	backup_rig_expect_status(source, "smaller than at the moment");
	free(data);
	backup_rig_end_co(view, source);
}

/* Its source opened anew: there is no moment, and nothing is written to the target. */
static void test_opened_co(struct stack_rig *rig, void *argument)
{
	struct block_source *target = stack_rig_source_co(rig, MEM), *view;
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: backup, name: b, target: source-1}], "
		"protocol: {type: mem, size: 1M}}");
	struct err err = {0};

	(void)argument;
	backup_rig_overwrite_co(rig, source, 0, SIZE);
	stack_rig_expect_co(rig, target, 0, SIZE, NULL);
	backup_rig_expect_status(source, "\"state\": \"none\"");
	CHECK_INT(stack_rig_build_co(rig,
			  "{source: source-2, view: {backup: b}}", &view, &err),
		-ENODATA);
	CHECK_FIND(err.text, "its source was opened since");
	backup_rig_end_co(source, target);
}

static void refuse_co(struct stack_rig *rig, struct block_source *source,
	const char *options, int error, const char *text)
{
	struct err err = {0};
	char document[256];

	snprintf(document, sizeof document, "{type: backup, name: c%s}",
		options);
	CHECK_INT(spec_attach_co(
			  source, stack_rig_doc(rig, document), NULL, &err),
		error);
	CHECK_FIND(err.text, text);
}

static void test_refusals_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = backup_rig_begin_co(rig, "", MEM);
	struct block_source *view = stack_rig_source_co(rig, VIEW), *bad;
	struct block_source *alias =
		stack_rig_source_co(rig, "{source: source-1}");
	struct err err = {0};
	char *printed;

	(void)argument;
	refuse_co(rig, source, "", -EINVAL, "target");
	refuse_co(rig, source, ", target: nobody", -ENOENT,
		"there is no source 'nobody'");
	refuse_co(rig, source, ", target: source-1", -ELOOP,
		"stands on 'source-1' itself");
	refuse_co(rig, source, ", target: {protocol: {type: mem, size: 512K}}",
		-EINVAL, "must be as large");
	refuse_co(rig, source, ", granularity: 5000, target: " MEM, -EINVAL,
		"power of two");
	refuse_co(rig, source, ", target: source-2", -ELOOP, "itself");
	refuse_co(
		rig, alias, ", target: " MEM, -EINVAL, "must see every write");
	CHECK_INT(spec_detach_co(source, "b", SPEC_GATE_DEADLINE_NS, &err),
		-EBUSY);
	CHECK_FIND(err.text, "reads what 'b' keeps");
	CHECK_INT(stack_rig_build_co(rig,
			  "{source: source-1, view: {backup: x}}", &bad, &err),
		-ENOENT);
	CHECK_INT(
		stack_rig_build_co(rig,
			"{source: source-1, view: {backup: mem}}", &bad, &err),
		-EOPNOTSUPP);
	CHECK_INT(backup_rig_transfer_co(
			  rig, view, BLOCK_WRITE_ZEROES, 0, 512, NULL),
		-EROFS);
	printed = stack_rig_status(view);
	CHECK_FIND(printed,
		"\"source\": \"source-1\", \"view\": {\"backup\": \"b\"}");
	free(printed);
	block_source_put_co(alias);
	backup_rig_end_co(view, source);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_break_co),
		ROWS(test_fail_co),
		ROWS(test_wait_co),
		ROWS(test_unreadable_co),
		ROWS(test_content_co),
		ROWS(test_resize_co),
		ROWS(test_opened_co),
		ROWS(test_refusals_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
