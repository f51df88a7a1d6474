/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of the block core: requests, sources, lanes. Who writes a driver includes
 * kind.h, too.
 *
 *	request     one command on its way through a stack
 *	driver      carries requests: a protocol (raw bits), a view (an image shown
 *		    by a format) or a listener (stacked on another driver)
 *	source      what everybody else holds: a name and a UUID that never change,
 *		    over a stack of drivers that may change at any time
 *	lane	    what one reactor owns here: loop, ring, slabs, completions
 *
 *	   block_submit(source, request)
 *		|
 *	   [front]  listeners that admit: stats, readonly, throttle, delay
 *		|
 *	   (gate)   closed during a swap: requests park; per-lane counters below
 *		|
 *	   [back]   listeners that see what a swap waits for: fault, verify, ...
 *		|
 *	   bottom   a protocol, a view, or another source (an alias)
 *
 * Invariants
 *  1. submit never blocks and never completes inside itself. A request completes
 *     exactly once, on the lane that submitted it, from the lane's completion
 *     list (loop phase LOOP_COMPLETE).
 *  2. Who submits owns the request, its vectors and its data, and keeps them
 *     unchanged until `done`.
 *  3. A request runs through one immutable stack generation, pinned in the
 *     front and again at the gate; a generation is freed when every lane has
 *     seen its successor and its last request is done.
 *  4. Counters and gates are per lane and touched by the lane's thread only: a
 *     change of stack is a message to each lane, so the fast path has no atomic
 *     operation and no barrier.
 *  5. A listener preserves content. What a stack's drivers do not declare they
 *     handle or let through, the stack is refused for.
 *  6. Results are 0 or -errno. One table makes them SCSI sense, one NVMe status.
 *	-EIO medium error, -ENOSPC, -EROFS write protected, -ERANGE beyond the
 *	end, -EILSEQ miscompare, -ECANCELED, -EOPNOTSUPP, -ENODEV offline.
 */
#ifndef BLOCKCORE_BLOCK_H
#define BLOCKCORE_BLOCK_H

#include "blockcore/base/err.h"
#include "blockcore/base/list.h"
#include "blockcore/base/opts.h"
#include "blockcore/loop.h"
#include "blockcore/purpose.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>

#define BLOCK_MAX_LANES 64u
#define BLOCK_MAX_DRIVERS 16u /* in one source */
/* What one request can need, on its way through one source (into another it goes as a
 * child, with frames of its own): one of whose child it is, one of each listener, one
 * of the gate, two of a bottom. Documents with more drivers are refused. */
#define BLOCK_FRAMES (1u + (BLOCK_MAX_DRIVERS - 1u) + 1u + 2u)
#define BLOCK_NAME_BYTES 64u
#define BLOCK_SECTOR_BYTES 512u /* every offset and length is a multiple */
#define BLOCK_MAX_DATA_BYTES (16u << 20) /* of one READ or WRITE */
#define BLOCK_MAX_COMPARE_BYTES (1u << 20)
#define BLOCK_LINE_BYTES 64u /* what two lanes must not share */

/* -- requests ------------------------------------------------------------- */

enum block_opcode {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_WRITE_ZEROES,
	BLOCK_DISCARD, /* range reads zero afterwards */
	BLOCK_FLUSH, /* covers writes completed before it */
	BLOCK_COMPARE_AND_WRITE, /* iov: length bytes expected, then length new */
	BLOCK_EXTENTS, /* what is allocated where */
	BLOCK_COPY, /* jobs only: enters with block_submit_back, spec_move.h */
	BLOCK_META, /* reserved: offered by no driver yet */
	BLOCK_OPCODES
};
#define BLOCK_OP(op) (1u << (op))
#define BLOCK_OPS_DATA (BLOCK_OP(BLOCK_READ) | BLOCK_OP(BLOCK_WRITE))
#define BLOCK_OPS_CHANGE \
	(BLOCK_OP(BLOCK_WRITE) | BLOCK_OP(BLOCK_WRITE_ZEROES) | \
		BLOCK_OP(BLOCK_DISCARD) | BLOCK_OP(BLOCK_COMPARE_AND_WRITE))
#define BLOCK_OPS_ALL (BLOCK_OP(BLOCK_OPCODES) - 1u)

/* "read", "write_zeroes" ...: as in documents and figures. */
const char *block_op_name(enum block_opcode op);

enum block_flag {
	BLOCK_FUA = 1, /* a change: durable before it completes */
	BLOCK_MAY_UNMAP = 2, /* WRITE_ZEROES may give the space back */
	BLOCK_INTERNAL = 4, /* a job's, not a host's */
	BLOCK_REGISTERED = 8, /* data lies in the lane's registered buffers */
	BLOCK_LOCAL = 16, /* EXTENTS: do not look into backing files */
	BLOCK_TIMED = 32, /* see times.h; cleared when it is done */
	BLOCK_POINT =
		64, /* READ: of a moment that a listener keeps (`point`) */
};

