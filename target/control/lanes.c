/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes and their threads. What belongs to a thread is started and stopped there,
 * by messages; the control coroutine waits for the answers.
 */
#include "target/control/lanes.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* Metadata and jobs only. */
#define CONTROL_BUFFER_BYTES (16u << 20)

struct lane {
	struct lanes *lanes;
	struct reactor *reactor;
	unsigned index;
	bool running; /* the thread */
	bool started; /* the block lane; its thread's until it has answered */
	struct loop_message go, answer;
	struct err err;
	int failed;
};

struct lanes {
	struct block_core *core;
	struct reactor *control;
	struct iscsi_server *server;
	uint64_t buffer_bytes;
	bool pin, control_started;
	unsigned count, waiting;
	struct co *waiter;
	struct lane lane[];
};

/* -- on the lanes' threads --------------------------------------------------- */

static void answered(struct loop_message *message)
{
	struct lane *lane = container_of(message, struct lane, answer);
	if (--lane->lanes->waiting == 0)
		co_resume(lane->lanes->waiter);
}

static void answer(struct lane *lane)
{
	lane->answer.run = answered;
	loop_post(reactor_loop(lane->lanes->control), &lane->answer);
}

static void start_here(struct loop_message *message)
{
	struct lane *lane = container_of(message, struct lane, go);
	struct lanes *lanes = lane->lanes;
	lane->failed = block_lane_start(lanes->core, lane->index,
		reactor_loop(lane->reactor), lanes->buffer_bytes, &lane->err);
	lane->started = !lane->failed;
	if (!lane->failed)
		lane->failed = iscsi_lane_start(lanes->server,
			block_core_lane(lanes->core, lane->index), &lane->err);
	answer(lane);
}

static void stop_here(struct loop_message *message)
{
	struct lane *lane = container_of(message, struct lane, go);
	if (lane->started)
		block_lane_stop(
			block_core_lane(lane->lanes->core, lane->index));
	lane->started = false;
	reactor_stop(lane->reactor);
	answer(lane);
}

/* -- on the control reactor -------------------------------------------------- */

/* Runs `go` on all running threads and waits for their answers. */
static void on_all_co(struct lanes *lanes, void (*go)(struct loop_message *))
{
	lanes->waiter = co_self();
	for (unsigned i = 0; i < lanes->count; i++)
		lanes->waiting += lanes->lane[i].running;
	if (!lanes->waiting)
		return;
	for (unsigned i = 0; i < lanes->count; i++) {
		struct lane *lane = &lanes->lane[i];
		if (!lane->running)
			continue;
		lane->go.run = go;
		loop_post(reactor_loop(lane->reactor), &lane->go);
	}
	co_yield ();
}

/* The n-th CPU of the affinity mask, round and round. */
static int nth_cpu(unsigned n)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) || !CPU_COUNT(&set))
		return -1;
	n %= (unsigned)CPU_COUNT(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((size_t)cpu, &set) && n-- == 0)
			return cpu;
	}
	return -1;
}

static int start_threads(struct lanes *lanes, struct err *err)
{
	for (unsigned i = 0; i < lanes->count; i++) {
		struct lane *lane = &lanes->lane[i];
		int cpu = lanes->pin ? nth_cpu(i) : -1;
		int failed = reactor_start(lane->reactor, cpu, err);
		if (failed)
			return failed;
		lane->running = true;
	}
	return 0;
}

int lanes_start_co(struct lanes *lanes, struct iscsi_server *server,
	uint64_t buffer_bytes, struct err *err)
{
	lanes->server = server;
	lanes->buffer_bytes = buffer_bytes;
	int failed = block_lane_start(lanes->core, 0,
		reactor_loop(lanes->control), CONTROL_BUFFER_BYTES, err);
	if (failed)
		return failed;
	lanes->control_started = true;
	failed = start_threads(lanes, err);
	if (failed)
		return failed;
	on_all_co(lanes, start_here);
	for (unsigned i = 0; i < lanes->count; i++) {
		if (!lanes->lane[i].failed)
			continue;
		if (err)
			*err = lanes->lane[i].err;
		return lanes->lane[i].failed;
	}
	return 0;
}

void lanes_stop_co(struct lanes *lanes)
{
	on_all_co(lanes, stop_here);
	for (unsigned i = 0; i < lanes->count; i++) {
		if (lanes->lane[i].running)
			reactor_join(lanes->lane[i].reactor);
		lanes->lane[i].running = false;
	}
	if (lanes->control_started)
		block_lane_stop(block_core_lane(lanes->core, 0));
	lanes->control_started = false;
}

/* -- life ------------------------------------------------------------------- */

struct lanes *lanes_new(struct block_core *core, struct reactor *control,
	const struct settings *settings, struct err *err)
{
	unsigned count = settings->reactors;
	struct lanes *lanes =
		calloc(1, sizeof *lanes + count * sizeof(struct lane));
	if (!lanes) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	lanes->core = core;
	lanes->control = control;
	lanes->pin = settings->pin_reactors;
	for (unsigned i = 0; i < count; i++) {
		struct lane *lane = &lanes->lane[i];
		char name[24];
		snprintf(name, sizeof name, "reactor-%u", i + 1);
		lane->lanes = lanes;
		lane->index = i + 1;
		lane->reactor = reactor_new(name, settings->spin_us, err);
		if (!lane->reactor) {
			lanes_free(lanes);
			return NULL;
		}
		lanes->count++;
	}
	return lanes;
}

void lanes_free(struct lanes *lanes)
{
	for (unsigned i = 0; i < lanes->count; i++) {
		assert(!lanes->lane[i].running);
		reactor_free(lanes->lane[i].reactor);
	}
	free(lanes);
}
