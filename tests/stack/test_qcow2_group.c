/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of several qcow2 images at one moment: of writes that follow each other,
 * to one and then to the next, all up to one are in them and none after it. All are
 * made or none. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES 8u
#define BLOCK 4096u
#define ROUNDS 5u
#define DEADLINE_NS 10000000000ull

/* Writes n to image n % IMAGES, one after the other. */
struct writer {
	struct stack_rig_task task;
	struct block_source *source[IMAGES];
	_Atomic uint32_t written;
	_Atomic bool stop;
};

static void write_co(struct stack_rig_task *task)
{
	struct writer *w = container_of(task, struct writer, task);
	uint32_t *data = calloc(1, BLOCK);

	CHECK(data != NULL);
	for (uint32_t n = w->written + 1; !w->stop; n++) {
		*data = n;
		CHECK_INT(block_transfer_co(w->source[n % IMAGES], task->lane,
				  BLOCK_WRITE, 0, 0, BLOCK, data),
			0);
		w->written = n;
	}
	free(data);
}

static uint32_t number_co(struct stack_rig *rig, struct block_source *source)
{
	uint32_t *data = malloc(BLOCK), n;

	CHECK(data != NULL);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, BLOCK, data),
		0);
	n = *data;
	free(data);
	return n;
}

static void open_co(struct stack_rig *rig, struct writer *w)
{
	*w = (struct writer){.task.run_co = write_co};
	for (unsigned i = 0; i < IMAGES; i++) {
		char text[256];

		snprintf(text, sizeof text,
			"{format: {type: qcow2, size: 1M, pool: 64K, "
			"subclusters: \"off\", cluster_size: 4K, file: "
			"{protocol: {type: file, path: disk%u, size: 4K, "
			"locking: false}}}}",
			i);
		w->source[i] = stack_rig_source_co(rig, text);
	}
}

static void check_image_co(struct stack_rig *rig, struct block_source *source)
{
	char *said = stack_rig_command_co(rig, source, "qcow2", "check", NULL);

	if (!strstr(said, "\"leaks\": 0, \"errors\": 0,"))
		check_fail(__FILE__, __LINE__, "%s", said);
	free(said);
}

static void close_co(struct stack_rig *rig, struct writer *w)
{
	for (unsigned i = 0; i < IMAGES; i++) {
		check_image_co(rig, w->source[i]);
		block_source_put_co(w->source[i]);
	}
}

/* Flushes meanwhile: they take their time on a virtual clock, too. */
static void wait_for_co(
	struct stack_rig *rig, const struct writer *w, uint32_t count)
{
	while (w->written < count)
		CHECK_INT(block_transfer_co(w->source[0],
				  block_core_lane(rig->core, 0), BLOCK_FLUSH, 0,
				  0, 0, NULL),
			0);
}

/* The last write that the snapshots have, and no gap before it. */
static uint32_t moment_co(
	struct stack_rig *rig, const struct writer *w, const char *name)
{
	uint32_t n[IMAGES], last = 0;

	for (unsigned i = 0; i < IMAGES; i++) {
		char text[96];
		struct block_source *view;

		snprintf(text, sizeof text,
			"{source: %s, view: {snapshot: %s}}",
			block_source_name(w->source[i]), name);
		view = stack_rig_source_co(rig, text);
		n[i] = number_co(rig, view);
		block_source_put_co(view);
		last = n[i] > last ? n[i] : last;
	}
	for (uint32_t back = 0; back < IMAGES; back++)
		CHECK_INT(n[(last - back) % IMAGES], last - back);
	return last;
}

static int group_co(struct block_source *const *source, unsigned count,
	uint64_t deadline_ns, const char *name, struct err *err)
{
	return spec_snapshot_group_co(&(struct spec_moment){.source = source,
					      .count = count,
					      .name = name,
					      .deadline_ns = deadline_ns},
		err);
}

