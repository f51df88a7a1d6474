/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No memory for the stack of a coroutine: who asked for something is told, and
 * what nobody can be told of is done as soon as there is memory again. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/job.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>

#define SHORT_NS (5 * LOOP_AGAIN_NS)
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)

/* -- lane 0 is short of memory for some time ------------------------------ */

struct shortage {
	struct loop_timer timer;
	struct loop *loop;
	uint64_t begun_ns;
};

static void shortage_over(struct loop_timer *timer)
{
	(void)timer;
	co_thread_limit(0);
}

static void shortage_begin(struct shortage *shortage, struct stack_rig *rig)
{
	*shortage = (struct shortage){.timer.expired = shortage_over,
		.loop = block_core_lane(rig->core, 0)->loop};
	shortage->begun_ns = loop_now_ns(shortage->loop);
	loop_timer_set(shortage->loop, &shortage->timer, SHORT_NS);
	co_thread_limit(co_alive());
}

/* What was done since must have needed memory, and waited for it. */
static void shortage_was_felt(const struct shortage *shortage)
{
	CHECK(!shortage->timer.armed);
	CHECK(loop_now_ns(shortage->loop) >= shortage->begun_ns + SHORT_NS);
}

/* -- what nobody can be told of ------------------------------------------- */

#define FILE_BOTTOM(name) "protocol: {type: file, path: " name ", size: 1M}"

/* A swap closes the old bottom before it returns: its file can be opened, and so
 * locked, by another source. */
static void swap_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, FILE_BOTTOM("a.raw"));
	struct spec_swap swap = {
		.document = stack_rig_doc(rig, FILE_BOTTOM("b.raw")),
		.same_content = true,
		.deadline_ns = PATIENCE_NS,
	};
	struct shortage shortage;
	struct err err = {0};

	(void)argument;
	shortage_begin(&shortage, rig);
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	shortage_was_felt(&shortage);
	block_source_put_co(stack_rig_source_co(rig, FILE_BOTTOM("a.raw")));
	block_source_put_co(source);
}

/* A source that closes has closed its drivers, in both halves, when it is gone. */
static void close_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: throttle, name: t, iops: "
		"50}], " FILE_BOTTOM("a.raw") "}");
	struct shortage shortage;

	(void)argument;
	shortage_begin(&shortage, rig);
	block_source_put_co(source);
	shortage_was_felt(&shortage);
	block_source_put_co(stack_rig_source_co(rig, FILE_BOTTOM("a.raw")));
}

/* An alias shows the size of what is below it, a little later; also when it has
 * grown twice by then. */
static void grow_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(
		rig, "protocol: {type: mem, size: 1M, max_size: 4M}");
	struct block_source *alias =
		stack_rig_source_co(rig, "source: source-1");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct shortage shortage;
	struct err err = {0};

	(void)argument;
	shortage_begin(&shortage, rig);
	CHECK_INT(spec_resize_co(source, 2 << 20, &err), 0);
	CHECK_INT(spec_resize_co(source, 3 << 20, &err), 0);
	while (block_source_info(alias, lane).size_bytes != 3 << 20)
		loop_sleep_co(lane->loop, 1000000);
	shortage_was_felt(&shortage);
	block_source_put_co(alias);
	block_source_put_co(source);
}

/* The first COMPARE_AND_WRITE of a source has it tracked. */
static void compare_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	struct stack_rig_request request;
	struct shortage shortage;
	uint8_t data[1024] = {0};

	(void)argument;
	memset(data + 512, 7, 512);
	shortage_begin(&shortage, rig);
	stack_rig_submit(source, block_core_lane(rig->core, 0), &request,
		BLOCK_COMPARE_AND_WRITE, 0, 4096, 512, data);
	request.iov.iov_len = 1024;
	CHECK_INT(stack_rig_wait_co(&request), 0);
	shortage_was_felt(&shortage);
	stack_rig_expect_co(rig, source, 4096, 512, data + 512);
	block_source_put_co(source);
}

/* -- what the caller is told ---------------------------------------------- */

static void job_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	const struct doc *options = stack_rig_doc(rig, "{seed: 7}");
	struct job_progress progress;
	struct err err = {0};
	struct job *job;

	(void)argument;
	co_thread_limit(co_alive());
	CHECK_INT(
		job_start_co(rig->core, source, "fill", options, 0, &job, &err),
		-ENOMEM);
	co_thread_limit(0);
	CHECK_ERR(&err, "no memory");
	CHECK_INT(
		job_start_co(rig->core, source, "fill", options, 0, &job, &err),
		0);
	job_wait_co(job);
	job_get_progress(job, &progress);
	CHECK_INT(progress.state, JOB_DONE);
	job_free(job);
	block_source_put_co(source);
}

/* What is below a format is opened on a stack of its own. */
static void build_co(struct stack_rig *rig, void *argument)
{
	static const char document[] =
		"format: {type: raw, file: {protocol: {type: mem, size: 1M}}}";
	struct block_source *source;
	struct err err = {0};

	(void)argument;
	co_thread_limit(co_alive());
	CHECK_INT(stack_rig_build_co(rig, document, &source, &err), -ENOMEM);
	co_thread_limit(0);
	CHECK_ERR(&err, "no memory");
	block_source_put_co(stack_rig_source_co(rig, document));
}

/* On threads, and in the simulator, where every interleaving is repeatable. */
#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = 2, .seed = 7)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(swap_co),
		ROW(close_co),
		ROW(grow_co),
		ROW(compare_co),
		ROW(job_co),
		ROW(build_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
