/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 in a place that cannot grow: full, it says so; what is discarded there can be
 * written to elsewhere at once, by requests of all lanes, though it is free only after
 * a commit and a drain. Nothing else changes, and no cluster is named twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTER 16384u
#define CLUSTERS 256u /* of the image: twice what there is room for */
#define FREED 8u
#define ROUNDS 4u

struct full {
	struct stack_rig *rig;
	struct block_source *source;
	uint8_t *data;
	unsigned first, end; /* clusters that hold data: a window that moves */
};

static int request_co(struct full *f, struct block_lane *lane,
	enum block_opcode op, unsigned cluster, unsigned count)
{
	return block_transfer_co(f->source, lane, op, 0,
		(uint64_t)cluster * CLUSTER, (uint64_t)count * CLUSTER,
		op == BLOCK_WRITE ? f->data : NULL);
}

static int home_co(
	struct full *f, enum block_opcode op, unsigned cluster, unsigned count)
{
	return request_co(
		f, block_core_lane(f->rig->core, 0), op, cluster, count);
}

static void expect_co(struct full *f)
{
	for (unsigned i = 0; i < CLUSTERS; i++)
		stack_rig_expect_co(f->rig, f->source, i * CLUSTER, CLUSTER,
			i >= f->first && i < f->end ? f->data : NULL);
}

static void check_co(struct full *f)
{
	char *said =
		stack_rig_command_co(f->rig, f->source, "qcow2", "check", NULL);

	CHECK(strstr(said, "\"errors\": 0,"));
	free(said);
}

/* As much as there is room for. */
static void fill_co(struct full *f)
{
	int error = 0;

	while (f->end < CLUSTERS && !error) {
		error = home_co(f, BLOCK_WRITE, f->end, 1);
		f->end += !error;
	}
	CHECK_INT(error, -ENOSPC);
	CHECK(f->end > CLUSTERS / 4 && f->end + FREED * ROUNDS <= CLUSTERS);
	CHECK_INT(home_co(f, BLOCK_FLUSH, 0, 0), 0);
	CHECK_INT(home_co(f, BLOCK_WRITE, f->end, 1), -ENOSPC);
}

static void open_co(struct full *f, struct stack_rig *rig, const void *options)
{
	static char document[256];

	snprintf(document, sizeof document,
		"format: {type: qcow2, size: 4M, cluster_size: 16K, %s,"
		" file: {protocol: {type: mem, size: 2M}}}",
		(const char *)options);
	*f = (struct full){.rig = rig,
		.source = stack_rig_source_co(rig, document),
		.data = stack_rig_pattern(CLUSTER * FREED, 3)};
}

static void close_co(struct full *f)
{
	expect_co(f);
	check_co(f);
	free(f->data);
	block_source_put_co(f->source);
}

/* -- one after the other --------------------------------------------------- */

static void test_discarded_is_reused_co(struct stack_rig *rig, void *options)
{
	struct full f;

	open_co(&f, rig, options);
	fill_co(&f);
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK_INT(home_co(&f, BLOCK_DISCARD, f.first, FREED), 0);
		f.first += FREED;
		for (unsigned j = 0; j < FREED; j++)
			CHECK_INT(home_co(&f, BLOCK_WRITE, f.end++, 1), 0);
		CHECK_INT(home_co(&f, BLOCK_WRITE, f.end, 1), -ENOSPC);
	}
	close_co(&f);
}

/* -- all at once ----------------------------------------------------------- */

struct writer {
	struct stack_rig_task task;
	struct full *full;
	unsigned cluster;
	int result;
};

static void write_co(struct stack_rig_task *task)
{
	struct writer *w = container_of(task, struct writer, task);

	w->result = request_co(w->full, task->lane, BLOCK_WRITE, w->cluster, 1);
}

static void write_from_all_co(struct full *f)
{
	struct writer writers[FREED];

	for (unsigned i = 0; i < FREED; i++) {
		writers[i] = (struct writer){.task.run_co = write_co,
			.full = f,
			.cluster = f->end + i};
		stack_rig_start(f->rig, i % f->rig->lanes, &writers[i].task);
	}
	for (unsigned i = 0; i < FREED; i++) {
		stack_rig_join_co(&writers[i].task);
		CHECK_INT(writers[i].result, 0);
	}
	f->end += FREED;
}

static void test_by_many_co(struct stack_rig *rig, void *options)
{
	struct full f;

	open_co(&f, rig, options);
	fill_co(&f);
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK_INT(home_co(&f, BLOCK_DISCARD, f.first, FREED), 0);
		f.first += FREED;
		write_from_all_co(&f);
	}
	close_co(&f);
}

#define PLAIN "subclusters: \"off\""
#define PARTS "subclusters: \"on\", pool: 64K"
#define CASES(test) \
	STACK_RIG_CASE_WITH( \
		test, PLAIN, "simulated", .world = "simulated", .lanes = 1), \
		STACK_RIG_CASE_WITH(test, PARTS, "simulated, subclusters", \
			.world = "simulated", .lanes = 3), \
		STACK_RIG_CASE_WITH(test, PLAIN, "threads", \
			.world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASES(test_discarded_is_reused_co),
		CASES(test_by_many_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
