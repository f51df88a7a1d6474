/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs as people see them: each has a number, belongs to a volume, and is known after
 * its end and after a restart. What a job does is blockcore's (blockcore/job.h); here
 * it is kept, queued, told of.
 *
 *	queued --> running <--> paused --> done | failed | cancelled
 *		      '--> cancelling -----------^
 *
 * A job is queued while its volume is not there yet (after a restart) or while as
 * many as may run are running.
 *
 * Invariants
 *  1. At most JOBS_MAX_RUNNING run at a time and JOBS_MAX_QUEUED wait; the latest
 *     JOBS_KEPT that have ended are known.
 *  2. What is durable: the record from before the job starts to its end, its cursor
 *     every JOBS_SAVE_S seconds and at a good end of the daemon. So a job goes on
 *     after a restart from where it was at most so long before.
 *  3. A volume's source that a job works on is held by the job; when the daemon
 *     stops, jobs stop first, after the chunk that they are at.
 *
 * Control thread. Functions that end in _co wait, in a coroutine. A pointer to a job is
 * good until the caller yields, unless it waits in kept_job_wait_co.
 */
#ifndef TARGET_CONTROL_JOBS_JOBS_H
#define TARGET_CONTROL_JOBS_JOBS_H

#include "blockcore/job.h"
#include "blockcore/loop.h"
#include "target/control/appliance/pivots.h"
#include "target/control/event_sink.h"
#include "target/control/jobs/job_store.h"
#include "target/control/parts.h"

#include <jansson.h>
#include <sys/queue.h>

#define JOBS_MAX_RUNNING 8u
#define JOBS_MAX_QUEUED 64u
#define JOBS_KEPT 200u
#define JOBS_SAVE_S 5u
#define KEPT_JOB_OWN_USER "cairnd" /* of those that nobody asked for */

struct co;
struct doc;
struct kept_job;

/* Who hears of every change of a job. */
struct jobs_watcher {
	/* `type` is its state, or what else has happened. Must neither wait nor call
	 * back. */
	void (*told)(struct jobs_watcher *watcher, const struct kept_job *job,
		const char *type);
};

/* Who asks for a job. */
struct job_asker {
	/* In the transaction that makes the job durable: it is number `id`; 0: it was
	 * not begun after all. 0 or -errno with *err. */
	int (*asked)(struct job_asker *asker, uint64_t id, struct err *err);
};

struct kept_job {
	struct jobs *all;
	struct kept_job_record record;
	struct job *job; /* NULL: waits, or has ended */
	struct job_asker *asker; /* while it starts; NULL: nobody */
	bool interrupted; /* by the daemon's end: goes on at the next start */
	bool recorded; /* how it ends was kept with the document: job_keep.c */
	LIST_HEAD(, kept_job_waiter) waiters;
	TAILQ_ENTRY(kept_job) link; /* oldest first */
};

struct jobs {
	const struct daemon_parts *parts;
	struct loop *loop;
	struct event_sink *sink;
	struct jobs_watcher *watcher;
	TAILQ_HEAD(, kept_job) list;
	uint64_t next_id;
	unsigned running;
	bool stopping;
	struct co *stopper; /* waits until none runs */
	struct loop_timer save, retry;
	struct pivots_watcher pivots;
};

/* -- life -------------------------------------------------------------------- */

/* Jobs of the last run go on by themselves. All that is handed in is borrowed until
 * jobs_free. NULL with *err. */
struct jobs *jobs_new(const struct daemon_parts *parts, struct event_sink *sink,
	struct jobs_watcher *watcher, struct err *err);
/* Everything that waits for a job comes back; jobs stop, and none is begun any more.
 * NULL is fine. */
void jobs_stop_co(struct jobs *jobs);
/* After that; NULL is fine. */
void jobs_free(struct jobs *jobs);

/* -- one --------------------------------------------------------------------- */

extern const char *const kept_job_states[]; /* by state; ends with NULL */
bool kept_job_ended(const struct kept_job *job);
/* NULL: there is none of that number (any more). */
struct kept_job *jobs_find(struct jobs *jobs, uint64_t id);
const struct job_kind *jobs_kind(const char *name); /* NULL: there is none */

/* A new one, not started; `options` (JSON, "": none) is copied. NULL: no memory. */
struct kept_job *jobs_make(struct jobs *jobs, const char *kind,
	const char *volume, const char *options, const char *user);
/* Takes `job` over: it runs or waits, and is durable with what its asker adds; or -errno
 * with *err and it is freed. */
int kept_job_start_co(struct kept_job *job, struct err *err);
/* Makes and starts one of the daemon's own, which nobody asked for: *id is its number.
 * 0, or what is in the way: -EBUSY (another job has the volume), -ENOSPC, -ENODEV,
 * -EAGAIN, -ESHUTDOWN ... */
int jobs_begin_own_co(struct jobs *jobs, const char *kind, const char *volume,
	const json_t *options, uint64_t *id, struct err *err);

/* It has not ended. */
void kept_job_cancel(struct kept_job *job);
/* It has not ended; one that is being cancelled stays so. Neither saves nor tells. */
void kept_job_pause(struct kept_job *job, bool paused);
/* Bytes per second, 0: no limit. Neither saves nor tells. */
void kept_job_set_rate(struct kept_job *job, uint64_t rate_bytes);
/* The state that it would have then. */
enum kept_job_state kept_job_state_if(const struct kept_job *job, bool paused);
/* Until it has ended, at most so long. */
void kept_job_wait_co(struct kept_job *job, uint64_t seconds);
/* What cannot be kept is logged: it costs no more than the restart of a job. */
void kept_job_save(struct kept_job *job);
/* To the watcher; counts the generation. */
void kept_job_tell(struct kept_job *job, const char *type);
/* It has ended, and nobody waits for it: as if it had never been. */
void kept_job_forget(struct kept_job *job);

/* -- who has a volume to itself (job_holds.c) ---------------------------------- */

/* The job that has the volume to itself; NULL: none. */
const struct kept_job *jobs_holder(const struct jobs *jobs, const char *volume);
/* Its number, 0: none. */
uint64_t jobs_holder_id(const struct jobs *jobs, const char *volume);
/* The job that a new one of that kind has to wait for; NULL: none. */
const struct kept_job *jobs_in_way(
	const struct jobs *jobs, const char *kind, const char *volume);
/* 0, or -EBUSY, naming it: there is one that a job of that kind has to wait for. */
int jobs_check_alone(const struct jobs *jobs, const char *kind,
	const char *volume, struct err *err);

/* -- what is in a new one's way (job_checks.c) --------------------------------- */

/* What runs of the volume; borrowed, NULL: there is no such volume, or it is offline. */
struct block_source *jobs_source(const struct jobs *jobs, const char *volume);
/* 0, or -EBUSY, naming it: another volume stands on a file that the job would change.
 * `options` NULL: none. */
int jobs_check_files(const struct jobs *jobs, const char *kind,
	const char *volume, const struct doc *options, struct err *err);
/* The same with options as JSON. */
int jobs_check_order(const struct jobs *jobs, const char *kind,
	const char *volume, const json_t *options, struct err *err);
/* What it would write, and where; zeroed if its kind does not say. `source` is what runs
 * of its volume. 0 or -errno. */
int jobs_find_space_co(const struct jobs *jobs, struct block_source *source,
	const struct job_kind *kind, const struct doc *options,
	struct job_space *space, struct err *err);
/* 0, or -ENOSPC: what it would write does not fit. */
int jobs_check_space_co(const struct jobs *jobs, const char *kind,
	const char *volume, const struct doc *options, struct err *err);

#endif