enum block_extent_flag {
	BLOCK_EXTENT_DATA = 1,
	BLOCK_EXTENT_ZERO = 2,
	BLOCK_EXTENT_BACKING = 4 /* with BLOCK_LOCAL only: shown from below */
};

struct block_extent {
	uint64_t offset_bytes, length_bytes;
	unsigned flags;
};

/* BLOCK_EXTENTS: the submitter's array; the answer covers a start of the range
 * that is at least one extent long; neighbours differ in flags. */
struct block_extents {
	struct block_extent *extent;
	uint32_t room, count;
};

/* A moment of a source (core/point.h). */
struct block_point {
	uint64_t id;
	bool fill; /* nothing is read: it is copied to where the listener keeps it */
	bool taken; /* out: somebody knew it; else what was read is not of it */
};

struct block_lane;
struct block_source;
struct block_stack;
struct block_driver;
struct block_request;

/* A place in a request where a layer waits for the end: `fn` runs when all
 * below have completed. It may return true (go on to the frame above) or false
 * (it keeps the request: resubmitted, delayed ... and will call
 * block_complete or block_pass again). request->result may be changed. The
 * frame itself is used up: whoever passes on again pushes again. */
struct block_frame {
	bool (*fn)(struct block_request *request, struct block_frame *frame);
	void *context;
	uint64_t value;
	uint8_t position; /* the core's: where the layer that pushed stands */
	bool in_back;
};

struct range_lock {
	struct loop_message wake;
	TAILQ_ENTRY(range_lock) link;
	struct block_request *request;
	void (*go)(struct block_request *request);
	uint64_t first, last; /* bytes, both inclusive */
	uint32_t shard;
	bool granted;
};

struct block_request {
	/* set by who submits (after block_request_init) */
	uint8_t op;
	uint8_t purpose; /* enum block_purpose; a format's own say it */
	uint16_t flags;
	uint32_t iov_count;
	uint64_t offset_bytes, length_bytes;
	const struct iovec *iov;
	union {
		struct block_extents *extents;
		struct block_point *point;
		uint64_t miscompare_bytes; /* out: offset of the difference */
	};
	void (*done)(struct block_request *request);

	int32_t result; /* valid in frames and in done */

	/* the block core's */
	uint8_t frames, position, lock_count;
	bool in_back, counted, completing, cancelled, child, of_job,
		cancel_soon;
	struct block_lane *lane;
	struct block_source *source; /* where it is now; NULL after done */
	struct block_stack *front, *back;
	TAILQ_ENTRY(block_request) link; /* whoever holds it; completion list */
	/* While somebody below holds it: takes it out of there and completes it
	 * with -ECANCELED. NULL: in the kernel, to be waited for. */
	void (*cancel)(struct block_request *request);
	void *held_by;
	struct block_request *parent; /* of a child */
	struct block_sample *sample; /* while BLOCK_TIMED */
	struct block_frame frame[BLOCK_FRAMES];
	TAILQ_ENTRY(block_request) held_link; /* the lane's list of held ones */
	struct range_lock lock[2];
};
TAILQ_HEAD(block_request_list, block_request);

/* Clears what the core reads, and `purpose`; `lane` is the calling thread's. Every
 * other field of the first group is then set by the caller before block_submit. */
void block_request_init(struct block_request *request, struct block_lane *lane);

/* Sends it into the source. Beyond the end: completes with -ERANGE; misaligned
 * to 512 or more than BLOCK_MAX_DATA_BYTES: -EINVAL; an operation that is not
 * offered: -EOPNOTSUPP; a change of what is read-only: -EROFS. Length 0 is done
 * at once, but for FLUSH. */
void block_submit(struct block_source *source, struct block_request *request);

/* Asks for an early end. It still completes exactly once, perhaps with its own
 * result. Only for requests submitted by the caller and not yet done, on their
 * lane's thread. */
void block_cancel(struct block_request *request);

/* -- for drivers ---------------------------------------------------------- */

/* On to the driver below the one that has the request now. */
void block_pass(struct block_request *request);
/* Ends the request at this driver: frames above run from the completion list. */
void block_complete(struct block_request *request, int result);
/* To be called before block_pass by who wants to see the end. */
void block_push(struct block_request *request,
	bool (*fn)(struct block_request *, struct block_frame *), void *context,
	uint64_t value);
