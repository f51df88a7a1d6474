/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long timed requests are in each layer: through listeners that make them
 * wait on the way down and on the way up, views, aliases, splits and changes of
 * the stack; and that others are not timed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/core/sample.h"
#include "blockcore/figures.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 4096u
#define MS 1000000ull

/* What is waited for here is some ms, on the virtual clock to the nanosecond and
 * in threads at least that. */
#define DOCUMENT \
	"{listeners: [{type: delay, name: slow, read_us: 3000}, " \
	"{type: fault, name: seen}], format: {type: raw, file: {" \
	"listeners: [{type: fault, name: late, rules: [{op: read, " \
	"event: complete, delay_us: 2000}]}], " \
	"protocol: {type: mem, size: 4M}}}}"

struct found {
	const char *path;
	struct block_layer layer;
	unsigned layers;
	char order[256];
};

static void each(const struct block_layer *layer, void *argument)
{
	struct found *found = argument;

	found->layers++;
	snprintf(found->order + strlen(found->order),
		sizeof found->order - strlen(found->order), "%s ", layer->path);
	if (found->path && !strcmp(layer->path, found->path))
		found->layer = *layer;
}

static struct block_times_sum times(
	struct block_source *source, const char *path)
{
	struct found found = {.path = path};

	block_layers_visit(source, each, &found);
	CHECK(found.layer.kind != NULL);
	return found.layer.times;
}

static void read_co(struct stack_rig *rig, struct block_source *source,
	unsigned flags, int result)
{
	static uint8_t data[BYTES];

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, flags, 0, BYTES, data),
		result);
}

static void layers_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DOCUMENT);
	struct found found = {0};

	(void)argument;
	block_layers_visit(source, each, &found);
	CHECK_INT(found.layers, 5);
	CHECK(!strcmp(found.order, "slow seen raw file/late file/mem "));
	block_source_put_co(source);
}

static void waits_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DOCUMENT);
	static const struct {
		const char *path;
		uint64_t least_ns;
		unsigned bucket;
	} expected[] = {
		{"slow", 5 * MS, 13},
		{"seen", 2 * MS, 11},
		{"raw", 2 * MS, 11},
		{"file/late", 2 * MS, 11},
		{"file/mem", 0, 0},
	};

	(void)argument;
	read_co(rig, source, 0, 0);
	CHECK_INT(times(source, "slow").requests, 0);
	read_co(rig, source, BLOCK_TIMED, 0);
	read_co(rig, source, BLOCK_TIMED, 0);
	read_co(rig, source, 0, 0);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		struct block_times_sum sum = times(source, expected[i].path);

		CHECK_INT(sum.requests, 2);
		CHECK(sum.total_ns >= 2 * expected[i].least_ns);
		if (!rig->simulated)
			continue;
		CHECK(sum.total_ns < 2 * expected[i].least_ns + MS);
		CHECK_INT(sum.bucket[expected[i].bucket], 2);
	}
	block_source_put_co(source);
}

/* One that fails in the middle, one that is cancelled on the way. */
static void early_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: bad, rules: ["
		"{op: read, error: EIO, count: 1}, "
		"{op: read, hold: true, after: 0}]}], "
		"protocol: {type: mem, size: 4M}}");
	struct stack_rig_request held;
	static uint8_t data[BYTES];

	(void)argument;
	read_co(rig, source, BLOCK_TIMED, -EIO);
	CHECK_INT(times(source, "bad").requests, 1);
	CHECK_INT(times(source, "mem").requests, 0);
	stack_rig_submit(source, block_core_lane(rig->core, 0), &held,
		BLOCK_READ, BLOCK_TIMED, 0, BYTES, data);
	CHECK_INT(times(source, "bad").requests, 1);
	block_cancel(&held.request);
	CHECK_INT(stack_rig_wait_co(&held), -ECANCELED);
	CHECK(!(held.request.flags & BLOCK_TIMED));
	CHECK_INT(times(source, "bad").requests, 2);
	block_source_put_co(source);
}

