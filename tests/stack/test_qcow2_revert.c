/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: a source goes back to an internal snapshot: it shows that content and size,
 * and another snapshot what was there; all of them stay as they are, whatever is
 * written then. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (1u << 20)
#define BLOCK 512u
#define ROUNDS 8u
#define WRITES 60u
#define DEADLINE_NS 10000000000ull

#define IMAGE(options) \
	"{format: {type: qcow2, " \
	"pool: " \
	"64K, size: 1M, " options \
	", file: {protocol: {type: file, path: disk, size: 4K, locking: " \
	"false}}}}"
#define PLAIN IMAGE("subclusters: \"off\", cluster_size: 4K")

/* A source, what it has to show, and what each snapshot has to. */
struct history {
	struct stack_rig *rig;
	struct block_source *source;
	uint64_t random;
	uint8_t *now, *shot[2 * ROUNDS];
	unsigned shots;
};

static uint8_t *copy_of(const uint8_t *content)
{
	uint8_t *copy = malloc(SIZE);

	CHECK(copy != NULL);
	memcpy(copy, content, SIZE);
	return copy;
}

static void open_co(
	struct history *h, struct stack_rig *rig, const char *document)
{
	*h = (struct history){.rig = rig, .random = 1};
	h->source = stack_rig_source_co(rig, document);
	h->now = calloc(1, SIZE);
	CHECK(h->now != NULL);
}

static void close_co(struct history *h)
{
	block_source_put_co(h->source);
	for (unsigned i = 0; i < h->shots; i++)
		free(h->shot[i]);
	free(h->now);
}

/* Short writes, so that clusters are copied in part. */
static void scribble_co(struct history *h)
{
	for (unsigned i = 0; i < WRITES; i++) {
		uint64_t block = prng_next(&h->random) % (SIZE / BLOCK - 8);
		uint64_t bytes = (1 + prng_next(&h->random) % 8) * BLOCK;
		uint8_t *data = h->now + block * BLOCK;

		memset(data, (int)prng_next(&h->random), bytes);
		CHECK_INT(block_transfer_co(h->source,
				  block_core_lane(h->rig->core, 0), BLOCK_WRITE,
				  0, block * BLOCK, bytes, data),
			0);
	}
}

static const char *name_of(unsigned shot)
{
	static char name[16];

	snprintf(name, sizeof name, "s%u", shot);
	return name;
}

