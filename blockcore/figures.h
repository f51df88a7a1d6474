/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the block core can say of itself to who watches it: what each lane and its
 * ring do, and how much space a source takes up. Nothing is counted for this that
 * costs a request more than an addition.
 *
 * Invariant: all of it belongs to the lanes; it is fetched by one visit to each,
 * so a lane that is stuck is not hidden but waited for.
 */
#ifndef BLOCKCORE_FIGURES_H
#define BLOCKCORE_FIGURES_H

#include "blockcore/block.h"
#include "blockcore/ring.h"
#include "blockcore/times.h"

struct block_lane_figures {
	/* CPU time of the lane's thread (a spin counts as busy), and time since
	 * the lane was started: what is left of it was idle or not ours. */
	uint64_t busy_ns, up_ns;
	uint64_t turns; /* of its loop */
	uint64_t buffer_bytes, buffer_used_bytes; /* data buffers */
	struct ring_figures ring;
};

/* Fills figures[0 .. block_core_lanes - 1]; in a coroutine on the control lane. */
void block_figures_co(
	struct block_core *core, struct block_lane_figures *figures);

/* Space that the source takes up below, as far as the file system tells (of a
 * sparse file what is in use, not its size), and what is left there for it to
 * grow. 0; -EOPNOTSUPP: nobody knows (block devices, null); -EBUSY: a change of the
 * source is under way, ask again later. In a coroutine on the control lane; closing
 * the source meanwhile waits for it. */
int block_source_space_co(
	struct block_source *source, struct ring_space *space);

/* A driver in a stack, and how long timed requests were in it. */
struct block_layer {
	/* Its name after the way there: "limit", "file/fault",
	 * "backing/file/disk"; unique in a source. */
	const char *path;
	const char *kind; /* "throttle" */
	unsigned depth; /* drivers above it on the way */
	struct block_times_sum times; /* since it was opened, whoever asked */
};
/* Calls `each` for each driver in the source now, top first, a format's file before
 * its backing. What has a name of its own (an alias of it) is not looked into. At most
 * BLOCK_LAYERS_MOST. Control lane; `each` must not wait. */
#define BLOCK_LAYERS_MOST 64u
void block_layers_visit(struct block_source *source,
	void (*each)(const struct block_layer *layer, void *argument),
	void *argument);

/* What a driver keeps of what is read; since it was opened. */
struct block_cached {
	const char *path; /* as in struct block_layer */
	uint64_t hits, misses; /* reads of hosts from memory, from below */
	uint64_t past; /* reads that are too large, or a job's */
	uint64_t hit_bytes;
	uint64_t kept, evicted; /* blocks that came in, that had to go */
	uint64_t blocks; /* that there is room for */
	/* Memory for blocks, what of it is in use, and for the account of them. */
	uint64_t size_bytes, used_bytes, overhead_bytes;
};
/* Calls `each` for each of them, as block_layers_visit. */
void block_caches_visit(struct block_source *source,
	void (*each)(const struct block_cached *cached, void *argument),
	void *argument);

/* Of a driver in a source's own stack that keeps something in more than one place:
 * whether it is whole. */
enum block_health_state {
	BLOCK_WHOLE,
	BLOCK_BEHIND, /* one place lacks something; a job brings it */
	BLOCK_DEGRADED /* one place is not in use, `why` */
};
struct block_health {
	const char *name, *kind; /* of the driver: "m", "mirror" */
	enum block_health_state state;
	const char *why; /* "" unless degraded */
	uint64_t behind_bytes; /* what is lacked */
	uint64_t
		failovers; /* reads that another place has served, since it opened */
	const char *job; /* at work through it; NULL: none */
	/* Whether it wants the job resync by itself, and again after a try that failed,
	 * soon at first, then after so long at most. */
	bool mends;
	uint64_t retry_most_ns;
};
/* "in sync", "behind", "degraded". */
const char *block_health_name(enum block_health_state state);
/* Calls `each` for each of them, top first. Control lane; `each` must not wait. */
void block_health_visit(struct block_source *source,
	void (*each)(const struct block_health *health, void *argument),
	void *argument);

/* In a coroutine on `lane`: BLOCK_EXTENTS of a range; see struct block_extents. */
int block_extents_co(struct block_source *source, struct block_lane *lane,
	unsigned flags, uint64_t offset_bytes, uint64_t length_bytes,
	struct block_extents *answer);
/* The same, at most so long: -ETIMEDOUT, and who asked may let go of `answer` and,
 * as of any source with requests out, of `source`. Allocates. */
int block_extents_within_co(struct block_source *source,
	struct block_lane *lane, unsigned flags, uint64_t offset_bytes,
	uint64_t length_bytes, uint64_t patience_ns,
	struct block_extents *answer);
/* BLOCK_FLUSH, likewise. */
int block_flush_within_co(struct block_source *source, struct block_lane *lane,
	uint64_t patience_ns);

#endif
