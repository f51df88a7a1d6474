/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing stacks under I/O: attach, detach, swap, reorder; gates and their
 * deadline; closing. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/core/core.h"
#include "tests/lib/stack_load.h"

#include <errno.h>
#include <stdatomic.h>

#define LANES STACK_LOAD_LANES
#define DEADLINE_NS (30ull * 1000 * 1000) /* of gates that must not close */
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000) /* of those that must */

/* -- helpers -------------------------------------------------------------- */

static void attach_co(struct stack_rig *rig, struct block_source *source,
	const char *listener)
{
	struct err err = {0};

	if (spec_attach_co(source, stack_rig_doc(rig, listener), NULL, &err))
		fail_msg("%s: %s", listener, err.text);
}

static void detach_co(struct block_source *source, const char *name)
{
	struct err err = {0};

	if (spec_detach_co(source, name, PATIENCE_NS, &err))
		fail_msg("%s: %s", name, err.text);
}

static int swap_co(struct stack_rig *rig, struct block_source *source,
	const char *document, uint64_t deadline_ns, struct err *err)
{
	struct spec_swap swap = {
		.document = stack_rig_doc(rig, document),
		.same_content = true,
		.deadline_ns = deadline_ns,
	};

	return spec_swap_bottom_co(source, &swap, err);
}

static void command_co(struct stack_rig *rig, struct block_source *source,
	const char *driver, const char *verb, const char *arguments)
{
	struct err err = {0};
	FILE *out = fopen("/dev/null", "w");

	CHECK_INT(spec_command_co(source, driver, verb,
			  arguments ? stack_rig_doc(rig, arguments) : NULL, out,
			  &err),
		0);
	fclose(out);
}

static uint8_t byte_at_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	uint8_t data[512];

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, offset, 512, data),
		0);
	return data[0];
}

/* -- under load ----------------------------------------------------------- */

/* Listeners of the front and the back come and go, the bottom becomes another
 * way to the same content, the order changes: nobody notices. */
static void load_co(struct stack_rig *rig, void *argument)
{
	struct block_source *inner =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 4M}");
	struct block_source *source =
		stack_rig_source_co(rig, "source: source-1");
	struct stack_load *load = calloc(1, sizeof(*load));
	struct err err = {0};

	(void)argument;
	stack_load_start(load, rig, source);
	for (unsigned round = 0; round < 12; round++) {
		attach_co(rig, source, "{type: stats, name: s}");
		attach_co(rig, source, "{type: fault, name: f}");
		attach_co(rig, source,
			"{type: throttle, name: t, iops: 1000000}");
		attach_co(rig, source, "{type: fault, name: g}");
		CHECK_INT(spec_reorder_co(source,
				  stack_rig_doc(rig, "[s, t, f, g]"),
				  PATIENCE_NS, &err),
			0);
		CHECK_INT(swap_co(rig, source, "source: source-1", PATIENCE_NS,
				  &err),
			0);
		detach_co(source, "f");
		detach_co(source, "s");
		detach_co(source, "t");
		detach_co(source, "g");
	}
	stack_load_stop_co(load);
	free(load);
	CHECK(stack_rig_figure(source, "generation") > 120);
	block_source_put_co(source);
	block_source_put_co(inner);
}

/* -- the gate ------------------------------------------------------------- */

#define HOLDER \
	"{listeners: [{type: fault, name: holder}], " \
	"protocol: {type: mem, size: 1M, name: one}}"

/* A source over another one, whose listener holds what no gate of the upper
 * source can make it let go. */
static struct block_source *over_co(
	struct stack_rig *rig, struct block_source *holder)
{
	char document[128];

	snprintf(document, sizeof document, "{source: %s}",
		block_source_name(holder));
	return stack_rig_source_co(rig, document);
}

static void deadline_co(struct stack_rig *rig, void *argument)
{
	struct block_source *holder = stack_rig_source_co(rig, HOLDER);
	struct block_source *source = over_co(rig, holder);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request held, parked;
	struct err err = {0};
	uint8_t data[512] = {7};

	(void)argument;
	command_co(rig, holder, "holder", "hold", "{op: write}");
	stack_rig_submit(source, lane, &held, BLOCK_WRITE, 0, 512, 512, data);
	CHECK_INT(swap_co(rig, source, "protocol: {type: mem, size: 2M}",
			  DEADLINE_NS, &err),
		-ETIMEDOUT);
	CHECK_ERR(&err, "1 of them held by 'alias'");
	/* Nothing was changed, and the old stack carries requests. */
	CHECK_INT(block_source_info(source, lane).size_bytes, 1 << 20);
	stack_rig_submit(source, lane, &parked, BLOCK_READ, 0, 0, 512, data);
	CHECK_INT(stack_rig_wait_co(&parked), 0);
	command_co(rig, holder, "holder", "release", NULL);
	CHECK_INT(stack_rig_wait_co(&held), 0);
	CHECK_INT(swap_co(rig, source, "protocol: {type: mem, size: 2M}",
			  PATIENCE_NS, &err),
		0);
	CHECK_INT(block_source_info(source, lane).size_bytes, 2 << 20);
	block_source_put_co(source);
	block_source_put_co(holder);
}