static void snapshot_co(struct history *h)
{
	struct err err = {0};

	if (spec_snapshot_create_co(
		    h->source, name_of(h->shots), DEADLINE_NS, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	h->shot[h->shots++] = copy_of(h->now);
}

static void revert_co(struct history *h, unsigned to)
{
	struct err err = {0};
	char safety[16];

	snprintf(safety, sizeof safety, "s%u", h->shots);
	if (spec_snapshot_revert_co(
		    h->source, name_of(to), safety, DEADLINE_NS, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	h->shot[h->shots++] = copy_of(h->now);
	memcpy(h->now, h->shot[to], SIZE);
}

static void delete_co(struct history *h, unsigned shot)
{
	struct err err = {0};

	if (spec_snapshot_delete_co(h->source, name_of(shot), &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	free(h->shot[shot]);
	h->shot[shot] = NULL;
}

static void check_image_co(struct history *h)
{
	char *said =
		stack_rig_command_co(h->rig, h->source, "qcow2", "check", NULL);

	if (!strstr(said, "\"leaks\": 0, \"errors\": 0,"))
		check_fail(__FILE__, __LINE__, "%s", said);
	free(said);
}

static void check_all_co(struct history *h)
{
	stack_rig_expect_co(h->rig, h->source, 0, SIZE, h->now);
	check_image_co(h);
	for (unsigned i = 0; i < h->shots; i++) {
		char text[96];
		struct block_source *view;

		if (!h->shot[i])
			continue;
		snprintf(text, sizeof text,
			"{source: %s, view: {snapshot: s%u}}",
			block_source_name(h->source), i);
		view = stack_rig_source_co(h->rig, text);
		stack_rig_expect_co(h->rig, view, 0, SIZE, h->shot[i]);
		block_source_put_co(view);
	}
}

/* There and back, and to what was there before that: each time all that is written
 * later leaves all snapshots alone; some of them go. */
static void test_history_co(struct stack_rig *rig, void *argument)
{
	struct history h;

	open_co(&h, rig, argument);
	scribble_co(&h);
	for (unsigned i = 0; i < ROUNDS; i++) {
		snapshot_co(&h);
		scribble_co(&h);
		unsigned to = (unsigned)(prng_next(&h.random) % h.shots);
		while (!h.shot[to])
			to = (to + 1) % h.shots;
		revert_co(&h, to);
		check_all_co(&h);
		scribble_co(&h);
		check_all_co(&h);
		if (i % 2 == 0)
			delete_co(&h, h.shots - 1 - i % 3);
		check_all_co(&h);
	}
	for (unsigned i = 0; i < h.shots; i++) {
		if (h.shot[i])
			delete_co(&h, i);
		scribble_co(&h);
	}
	check_all_co(&h);
	close_co(&h);
}

static void expect_size(struct history *h, uint64_t bytes)
{
	CHECK_INT(block_source_info(h->source, block_core_lane(h->rig->core, 0))
			  .size_bytes,
		bytes);
}

/* The size of then comes back, also where the L1 table had to become longer. */
static void test_size_co(struct stack_rig *rig, void *argument)
{
	struct history h;
	struct err err = {0};
	uint8_t *more = stack_rig_pattern(SIZE, 9);

	(void)argument;
	open_co(&h, rig, IMAGE("subclusters: \"off\", cluster_size: 512"));
	scribble_co(&h);
	snapshot_co(&h);
	CHECK_INT(spec_resize_co(h.source, 64 * SIZE, &err), 0);
	CHECK_INT(block_transfer_co(h.source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, 0, 63 * SIZE, SIZE, more),
		0);
	CHECK_INT(spec_snapshot_revert_co(
			  h.source, "s0", "larger", DEADLINE_NS, &err),
		0);
	expect_size(&h, SIZE);
	stack_rig_expect_co(rig, h.source, 0, SIZE, h.now);
	check_image_co(&h);
	CHECK_INT(spec_resize_co(h.source, 2 * SIZE, &err), 0);
	stack_rig_expect_co(rig, h.source, SIZE, SIZE, NULL);
	CHECK_INT(spec_snapshot_revert_co(
			  h.source, "larger", "smaller", DEADLINE_NS, &err),
		0);
	expect_size(&h, 64 * SIZE);
	stack_rig_expect_co(rig, h.source, 63 * SIZE, SIZE, more);
	check_image_co(&h);
	close_co(&h);
	free(more);
}

/* Always has a request in flight, where scribbling never comes: zeroes. */
struct writer {
	struct stack_rig_task task;
	struct block_source *source;
	bool stop;
};

static void write_co(struct stack_rig_task *task)
{
	struct writer *writer = container_of(task, struct writer, task);
	uint8_t *data = calloc(1, BLOCK);

	CHECK(data != NULL);
	while (!writer->stop)
		CHECK_INT(block_transfer_co(writer->source, task->lane,
				  BLOCK_WRITE, BLOCK_FUA, SIZE - BLOCK, BLOCK,
				  data),
			0);
	free(data);
}

/* Too late: nothing has changed, also in what is counted; then it works. */
static void test_deadline_co(struct stack_rig *rig, void *argument)
{
	struct writer writer = {.task.run_co = write_co};
	struct history h;
	struct err err = {0};

	(void)argument;
	open_co(&h, rig, PLAIN);
	scribble_co(&h);
	snapshot_co(&h);
	scribble_co(&h);
	writer.source = h.source;
	stack_rig_start(rig, 1, &writer.task);
	CHECK_INT(spec_snapshot_revert_co(h.source, "s0", "safe", 1, &err),
		-ETIMEDOUT);
	writer.stop = true;
	stack_rig_join_co(&writer.task);
	check_all_co(&h);
	revert_co(&h, 0);
	check_all_co(&h);
	close_co(&h);
}

static void refused_co(struct block_source *source, const char *name,
	const char *safety, int code, const char *text)
{
	struct err err = {0};

	CHECK_INT(spec_snapshot_revert_co(
			  source, name, safety, DEADLINE_NS, &err),
		code);
	if (!strstr(err.text, text))
		check_fail(__FILE__, __LINE__, "'%s'", err.text);
}

static void test_refused_co(struct stack_rig *rig, void *argument)
{
	struct history h;
	char text[96];
	struct block_source *above;

	(void)argument;
	open_co(&h, rig, PLAIN);
	snapshot_co(&h);
	refused_co(h.source, "none", "safe", -ENOENT,
		"there is no snapshot 'none'");
	refused_co(h.source, "s0", "s0", -EEXIST,
		"there is a snapshot 's0' already");
	refused_co(h.source, "s0", "", -EINVAL, "1 to 255");
	snprintf(text, sizeof text, "{format: {type: raw, file: %s}}",
		block_source_name(h.source));
	above = stack_rig_source_co(rig, text);
	refused_co(h.source, "s0", "safe", -EBUSY, "relies on its content");
	block_source_put_co(above);
	revert_co(&h, 0);
	check_all_co(&h);
	close_co(&h);
	above = stack_rig_source_co(rig, "{protocol: {type: mem, size: 1M}}");
	refused_co(above, "a", "b", -EOPNOTSUPP, "no format");
	block_source_put_co(above);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE_WITH(test_history_co, PLAIN, "plain",
			.world = "simulated", .lanes = 2),
		STACK_RIG_CASE_WITH(test_history_co,
			IMAGE("subclusters: \"off\", cluster_size: 512"), "512",
			.world = "simulated", .lanes = 2),
		STACK_RIG_CASE_WITH(test_history_co,
			IMAGE("subclusters: \"on\", cluster_size: 16K"),
			"subclusters", .world = "threads", .lanes = 3),
		STACK_RIG_CASE(test_size_co, simulated, .world = "simulated",
			.lanes = 2),
		STACK_RIG_CASE(test_deadline_co, simulated,
			.world = "simulated", .lanes = 2),
		STACK_RIG_CASE(test_refused_co, simulated, .world = "simulated",
			.lanes = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
