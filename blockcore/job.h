/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: long work on sources, as coroutines on the control lane, with progress,
 * rate limit, pause and cancel.
 *
 * Invariants
 *  1. A job reads and writes through sources with BLOCK_INTERNAL, so gates and
 *     throttles hold for it like for anybody; but what moves content (spec_move.h)
 *     enters behind the front, and has its own limit only.
 *  2. It calls job_step_co between chunks, with at most JOB_CHUNK_BYTES of them
 *     under way: there it is paused, slowed down and cancelled. So no more than
 *     that is moved after a pause or a cancel, and less if what job_transfer_co
 *     moves is held up.
 *  3. The cursor handed to job_step_co is where a restart may go on.
 */
#ifndef BLOCKCORE_JOB_H
#define BLOCKCORE_JOB_H

#include "blockcore/block.h"

#include <inttypes.h>

#define JOB_CHUNK_BYTES (1u << 20)
#define JOB_PATH_BYTES 1024u
#define JOB_NOTE_BYTES 160u

enum job_state {
	JOB_CREATED,
	JOB_RUNNING,
	JOB_PAUSED,
	JOB_CANCELLING,
	JOB_DONE, /* result 0 */
	JOB_FAILED, /* result and error text */
	JOB_CANCELLED
};

struct job;

/* What a job will write, and what there is room for. */
struct job_space {
	uint64_t needs_bytes; /* at most */
	uint64_t free_bytes; /* of the file system that it is written to */
	char path
		[JOB_PATH_BYTES]; /* of the file; "": none is known, no check */
};

struct job_kind {
	const char *name, *help;
	/* The source stands on something else when it has ended: only with a
	 * job_keeper where documents are kept. */
	bool pivots;
	/* No other of these on the source meanwhile, and its bottom stays (spec_move.h). */
	bool alone;
	const struct opt_spec *options;
	size_t options_bytes;
	bool destroys; /* the data that are there: callers ask first */
	/* What it will write; NULL: nothing. `options` as parsed. Control lane. */
	int (*space_co)(struct block_core *core, struct block_source *source,
		const void *options, struct job_space *space, struct err *err);
	/* The work, from `cursor` (0 at first). 0, -ECANCELED or -errno. */
	int (*run_co)(struct job *job, uint64_t cursor, struct err *err);
};

struct job_progress {
	enum job_state state;
	uint64_t done, total; /* bytes */
	uint64_t rate_bytes_s;
	uint64_t left_s; /* estimated; UINT64_MAX: unknown */
	uint64_t cursor;
	int result;
	struct err error;
	char note
		[JOB_NOTE_BYTES]; /* what it has found, in words; "": nothing */
};

/* Ends with NULL. Jobs known: "fill" (writes a pattern, verifies it: the engine's test job). */
extern const struct job_kind *const job_kinds[];

/* Makes and starts a job on `source` (a reference is kept until it ends). */
int job_start_co(struct block_core *core, struct block_source *source,
	const char *kind, const struct doc *options, uint64_t cursor,
	struct job **job, struct err *err);
void job_pause(struct job *job);
void job_resume(struct job *job);
void job_cancel(struct job *job);
/* The same, as the program ends: a job with its cursor is to go on after that, and what
 * it needs for that stays in its source. */
void job_interrupt(struct job *job);
/* A job that was to go on on the source of that name will not: what it needed goes. */
void job_forget_co(struct block_core *core, const char *source);
/* 0: no limit. */
void job_set_rate(struct job *job, uint64_t bytes_s);
void job_get_progress(const struct job *job, struct job_progress *progress);
/* Waits until it has ended. */
void job_wait_co(struct job *job);
/* Only when ended. */
void job_free(struct job *job);

/* Who keeps documents is told of what a job changes: the source stands on something
 * else.
 *
 *	begin	before the source's turn is taken, as changes of documents take turns
 *		of sources: none of the others happens until `end`
 *	keep	behind the closed gate; does not wait for anybody's change. What it
 *		returns 0 for is durable, else the pivot does not happen and the job
 *		fails with *err
 *	end	the gate is open: on what was kept, or on the old stack
 */
struct job_pivot {
	struct job *job; /* whose */
	struct block_source *source;
	const char *kind; /* the job's */
	unsigned depth; /* images of it above the one that the job is for */
	/* Of keep: of the source that shows that image, whole, as JSON. */
	const char *document;
};
/* The name of a map: a file of the data directory (carry_co). */
#define JOB_CARRY_MAP "carry-%016" PRIx64 ".map"

struct job_keeper {
	/* Before a job writes where something may have been: from here on a restart
	 * finds what the job has left there. Durable; does not wait for changes. */
	int (*begun_co)(struct job_keeper *keeper, struct job *job,
		uint64_t cursor, struct err *err);
	/* Before a job writes to what the image of `pivot` stands on: from then on that
	 * is not what it was any more, whatever becomes of the job. Durable. NULL: nobody
	 * keeps what that was. */
	int (*spoil_co)(struct job_keeper *keeper,
		const struct job_pivot *pivot, struct err *err);
	void (*begin_co)(
		struct job_keeper *keeper, const struct job_pivot *pivot);
	int (*keep_co)(struct job_keeper *keeper, const struct job_pivot *pivot,
		struct err *err);
	void (*end_co)(
		struct job_keeper *keeper, const struct job_pivot *pivot);
	/* A source, by its name, is not to be opened without a listener of a job's own,
	 * which notes what hosts change, in the file that `carry` (JSON) says at
	 * listener.map; until disown_co. Durable. It ends with keep_co, too. NULL, and the next two: nobody
	 * keeps such things, jobs that need it begin anew after a restart. */
	int (*carry_co)(struct job_keeper *keeper, const char *source,
		const char *carry, struct err *err);
	/* A source opens: *carry is to be freed, NULL: none. -errno: it must not. */
	int (*carried_co)(struct job_keeper *keeper, const char *source,
		char **carry, struct err *err);
	/* Durable; the map may go. 0, also if there was none. `err` may be NULL. */
	int (*disown_co)(
		struct job_keeper *keeper, const char *source, struct err *err);
};
/* NULL: nobody, as at the start. Control lane. */
void job_set_keeper(struct block_core *core, struct job_keeper *keeper);

/* -- for job kinds -------------------------------------------------------- */
struct block_source *job_source(struct job *job);
struct block_core *job_core(struct job *job);
const void *job_options(const struct job *job);
bool job_is_interrupted(const struct job *job);
/* All there is to do, and what of it was done before (a restart). */
void job_set_total(struct job *job, uint64_t total, uint64_t done);
/* Moves bytes of its source; a cancel reaches what is parked, throttled, held. */
int job_transfer_co(struct job *job, enum block_opcode op,
	uint64_t offset_bytes, uint64_t length_bytes, void *data);
/* Its last moving has many requests: `cancelled` is called when the job is, at once;
 * NULL: no more. */
void job_on_cancel(
	struct job *job, void (*cancelled)(void *argument), void *argument);
/* What is told with its end, beside an error. */
void job_note(struct job *job, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Makes the cursor durable where jobs are kept. */
int job_keep_cursor_co(struct job *job, uint64_t cursor, struct err *err);
/* After each chunk: where a restart may go on, and how large it was.
 * -ECANCELED: stop now. */
int job_step_co(struct job *job, uint64_t cursor, uint64_t chunk_bytes);

#endif
