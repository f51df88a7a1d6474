/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots under I/O: content, where listeners go, deadlines, what is
 * refused. TSAN: yes
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
#include "tests/lib/stack_load.h"

#include <errno.h>
#include <stdio.h>

#define LANES STACK_LOAD_LANES
#define DEADLINE_NS (30ull * 1000 * 1000) /* of gates that must not close */
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000) /* of those that must */
#define BYTES (4u << 20)
#define OVERLAY \
	"{format: {type: qcow2, cluster_size: 4K, " \
	"file: {protocol: {type: mem, size: 32M}}}}"

/* -- helpers -------------------------------------------------------------- */

static int try_co(struct stack_rig *rig, struct block_source *source,
	const char *document, const char *placement, uint64_t deadline_ns,
	struct err *err)
{
	struct spec_overlay overlay = {
		.document = stack_rig_doc(rig, document),
		.placement = placement ? stack_rig_doc(rig, placement) : NULL,
		.deadline_ns = deadline_ns,
	};

	return spec_overlay_co(source, &overlay, err);
}

static void snapshot_co(struct stack_rig *rig, struct block_source *source,
	const char *placement)
{
	struct err err = {0};

	if (try_co(rig, source, OVERLAY, placement, PATIENCE_NS, &err))
		fail_msg("%s", err.text);
}

static void refused_co(struct stack_rig *rig, struct block_source *source,
	const char *document, const char *placement, int code, const char *part)
{
	struct err err = {0};
	uint64_t generation = source->current->generation;

	CHECK_INT(try_co(rig, source, document, placement, PATIENCE_NS, &err),
		-code);
	CHECK_ERR(&err, part);
	CHECK_INT(source->current->generation, generation);
}

static bool has(struct block_source *source, const char *listener)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; i < stack->count; i++) {
		if (!strcmp(stack->driver[i]->name, listener))
			return true;
	}
	return false;
}

/* -- content -------------------------------------------------------------- */

static void content_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 4M}");
	uint64_t old = source->current->generation;

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, 4096), 0);
	snapshot_co(rig, source, NULL);
	CHECK_INT(source->current->info.size_bytes, BYTES);
	CHECK(source->current->generation > old);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 1);
	CHECK_INT(stack_rig_stamp_co(rig, source, 3, 0), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 3);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 4096), 2);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 8192), 0);
	/* What was there before stays as it was. */
	CHECK_INT(stack_rig_stamp_of_co(rig, stack_rig_backing(source), 0), 1);
	/* Again, over the first. */
	snapshot_co(rig, source, NULL);
	CHECK_INT(stack_rig_stamp_co(rig, source, 4, 4096), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 3);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 4096), 4);
	CHECK_INT(
		stack_rig_stamp_of_co(rig, stack_rig_backing(source), 4096), 2);
	CHECK_INT(stack_rig_stamp_of_co(
			  rig, stack_rig_backing(stack_rig_backing(source)), 0),
		1);
	block_source_put_co(source);
}

/* Snapshots one after the other while every lane writes and reads. */
static void load_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 4M}");
	struct stack_load *load = calloc(1, sizeof *load);

	(void)argument;
	stack_load_start(load, rig, source);
	for (unsigned i = 0; i < 6; i++)
		snapshot_co(rig, source, NULL);
	stack_load_stop_co(load);
	free(load);
	block_source_put_co(source);
}

/* The document of what came about builds the same again. */
static void document_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: stats, name: s}, {type: fault, name: f}], "
		"protocol: {type: mem, size: 4M}}");
	char *text = NULL;
	size_t bytes;

	(void)argument;
	snapshot_co(rig, source, NULL);
	FILE *out = open_memstream(&text, &bytes);
	spec_print(source, false, out);
	fclose(out);
	struct block_source *twin = stack_rig_source_co(rig, text);
	CHECK_INT(twin->current->info.size_bytes, BYTES);
	CHECK(has(twin, "s") && !has(twin, "f"));
	CHECK(has(stack_rig_backing(twin), "f") &&
		!has(stack_rig_backing(twin), "s"));
	free(text);
	block_source_put_co(twin);
	block_source_put_co(source);
}

