/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to an external snapshot under I/O: content, what stays open, what was there, and
 * what is refused. TSAN: yes
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
#include "blockcore/ring.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define LANES 3u
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)
#define BASE "{protocol: {type: file, path: base.raw, size: 4M}}"

/* A new image in that file, over what `backing` (NULL: not said) describes; valid for the
 * next seven calls. */
static const char *over(const char *path, const char *backing)
{
	static char text[8][600];
	static unsigned next;
	char made[sizeof text[0]]; /* `backing` may be one of them */

	snprintf(made, sizeof made,
		"{format: {type: qcow2, cluster_size: 4K, file: {protocol: "
		"{type: file, path: %s, size: 4K}}%s%s}}",
		path, backing ? ", backing: " : "", backing ? backing : "");
	return strcpy(text[next++ % 8], made);
}

static void snapshot_co(struct stack_rig *rig, struct block_source *source,
	const char *document)
{
	struct err err = {0};
	struct spec_overlay overlay = {.document = stack_rig_doc(rig, document),
		.deadline_ns = PATIENCE_NS};

	if (spec_overlay_co(source, &overlay, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static int back_co(struct stack_rig *rig, struct block_source *source,
	const char *document, const char *shared, struct err *err)
{
	struct spec_back back = {.document = stack_rig_doc(rig, document),
		.shared = shared,
		.deadline_ns = PATIENCE_NS};

	return spec_back_co(source, &back, err);
}

static void goes_co(struct stack_rig *rig, struct block_source *source,
	const char *document, const char *shared)
{
	struct err err = {0};

	if (back_co(rig, source, document, shared, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static bool is_there(struct stack_rig *rig, const char *name)
{
	struct ring_file *file;
	struct err err = {0};
	char path[256];

	snprintf(path, sizeof path, "%s/%s",
		block_core_data_directory(rig->core), name);
	if (ring_file_open(
		    block_core_world(rig->core), path, 0, 0, &file, &err))
		return false;
	ring_file_close(file);
	return true;
}

/* base <- one <- two, with 1, 2, 3 at the start of each. */
static struct block_source *chain_co(struct stack_rig *rig)
{
	struct block_source *source = stack_rig_source_co(rig, BASE);

	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	snapshot_co(rig, source, over("one.qcow2", NULL));
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 0), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 4096), 0);
	snapshot_co(rig, source, over("two.qcow2", NULL));
	CHECK_INT(stack_rig_stamp_co(rig, source, 3, 0), 0);
	return source;
}

static void content_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = chain_co(rig);
	struct block_source *one = stack_rig_backing(source),
			    *base = stack_rig_backing(one);

	(void)argument;
	goes_co(rig, source, over("three.qcow2", BASE), "base.raw");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 1);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 4096), 0);
	CHECK(stack_rig_backing(source) == base);
	CHECK_INT(stack_rig_stamp_co(rig, source, 4, 0), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, base, 0), 1);
	/* What was there, over what is open, and in between. */
	goes_co(rig, source,
		over("four.qcow2", over("two.qcow2", over("one.qcow2", BASE))),
		"base.raw");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 3);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 4096), 2);
	one = stack_rig_backing(stack_rig_backing(source));
	CHECK(stack_rig_backing(one) == base);
	goes_co(rig, source, over("five.qcow2", over("one.qcow2", BASE)),
		"one.qcow2");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 2);
	CHECK(stack_rig_backing(source) == one);
	block_source_put_co(source);
	/* Nobody has it open any more, and it is whole. */
	source = stack_rig_source_co(rig, over("three.qcow2", BASE));
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 4);
	block_source_put_co(source);
}

/* What remembers content hears that it is another one. */
static void remembered_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: cache, name: c, size: 1M}], protocol: "
		"{type: file, path: base.raw, size: 4M}}");
	static const char *const listeners[] = {
		"{type: cache, name: d, size: 1M}",
		"{type: backup, name: b, target: {protocol: {type: mem, size: "
		"4M}}}"};
	struct err err = {0};

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	snapshot_co(rig, source, over("head.qcow2", NULL));
	for (unsigned i = 0; i < 2; i++)
		CHECK_INT(spec_attach_co(source,
				  stack_rig_doc(rig, listeners[i]), NULL, &err),
			0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 0), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 2);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 2);
	goes_co(rig, source, over("three.qcow2", BASE), "base.raw");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 1);
	char *status = stack_rig_status(source);
	CHECK_FIND(status, "shows other content than at the moment");
	free(status);
	block_source_put_co(source);
}

/* Reads on every lane while the ground changes: zeroes, or what one way had. */
struct reader {
	struct stack_rig_task task;
	struct block_source *source;
	_Atomic bool *stop;
};

static void reader_co(struct stack_rig_task *task)
{
	struct reader *reader = container_of(task, struct reader, task);

	do {
		uint8_t data[4096];
		int error = block_transfer_co(reader->source, reader->task.lane,
			BLOCK_READ, 0, 0, sizeof data, data);

		CHECK_INT(error, 0);
		for (unsigned i = 1; i < sizeof data; i++)
			CHECK_INT(data[i], data[0]);
	} while (!atomic_load(reader->stop));
}

