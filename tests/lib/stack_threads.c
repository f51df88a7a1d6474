/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes that are threads with plain loops.
 */
#include "tests/lib/stack_threads.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blockcore/base/co.h"
#include "blockcore/loop/loop_epoll.h"
#include "blockcore/ring.h"
#include "tests/lib/check.h"

#define DEADLINE_S 120

struct thread_lane {
	struct stack_rig *rig;
	unsigned index;
	size_t pool_bytes;
	struct loop *loop;
	pthread_t thread;
};

/* All lanes of one rig. */
struct lanes {
	sem_t started, finished;
	struct thread_lane lane[BLOCK_MAX_LANES];
};

static void *lane_thread(void *argument)
{
	struct thread_lane *lane = argument;
	struct lanes *lanes = lane->rig->lanes_private;
	struct block_core *core = lane->rig->core;
	struct err err = {0};

	lane->loop = loop_epoll_new(&err);
	if (!lane->loop ||
		block_lane_start(
			core, lane->index, lane->loop, lane->pool_bytes, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	sem_post(&lanes->started);
	loop_epoll_run(lane->loop);
	block_lane_stop(block_core_lane(core, lane->index));
	loop_epoll_free(lane->loop);
	co_thread_fini();
	return NULL;
}

static void threads_start(
	struct stack_rig *rig, const struct stack_rig_setup *setup)
{
	struct lanes *lanes = calloc(1, sizeof *lanes);
	struct err err = {0};
	unsigned i;

	CHECK(lanes != NULL);
	rig->lanes_private = lanes;
	rig->world = ring_world_real(setup->world, &err);
	if (!rig->world)
		check_fail(__FILE__, __LINE__, "%s", err.text);
	rig->core = block_core_new(rig->world, rig->lanes, rig->folder, &err);
	CHECK(rig->core != NULL);
	block_core_watch(rig->core, &rig->watcher);
	sem_init(&lanes->started, 0, 0);
	sem_init(&lanes->finished, 0, 0);
	for (i = 0; i < rig->lanes; i++) {
		lanes->lane[i] = (struct thread_lane){.rig = rig,
			.index = i,
			.pool_bytes = setup->pool_bytes};
		CHECK_INT(pthread_create(&lanes->lane[i].thread, NULL,
				  lane_thread, &lanes->lane[i]),
			0);
		sem_wait(&lanes->started);
	}
}

static void threads_run(struct stack_rig *rig)
{
	struct lanes *lanes = rig->lanes_private;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DEADLINE_S;
	while (sem_timedwait(&lanes->finished, &until))
		if (errno != EINTR)
			check_fail(__FILE__, __LINE__,
				"the test did not end within %d s", DEADLINE_S);
}

static void threads_finish(struct stack_rig *rig)
{
	struct lanes *lanes = rig->lanes_private;

	sem_post(&lanes->finished);
}

static void threads_stop(struct stack_rig *rig)
{
	struct lanes *lanes = rig->lanes_private;
	unsigned i;

	for (i = 0; i < rig->lanes; i++) {
		loop_epoll_stop(lanes->lane[i].loop);
		pthread_join(lanes->lane[i].thread, NULL);
	}
	block_core_free(rig->core);
	ring_world_free(rig->world);
	sem_destroy(&lanes->started);
	sem_destroy(&lanes->finished);
	free(lanes);
}

const struct stack_lanes_ops stack_threads_ops = {
	.start = threads_start,
	.run = threads_run,
	.finish = threads_finish,
	.stop = threads_stop,
};