/* -- where listeners go --------------------------------------------------- */

#define LIMITED \
	"{listeners: [{type: throttle, name: t, iops_write: 1000000}, " \
	"{type: fault, name: f, rules: " \
	"[{op: write, error: EIO, offset: 64K, length: 4K}, " \
	"{op: read, error: EIO, offset: 128K, length: 4K}]}], " \
	"protocol: {type: mem, size: 4M}}"
#define FAULTY_WRITE (64u << 10)
#define FAULTY_READ (128u << 10)

/* By effect: the throttle goes on counting what hosts do, the fault hits the old
 * image only. */
static void anchors_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, LIMITED);

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, FAULTY_WRITE), -EIO);
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, FAULTY_READ), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, FAULTY_READ), -EIO);
	snapshot_co(rig, source, NULL);
	CHECK(has(source, "t") && !has(source, "f"));
	CHECK(has(stack_rig_backing(source), "f") &&
		!has(stack_rig_backing(source), "t"));
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, FAULTY_WRITE), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, FAULTY_READ),
		-EIO); /* from below */
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, FAULTY_READ), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, FAULTY_READ),
		2); /* from the new one */
	CHECK_INT(stack_rig_stamp_of_co(rig, source, FAULTY_WRITE), 2);
	block_source_put_co(source);
}

/* The other way round: the fault stays with the name. */
static void overridden_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, LIMITED);

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, FAULTY_READ), 0);
	snapshot_co(rig, source, "{f: head, t: image}");
	CHECK(has(source, "f") && !has(source, "t"));
	CHECK(has(stack_rig_backing(source), "t") &&
		!has(stack_rig_backing(source), "f"));
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, FAULTY_WRITE), -EIO);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, FAULTY_READ), -EIO);
	CHECK_INT(stack_rig_stamp_of_co(
			  rig, stack_rig_backing(source), FAULTY_READ),
		1);
	block_source_put_co(source);
}

static void both_and_none_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, LIMITED);

	(void)argument;
	snapshot_co(rig, source, "{f: both, t: drop}");
	CHECK(!has(source, "t") && !has(stack_rig_backing(source), "t"));
	CHECK(has(source, "f") && has(stack_rig_backing(source), "f"));
	CHECK_INT(stack_rig_stamp_co(rig, source, 2, FAULTY_WRITE), -EIO);
	CHECK_INT(stack_rig_stamp_of_co(
			  rig, stack_rig_backing(source), FAULTY_READ),
		-EIO);
	/* The one below holds requests, too: it is not about to leave. */
	free(stack_rig_command_co(
		rig, stack_rig_backing(source), "f", "hold", "{op: read}"));
	struct stack_rig_request held;
	uint8_t data[512];
	stack_rig_submit(stack_rig_backing(source),
		block_core_lane(rig->core, 0), &held, BLOCK_READ, 0, 0, 512,
		data);
	stack_rig_until_co(rig, stack_rig_backing(source), "held", 1);
	block_cancel(&held.request);
	CHECK_INT(stack_rig_wait_co(&held), -ECANCELED);
	block_source_put_co(source);
}

/* A listener that went down with its image may hold there. */
static void moved_holds_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, LIMITED);
	struct stack_rig_request held;
	uint8_t data[512];

	(void)argument;
	snapshot_co(rig, source, NULL);
	free(stack_rig_command_co(
		rig, stack_rig_backing(source), "f", "hold", "{op: read}"));
	stack_rig_submit(source, block_core_lane(rig->core, 0), &held,
		BLOCK_READ, 0, 0, 512, data);
	stack_rig_until_co(rig, stack_rig_backing(source), "held", 1);
	free(stack_rig_command_co(
		rig, stack_rig_backing(source), "f", "release", NULL));
	CHECK_INT(stack_rig_wait_co(&held), 0);
	block_source_put_co(source);
}

