/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/stack_load.h"

#include <stdlib.h>
#include <string.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"

#define BLOCK_BYTES 4096u
#define BLOCKS 64u
_Static_assert(STACK_LOAD_BYTES >=
		BLOCK_BYTES * BLOCKS * STACK_LOAD_LANES * STACK_LOAD_DEPTH,
	"the load fits");

static void worker_round_co(struct stack_load_worker *worker, uint8_t *data)
{
	struct block_lane *lane = worker->task.lane;
	uint64_t block = prng_below(&worker->random, BLOCKS);
	uint64_t offset =
		(block * STACK_LOAD_LANES * STACK_LOAD_DEPTH + worker->index) *
		BLOCK_BYTES;
	uint8_t stamp = (uint8_t)(1 + prng_below(&worker->random, 255));

	memset(data, stamp, BLOCK_BYTES);
	CHECK_INT(block_transfer_co(worker->source, lane, BLOCK_WRITE, 0,
			  offset, BLOCK_BYTES, data),
		0);
	if (worker->rounds % 16 == 0)
		CHECK_INT(block_transfer_co(worker->source, lane, BLOCK_FLUSH,
				  0, 0, 0, NULL),
			0);
	memset(data, 0, BLOCK_BYTES);
	CHECK_INT(block_transfer_co(worker->source, lane, BLOCK_READ, 0, offset,
			  BLOCK_BYTES, data),
		0);
	CHECK(data[0] == stamp && data[BLOCK_BYTES - 1] == stamp);
	CHECK(!memcmp(data, data + 1, BLOCK_BYTES - 1));
	worker->rounds++;
}

static void worker_co(struct stack_rig_task *task)
{
	struct stack_load_worker *worker =
		container_of(task, struct stack_load_worker, task);
	uint8_t *data = aligned_alloc(4096, BLOCK_BYTES);

	while (!*worker->stop) {
		worker_round_co(worker, data);
		/* The loop breathes: what a memory driver answers at once
		 * would keep a coroutine on its lane for ever. */
		if (worker->rounds % 8 == 0)
			loop_sleep_co(worker->task.lane->loop, 0);
	}
	free(data);
}

void stack_load_start(struct stack_load *load, struct stack_rig *rig,
	struct block_source *source)
{
	load->stop = false;
	for (unsigned i = 0; i < STACK_LOAD_LANES * STACK_LOAD_DEPTH; i++) {
		struct stack_load_worker *worker = &load->worker[i];

		*worker = (struct stack_load_worker){.source = source,
			.index = i,
			.stop = &load->stop,
			.random = i,
			.task.run_co = worker_co};
		stack_rig_start(rig, i % STACK_LOAD_LANES, &worker->task);
	}
}

uint64_t stack_load_stop_co(struct stack_load *load)
{
	uint64_t rounds = 0;

	load->stop = true;
	for (unsigned i = 0; i < STACK_LOAD_LANES * STACK_LOAD_DEPTH; i++) {
		stack_rig_join_co(&load->worker[i].task);
		CHECK(load->worker[i].rounds > 0);
		rounds += load->worker[i].rounds;
	}
	return rounds;
}
