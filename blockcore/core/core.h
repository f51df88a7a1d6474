/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the block core: what lanes, sources and generations are made
 * of. For files of blockcore/ only, never for drivers. Types only; who may
 * touch what is said at each.
 *
 *	core --> lane			completions, held requests, children
 *	     --> source --> channel	a lane's view of a source: stack, gate
 *			--> stack	a generation: drivers, counters per lane
 */
#ifndef BLOCKCORE_CORE_CORE_H
#define BLOCKCORE_CORE_CORE_H

#include "blockcore/base/buf.h"
#include "blockcore/base/co.h"
#include "blockcore/base/map.h"
#include "blockcore/base/slab.h"
#include "blockcore/core/compare_memory.h"
#include "blockcore/kind.h"
#include "blockcore/memory.h"

/* -- lanes ---------------------------------------------------------------- */

/* One timed request (sample.h): the drivers that it is in now. Deeper ones than
 * these are not timed. */
struct block_sample {
	LIST_ENTRY(block_sample) link; /* while it is free */
	unsigned layers;
	struct {
		struct block_driver *driver;
		uint64_t since_ns;
		uint8_t position;
		bool in_back;
	} layer[BLOCK_MAX_DRIVERS];
};

#define BLOCK_SAMPLES 32u
struct block_samples {
	LIST_HEAD(, block_sample) free;
	struct block_sample sample[BLOCK_SAMPLES];
};

/* The lane's thread only. */
struct block_lane_private {
	struct loop_hook complete;
	struct block_request_list completed; /* by `link` */
	struct block_request_list held, cancel_soon; /* by `held_link` */
	struct slab children;
	struct buf_pool *pool; /* the lane's */
	struct compare_memory compare;
	struct block_samples samples;
	uint64_t started_ns; /* fixed while it runs */
	bool started;
};

/* What a tracked source does with a change at the gate; see compare.h. */
struct block_channel;
struct block_track_ops {
	int (*lane_start)(struct block_lane *lane);
	void (*lane_stop)(struct block_lane *lane);
	/* COMPARE_AND_WRITE where not all lanes take range locks yet. */
	void (*settle)(
		struct block_channel *channel, struct block_request *request);
	/* Takes range locks, goes on below the gate. */
	void (*enter)(struct block_request *request);
	/* Gives them back. */
	void (*leave)(struct block_request *request);
};

LIST_HEAD(block_source_list, block_source);

struct block_core {
	struct ring_world *world;
	char *data_directory;
	struct block_core_watcher *watcher;
	struct job_keeper *keeper; /* job.h; NULL: nobody keeps documents */
	const struct block_track_ops *track;
	struct block_source_list sources; /* control lane */
	struct map names; /* of the listed ones, to them; control lane */
	struct block_memory memory;
	struct block_caches caches;
	unsigned lane_count;
	struct block_lane lane[BLOCK_MAX_LANES];
	struct block_lane_private private[BLOCK_MAX_LANES];
};

/* The loop on which all changes of stacks happen. */
static inline struct loop *block_core_control(const struct block_core *core)
{
	return core->lane[0].loop;
}

/* -- generations ---------------------------------------------------------- */

struct block_stack_lane {
	uint32_t count[2]; /* requests in it, by enum block_part */
	bool retired[2], gate, watched; /* watched: any of the others */
	struct block_stack *stack;
	struct loop_message idle[2], gate_idle;
} __attribute__((aligned(BLOCK_LINE_BYTES)));

struct block_stack {
	struct block_info info;
	/* Operations that take range locks at the gate; 0 while untracked. */
	uint32_t lock_ops;
	/* The core makes COMPARE_AND_WRITE out of READ and WRITE. */
	bool emulates_compare;
	bool tracked;
	uint8_t count, front_count;
	struct block_driver *driver[BLOCK_MAX_DRIVERS];
	struct block_source *source;
	uint64_t generation;

	/* control lane */
	unsigned lanes_left[2], gate_left;
	bool published, drained[2], disposed[2];
	struct loop_errand dispose[2]; /* by enum block_part */
	TAILQ_ENTRY(block_stack) link; /* source->stacks, oldest first */

	struct block_stack_lane lane[];
};

static inline struct block_driver *block_stack_bottom(
	const struct block_stack *stack)
{
	return stack->driver[stack->count - 1];
}

/* A count reached 0 and the lane is watched. */
void block_stack_idle(struct block_stack_lane *lane);

static inline void block_stack_leave(
	struct block_stack *stack, unsigned lane, enum block_part part)
{
	struct block_stack_lane *mine = &stack->lane[lane];

	if (--mine->count[part] == 0 && mine->watched)
		block_stack_idle(mine);
}

/* -- sources -------------------------------------------------------------- */

struct range_lock_table;

/* The lane's own. */
struct block_channel {
	struct block_stack *stack;
	bool closed;
	/* COMPARE_AND_WRITE may be emulated: all lanes take range locks. */
	bool settled, settle_asked;
	struct block_request_list parked; /* at the closed gate, in order */
	struct block_request_list unsettled; /* COMPARE_AND_WRITE before that */
	struct block_source *source;
	struct loop_message settle;
} __attribute__((aligned(BLOCK_LINE_BYTES)));

struct block_source_waiter {
	struct co *co;
	STAILQ_ENTRY(block_source_waiter) link;
};

/* How long gates were closed; control lane. A bucket counts those below
 * 2^i * 64 us; the last one the others, too. */
#define BLOCK_GATE_BUCKETS 20u
#define BLOCK_GATE_FIRST_NS 64000ull
struct block_gates {
	uint64_t closed, late; /* late: opened again, nothing was changed */
	uint64_t last_ns, most_ns; /* from closed to open */
	uint64_t behind_ns; /* of the last one, since nothing was in flight */
	uint64_t bucket[BLOCK_GATE_BUCKETS];
};

/* The control lane's, but for the channels, and `locks`, which has mutexes. What
 * new requests see is `current` once its publishing has been broadcast; only
 * the holder of `change` replaces it. */
struct block_source {
	struct block_core *core;
	struct range_lock_table *locks; /* NULL until it is tracked */
	char name[BLOCK_NAME_BYTES];
	uint8_t uuid[16];
	uint32_t references; /* 0: closing */
	uint32_t helpers; /* coroutines of the core's own at work on it */
	bool listed, settling;
	bool let_go; /* block_core_let_go_co was here */
	/* While it is built: by spec_build_degraded_co; what it is built for. */
	bool degraded;
	const struct block_source *within;
	const char *opening; /* the image that it is made of, meanwhile */
	unsigned depth; /* sources above it that it was built for */
	struct block_stack *current;
	uint64_t last_generation;
	struct block_gates gates;
	TAILQ_HEAD(, block_stack) stacks; /* alive, oldest first */
	struct co_mutex change;
	/* Coroutines of the core's own; `stale`: one is to come that shows what
	 * the drivers show now. */
	struct loop_errand settle, refresh;
	bool stale;
	/* A bottom that is open and about to be published; NULL: none. */
	const struct block_driver *coming;
	/* While its bottom is opened: an image that is open already, to be taken
	 * rather than opened again; NULL: none. */
	const struct spec_lent *lent;
	STAILQ_HEAD(, block_source_waiter) waiters;
	LIST_HEAD(, block_claim) claims;
	LIST_HEAD(, block_source_watch) watches;
	LIST_ENTRY(block_source) link; /* core->sources */

	struct block_channel channel[]; /* one for each lane */
};

#endif