/* Samples are few: those beyond them go untimed, and all come back. */
static void many_co(struct stack_rig *rig, void *argument)
{
	enum { MANY = 3 * BLOCK_SAMPLES };
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: stop, rules: ["
		"{op: read, hold: true, name: h}]}], "
		"protocol: {type: mem, size: 4M}}");
	static struct stack_rig_request held[MANY];
	static uint8_t data[MANY][BYTES];

	(void)argument;
	for (unsigned round = 1; round <= 2; round++) {
		for (unsigned i = 0; i < MANY; i++)
			stack_rig_submit(source, block_core_lane(rig->core, 0),
				&held[i], BLOCK_READ, BLOCK_TIMED, 0, BYTES,
				data[i]);
		free(stack_rig_command_co(
			rig, source, "stop", "release", NULL));
		for (unsigned i = 0; i < MANY; i++)
			CHECK_INT(stack_rig_wait_co(&held[i]), 0);
		CHECK_INT(
			times(source, "stop").requests, round * BLOCK_SAMPLES);
	}
	block_source_put_co(source);
}

/* Through a compare that the core makes of a read and a write, an alias, and a
 * change of the stack while a timed request is above its gate. */
static void ways_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: delay, name: slow, read_us: 50000}], "
		"source: {listeners: [{type: stats, name: s}], "
		"protocol: {type: mem, size: 4M}}}");
	struct stack_rig_request held;
	static uint8_t data[2 * BYTES];
	struct err err = {0};

	(void)argument;
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_COMPARE_AND_WRITE, BLOCK_TIMED, 0, BYTES, data),
		0);
	CHECK_INT(times(source, "slow").requests, 1);
	CHECK(times(source, "source/mem").requests >= 1);
	uint64_t before = times(source, "source/mem").requests;

	stack_rig_submit(source, block_core_lane(rig->core, 0), &held,
		BLOCK_READ, BLOCK_TIMED, 0, BYTES, data);
	CHECK_INT(spec_attach_co(source,
			  stack_rig_doc(rig, "{type: stats, name: above}"),
			  NULL, &err),
		0);
	CHECK_INT(spec_attach_co(source,
			  stack_rig_doc(rig, "{type: fault, name: new}"), NULL,
			  &err),
		0);
	CHECK_INT(stack_rig_wait_co(&held), 0);
	CHECK_INT(times(source, "above").requests, 0);
	CHECK_INT(times(source, "slow").requests, 2);
	CHECK_INT(times(source, "new").requests, 1);
	CHECK_INT(times(source, "source/mem").requests, before + 1);
	block_source_put_co(source);
}

/* The first one, then about one in 64, never in step with a pattern. */
static void turn_co(struct stack_rig *rig, void *argument)
{
	struct block_times_turn turn = {0};
	unsigned due = 0, even = 0;

	(void)rig;
	(void)argument;
	CHECK(block_times_due(&turn));
	for (unsigned i = 0; i < 64000; i++) {
		if (!block_times_due(&turn))
			continue;
		due++;
		even += i % 2 == 0;
	}
	CHECK(due > 950 && due < 1050);
	CHECK(even > due / 3 && even < due * 2 / 3);
}

/* Bounds are inclusive. */
static void buckets_co(struct stack_rig *rig, void *argument)
{
	struct block_times times_of = {0};
	struct block_times_sum sum = {0};

	(void)rig;
	(void)argument;
	block_times_add(&times_of, 0);
	block_times_add(&times_of, 1000);
	block_times_add(&times_of, 1001);
	block_times_add(&times_of, 2000);
	block_times_add(&times_of, UINT64_MAX / 2);
	block_times_sum(&times_of, &sum);
	CHECK_INT(sum.requests, 5);
	CHECK_INT(sum.bucket[0], 2);
	CHECK_INT(sum.bucket[1], 2);
	CHECK_INT(sum.bucket[BLOCK_TIMES_BUCKETS - 1], 1);
	CHECK_INT(block_times_bound_ns(1), 2000);
	CHECK_INT(block_times_bound_ns(BLOCK_TIMES_BUCKETS - 1), 0);
}

#define BOTH(body) \
	STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 2), \
		STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(layers_co),
		BOTH(waits_co),
		BOTH(early_co),
		BOTH(many_co),
		BOTH(ways_co),
		STACK_RIG_CASE(turn_co, sim, .world = "simulated", .lanes = 1),
		STACK_RIG_CASE(
			buckets_co, sim, .world = "simulated", .lanes = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