/* -- refusals ------------------------------------------------------------- */

static void refusals_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, LIMITED);
	struct block_source *used =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	char document[200];

	(void)argument;
	refused_co(rig, source, "protocol: {type: mem, size: 4M}", NULL, EINVAL,
		"needs a format");
	refused_co(rig, source,
		"format: {type: raw, file: {protocol: {type: mem, size: 4M}}}",
		NULL, EINVAL, "no backing files");
	refused_co(rig, source,
		"format: {type: qcow2, file: {protocol: {type: mem, size: 4K}},"
		" backing: {protocol: {type: mem, size: 4K}}}",
		NULL, EINVAL, "leave it out");
	refused_co(
		rig, source, OVERLAY, "{x: head}", ENOENT, "no listener 'x'");
	refused_co(rig, source, OVERLAY, "{f: up}", EINVAL, "not 'up'");
	refused_co(rig, source, OVERLAY, "[f]", EINVAL, "expected a map");
	CHECK_INT(stack_rig_stamp_co(rig, used, 1, 0), 0);
	snprintf(document, sizeof document, "format: {type: qcow2, file: %s}",
		block_source_name(used));
	refused_co(rig, source, document, NULL, EEXIST, "an empty file");
	CHECK_INT(stack_rig_stamp_co(rig, source, 5, 0), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 5);
	block_source_put_co(used);
	block_source_put_co(source);
}

static int abandon_co(void *argument, struct err *err)
{
	unsigned *calls = argument;

	++*calls;
	return err_set(err, ENOSPC, "no room for the note");
}

#define FILE_OVERLAY(size) \
	"{format: {type: qcow2, file: {protocol: " \
	"{type: file, path: over.qcow2" size "}}}}"

/* In the world of the rig, which may be simulated. */
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

/* Refused before the image is opened, and behind the gate: 1 if the file is there. */
static int refuse_file_co(
	struct stack_rig *rig, const char *document, bool late)
{
	struct block_source *source = stack_rig_source_co(rig, LIMITED);
	unsigned calls = 0;
	struct spec_overlay overlay = {
		.document = stack_rig_doc(rig, document),
		.deadline_ns = PATIENCE_NS,
		.durable_co = late ? abandon_co : NULL,
		.argument = &calls,
	};
	struct err err = {0};

	CHECK(spec_overlay_co(source, &overlay, &err) != 0);
	CHECK_INT(calls, late);
	block_source_put_co(source);
	return is_there(rig, "over.qcow2");
}

static void new_file_goes_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	CHECK_INT(refuse_file_co(rig, FILE_OVERLAY(", size: 64K"), true), 0);
	CHECK_INT(refuse_file_co(rig,
			  "{format: {type: qcow2, cluster_size: 3K, file: "
			  "{protocol: {type: file, path: over.qcow2, "
			  "size: 64K}}}}",
			  false),
		0);
}

/* Made before, by somebody else: it is not ours to take away. */
static void old_file_stays_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(
		rig, "protocol: {type: file, path: over.qcow2, size: 64K}");

	(void)argument;
	block_source_put_co(file);
	CHECK_INT(refuse_file_co(rig, FILE_OVERLAY(", size: 64K"), true), 1);
	CHECK_INT(refuse_file_co(rig, FILE_OVERLAY(""), true), 1);
}

/* Not without end: a document must hold the whole chain. */
static void depth_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 64K}");
	struct err err = {0};
	unsigned count = 0;

	(void)argument;
	CHECK_INT(stack_rig_stamp_co(rig, source, 7, 0), 0);
	while (!try_co(rig, source, OVERLAY, NULL, PATIENCE_NS, &err))
		count++;
	CHECK_INT(count, 24);
	CHECK_ERR(&err, "delete some external snapshots");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 7);
	document_co(rig, NULL);
	block_source_put_co(source);
}