/* Marks it held: `cancel` is called by block_cancel and must complete it, at
 * once or (when it only hands the wish on, as to a child) soon. A request that
 * was cancelled before it is held has `cancel` called in the same turn, never
 * inside block_hold. Ends with block_unhold, before block_pass or
 * block_complete. */
void block_hold(struct block_request *request,
	void (*cancel)(struct block_request *), void *held_by);
void block_unhold(struct block_request *request);

/* A request of a layer's own on behalf of `parent` (same lane; operation, flags,
 * range and vectors are the parent's until changed), from the lane's slab. It
 * stands where the parent stands: block_pass sends it below the layer, in the
 * parent's generation; block_submit sends it to another source. It inherits the
 * parent's ticket and never waits at the gate, nor for range locks, of a source
 * in whose back part an ancestor is. The parent completes after its children.
 * NULL: out of memory, fail the parent with -ENOMEM. Returned with
 * block_child_put in its done. */
struct block_request *block_child_get(struct block_request *parent);
void block_child_put(struct block_request *child);

/* The whole request continues in `source`, `delta_bytes` further; there it runs
 * as a child, its result becomes this one's. For views and aliases. */
void block_redirect(struct block_request *request, struct block_source *source,
	uint64_t delta_bytes);
/* The same; there it is for that (purpose.h). */
void block_redirect_as(struct block_request *request,
	struct block_source *source, uint64_t delta_bytes,
	enum block_purpose purpose);

struct block_core;

/* -- lanes ---------------------------------------------------------------- */

struct ring;
struct ring_world;
struct buf_pool;

/* What runs the block core. Lane 0 is the control lane: all changes of stacks
 * happen in coroutines on it; it carries jobs and metadata I/O, too. */
struct block_core *block_core_new(struct ring_world *world, unsigned lanes,
	const char *data_directory, struct err *err);
/* In a coroutine on the control lane, before the end: what drivers of the sources that
 * there are hold goes on, and they hold nothing more. Hosts go on meanwhile. */
void block_core_let_go_co(struct block_core *core);
/* All sources are gone and all lanes stopped. */
void block_core_free(struct block_core *core);

struct block_core_watcher {
	void (*driver_failed)(struct block_core_watcher *watcher,
		struct block_driver *driver, int error, const char *text);
	/* See block_driver_notice. Optional. */
	void (*driver_noticed)(struct block_core_watcher *watcher,
		struct block_driver *driver, const char *what,
		const char *text);
};
void block_core_watch(
	struct block_core *core, struct block_core_watcher *watcher);

/* On the lane's own thread: ring, slabs, hooks. `pool_bytes`: budget of data
 * buffers of this lane (registered with the ring where it can). All lanes are
 * started before the first source is built. */
int block_lane_start(struct block_core *core, unsigned index, struct loop *loop,
	size_t pool_bytes, struct err *err);
void block_lane_stop(struct block_lane *lane);

unsigned block_core_lanes(const struct block_core *core);
struct block_lane *block_core_lane(struct block_core *core, unsigned index);
struct ring_world *block_core_world(struct block_core *core);
const char *block_core_data_directory(const struct block_core *core);
/* Where the file lies that a document names `path`: in the data directory, unless it
 * begins with '/'. False: it does not fit into `out`, which is empty then. */
bool block_core_path(const struct block_core *core, const char *path, char *out,
	size_t bytes);

struct block_lane {
	struct block_core *core;
	struct loop *loop;
	struct ring *ring;
	struct buf_pool *pool;
	unsigned index;
	bool registered; /* buffers of `pool` may say BLOCK_REGISTERED */
	struct block_lane_private *private;
};

/* Runs `visit` on every lane (its thread), then `finished` on lane 0. The
 * object belongs to the core until then. Only from the control lane. */
struct block_broadcast {
	void (*visit)(
		struct block_broadcast *broadcast, struct block_lane *lane);
	void (*finished)(struct block_broadcast *broadcast);
	struct block_core *core;
	unsigned left; /* the core's: atomic */
	struct loop_message back;
	struct block_broadcast_stop {
		struct loop_message message;
		struct block_broadcast *broadcast;
		struct block_lane *lane;
	} stop[BLOCK_MAX_LANES];
};
void block_broadcast(
	struct block_core *core, struct block_broadcast *broadcast);
/* The same, in a coroutine on the control lane. */
void block_broadcast_co(struct block_core *core,
	void (*visit)(struct block_lane *lane, void *argument), void *argument);

/* -- sources -------------------------------------------------------------- */

/* What a source shows; a value of its generation. */
struct block_info {
	uint64_t size_bytes;
	uint32_t physical_block_bytes; /* good alignment of I/O */
	uint32_t discard_bytes; /* granularity of DISCARD, 0: none */
	uint32_t optimal_io_bytes; /* 0: nothing said */
	uint32_t ops; /* mask of BLOCK_OP() offered */
	bool read_only;
	bool volatile_cache; /* a completed write needs FLUSH to be durable */
	bool rotational;
};

