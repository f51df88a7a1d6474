/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: another source, the leg, is kept equal to what is below it,
 * which is what counts and which hosts read.
 *
 *	change	its granules are noted, then it goes below and to the leg at once;
 *		done when both are. A granule that the leg lacks gets it below only
 *	flush	of both
 *	read	below; where that fails, from the leg, if it has the granule
 *	COPY	a turn of the job resync (spec_mirror.h), which brings the leg what it
 *		lacks, a granule at a time
 *
 * For each granule there are marks, bits in memory that all lanes share:
 *
 *	dirty	the leg lacks it: it is fresh, has failed, or a change has failed
 *		on one of both
 *	kept	the two may differ: changes are under way, or ended since both were
 *		flushed last; or it is dirty. On disk, if there is a map
 *		(mirror_map.h): after a crash all of these are dirty, and what is
 *		below wins
 *	recent	has changed in this period, one map for each of two
 *
 * A granule that is not kept waits, once, for that (the control lane writes the map,
 * for all that wait together). Settling takes marks off again, MIRROR_SETTLE_NS after
 * the first:
 *
 *	the period ends on each lane; changes of the old one are waited for
 *	both are flushed; what was kept, is not dirty, and not recent in the new
 *	period need not be kept any more
 *
 * Where the leg fails (a change or a flush of it), `on_error` says what hosts see:
 *
 *	degrade	nothing: changes are noted, and done below only
 *	fail	the leg's error; later changes are refused
 *
 * So it is from the start if the leg is not there, or not what it was, when a source
 * opens that has been in use (spec_build_degraded_co); until the job resync has opened the leg anew and copied. While it copies, hosts'
 * changes of what it lacks go below only, in both cases.
 *
 * Invariants
 *  1. Overlapping changes come one after the other (block_kind.tracked), so in the
 *     same order to both; a COPY's range is locked like a change's.
 *  2. A mark is kept before the change goes anywhere, and not taken off before both
 *     have been flushed after it ended.
 *  3. While the leg has failed it gets nothing and no mark is taken off; all that are
 *     kept when it comes back are dirty.
 *  4. dirty is in kept. It is cleared by a COPY of the whole granule only, when the
 *     leg has it, which is recent then.
 *  5. Nobody else writes to the leg (claimed); it is at least as large as what is
 *     shown. It grows first; when the source cannot grow then, it is as before.
 *  6. A change that goes to both ends on both: cancelling it waits for that.
 *  7. `error` becomes 0 on the control lane only, after all lanes have seen it
 *     true: the leg is replaced while nobody looks at it.
 *  8. No allocation, lock or message for a change of granules that are kept.
 *
 * The listener carry is a mirror that a job has put there for itself (spec_carry.c); it
 * may be there before the job is, and then has no leg.
 */
#ifndef BLOCKCORE_LISTENER_MIRROR_H
#define BLOCKCORE_LISTENER_MIRROR_H

#include "blockcore/base/co.h"
#include "blockcore/base/counter.h"
#include "blockcore/base/slab.h"
#include "blockcore/kind.h"

#include <stdatomic.h>

#define MIRROR_GRANULARITY_LEAST (64u << 10)
#define MIRROR_GRANULARITY_MOST (1u << 20) /* what a COPY moves at once */
#define MIRROR_GRANULES_MOST (1ull << 28)
#define MIRROR_SECTOR_WORDS 63u /* of marks in a sector of the map */
#define MIRROR_WHY_BYTES 200u
#define MIRROR_RETRY_MOST_S 86400u
#define MIRROR_SETTLE_NS (5ull * 1000 * 1000 * 1000)

enum mirror_on_error { MIRROR_DEGRADE, MIRROR_FAIL };
enum mirror_resync { MIRROR_AUTO, MIRROR_MANUAL };

struct mirror_options {
	const struct doc *leg;
	uint64_t granularity_bytes;
	int on_error;
	bool failover;
	int resync; /* who starts the job */
	uint64_t retry_s; /* at most, between two tries */
	char *map; /* NULL: marks are in memory only */
};