static void test_moment_co(struct stack_rig *rig, void *argument)
{
	struct block_source *reversed[IMAGES];
	struct writer w;

	(void)argument;
	open_co(rig, &w);
	/* Gates that were closed one by one would let writes between. */
	for (unsigned i = 0; i < IMAGES; i++)
		reversed[i] = w.source[IMAGES - 1 - i];
	stack_rig_start(rig, block_core_lanes(rig->core) - 1, &w.task);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct err err = {0};
		char name[8];

		wait_for_co(rig, &w, w.written + IMAGES + 7);
		snprintf(name, sizeof name, "s%u", i);
		uint32_t before = w.written;
		if (group_co(reversed, IMAGES, DEADLINE_NS, name, &err))
			check_fail(__FILE__, __LINE__, "%s", err.text);
		uint32_t moment = moment_co(rig, &w, name);
		CHECK(moment >= before && moment <= w.written + 1);
	}
	w.stop = true;
	stack_rig_join_co(&w.task);
	close_co(rig, &w);
}

static void check_none_co(
	struct stack_rig *rig, const struct writer *w, const char *name)
{
	char wanted[32];

	snprintf(wanted, sizeof wanted, "\"name\": \"%s\"", name);
	for (unsigned i = 0; i < IMAGES; i++) {
		char *said = stack_rig_command_co(
			rig, w->source[i], "qcow2", "snapshots", NULL);

		CHECK(strstr(said, wanted) == NULL);
		free(said);
	}
}

/* Who keeps records of groups cannot keep this one. */
static int refuse_co(void *argument, struct err *err)
{
	(void)argument;
	return err_set(err, EROFS, "nothing can be kept");
}

static void test_none_co(struct stack_rig *rig, void *argument)
{
	struct writer w;
	struct err err = {0};
	struct block_source *twice[2];
	struct spec_moment moment = {
		.count = IMAGES, .name = "a", .begin_co = refuse_co};

	(void)argument;
	open_co(rig, &w);
	CHECK_INT(spec_snapshot_create_co(w.source[2], "a", 0, &err), 0);
	CHECK_INT(group_co(w.source, IMAGES, 0, "a", &err), -EEXIST);
	CHECK_INT(spec_snapshot_delete_co(w.source[2], "a", &err), 0);
	check_none_co(rig, &w, "a");
	twice[0] = twice[1] = w.source[0];
	CHECK_INT(group_co(twice, 2, 0, "a", &err), -EINVAL);
	CHECK_INT(group_co(twice, 0, 0, "a", &err), -EINVAL);
	moment.source = w.source;
	CHECK_INT(spec_snapshot_group_co(&moment, &err), -EROFS);
	check_none_co(rig, &w, "a");
	/* A request is in flight in one of them: too late. */
	stack_rig_start(rig, 1, &w.task);
	wait_for_co(rig, &w, 2);
	CHECK_INT(group_co(w.source, IMAGES, 1, "a", &err), -ETIMEDOUT);
	check_none_co(rig, &w, "a");
	CHECK_INT(group_co(w.source, IMAGES, DEADLINE_NS, "a", &err), 0);
	moment_co(rig, &w, "a");
	w.stop = true;
	stack_rig_join_co(&w.task);
	close_co(rig, &w);
}

/* As many as there may be: gates lie in each other that deep. */
static void test_most_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source[SPEC_GROUP_MOST + 1];
	struct err err = {0};

	(void)argument;
	for (unsigned i = 0; i <= SPEC_GROUP_MOST; i++)
		source[i] = stack_rig_source_co(rig,
			"{format: {type: qcow2, size: 64K, pool: 64K, file: "
			"{protocol: {type: mem, size: 4M}}}}");
	CHECK_INT(group_co(source, SPEC_GROUP_MOST + 1, 0, "a", &err), -EINVAL);
	CHECK_INT(group_co(source, SPEC_GROUP_MOST, 0, "a", &err), 0);
	for (unsigned i = 0; i <= SPEC_GROUP_MOST; i++) {
		if (i < SPEC_GROUP_MOST)
			CHECK_INT(spec_snapshot_delete_co(source[i], "a", &err),
				0);
		block_source_put_co(source[i]);
	}
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
		STACK_RIG_CASE(test_most_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(test_none_co, simulated, .world = "simulated",
			.lanes = 2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
