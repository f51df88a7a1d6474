/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a request down a stack and up again: checks, frames, holding,
 * cancelling, children. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "tests/lib/stack_kinds.h"

#include <errno.h>

/* -- kinds of the test's own ---------------------------------------------- */

/* What happened, in order: "d0" down through driver 0, "u0" up again. */
static char seen[512];

static void saw(const char *what, const struct block_driver *driver)
{
	size_t used = strlen(seen);

	snprintf(seen + used, sizeof(seen) - used, "%s%s ", what,
		strrchr(driver->name, '-') + 1);
}

static const struct opt_spec no_options[] = {OPT_END};

static bool watch_end(struct block_request *request, struct block_frame *frame)
{
	(void)request;
	saw("u", frame->context);
	return true;
}

static void watch_submit(
	struct block_driver *driver, struct block_request *request)
{
	saw("d", driver);
	block_push(request, watch_end, driver, 0);
	block_pass(request);
}

#define LISTENER(where, in_band) \
	.role = BLOCK_LISTENER, .part = (where), .band = (in_band), \
	.options = no_options, .driver_bytes = sizeof(struct block_driver), \
	.handles = BLOCK_OPS_ALL

static const struct block_kind front_watch = {.name = "front",
	LISTENER(BLOCK_FRONT, BAND_STATS),
	.submit = watch_submit};
static const struct block_kind back_watch = {.name = "back",
	LISTENER(BLOCK_BACK, BAND_VERIFY),
	.submit = watch_submit};

/* Fails the first two tries with -EIO; counts them in the frame. */
static bool retry_end(struct block_request *request, struct block_frame *frame)
{
	uint64_t tries = frame->value + 1;

	saw("r", frame->context);
	if (request->result == 0 || tries == 5)
		return true;
	block_push(request, retry_end, frame->context, tries);
	block_pass(request);
	return false;
}

static void retry_submit(
	struct block_driver *driver, struct block_request *request)
{
	block_push(request, retry_end, driver, 0);
	block_pass(request);
}

static const struct block_kind front_retry = {.name = "retry",
	LISTENER(BLOCK_FRONT, BAND_STATS),
	.submit = retry_submit};
static const struct block_kind back_retry = {.name = "retry",
	LISTENER(BLOCK_BACK, BAND_VERIFY),
	.submit = retry_submit};

/* Splits in two: children go on below. */
static void split_done(struct block_request *child)
{
	struct block_request *parent = child->parent;
	bool last = child->offset_bytes != parent->offset_bytes;
	int result = child->result;

	block_child_put(child);
	if (last)
		block_complete(parent, result);
}

static void split_submit(
	struct block_driver *driver, struct block_request *request)
{
	static struct iovec half[2]; /* one request at a time */

	(void)driver;
	for (unsigned i = 0; i < 2; i++) {
		struct block_request *child = block_child_get(request);
		CHECK(child);
		uint64_t bytes = request->length_bytes / 2;
		half[i] = (struct iovec){
			(char *)request->iov->iov_base + i * bytes, bytes};
		child->iov = &half[i];
		child->offset_bytes += i * bytes;
		child->length_bytes = bytes;
		child->done = split_done;
		block_pass(child);
	}
}

static const struct block_kind front_split = {.name = "split",
	LISTENER(BLOCK_FRONT, BAND_STATS),
	.submit = split_submit};
static const struct block_kind back_split = {.name = "split",
	LISTENER(BLOCK_BACK, BAND_VERIFY),
	.submit = split_submit};

/* A bottom that fails as often as it is told. */
static int fails;

static int bottom_open_co(struct block_driver *driver, struct err *err)
{
	(void)err;
	driver->info = (struct block_info){
		.size_bytes = 1u << 20,
		.ops = BLOCK_OPS_DATA | BLOCK_OP(BLOCK_FLUSH),
	};
	return 0;
}

