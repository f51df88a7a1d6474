/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources at rest: resizing, new options, claims, and which changes are refused
 * with which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>

/* -- helpers -------------------------------------------------------------- */

static void attach_co(struct stack_rig *rig, struct block_source *source,
	const char *listener)
{
	struct err err = {0};

	if (spec_attach_co(source, stack_rig_doc(rig, listener), NULL, &err))
		fail_msg("%s: %s", listener, err.text);
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

static uint8_t byte_at_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	uint8_t data[512];

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, offset, 512, data),
		0);
	return data[0];
}

static void put_byte_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint8_t byte)
{
	uint8_t data[512];

	memset(data, byte, sizeof(data));
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, 0, offset, 512, data),
		0);
}

/* -- size ----------------------------------------------------------------- */

struct size_watch {
	struct block_source_watch watch;
	unsigned calls;
};

static void size_changed(struct block_source_watch *watch)
{
	container_of(watch, struct size_watch, watch)->calls++;
}

/* Waits until the lane's view of the source has that size. */
static void until_size_co(
	struct stack_rig *rig, struct block_source *source, uint64_t bytes)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);

	for (unsigned i = 0; i < 5000; i++) {
		if (block_source_info(source, lane).size_bytes == bytes)
			return;
		loop_sleep_co(lane->loop, 1000000);
	}
	CHECK_INT(block_source_info(source, lane).size_bytes, bytes);
}

static void resize_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(
		rig, "protocol: {type: mem, size: 1M, max_size: 4M}");
	struct block_source *alias =
		stack_rig_source_co(rig, "source: source-1");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct size_watch watch = {.watch.changed = size_changed};
	struct err err = {0};
	uint8_t data[512];

	(void)argument;
	block_source_watch(source, &watch.watch);
	CHECK_INT(spec_resize_co(source, 4 << 20, &err), 0);
	CHECK_INT(watch.calls, 1);
	put_byte_co(rig, source, (4 << 20) - 512, 3);
	until_size_co(rig, alias, 4 << 20);
	CHECK_INT(byte_at_co(rig, alias, (4 << 20) - 512), 3);
	CHECK_INT(spec_resize_co(alias, 2 << 20, &err), 0);
	CHECK_INT(watch.calls, 2);
	CHECK_INT(block_source_info(source, lane).size_bytes, 2 << 20);
	CHECK_INT(block_transfer_co(
			  source, lane, BLOCK_READ, 0, 2 << 20, 512, data),
		-ERANGE);
	CHECK_INT(spec_resize_co(source, 8 << 20, &err), -EOPNOTSUPP);
	CHECK_ERR(&err, "max_size");
	CHECK_INT(spec_resize_co(source, 1000, &err), -EINVAL);
	block_source_unwatch(&watch.watch);
	block_source_put_co(alias);
	block_source_put_co(source);
}

/* -- the rules ------------------------------------------------------------ */

static void rules_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: throttle, name: t, iops: 5}, "
		"{type: fault, name: f}], protocol: {type: mem, size: 1M}}");
	struct err err = {0};
	const struct doc *fault = stack_rig_doc(rig, "{type: fault, name: f}");

	(void)argument;
	CHECK_INT(spec_attach_co(source, fault, NULL, &err), -EINVAL);
	CHECK_ERR(&err, "two drivers of one source are named 'f'");
	CHECK_INT(spec_attach_co(source, stack_rig_doc(rig, "{type: stats}"),
			  "f", &err),
		-EINVAL);
	CHECK_ERR(&err, "must stand");
	CHECK_INT(spec_detach_co(source, "nobody", 0, &err), -ENOENT);
	CHECK_INT(spec_detach_co(source, "mem", 0, &err), -EINVAL);
	CHECK_ERR(&err, "is the bottom");
	CHECK_INT(
		spec_reorder_co(source, stack_rig_doc(rig, "[f, t]"), 0, &err),
		-EINVAL);
	CHECK_INT(spec_reorder_co(source, stack_rig_doc(rig, "[t]"), 0, &err),
		-EINVAL);
	CHECK_INT(
		spec_reorder_co(source, stack_rig_doc(rig, "[t, t]"), 0, &err),
		-EINVAL);
	CHECK_ERR(&err, "named twice");
	CHECK_INT(swap_co(rig, source, "source: source-1", 0, &err), -ELOOP);
	CHECK_INT(swap_co(rig, source,
			  "{listeners: [], protocol: {type: null}}", 0, &err),
		-EINVAL);
	for (unsigned i = 0; i < 13; i++)
		attach_co(rig, source, "{type: fault}");
	CHECK_INT(spec_attach_co(source, stack_rig_doc(rig, "{type: fault}"),
			  NULL, &err),
		-ENOSPC);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_FLUSH, 0, 0, 0, NULL),
		0);
	block_source_put_co(source);
}

static void configure_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: throttle, name: t, iops: 5}, "
		"{type: fault, name: f, rules: [{op: read, error: EIO}]}], "
		"protocol: {type: mem, size: 1M}}");
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_configure_co(source, "t",
			  stack_rig_doc(rig, "{iops: 77777}"), &err),
		0);
	CHECK_INT(stack_rig_figure(source, "iops"), 77777);
	CHECK_INT(
		spec_configure_co(source, "f",
			stack_rig_doc(rig, "{rules: [{error: ENOSPC}]}"), &err),
		0);
	char *status = stack_rig_status(source);
	CHECK(strstr(status, "\"rules\": [{\"error\": \"ENOSPC\"}]"));
	free(status);
	CHECK_INT(spec_configure_co(
			  source, "f", stack_rig_doc(rig, "{seed: 3}"), &err),
		-EINVAL);
	CHECK_ERR(&err, "cannot be changed while it is in use");
	CHECK_INT(spec_configure_co(source, "t",
			  stack_rig_doc(rig, "{iops: many}"), &err),
		-EINVAL);
	CHECK_INT(spec_configure_co(source, "mem",
			  stack_rig_doc(rig, "{size: 2M}"), &err),
		-EINVAL);
	CHECK_INT(stack_rig_figure(source, "iops"), 77777);
	block_source_put_co(source);
}

