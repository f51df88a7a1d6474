/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long requests are in each layer of a stack, of the few that are timed: a
 * request whose submitter says BLOCK_TIMED has the clock read as it enters a
 * driver and as all below that driver is done; so have its children, down to the
 * last protocol. figures.h shows what came of it.
 *
 * A time is inclusive: what a driver waits for is in it. What a driver takes
 * itself is its time less that of the driver below. Waiting at a gate or for a
 * range lock belongs to the listener above, the wait between completion and its
 * turn to the driver that completed.
 *
 * Invariant: times have one writer, the thread of their lane, and live as long as
 * the driver: they stay through changes of the stack around it.
 */
#ifndef BLOCKCORE_TIMES_H
#define BLOCKCORE_TIMES_H

#include "blockcore/base/counter.h"
#include "blockcore/block.h"

/* Bucket n counts what took at most 1 us << n (the last one: all the rest), as long
 * as it is above the bound of n - 1: 1 us to 4.2 s. */
#define BLOCK_TIMES_BUCKETS 24u
#define BLOCK_TIMES_NS 1000ull
/* One request in so many is timed, at uneven distances so that no pattern of
 * requests hides from it. */
#define BLOCK_TIMES_EVERY 64u

struct block_times {
	struct counter total_ns;
	struct counter bucket[BLOCK_TIMES_BUCKETS];
} __attribute__((aligned(BLOCK_LINE_BYTES)));

/* Any thread reads, the lane's adds. */
void block_times_add(struct block_times *times, uint64_t took_ns);

struct block_times_sum {
	uint64_t requests, total_ns, bucket[BLOCK_TIMES_BUCKETS];
};
/* Adds `times` to the sum. */
void block_times_sum(
	const struct block_times *times, struct block_times_sum *sum);
/* Upper bound of a bucket in nanoseconds; 0: none, it is the last. */
uint64_t block_times_bound_ns(unsigned bucket);

/* Which requests are to be timed: the first one, then about every 64th. All zero
 * at the start; one thread's. */
struct block_times_turn {
	uint32_t left, seed;
};

static inline bool block_times_due(struct block_times_turn *turn)
{
	if (turn->left) {
		turn->left--;
		return false;
	}
	turn->seed = turn->seed * 1664525u + 1013904223u; /* an LCG will do */
	turn->left = BLOCK_TIMES_EVERY / 2 - 1 +
		(uint32_t)((uint64_t)turn->seed * BLOCK_TIMES_EVERY >> 32);
	return true;
}

#endif