static void bottom_submit(
	struct block_driver *driver, struct block_request *request)
{
	saw("b", driver);
	if (request->op == BLOCK_READ)
		memset(request->iov->iov_base, 'b', request->iov->iov_len);
	if (fails && fails--)
		block_complete(request, -EIO);
	else
		block_complete(request, 0);
}

static const struct block_kind bottom = {
	.name = "bottom",
	.role = BLOCK_PROTOCOL,
	.part = BLOCK_BACK,
	.band = BAND_BOTTOM,
	.options = no_options,
	.driver_bytes = sizeof(struct block_driver),
	.handles = BLOCK_OPS_ALL,
	.open_co = bottom_open_co,
	.submit = bottom_submit,
};

static int read_through_co(struct stack_rig *rig,
	const struct block_kind *const *kinds, unsigned count)
{
	struct block_source *source = stack_kinds_source_co(rig, kinds, count);
	char data[1024] = {0};

	seen[0] = 0;
	int result = block_transfer_co(source, block_core_lane(rig->core, 0),
		BLOCK_READ, 0, 0, sizeof(data), data);
	if (result == 0) {
		CHECK(data[0] == 'b' && data[511] == 'b');
		CHECK(data[512] == 'b' && data[1023] == 'b');
	}
	block_source_put_co(source);
	return result;
}

/* -- the tests ------------------------------------------------------------ */
static void frames_co(struct stack_rig *rig, void *argument)
{
	const struct block_kind *kinds[] = {
		&front_watch, &front_watch, &back_watch, &back_watch, &bottom};

	(void)argument;
	CHECK_INT(read_through_co(rig, kinds, 5), 0);
	CHECK(!strcmp(seen, "d0 d1 d2 d3 b4 u3 u2 u1 u0 "));
}

static void full_stack_co(struct stack_rig *rig, void *argument)
{
	const struct block_kind *kinds[BLOCK_MAX_DRIVERS];

	(void)argument;
	for (unsigned i = 0; i < BLOCK_MAX_DRIVERS - 1; i++)
		kinds[i] = i < 8 ? &front_watch : &back_watch;
	kinds[BLOCK_MAX_DRIVERS - 1] = &bottom;
	CHECK_INT(read_through_co(rig, kinds, BLOCK_MAX_DRIVERS), 0);
	CHECK(strstr(seen, "d14 b15 u14 "));
}

static void retry_co(struct stack_rig *rig, void *argument)
{
	const struct block_kind *front[] = {
		&front_retry, &front_watch, &bottom};
	const struct block_kind *back[] = {&front_watch, &back_retry, &bottom};

	(void)argument;
	fails = 2; /* over the gate three times */
	CHECK_INT(read_through_co(rig, front, 3), 0);
	CHECK(!strcmp(seen, "d1 b2 u1 r0 d1 b2 u1 r0 d1 b2 u1 r0 "));
	fails = 2; /* below it */
	CHECK_INT(read_through_co(rig, back, 3), 0);
	CHECK(!strcmp(seen, "d0 b2 r1 b2 r1 b2 r1 u0 "));
	fails = 9; /* gives up */
	CHECK_INT(read_through_co(rig, back, 3), -EIO);
	fails = 0;
}

static void children_co(struct stack_rig *rig, void *argument)
{
	const struct block_kind *front[] = {
		&front_split, &front_watch, &back_watch, &bottom};
	const struct block_kind *back[] = {
		&front_watch, &back_split, &back_watch, &bottom};

	(void)argument;
	CHECK_INT(read_through_co(rig, front, 4), 0);
	CHECK(!strcmp(seen, "d1 d2 b3 d1 d2 b3 u2 u1 u2 u1 "));
	CHECK_INT(read_through_co(rig, back, 4), 0);
	CHECK(!strcmp(seen, "d0 d2 b3 d2 b3 u2 u2 u0 "));
}

struct refused {
	enum block_opcode op;
	uint64_t offset, length;
	int result;
};