static void load_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, BASE);
	struct reader reader[LANES];
	_Atomic bool stop = false;
	char path[32];

	(void)argument;
	snapshot_co(rig, source, over("head.qcow2", NULL));
	for (unsigned i = 0; i < LANES; i++) {
		reader[i] = (struct reader){.task.run_co = reader_co,
			.source = source,
			.stop = &stop};
		stack_rig_start(rig, i, &reader[i].task);
	}
	for (unsigned i = 0; i < 4; i++) {
		CHECK_INT(stack_rig_stamp_co(rig, source, (uint8_t)(i + 1), 0),
			0);
		CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), (int)i + 1);
		snprintf(path, sizeof path, "head%u.qcow2", i);
		goes_co(rig, source, over(path, BASE), "base.raw");
		CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 0);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < LANES; i++)
		stack_rig_join_co(&reader[i].task);
	block_source_put_co(source);
}

static int abandon_co(void *argument, struct err *err)
{
	++*(unsigned *)argument;
	return err_set(err, ENOSPC, "no room for the note");
}

/* Everything as before, and no file is left. */
static void abandoned_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = chain_co(rig);
	uint64_t generation = source->current->generation;
	struct err err = {0};
	unsigned calls = 0;
	struct spec_back back = {
		.document = stack_rig_doc(rig, over("three.qcow2", BASE)),
		.shared = "base.raw",
		.deadline_ns = PATIENCE_NS,
		.durable_co = abandon_co,
		.argument = &calls};

	(void)argument;
	CHECK_INT(spec_back_co(source, &back, &err), -ENOSPC);
	CHECK_ERR(&err, "no room for the note");
	CHECK_INT(calls, 1);
	CHECK_INT(source->current->generation, generation);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 3);
	CHECK_INT(stack_rig_stamp_co(rig, source, 5, 0), 0);
	CHECK(!is_there(rig, "three.qcow2"));
	goes_co(rig, source, over("three.qcow2", BASE), "base.raw");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 1);
	block_source_put_co(source);
}

/* What is there must be on the medium before it is nobody's any more. */
static void unflushed_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, BASE);
	struct err err = {0};
	unsigned calls = 0;
	struct spec_back back = {
		.document = stack_rig_doc(rig, over("three.qcow2", BASE)),
		.shared = "base.raw",
		.deadline_ns = PATIENCE_NS,
		.durable_co = abandon_co,
		.argument = &calls};

	(void)argument;
	snapshot_co(rig, source,
		"{format: {type: qcow2, cluster_size: 4K, file: {listeners: "
		"[{type: fault, name: f, rules: [{op: flush, error: EIO, "
		"after: 4}]}], protocol: {type: file, path: head.qcow2, size: "
		"4K}}}}");
	for (unsigned i = 0; !err.code && i < 20; i++) {
		CHECK_INT(stack_rig_stamp_co(rig, source, 2, 4096 * i), 0);
		CHECK(spec_back_co(source, &back, &err) < 0);
		if (err.code == ENOSPC)
			err.code = 0;
	}
	CHECK_INT(err.code, EIO);
	CHECK_ERR(&err, "what is there cannot be flushed");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 2);
	block_source_put_co(source);
}

static void refused_co(struct stack_rig *rig, struct block_source *source,
	const char *document, const char *shared, int code, const char *part)
{
	struct err err = {0};
	uint64_t generation = source->current->generation;

	CHECK_INT(back_co(rig, source, document, shared, &err), -code);
	CHECK_ERR(&err, part);
	CHECK_INT(source->current->generation, generation);
}

static void refusals_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = chain_co(rig);
	char document[300];

	(void)argument;
	refused_co(rig, source, BASE, NULL, EINVAL, "a new image");
	refused_co(rig, source, over("three.qcow2", NULL), NULL, EINVAL,
		"a new image");
	refused_co(rig, source, over("three.qcow2", BASE), "none.raw", ENOENT,
		"stands on no image 'none.raw'");
	refused_co(rig, source, over("three.qcow2", BASE), "two.qcow2", ENOENT,
		"that is its own");
	CHECK(!is_there(rig, "three.qcow2"));
	/* Somebody looks at what would go; what stays may be looked at. */
	snprintf(document, sizeof document,
		"{source: %s, view: {image: one.qcow2}}",
		block_source_name(source));
	struct block_source *view = stack_rig_source_co(rig, document);
	refused_co(rig, source, over("three.qcow2", BASE), "base.raw", EBUSY,
		"shows an image that it stands on");
	goes_co(rig, source, over("three.qcow2", over("one.qcow2", BASE)),
		"one.qcow2");
	CHECK_INT(stack_rig_stamp_of_co(rig, view, 0), 2);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 2);
	block_source_put_co(view);
	/* A snapshot that the head keeps itself. */
	struct err err = {0};
	CHECK_INT(spec_snapshot_create_co(source, "in", PATIENCE_NS, &err), 0);
	snprintf(document, sizeof document,
		"{source: %s, view: {snapshot: in}}",
		block_source_name(source));
	view = stack_rig_source_co(rig, document);
	refused_co(rig, source, over("four.qcow2", BASE), "base.raw", EBUSY,
		"shows snapshot 'in'");
	block_source_put_co(view);
	goes_co(rig, source, over("four.qcow2", BASE), "base.raw");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 1);
	block_source_put_co(source);
}

#define CASE(body) \
	STACK_RIG_CASE(body, simulated, .world = "simulated", .lanes = LANES), \
		STACK_RIG_CASE( \
			body, threads, .world = "threads", .lanes = LANES)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(content_co),
		CASE(remembered_co),
		CASE(load_co),
		CASE(abandoned_co),
		STACK_RIG_CASE(unflushed_co, simulated, .world = "simulated",
			.lanes = LANES),
		CASE(refusals_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