/* -- claims --------------------------------------------------------------- */

static void claims_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	struct block_source *alias;
	struct block_claim stable = {
		.mode = BLOCK_CLAIM_STABLE, .holder = "the backing of x"};
	struct block_claim write = {
		.mode = BLOCK_CLAIM_WRITE, .holder = "the volume y"};
	struct err err = {0};

	(void)argument;
	CHECK_INT(block_source_claim(source, &stable, &err), 0);
	CHECK_INT(block_source_claim(source, &write, &err), -EBUSY);
	CHECK_ERR(&err, "the backing of x");
	CHECK_INT(stack_rig_build_co(rig, "source: source-1", &alias, &err),
		-EBUSY);
	struct spec_swap swap = {
		.document = stack_rig_doc(rig, "protocol: {type: null}")};
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), -EBUSY);
	block_source_unclaim(&stable);
	CHECK_INT(stack_rig_build_co(rig, "source: source-1", &alias, &err), 0);
	CHECK_INT(block_source_claim(source, &write, &err), -EBUSY);
	block_source_put_co(alias);
	CHECK_INT(block_source_claim(source, &write, &err), 0);
	block_source_unclaim(&write);
	block_source_put_co(source);
}

/* Two changes at a time that would each put a source onto the other: the second
 * is refused, be it early or when its bottom is open. */
struct swapper {
	struct stack_rig_task task;
	struct block_source *source;
	const char *onto;
	int result;
};

static void swapper_co(struct stack_rig_task *task)
{
	struct swapper *swapper = container_of(task, struct swapper, task);
	struct err err = {0};

	swapper->result = swap_co(task->rig, swapper->source, swapper->onto,
		20ull * 1000 * 1000 * 1000, &err);
	if (swapper->result)
		CHECK_INT(err.code, ELOOP);
}

static void circle_co(struct stack_rig *rig, void *argument)
{
	struct swapper swapper[2] = {
		{.task.run_co = swapper_co, .onto = "source: source-2"},
		{.task.run_co = swapper_co, .onto = "source: source-1"}};
	unsigned refused = 0;

	(void)argument;
	for (unsigned i = 0; i < 2; i++)
		swapper[i].source = stack_rig_source_co(
			rig, "protocol: {type: mem, size: 1M}");
	for (unsigned i = 0; i < 2; i++)
		stack_rig_start(rig, 0, &swapper[i].task);
	for (unsigned i = 0; i < 2; i++)
		stack_rig_join_co(&swapper[i].task);
	for (unsigned i = 0; i < 2; i++)
		refused += swapper[i].result == -ELOOP;
	CHECK_INT(refused, 1);
	/* And both can be used. */
	for (unsigned i = 0; i < 2; i++)
		put_byte_co(rig, swapper[i].source, 0, 7);
	for (unsigned i = 0; i < 2; i++)
		CHECK_INT(byte_at_co(rig, swapper[i].source, 0), 7);
	refused =
		swapper[0].result ? 1 : 0; /* who stands on the other: first */
	block_source_put_co(swapper[refused].source);
	block_source_put_co(swapper[!refused].source);
}

/* -- what an image stands on ---------------------------------------------- */

#define CLONE \
	"format: {type: qcow2, size: 1M, file: {protocol: {type: mem, " \
	"size: 4M}}, backing: source-1}"

/* Whoever may be written to changes under nobody: it is refused, or stays. */
static void clone_co(struct stack_rig *rig, void *argument)
{
	struct block_source *base, *clone = NULL;
	struct err err = {0};

	(void)argument;
	base = stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	put_byte_co(rig, base, 0, 7);
	CHECK_INT(spec_build_co(rig->core, "clone", NULL,
			  stack_rig_doc(rig, CLONE), &clone, &err),
		-EBUSY);
	CHECK(strstr(err.text, "'clone' cannot stand on 'source-1'"));
	CHECK(strstr(err.text, "make 'source-1' read-only, or clone"));
	attach_co(rig, base, "{type: readonly}");
	err = (struct err){0};
	CHECK_INT(spec_build_co(rig->core, "clone", NULL,
			  stack_rig_doc(rig, CLONE), &clone, &err),
		0);
	CHECK_INT(byte_at_co(rig, clone, 0), 7);
	CHECK_INT(spec_detach_co(base, "readonly", SPEC_GATE_DEADLINE_NS, &err),
		-EBUSY);
	CHECK(strstr(err.text, "'source-1': backing of 'clone' needs"));
	block_source_put_co(clone);
	CHECK_INT(spec_detach_co(base, "readonly", SPEC_GATE_DEADLINE_NS, &err),
		0);
	block_source_put_co(base);
}

/* On threads, and in the simulator, where every interleaving is repeatable. */
#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = 2, .seed = 7)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(resize_co),
		ROW(rules_co),
		ROW(configure_co),
		ROW(claims_co),
		ROW(circle_co),
		ROW(clone_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