static void refused_co(struct stack_rig *rig, void *argument)
{
	static const struct refused table[] = {
		{BLOCK_READ, 0, 512, 0},
		{BLOCK_READ, 512, 0, 0},
		{BLOCK_READ, 1u << 25, 0, 0},
		{BLOCK_READ, (1u << 25) - 512, 512, 0},
		{BLOCK_READ, (1u << 25) - 512, 1024, -ERANGE},
		{BLOCK_WRITE, 1u << 25, 512, -ERANGE},
		{BLOCK_WRITE, UINT64_MAX - 511, 512, -ERANGE},
		{BLOCK_DISCARD, 512, UINT64_MAX - 511, -ERANGE},
		{BLOCK_READ, 1, 512, -EINVAL},
		{BLOCK_READ, 0, 513, -EINVAL},
		{BLOCK_WRITE, 0, (16u << 20) + 512, -EINVAL},
		{BLOCK_WRITE_ZEROES, 0, (16u << 20) + 512, 0},
		{BLOCK_COMPARE_AND_WRITE, 0, (1u << 20) + 512, -EINVAL},
		{BLOCK_COPY, 0, 512, -EOPNOTSUPP},
		{BLOCK_META, 0, 512, -EOPNOTSUPP},
		{BLOCK_FLUSH, 0, 0, 0},
	};
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 32M}");
	char *data = calloc(1, 33u << 20);

	(void)argument;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct stack_rig_request request;

		stack_rig_submit(source, block_core_lane(rig->core, 0),
			&request, table[i].op, 0, table[i].offset,
			table[i].length, data);
		CHECK_INT(stack_rig_wait_co(&request), table[i].result);
	}
	block_source_put_co(source);
	free(data);
}

static void read_only_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: readonly}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	char data[1024] = {1};

	(void)argument;
	CHECK(block_source_info(source, lane).read_only);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE, 0, 0, 512, data),
		-EROFS);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_COMPARE_AND_WRITE, 0, 0,
			  512, data),
		-EROFS);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_READ, 0, 0, 512, data),
		0);
	CHECK_INT(data[0], 0);
	block_source_put_co(source);
}

static void null_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: null, size: 1M}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	char data[4096];

	(void)argument;
	memset(data, 's', sizeof(data)); /* an earlier host's secret */
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_WRITE, 0, 0, 4096, data),
		0);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_READ, 0, 0, 4096, data),
		0);
	for (unsigned i = 0; i < sizeof(data); i++)
		CHECK_INT(data[i], 0);
	block_source_put_co(source);
}

static void extents_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct block_extent extent[4];
	struct block_extents answer = {.extent = extent, .room = 4};
	struct stack_rig_request request;
	char data[512] = {1};

	(void)argument;
	CHECK_INT(block_transfer_co(
			  source, lane, BLOCK_WRITE, 0, 128 << 10, 512, data),
		0);
	stack_rig_submit_extents(
		source, lane, &request, 64 << 10, 960 << 10, &answer);
	CHECK_INT(stack_rig_wait_co(&request), 0);
	CHECK_INT(answer.count, 3);
	CHECK_INT(extent[0].offset_bytes, 64 << 10);
	CHECK_INT(extent[0].flags, BLOCK_EXTENT_ZERO);
	CHECK_INT(extent[1].offset_bytes, 128 << 10);
	CHECK_INT(extent[1].length_bytes, 64 << 10);
	CHECK_INT(extent[1].flags, BLOCK_EXTENT_DATA);
	CHECK_INT(extent[2].length_bytes, 832 << 10);
	block_source_put_co(source);
}

/* -- cancelling ----------------------------------------------------------- */
#define HOLDS_WRITES \
	"{listeners: [{type: fault, rules: [{op: write, hold: true}]}], " \
	"protocol: {type: mem, size: 1M}}"

