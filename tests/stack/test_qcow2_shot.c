/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: an internal snapshot that is made while hosts write shows one moment: of
 * writes that follow each other, all up to one and none after it. One that is
 * deleted meanwhile changes nothing in what is written and in other snapshots, and
 * gives its space back. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define BLOCKS 64u
#define STRIDE (4u << 20) /* each in a table of its own, most not in memory */
#define ROUNDS 6u

static const char document[] =
	"{format: {type: qcow2, pool: 64K, cache: 64K, size: 256M, "
	"subclusters: \"off\","
	" cluster_size: 4K, file: {protocol: {type: file, path: disk,"
	" size: 4K, locking: false}}}}";

/* Writes 1, 2, 3 ... one after the other, round and round. */
struct writer {
	struct stack_rig_task task;
	struct block_source *source;
	_Atomic uint32_t written;
	_Atomic bool stop;
};

static void write_co(struct stack_rig_task *task)
{
	struct writer *w = container_of(task, struct writer, task);
	uint32_t *data = malloc(BLOCK);

	CHECK(data != NULL);
	for (uint32_t n = w->written + 1; !w->stop; n++) {
		for (unsigned i = 0; i < BLOCK / 4; i++)
			data[i] = n;
		CHECK_INT(
			block_transfer_co(w->source, task->lane, BLOCK_WRITE, 0,
				(uint64_t)(n % BLOCKS) * STRIDE, BLOCK, data),
			0);
		w->written = n;
	}
	free(data);
}

static uint32_t number_co(
	struct stack_rig *rig, struct block_source *source, unsigned block)
{
	uint32_t *data = malloc(BLOCK), n;

	CHECK(data != NULL);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, (uint64_t)block * STRIDE, BLOCK, data),
		0);
	n = data[0];
	for (unsigned i = 0; i < BLOCK / 4; i++)
		CHECK_INT(data[i], n);
	free(data);
	return n;
}

/* All writes up to one, which is returned, and none after it. */
static uint32_t moment_co(struct stack_rig *rig, struct block_source *source)
{
	uint32_t last = 0, n[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++) {
		n[i] = number_co(rig, source, i);
		last = n[i] > last ? n[i] : last;
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint32_t back = (last - i) % BLOCKS;

		CHECK_INT(n[i], last > back ? last - back : 0);
	}
	return last;
}

/* Flushes meanwhile: they take their time on a virtual clock, too. */
static void wait_for_co(
	struct stack_rig *rig, const struct writer *w, uint32_t count)
{
	while (w->written < count)
		CHECK_INT(block_transfer_co(w->source,
				  block_core_lane(rig->core, 0), BLOCK_FLUSH, 0,
				  0, 0, NULL),
			0);
}

static struct block_source *view_co(struct stack_rig *rig, const char *name)
{
	char text[96];

	snprintf(text, sizeof text, "{source: source-1, view: {snapshot: %s}}",
		name);
	return stack_rig_source_co(rig, text);
}

static void check_image_co(struct stack_rig *rig, struct block_source *source)
{
	char *said = stack_rig_command_co(rig, source, "qcow2", "check", NULL);

	if (!strstr(said, "\"leaks\": 0, \"errors\": 0,"))
		check_fail(__FILE__, __LINE__, "%s", said);
	free(said);
}

static void test_moment_co(struct stack_rig *rig, void *argument)
{
	struct writer w = {.task.run_co = write_co};
	struct block_source *view[ROUNDS];
	uint32_t moment[ROUNDS];
	unsigned i;

	(void)argument;
	w.source = stack_rig_source_co(rig, document);
	stack_rig_start(rig, block_core_lanes(rig->core) - 1, &w.task);
	for (i = 0; i < ROUNDS; i++) {
		char name[8];
		struct err err = {0};
		uint32_t before;

		snprintf(name, sizeof name, "s%u", i);
		wait_for_co(rig, &w, w.written + BLOCKS + 3);
		before = w.written;
		if (spec_snapshot_create_co(
			    w.source, name, 10000000000ull, &err))
			check_fail(__FILE__, __LINE__, "%s", err.text);
		view[i] = view_co(rig, name);
		moment[i] = moment_co(rig, view[i]);
		CHECK(moment[i] >= before && moment[i] <= w.written + 1);
	}
	w.stop = true;
	stack_rig_join_co(&w.task);
	CHECK_INT(moment_co(rig, w.source), w.written);
	check_image_co(rig, w.source);
	for (i = 0; i < ROUNDS; i++) {
		CHECK_INT(moment_co(rig, view[i]), moment[i]);
		block_source_put_co(view[i]);
	}
	block_source_put_co(w.source);
}