struct mirror_marks {
	uint64_t count; /* granules; grows, control lane only */
	unsigned shift;
	_Atomic uint64_t *dirty, *kept, *recent[2];
	_Atomic uint64_t *wanted; /* to be kept: changes wait for that */
	_Atomic uint64_t dirty_count;
};

/* What a request asks for at this layer, from the lane's slab. */
struct mirror_op {
	struct mirror_lane *lane;
	struct block_request *request;
	uint8_t period, pending;
	bool change; /* not a flush */
	bool leg; /* went to the leg, too */
	int below, there; /* results */
	TAILQ_ENTRY(mirror_op) link; /* while it waits */
};

struct mirror_lane {
	struct mirror *mirror;
	struct slab ops;
	unsigned period; /* of new changes */
	uint32_t count[2]; /* changes under way, by period */
	bool draining; /* `drained` is to be posted */
	_Atomic bool asked; /* `ask` is on its way */
	_Atomic bool going; /* `go` is on its way */
	bool asking; /* control lane: to be told when marks are kept */
	TAILQ_HEAD(, mirror_op) parked; /* until marks are kept */
	struct loop_message ask, go, drained;
	struct counter failovers;
};

/* See mirror_map.h; control lane, but for `error`. */
struct mirror_map {
	struct co_mutex writing;
	bool all; /* its header says that all may differ */
	uint32_t number;
	uint64_t leg; /* which one it is true of */
	uint64_t size_bytes; /* of the source, that it is true of */
	uint64_t writes; /* blocks */
	/* Words from which marks were taken off since they were written. */
	uint64_t first_gone, end_gone;
	_Atomic int error; /* marks cannot be kept; 0: they can */
};

struct mirror {
	struct block_driver driver; /* others[0]: the leg */
	struct mirror_map map; /* of driver.store */
	struct mirror_marks marks;
	struct block_claim claim;
	bool claimed;
	uint64_t leg_file; /* which one it is or was last (core/beside.h) */
	bool has_map; /* driver.store may be away while it is opened again */
	/* Not even that the map says nothing could be written: it is made known
	 * otherwise, durable, that it says nothing any more. NULL: there is no other way.
	 * Control lane. */
	int (*disown_co)(struct mirror *mirror);
	bool on_error_fails, failover;
	_Atomic int error; /* the leg has failed with; 0: it has not */

	/* Control lane. */
	struct loop_timer timer; /* until settling */
	struct loop_errand errand, keep;
	bool settling, keeping; /* the errand is under way */
	unsigned draining; /* lanes that have changes of the old period */
	struct co *drainer; /* waits for these; NULL: nobody */
	struct co *closer; /* waits for the end of the errands */
	struct co_mutex turn; /* settling and resync: one at a time */
	uint64_t settled; /* times */
	uint64_t size_bytes; /* that it shows; 0: not yet */
	uint64_t leg_bytes; /* before it has grown; 0: it has not */
	char why[MIRROR_WHY_BYTES]; /* the leg is not there; "": `error` says */
};

/* NULL: the driver is another kind. */
struct mirror *mirror_of(struct block_driver *driver);

/* One that a job has put there (spec_carry.h), which looks after it. */
static inline bool mirror_is_of_job(const struct mirror *mirror)
{
	return mirror->driver.kind->of_job;
}

/* block_kind.submit (mirror_io.c) */
void mirror_submit(struct block_driver *driver, struct block_request *request);

/* -- mirror_marks.c ------------------------------------------------------- */

/* Of no granule yet. -ENOMEM with *err. */
int mirror_marks_init(struct mirror_marks *marks, uint64_t granularity_bytes,
	struct err *err);
void mirror_marks_fini(struct mirror_marks *marks);
/* `count` of them at least; new ones are clean. Control lane, while lanes look at those
 * that are there. -ENOMEM, -EFBIG: all is as it was. */