/* Too late: nothing was changed, later the same works, in the same file. */
static void deadline_co(struct stack_rig *rig, void *argument)
{
	struct block_source *holder = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: holder}], "
		"protocol: {type: mem, size: 4M}}");
	struct block_source *file =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 32M}");
	char document[128], overlay[128];

	(void)argument;
	snprintf(document, sizeof document, "{source: %s}",
		block_source_name(holder));
	snprintf(overlay, sizeof overlay, "{format: {type: qcow2, file: %s}}",
		block_source_name(file));
	struct block_source *source = stack_rig_source_co(rig, document);
	struct stack_rig_request held;
	struct err err = {0};
	uint8_t data[512] = {7};
	free(stack_rig_command_co(
		rig, holder, "holder", "hold", "{op: write}"));
	stack_rig_submit(source, block_core_lane(rig->core, 0), &held,
		BLOCK_WRITE, 0, 512, 512, data);
	CHECK_INT(try_co(rig, source, overlay, NULL, DEADLINE_NS, &err),
		-ETIMEDOUT);
	CHECK_ERR(&err, "nothing was changed");
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 0);
	free(stack_rig_command_co(rig, holder, "holder", "release", NULL));
	CHECK_INT(stack_rig_wait_co(&held), 0);
	CHECK_INT(try_co(rig, source, overlay, NULL, PATIENCE_NS, &err), 0);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 512), 7);
	block_source_put_co(source);
	block_source_put_co(file);
	block_source_put_co(holder);
}

/* What cannot be made durable does not happen. */
static void not_durable_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, LIMITED);
	unsigned calls = 0;
	struct spec_overlay overlay = {
		.document = stack_rig_doc(rig, OVERLAY),
		.deadline_ns = PATIENCE_NS,
		.durable_co = abandon_co,
		.argument = &calls,
	};
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_overlay_co(source, &overlay, &err), -ENOSPC);
	CHECK_ERR(&err, "no room for the note");
	CHECK_INT(calls, 1);
	CHECK(has(source, "t") && has(source, "f"));
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, FAULTY_WRITE), -EIO);
	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	snapshot_co(rig, source, NULL);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 1);
	block_source_put_co(source);
}

/* A flush that takes too long, above or below the image: refused in time. */
static void slow_flush_co(
	struct stack_rig *rig, const char *document, const char *within)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	struct err err = {0};

	CHECK_INT(stack_rig_stamp_co(rig, source, 1, 0), 0);
	CHECK_INT(try_co(rig, source, OVERLAY, NULL, PATIENCE_NS, &err),
		-ETIMEDOUT);
	CHECK_ERR(&err, within);
	CHECK_INT(stack_rig_stamp_of_co(rig, source, 0), 1);
	block_source_put_co(source);
}

#define SLOW(rule) \
	"listeners: [{type: fault, name: f, rules: [{op: flush, " rule \
	"}]}], protocol: {type: file, path: a.raw, size: 4M}"
#define AFTER "after: 1, delay_us: 3000000"

static void held_before_gate_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	slow_flush_co(rig, "{" SLOW("hold: true") "}", "flushed within 5 s");
}

static void slow_behind_gate_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	slow_flush_co(rig, "format: {type: raw, file: {" SLOW(AFTER) "}}",
		"flushed within 1 s");
}

/* On threads, and in the simulator, where every interleaving is repeatable. */
#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = LANES), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = LANES, .seed = 7)

#define LATE(body) /* seconds take no time there */ \
	STACK_RIG_CASE(body, simulated, .world = "simulated", .lanes = LANES)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(content_co),
		ROW(load_co),
		ROW(document_co),
		ROW(anchors_co),
		ROW(overridden_co),
		ROW(both_and_none_co),
		ROW(moved_holds_co),
		ROW(refusals_co),
		ROW(new_file_goes_co),
		ROW(old_file_stays_co),
		ROW(depth_co),
		ROW(deadline_co),
		ROW(not_durable_co),
		LATE(held_before_gate_co),
		LATE(slow_behind_gate_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