const char *block_source_name(const struct block_source *source);
const uint8_t *block_source_uuid(const struct block_source *source); /* 16 */

/* What the source shows, of the generation that the lane sees now. */
struct block_info block_source_info(
	struct block_source *source, struct block_lane *lane);

/* The source of that name that spec_build_co made, or NULL; control lane. */
struct block_source *block_source_find(
	struct block_core *core, const char *name);

/* Called on the control lane when what the source shows has changed (size,
 * read_only ...), after all lanes see it. */
struct block_source_watch {
	void (*changed)(struct block_source_watch *watch);
	LIST_ENTRY(block_source_watch) link;
};
void block_source_watch(
	struct block_source *source, struct block_source_watch *watch);
void block_source_unwatch(struct block_source_watch *watch);

/* What a holder of a source says it does there, so that two uses that would
 * damage each other meet as an error when they are set up and not as damage.
 * A source knows its own claims only; nothing is passed down or up. */
enum block_claim_mode {
	BLOCK_CLAIM_READ, /* reads; others may do as they like */
	BLOCK_CLAIM_STABLE, /* reads; content must not change: a backing file */
	BLOCK_CLAIM_SHARED, /* writes beside other SHARED ones: volume, alias */
	BLOCK_CLAIM_WRITE, /* writes alone: a format on its file */
	BLOCK_CLAIM_MODES
};
struct block_claim {
	enum block_claim_mode mode;
	char holder[BLOCK_NAME_BYTES + 32]; /* "format of 'db01'" */
	uint64_t point; /* the moment that it reads; 0: none */
	LIST_ENTRY(block_claim) link;
};
/* The caller sets mode and holder; the object stays the caller's. Control lane.
 * -EBUSY with a text that names the other holder. */
int block_source_claim(struct block_source *source, struct block_claim *claim,
	struct err *err);
void block_source_unclaim(struct block_claim *claim);

/* -- moments (core/point.h) ---------------------------------------------- */

/* The listener `name` of `source` now, and in *id, *bytes its moment. -ENOENT,
 * -EOPNOTSUPP, or what block_kind.point says. Control lane. */
int block_point_find(struct block_source *source, const char *name,
	uint64_t *id, uint64_t *bytes, struct err *err);

/* In a coroutine on lane 0: the range of the moment is in the target. 0 or -errno. */
int block_point_fill_co(struct block_source *source, uint64_t id,
	uint64_t offset_bytes, uint64_t length_bytes);

/* -- again sources -------------------------------------------------------- */

/* Changes the size of the bottom (and of what is below it), on the control lane;
 * a smaller size behind a closed gate. Refused where the driver cannot, which the first
 * one finds out beforehand. */
int block_source_check_resize(
	const struct block_source *source, uint64_t bytes, struct err *err);
int block_source_resize_co(
	struct block_source *source, uint64_t bytes, struct err *err);

/* References; control lane only. The last one closes it (in a coroutine): what
 * is held is let go, all requests are waited for, drivers are closed. */
void block_source_get(struct block_source *source);
void block_source_put_co(struct block_source *source);

/* Whether `driver` is in it now, or in a source below. Control lane. */
bool block_source_holds(
	const struct block_source *source, const struct block_driver *driver);
/* Calls `each` for each driver in it, or in a source below, that has had something to say
 * (block_driver_notice), which nobody may have heard: it may open before anybody listens.
 * Control lane; `each` must not wait. */
void block_source_notices(struct block_source *source,
	void (*each)(struct block_driver *driver, void *argument),
	void *argument);
/* Whether a driver in it, or in a source below, has failed; not what listeners have
 * beside, of which they say themselves how it is. Control lane. */
bool block_source_failed(const struct block_source *source);
/* Whether others than the caller have a reference to it. Control lane. */
bool block_source_shared(const struct block_source *source);

/* block_kind.beside of the source's bottom, or of what that stands on. Control
 * lane. */
int block_source_beside(struct block_source *source, const char *name,
	FILE *out, struct err *err);

/* In a coroutine on `lane`: one request, as if it blocked. 0 or -errno. `data`
 * holds length_bytes (COMPARE_AND_WRITE: twice as much), NULL without data. */
int block_transfer_co(struct block_source *source, struct block_lane *lane,
	enum block_opcode op, unsigned flags, uint64_t offset_bytes,
	uint64_t length_bytes, void *data);
/* The same; while it waits *note is the request, so that others on the lane can
 * cancel it. */
int block_transfer_noted_co(struct block_source *source,
	struct block_lane *lane, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, void *data,
	struct block_request **note);

#endif