static void make_co(struct block_source *source, const char *name)
{
	struct err err = {0};

	if (spec_snapshot_create_co(source, name, 10000000000ull, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static void delete_co(struct block_source *source, const char *name)
{
	struct err err = {0};

	if (spec_snapshot_delete_co(source, name, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static uint64_t allocated(struct stack_rig *rig, struct block_source *source)
{
	char *said = stack_rig_command_co(rig, source, "qcow2", "check", NULL);
	const char *at = strstr(said, "\"allocated\": ");
	uint64_t clusters = at ? strtoull(at + 13, NULL, 10) : 0;

	CHECK(clusters > 0);
	free(said);
	return clusters;
}

/* One stays and is shown, others come and go while all is written over. */
static void test_delete_co(struct stack_rig *rig, void *argument)
{
	struct writer w = {.task.run_co = write_co};
	struct block_source *view;
	uint32_t moment;

	(void)argument;
	w.source = stack_rig_source_co(rig, document);
	stack_rig_start(rig, block_core_lanes(rig->core) - 1, &w.task);
	wait_for_co(rig, &w, BLOCKS + 3);
	make_co(w.source, "stays");
	view = view_co(rig, "stays");
	moment = moment_co(rig, view);
	for (unsigned i = 0; i < ROUNDS; i++) {
		make_co(w.source, "goes");
		wait_for_co(rig, &w, w.written + (i % 2 ? BLOCKS + 3 : 7));
		delete_co(w.source, "goes");
	}
	w.stop = true;
	stack_rig_join_co(&w.task);
	CHECK_INT(moment_co(rig, w.source), w.written);
	CHECK_INT(moment_co(rig, view), moment);
	check_image_co(rig, w.source);
	block_source_put_co(view);
	delete_co(w.source, "stays");
	check_image_co(rig, w.source);
	CHECK_INT(moment_co(rig, w.source), w.written);
	CHECK_INT(allocated(rig, w.source), BLOCKS);
	block_source_put_co(w.source);
}

static void test_delete_refused_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, document), *view;
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_snapshot_delete_co(source, "a", &err), -ENOENT);
	make_co(source, "a");
	make_co(source, "b");
	view = view_co(rig, "1"); /* by its id */
	CHECK_INT(spec_snapshot_delete_co(source, "a", &err), -EBUSY);
	if (!strstr(err.text, "source 'source-2' shows it"))
		check_fail(__FILE__, __LINE__, "'%s'", err.text);
	delete_co(source, "2");
	block_source_put_co(view);
	delete_co(source, "a");
	CHECK_INT(spec_snapshot_delete_co(source, "a", &err), -ENOENT);
	make_co(source, "a");
	check_image_co(rig, source);
	block_source_put_co(source);
	source = stack_rig_source_co(rig, "{protocol: {type: mem, size: 1M}}");
	CHECK_INT(spec_snapshot_delete_co(source, "a", &err), -EOPNOTSUPP);
	block_source_put_co(source);
}

static void refused_co(struct stack_rig *rig, const char *document_,
	const char *name, int code, const char *text)
{
	struct block_source *source = stack_rig_source_co(rig, document_);
	struct err err = {0};

	CHECK_INT(spec_snapshot_create_co(source, name, 0, &err), code);
	if (!strstr(err.text, text))
		check_fail(__FILE__, __LINE__, "'%s'", err.text);
	block_source_put_co(source);
}

#define IMAGE(path, options) \
	"{format: {type: qcow2, size: 1M, " options ", file: {protocol: " \
	"{type: file, path: " path ", size: 4K, locking: false}}}}"

static void test_refused_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	refused_co(rig, "{protocol: {type: mem, size: 1M}}", "a", -EOPNOTSUPP,
		"no format");
	refused_co(rig,
		"{format: {type: raw, file: {protocol: {type: mem, size: "
		"1M}}}}",
		"a", -EOPNOTSUPP, "format raw has no snapshots");
	refused_co(rig, IMAGE("v2", "version: \"2\""), "a", -ENOTSUP,
		"compat=1.1");
	refused_co(rig, IMAGE("r1", "refcount_bits: 1"), "a", -ENOSPC,
		"refcounts of 1 bits allow no more");
	refused_co(rig, IMAGE("n", "pool: 64K"), "", -EINVAL, "1 to 255");
	source = stack_rig_source_co(rig, IMAGE("twice", "pool: 64K"));
	CHECK_INT(spec_snapshot_create_co(source, "a", 0, &err), 0);
	CHECK_INT(spec_snapshot_create_co(source, "a", 0, &err), -EEXIST);
	CHECK_INT(spec_snapshot_create_co(source, "b", 0, &err), 0);
	check_image_co(rig, source);
	block_source_put_co(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE(test_moment_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(test_moment_co, lanes, .world = "simulated",
			.lanes = 3),
		STACK_RIG_CASE(test_moment_co, threads, .world = "threads",
			.lanes = 3),
		STACK_RIG_CASE(test_delete_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(test_delete_co, lanes, .world = "simulated",
			.lanes = 3),
		STACK_RIG_CASE(test_delete_co, threads, .world = "threads",
			.lanes = 3),
		STACK_RIG_CASE(test_delete_refused_co, simulated,
			.world = "simulated", .lanes = 1),
		STACK_RIG_CASE(test_refused_co, simulated, .world = "simulated",
			.lanes = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