/* A listener that stays lets go of what it holds when the gate closes, so that a
 * swap needs no deadline; what comes after is held again. */
static void let_go_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, HOLDER);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request held[2], after;
	struct err err = {0};
	uint8_t data[512] = {7};

	(void)argument;
	command_co(rig, source, "holder", "hold", "{op: write}");
	command_co(rig, source, "holder", "add",
		"{op: read, delay_us: 3600000000, count: 1}");
	stack_rig_submit(source, lane, &held[0], BLOCK_WRITE, 0, 0, 512, data);
	stack_rig_submit(source, lane, &held[1], BLOCK_READ, 0, 512, 512, data);
	CHECK_INT(swap_co(rig, source, "protocol: {type: mem, size: 2M}",
			  PATIENCE_NS, &err),
		0);
	for (unsigned i = 0; i < 2; i++)
		CHECK_INT(stack_rig_wait_co(&held[i]), 0);
	CHECK_INT(byte_at_co(rig, source, 0), 0); /* it went to the old one */
	stack_rig_submit(source, lane, &after, BLOCK_WRITE, 0, 0, 512, data);
	stack_rig_until_co(rig, source, "held", 1);
	block_cancel(&after.request);
	CHECK_INT(stack_rig_wait_co(&after), -ECANCELED);
	block_source_put_co(source);
}

/* Behind a gate that waits, requests park in order and go on afterwards: here
 * the gate opens because the holder lets go in the middle. */
struct releaser {
	struct stack_rig_task task;
	struct block_source *source, *holder, *other;
	struct stack_rig_request write[4];
	uint8_t data[4][512];
};

static void releaser_co(struct stack_rig_task *task)
{
	struct releaser *releaser = container_of(task, struct releaser, task);

	while (!releaser->source->channel[0].closed)
		loop_sleep_co(task->lane->loop, 100000);
	for (unsigned i = 0; i < 4; i++) {
		memset(releaser->data[i], (int)i + 1, 512);
		stack_rig_submit(releaser->source, task->lane,
			&releaser->write[i], BLOCK_WRITE, 0, 0, 512,
			releaser->data[i]);
	}
	block_cancel(&releaser->write[3].request);
	CHECK_INT(stack_rig_wait_co(&releaser->write[3]), -ECANCELED);
	/* Another source's gate is open meanwhile. */
	CHECK_INT(block_transfer_co(releaser->other, task->lane, BLOCK_WRITE, 0,
			  0, 512, releaser->data[0]),
		0);
	loop_sleep_co(task->lane->loop, 2000000);
	CHECK(releaser->source->channel[0].closed);
	for (unsigned i = 0; i < 3; i++)
		CHECK(!releaser->write[i].done); /* parked */
	command_co(task->rig, releaser->holder, "holder", "release", NULL);
	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(stack_rig_wait_co(&releaser->write[i]), 0);
}

static void parked_co(struct stack_rig *rig, void *argument)
{
	struct block_source *holder = stack_rig_source_co(rig, HOLDER);
	struct block_source *source = over_co(rig, holder);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct releaser releaser = {.source = source,
		.holder = holder,
		.other = stack_rig_source_co(
			rig, "protocol: {type: mem, size: 1M}"),
		.task.run_co = releaser_co};
	struct stack_rig_request held;
	struct err err = {0};
	uint8_t data[512] = {9};

	(void)argument;
	command_co(rig, holder, "holder", "hold", "{op: write}");
	stack_rig_submit(source, lane, &held, BLOCK_WRITE, 0, 0, 512, data);
	stack_rig_start(rig, 0, &releaser.task);
	CHECK_INT(swap_co(rig, source, "protocol: {type: mem, size: 2M}",
			  PATIENCE_NS, &err),
		0);
	stack_rig_join_co(&releaser.task);
	CHECK_INT(stack_rig_wait_co(&held), 0);
	/* The held one went to the old bottom, the parked ones to the new, the
	 * last of them last. */
	CHECK_INT(byte_at_co(rig, source, 0), 3);
	block_source_put_co(releaser.other);
	block_source_put_co(source);
	block_source_put_co(holder);
}

