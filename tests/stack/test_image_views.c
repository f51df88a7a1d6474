/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that a source stands on since external snapshots, shown by other sources while
 * the first goes on: what they show, what may not be done meanwhile, who is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/core/core.h"
#include "blockcore/format/format.h"
#include "blockcore/job.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdio.h>

#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)
#define RAW "protocol: {type: file, path: a.raw, size: 1M}"
#define OVERLAY(path) \
	"{format: {type: qcow2, file: {protocol: {type: file, path: " path \
	", size: 64K}}}}"

struct shot {
	struct block_source *a; /* a.raw <- b.qcow2 <- c.qcow2; 1, 2, 3 */
	char name[2 * BLOCK_NAME_BYTES];
};

static void overlay_co(struct stack_rig *rig, struct block_source *source,
	const char *document)
{
	struct err err = {0};
	struct spec_overlay overlay = {.document = stack_rig_doc(rig, document),
		.deadline_ns = PATIENCE_NS};

	if (spec_overlay_co(source, &overlay, &err))
		fail_msg("%s", err.text);
}

static void begin_co(struct stack_rig *rig, struct shot *shot)
{
	shot->a = stack_rig_source_co(rig, RAW);
	CHECK_INT(stack_rig_stamp_co(rig, shot->a, 1, 0), 0);
	overlay_co(rig, shot->a, OVERLAY("b.qcow2"));
	CHECK_INT(stack_rig_stamp_co(rig, shot->a, 2, 0), 0);
	overlay_co(rig, shot->a, OVERLAY("c.qcow2"));
	CHECK_INT(stack_rig_stamp_co(rig, shot->a, 3, 0), 0);
}

static const char *view_of(struct shot *shot, const char *image)
{
	snprintf(shot->name, sizeof shot->name, "{source: %s, view: {%s}}",
		block_source_name(shot->a), image);
	return shot->name;
}

static struct block_source *show_co(
	struct stack_rig *rig, struct shot *shot, const char *image)
{
	return stack_rig_source_co(rig, view_of(shot, image));
}

static void shown_co(struct stack_rig *rig, void *argument)
{
	struct shot shot;
	char *text = NULL;
	size_t bytes = 0;

	(void)argument;
	begin_co(rig, &shot);
	struct block_source *first = show_co(rig, &shot, "image: a.raw");
	struct block_source *second = show_co(rig, &shot, "image: b.qcow2");
	CHECK_INT(stack_rig_stamp_of_co(rig, first, 0), 1);
	CHECK_INT(stack_rig_stamp_of_co(rig, second, 0), 2);
	CHECK_INT(stack_rig_stamp_of_co(rig, shot.a, 0), 3);
	CHECK_INT(stack_rig_stamp_co(rig, first, 9, 0), -EROFS);
	CHECK(first->current->info.read_only);
	/* What is printed builds the same. */
	FILE *out = open_memstream(&text, &bytes);
	spec_print(first, false, out);
	fclose(out);
	CHECK(strstr(text, "\"view\": {\"image\": \"a.raw\"}") != NULL);
	struct block_source *again = stack_rig_source_co(rig, text);
	CHECK_INT(stack_rig_stamp_of_co(rig, again, 0), 1);
	free(text);
	/* They stay as they are, whatever is put over them. */
	overlay_co(rig, shot.a, OVERLAY("d.qcow2"));
	CHECK_INT(stack_rig_stamp_co(rig, shot.a, 4, 0), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, first, 0), 1);
	CHECK_INT(stack_rig_stamp_of_co(rig, second, 0), 2);
	block_source_put_co(again);
	block_source_put_co(second);
	block_source_put_co(first);
	block_source_put_co(shot.a);
}