int mirror_marks_grow(struct mirror_marks *marks, uint64_t count);
/* Granules that `bytes` have, from 0. */
uint64_t mirror_marks_count(const struct mirror_marks *marks, uint64_t bytes);

/* Granules of a range that is not empty, both inclusive. */
struct mirror_granules {
	uint64_t first, last;
};
struct mirror_granules mirror_granules(const struct mirror_marks *marks,
	uint64_t offset_bytes, uint64_t length_bytes);

/* Any lane: the leg lacks these, which are kept. */
void mirror_marks_dirty(
	struct mirror_marks *marks, struct mirror_granules granules);
/* Control lane: all that are kept. */
void mirror_marks_dirty_kept(struct mirror_marks *marks);

/* -- mirror_keep.c -------------------------------------------------------- */

/* On its lane: notes a change that begins, in the lane's period. False: its marks are
 * not kept yet, it waits until mirror_go is called. */
bool mirror_note(struct mirror_lane *lane, struct mirror_granules granules);
/* On its lane, mirror_io.c: begins those that wait and whose marks are kept. */
void mirror_go(struct mirror_lane *lane);
/* Some still wait. */
void mirror_ask(struct mirror_lane *lane);
/* A change of that period has ended. */
void mirror_note_end(struct mirror_lane *lane, unsigned period);
/* Any lane: the leg has failed. */
void mirror_leg_failed(struct mirror *mirror, int error);

void mirror_keep_start(struct mirror *mirror);
/* No request is in it any more. */
void mirror_keep_stop_co(struct mirror *mirror);

/* Control lane, in the mirror's turn: a new period begins on all lanes; changes of the
 * old one have ended when it returns. */
void mirror_turn_co(struct mirror *mirror);
/* The same, and settles. 0, or -errno with nothing taken off. */
int mirror_settle_co(struct mirror *mirror);

/* -- for resync (control lane) -------------------------------------------- */

/* In the mirror's turn, while the leg has failed and its last answers were heard: it
 * is closed; another one, whose reference is taken over, also when this fails, lacks
 * all that is kept, and has not failed. `why`: there is none. */
void mirror_leg_close_co(struct mirror *mirror);
void mirror_leg_is_not_there(struct mirror *mirror, const struct err *why);
int mirror_leg_open_co(
	struct mirror *mirror, struct block_source *leg, struct err *err);

/* -- for pivots (control lane) -------------------------------------------- */

/* In the mirror's turn, behind the closed gate, while it is in sync: `*leg` is its leg,
 * by `new_options` and `*document`, and the old ones are there; and back by the same call. */
void mirror_leg_exchange(struct mirror *mirror, struct block_source **leg,
	void *new_options, struct doc **document);
/* It stays so: the mirror's reference to and claim of the old leg go, which somebody
 * else has a reference to. */
void mirror_leg_exchanged_co(struct mirror *mirror, struct block_source *old);
/* After the document is durable: the map is of this leg. */
void mirror_leg_settle_co(struct mirror *mirror);

/* In the COPY's turn: the leg has the range, whole granules (or to the end). */
void mirror_copied(
	struct mirror *mirror, uint64_t offset_bytes, uint64_t length_bytes);

/* What lies behind the end, of a source that was larger, need not be copied; if it grows
 * again, that is lacked anew. */
void mirror_forget_beyond(struct mirror *mirror);

/* 0, or what the leg has failed with. Any lane. */
static inline int mirror_error(struct mirror *mirror)
{
	return atomic_load(&mirror->error);
}

static inline bool mirror_in_sync(struct mirror *mirror)
{
	return !mirror_error(mirror) &&
		atomic_load(&mirror->marks.dirty_count) == 0;
}

/* -- mirror_figures.c (control lane) -------------------------------------- */

/* What the leg lacks of what is shown; while it has failed, what it will lack. */
uint64_t mirror_behind_bytes(struct mirror *mirror);
/* block_kind.health; status as JSON members. */
void mirror_health(struct block_driver *driver, struct block_health *health);
void mirror_status(struct block_driver *driver, FILE *out);

#endif