static void cancel_held_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, HOLDS_WRITES);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request, read;
	char data[512] = {1}, zero[512];

	(void)argument;
	stack_rig_submit(source, lane, &request, BLOCK_WRITE, 0, 0, 512, data);
	stack_rig_submit(source, lane, &read, BLOCK_READ, 0, 0, 512, zero);
	CHECK_INT(stack_rig_wait_co(&read), 0);
	CHECK(!request.done);
	block_cancel(&request.request);
	CHECK(!request.done); /* never inside */
	block_cancel(&request.request); /* again: nothing */
	CHECK_INT(stack_rig_wait_co(&request), -ECANCELED);
	CHECK_INT(zero[0], 0);
	block_source_put_co(source);
}

/* Through an alias and a view, to where the request is held. */
static void cancel_deep_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"source: {format: {type: raw, offset: 4096, file: " HOLDS_WRITES
		"}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request;
	char data[512] = {1};

	(void)argument;
	stack_rig_submit(source, lane, &request, BLOCK_WRITE, 0, 0, 512, data);
	loop_sleep_co(lane->loop, 1000000);
	CHECK(!request.done);
	block_cancel(&request.request);
	CHECK_INT(stack_rig_wait_co(&request), -ECANCELED);
	block_source_put_co(source);
}

/* Holds everything until it is cancelled; as a layer that gets to hold a
 * request only after it was cancelled. */
static void late_cancel(struct block_request *request)
{
	block_unhold(request);
	block_complete(request, -ECANCELED);
}

static bool late_end(struct block_request *request, struct block_frame *frame)
{
	CHECK(request->cancelled);
	block_hold(request, late_cancel, frame->context);
	CHECK(!request->completing);
	return false;
}

static void late_submit(
	struct block_driver *driver, struct block_request *request)
{
	block_push(request, late_end, driver, 0);
	block_pass(request);
}

static const struct block_kind back_late = {.name = "late",
	LISTENER(BLOCK_BACK, BAND_VERIFY),
	.submit = late_submit};

static void cancel_before_hold_co(struct stack_rig *rig, void *argument)
{
	const struct block_kind *kinds[] = {&back_late, &bottom};
	struct block_source *source = stack_kinds_source_co(rig, kinds, 2);
	struct stack_rig_request request;
	char data[512];

	(void)argument;
	stack_rig_submit(source, block_core_lane(rig->core, 0), &request,
		BLOCK_READ, 0, 0, 512, data);
	block_cancel(&request.request);
	CHECK_INT(stack_rig_wait_co(&request), -ECANCELED);
	block_source_put_co(source);
}

/* -- the end of a turn ---------------------------------------------------- */

struct late_hook {
	struct loop_hook hook;
	struct block_source *source;
	struct block_lane *lane;
	struct co *co;
	struct stack_rig_request request;
	char data[512];
	bool armed;
};

static bool late_hook_run(struct loop_hook *hook)
{
	struct late_hook *late = container_of(hook, struct late_hook, hook);

	if (late->armed) {
		late->armed = false;
		stack_rig_submit(late->source, late->lane, &late->request,
			BLOCK_READ, 0, 0, 512, late->data);
		late->request.waiter = late->co;
	}
	return false;
}

/* Completed when completions have had their turn: the loop does not sleep. */
static void late_hook_co(struct stack_rig *rig, void *argument)
{
	struct late_hook late = {
		.hook.run = late_hook_run,
		.source = stack_rig_source_co(
			rig, "protocol: {type: mem, size: 1M}"),
		.lane = block_core_lane(rig->core, 0),
		.co = co_self(),
		.armed = true,
	};

	(void)argument;
	loop_hook_add(late.lane->loop, LOOP_SEND, &late.hook);
	while (!late.request.done)
		co_yield ();
	CHECK_INT(late.request.request.result, 0);
	loop_hook_remove(late.lane->loop, LOOP_SEND, &late.hook);
	block_source_put_co(late.source);
}

#define ROW(body) STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(late_hook_co),
		ROW(frames_co),
		ROW(full_stack_co),
		ROW(retry_co),
		ROW(children_co),
		ROW(refused_co),
		ROW(read_only_co),
		ROW(null_co),
		ROW(extents_co),
		ROW(cancel_held_co),
		ROW(cancel_deep_co),
		ROW(cancel_before_hold_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