/* A writable image over one: neither writes to the other. */
static void cloned_co(struct stack_rig *rig, void *argument)
{
	struct shot shot;
	char document[400];

	(void)argument;
	begin_co(rig, &shot);
	snprintf(document, sizeof document,
		"format: {type: qcow2, size: 1M, file: {protocol: {type: mem, "
		"size: 4M}}, backing: %s}",
		view_of(&shot, "image: a.raw"));
	struct block_source *clone = stack_rig_source_co(rig, document);
	CHECK_INT(stack_rig_stamp_of_co(rig, clone, 0), 1);
	CHECK_INT(stack_rig_stamp_co(rig, clone, 7, 0), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, clone, 0), 7);
	CHECK_INT(stack_rig_stamp_of_co(rig, shot.a, 0), 3);
	/* The first cannot come to stand on the second. */
	struct err err = {0};
	snprintf(document, sizeof document, "{format: {type: qcow2, file: %s}}",
		block_source_name(clone));
	struct spec_overlay overlay = {.document = stack_rig_doc(rig, document),
		.deadline_ns = PATIENCE_NS};
	CHECK_INT(spec_overlay_co(shot.a, &overlay, &err), -ELOOP);
	block_source_put_co(clone);
	block_source_put_co(shot.a);
}

static void job_refused_co(struct stack_rig *rig, struct block_source *source,
	const char *kind, const char *holder)
{
	struct job *job;
	struct err err = {0};
	struct job_progress progress;

	CHECK_INT(job_start_co(rig->core, source, kind,
			  stack_rig_doc(rig, "{}"), 0, &job, &err),
		0);
	job_wait_co(job);
	job_get_progress(job, &progress);
	job_free(job);
	CHECK_INT(progress.result, -EBUSY);
	CHECK_ERR(&progress.error, holder);
}

/* What is shown is not written to, nor taken away. */
static void held_co(struct stack_rig *rig, void *argument)
{
	struct shot shot;
	struct err err = {0};
	char holder[2 * BLOCK_NAME_BYTES];
	struct spec_swap swap = {.document = stack_rig_doc(rig,
					 "{protocol: {type: mem, size: 1M}}")};

	(void)argument;
	begin_co(rig, &shot);
	struct block_source *view = show_co(rig, &shot, "image: b.qcow2");
	snprintf(holder, sizeof holder, "snapshot view '%s'",
		block_source_name(view));
	job_refused_co(rig, shot.a, "commit", holder);
	job_refused_co(rig, shot.a, "flatten", holder);
	CHECK_INT(spec_swap_bottom_co(shot.a, &swap, &err), -EBUSY);
	CHECK_ERR(&err, holder);
	CHECK_INT(stack_rig_stamp_of_co(rig, view, 0), 2);
	CHECK_INT(stack_rig_stamp_of_co(rig, shot.a, 0), 3);
	block_source_put_co(view);
	CHECK_INT(spec_swap_bottom_co(shot.a, &swap, &err), 0);
	block_source_put_co(shot.a);
}

static void refused_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = NULL;
	struct shot shot;
	struct err err = {0};

	(void)argument;
	begin_co(rig, &shot);
	/* c.qcow2 is not below it, but itself. */
	CHECK_INT(stack_rig_build_co(
			  rig, view_of(&shot, "image: c.qcow2"), &source, &err),
		-ENOENT);
	CHECK_ERR(&err, "stands on no image 'c.qcow2'");
	CHECK_INT(stack_rig_build_co(
			  rig, view_of(&shot, "image: ''"), &source, &err),
		-EINVAL);
	CHECK_INT(stack_rig_build_co(rig,
			  view_of(&shot, "image: a.raw, snapshot: x"), &source,
			  &err),
		-EINVAL);
	CHECK_INT(stack_rig_build_co(rig, "{" RAW ", view: {image: a.raw}}",
			  &source, &err),
		-EINVAL);
	CHECK_INT(stack_rig_build_co(rig,
			  "{source: {" RAW "}, view: {image: a.raw}}", &source,
			  &err),
		-EINVAL);
	CHECK_ERR(&err, "only a source that has a name");
	block_source_put_co(shot.a);
}

#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = 2, .seed = 7)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(shown_co),
		ROW(cloned_co),
		ROW(held_co),
		ROW(refused_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
