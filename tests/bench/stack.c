/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the block core costs by itself: one thread, requests of 512 bytes to a
 * driver that completes at once: handed to the driver directly, through a source,
 * and through a source with eight listeners that only pass on. Medians of ROUNDS;
 * the first difference is what it costs to enter and leave a stack.
 */
#include "blockcore/core/stack.h"
#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/source.h"
#include "blockcore/loop/loop_epoll.h"
#include "blockcore/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUESTS 2000000u
#define DEPTH 32u
#define ROUNDS 7u
#define PASSING 8u

static const struct opt_spec no_options[] = {OPT_END};

static int bottom_open_co(struct block_driver *driver, struct err *err)
{
	(void)err;
	driver->info = (struct block_info){
		.size_bytes = 1u << 30, .ops = BLOCK_OPS_DATA};
	return 0;
}

static void bottom_submit(
	struct block_driver *driver, struct block_request *request)
{
	(void)driver;
	block_complete(request, 0);
}

static void pass_submit(
	struct block_driver *driver, struct block_request *request)
{
	(void)driver;
	block_pass(request);
}

static const struct block_kind bottom_kind = {
	.name = "bottom",
	.role = BLOCK_PROTOCOL,
	.part = BLOCK_BACK,
	.band = BAND_BOTTOM,
	.handles = BLOCK_OPS_ALL,
	.options = no_options,
	.driver_bytes = sizeof(struct block_driver),
	.open_co = bottom_open_co,
	.submit = bottom_submit,
};

static const struct block_kind pass_kind = {
	.name = "pass",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.band = BAND_VERIFY,
	.handles = BLOCK_OPS_ALL,
	.options = no_options,
	.driver_bytes = sizeof(struct block_driver),
	.submit = pass_submit,
};

struct bench {
	struct loop *loop;
	struct block_core *core;
	struct block_source *source;
	struct block_request request[DEPTH];
	struct iovec iov;
	uint8_t data[512];
	struct block_driver *direct; /* past the source, NULL: through it */
	uint32_t left, running;
	struct co *co;
};

static struct bench bench;

static struct block_source *source_co(unsigned passing)
{
	struct block_driver *driver[PASSING + 1];
	struct block_source *source;
	struct err err = {0};

	for (unsigned i = 0; i <= passing; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		driver[i] = block_driver_new(bench.core,
			i == passing ? &bottom_kind : &pass_kind, name, NULL,
			NULL, &err);
		if (!driver[i] || block_driver_open_co(driver[i], &err))
			abort();
	}
	if (block_source_new(bench.core, "bench", true, NULL, &source, &err))
		abort();
	struct block_change change = {.source = source};
	change.next = block_stack_new(source, driver, passing + 1, false, &err);
	co_mutex_lock_co(&source->change);
	if (!change.next || block_change_co(&change, &err))
		abort();
	co_mutex_unlock(&source->change);
	return source;
}

static void send(struct block_request *request);

static void done(struct block_request *request)
{
	if (bench.left) {
		send(request);
		return;
	}
	if (--bench.running == 0)
		co_resume(bench.co);
}

static void send(struct block_request *request)
{
	bench.left--;
	block_request_init(request, block_core_lane(bench.core, 0));
	request->op = BLOCK_READ;
	request->flags = 0;
	request->offset_bytes = (bench.left % 4096) * 512;
	request->length_bytes = 512;
	request->iov = &bench.iov;
	request->iov_count = 1;
	request->done = done;
	if (!bench.direct) {
		block_submit(bench.source, request);
		return;
	}
	trace(request_submit, request, request->length_bytes);
	bench.direct->kind->submit(bench.direct, request);
}

static double ns_per(
	const struct timespec *from, const struct timespec *to, unsigned count)
{
	return ((double)(to->tv_sec - from->tv_sec) * 1e9 +
		       (double)(to->tv_nsec - from->tv_nsec)) /
		count;
}

static double round_co(unsigned passing, bool direct)
{
	struct timespec from, to;

	bench.source = source_co(passing);
	bench.direct =
		direct ? block_stack_bottom(bench.source->current) : NULL;
	bench.left = REQUESTS;
	bench.running = DEPTH;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < DEPTH; i++)
		send(&bench.request[i]);
	bench.co = co_self();
	co_yield ();
	clock_gettime(CLOCK_MONOTONIC, &to);
	block_source_put_co(bench.source);
	return ns_per(&from, &to, REQUESTS);
}

/* One trace point, with the clock of the turn read already. */
static double round_trace(void)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < REQUESTS; i++)
		trace(request_submit, &bench, i);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return ns_per(&from, &to, REQUESTS);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(double), compare);
	return values[ROUNDS / 2];
}

static void print_goal(const char *name, double ours, double goal)
{
	printf("bench %s ours=%.2f goal=<=%g %s\n", name, ours, goal,
		ours <= goal ? "met" : "short");
}

static void run_co(void *argument)
{
	double direct[ROUNDS], bare[ROUNDS], passing[ROUNDS], traced[ROUNDS];

	(void)argument;
	for (unsigned i = 0; i < ROUNDS; i++) {
		direct[i] = round_co(0, true);
		bare[i] = round_co(0, false);
		passing[i] = round_co(PASSING, false);
		traced[i] = round_trace();
	}
	double request_ns = median(bare);
	double eight_ns = median(passing) - request_ns;

	printf("figure block-request-ns value=%.1f\n", request_ns);
	printf("figure block-listener-ns value=%.2f\n", eight_ns / PASSING);
	print_goal("stack-enter-leave-ns", request_ns - median(direct), 10);
	/* Of a request that takes 1 us. */
	print_goal("stack-eight-listeners-percent", eight_ns / 1000 * 100, 10);
	print_goal("trace-point-ns", median(traced), 10);
	loop_epoll_stop(bench.loop);
}

static void start(struct loop_message *message)
{
	(void)message;
	if (!co_start(run_co, NULL))
		abort();
}

int main(void)
{
	static struct loop_message message = {.run = start};
	struct err err = {0};
	struct ring_world *world = ring_world_real("threads", &err);

	bench.iov = (struct iovec){bench.data, sizeof(bench.data)};
	bench.loop = loop_epoll_new(&err);
	bench.core = world ? block_core_new(world, 1, ".", &err) : NULL;
	if (!bench.loop || !bench.core ||
		block_lane_start(bench.core, 0, bench.loop, 1 << 20, &err)) {
		fprintf(stderr, "stack: %s\n", err.text);
		return 1;
	}
	loop_post(bench.loop, &message);
	loop_epoll_run(bench.loop);
	block_lane_stop(block_core_lane(bench.core, 0));
	co_thread_fini();
	block_core_free(bench.core);
	ring_world_free(world);
	loop_epoll_free(bench.loop);
	return 0;
}