/* A listener that leaves lets go of what it holds: no deadline is met. */
static void release_on_detach_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, HOLDER);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request held[3];
	struct err err = {0};
	uint8_t data[512] = {7};

	(void)argument;
	command_co(rig, source, "holder", "hold", "{op: write}");
	for (unsigned i = 0; i < 3; i++)
		stack_rig_submit(source, lane, &held[i], BLOCK_WRITE, 0,
			i * 512, 512, data);
	CHECK_INT(spec_detach_co(source, "holder", PATIENCE_NS, &err), 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(stack_rig_wait_co(&held[i]), 0);
	CHECK_INT(byte_at_co(rig, source, 1024), 7);
	block_source_put_co(source);
}

/* What the front holds delays no swap, and does not keep the old bottom. */
static void front_held_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: delay, name: d, write_us: 50000}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request held;
	struct err err = {0};
	uint8_t data[512] = {7};

	(void)argument;
	stack_rig_submit(source, lane, &held, BLOCK_WRITE, 0, 0, 512, data);
	CHECK_INT(swap_co(rig, source, "protocol: {type: mem, size: 2M}",
			  PATIENCE_NS, &err),
		0);
	CHECK(!held.done);
	CHECK_INT(stack_rig_wait_co(&held), 0);
	CHECK_INT(byte_at_co(rig, source, 0), 7); /* on the new bottom */
	block_source_put_co(source);
}

/* -- what is made durable ------------------------------------------------- */

struct durable {
	struct stack_rig *rig;
	struct block_source *source;
	struct stack_rig_request during;
	uint8_t data[512];
	int result;
	unsigned runs;
};

static int durable_step_co(void *argument, struct err *err)
{
	struct durable *durable = argument;
	struct block_lane *lane = block_core_lane(durable->rig->core, 0);

	durable->runs++;
	stack_rig_submit(durable->source, lane, &durable->during, BLOCK_WRITE,
		0, 0, 512, durable->data);
	loop_sleep_co(lane->loop, 3000000);
	CHECK(!durable->during.done); /* the gate is closed */
	if (durable->result)
		return err_set(err, -durable->result, "no room for the record");
	return 0;
}

static void durable_co(struct stack_rig *rig, void *argument)
{
	struct durable durable = {.rig = rig,
		.source = stack_rig_source_co(rig, HOLDER),
		.data = {5},
		.result = -ENOSPC};
	struct spec_swap swap = {
		.document =
			stack_rig_doc(rig, "protocol: {type: mem, size: 2M}"),
		.deadline_ns = PATIENCE_NS,
		.durable_co = durable_step_co,
		.argument = &durable,
	};
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_swap_bottom_co(durable.source, &swap, &err), -ENOSPC);
	CHECK_ERR(&err, "no room for the record");
	CHECK_INT(stack_rig_wait_co(&durable.during), 0);
	CHECK_INT(block_source_info(durable.source, lane).size_bytes, 1 << 20);
	CHECK_INT(byte_at_co(rig, durable.source, 0), 5);
	durable.result = 0;
	CHECK_INT(spec_swap_bottom_co(durable.source, &swap, &err), 0);
	CHECK_INT(stack_rig_wait_co(&durable.during), 0);
	CHECK_INT(durable.runs, 2);
	CHECK_INT(block_source_info(durable.source, lane).size_bytes, 2 << 20);
	CHECK_INT(byte_at_co(rig, durable.source, 0), 5);
	block_source_put_co(durable.source);
}

/* Requests that are held anywhere go on when the source closes. */
static void close_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: delay, name: d, read_us: 10000000}, "
		"{type: fault, rules: [{op: write, hold: true}]}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request read, write;
	uint8_t data[512] = {1}, other[512];

	(void)argument;
	stack_rig_submit(source, lane, &read, BLOCK_READ, 0, 0, 512, other);
	stack_rig_submit(source, lane, &write, BLOCK_WRITE, 0, 0, 512, data);
	block_source_put_co(source);
	/* The delayed read found the gate of a closed source. */
	CHECK_INT(stack_rig_wait_co(&read), -ENODEV);
	CHECK_INT(stack_rig_wait_co(&write), 0);
}

/* On threads, and in the simulator, where every interleaving is repeatable. */
#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = LANES), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = LANES, .seed = 7)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(load_co),
		ROW(deadline_co),
		ROW(let_go_co),
		ROW(parked_co),
		ROW(release_on_detach_co),
		ROW(front_held_co),
		ROW(durable_co),
		ROW(close_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
