/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules at work: what the document says of them (schedule.h) done by the
 * clock.
 *
 *	look	which are due? each in a coroutine of its own
 *	run	own rows kept -> snapshots made -> what served its time goes
 *		-> how it ended kept, told, audited
 *	follow	an external snapshot goes by a job (jobs/snapshot_merge.h), one after
 *		the other, and nobody waits for that: when it has ended, what served
 *		its time is looked at again, until nothing is left to go
 *
 *	snapshot of an external schedule:	a <- b <- c <- d	by one change
 *	one that has served its time, b:	a <- c <- d		by a job
 *
 * Invariants
 *  1. A run that was missed (the daemon was down, the clock was set) is done once,
 *     however many there were. One that is due while the last is under way is left
 *     out, with an event.
 *  2. Only what a schedule has made is deleted by it: there is a row that says so,
 *     durable before the snapshot is made. Never one that is locked, that a volume
 *     shows or that is shown; why it stayed is in the status.
 *  3. A run that fails still prunes: counts, not ages, say what goes, so nothing goes
 *     because nothing new came, and a full disk gets room.
 *  4. What is in a run's way for a moment (requests that do not end in time, a volume
 *     that is not there yet) is tried again, some times, with a line of the log each;
 *     what is in its way for long fails it.
 *  5. An external snapshot is the change of a document like any other: it is durable
 *     with its name, of all volumes of a group, or not there at all. What its file is
 *     called is free when the change is made.
 *  6. At most one job of retention is at a volume, and none begins while another job
 *     has that, or a run waits for it. A merge that fails is not begun again before the
 *     next run: others go first. A snapshot waits for a merge under way, as long as
 *     that takes, if nobody waits for the answer.
 *  7. Control thread; wall-clock time.
 */
#ifndef TARGET_CONTROL_SCHEDULE_SCHEDULES_H
#define TARGET_CONTROL_SCHEDULE_SCHEDULES_H

#include "target/control/config/config.h"
#include "target/control/jobs/jobs.h"
#include "target/control/schedule/schedule.h"

#define SCHEDULE_TEXT_BYTES 400u
#define SCHEDULE_KEPT_TOLD 16u /* reasons in a status */

enum schedule_result {
	SCHEDULE_NEVER,
	SCHEDULE_DONE,
	SCHEDULE_FAILED,
	SCHEDULE_RESULTS
};
extern const char *const schedule_result_names[SCHEDULE_RESULTS];

/* What is kept of one beside the document. */
struct schedule_record {
	char name[SCHEDULE_NAME_BYTES];
	int64_t due; /* seconds: all runs up to then are done or left out */
	int64_t ran_ms, ended_ms; /* 0: never */
	enum schedule_result result;
	char text[SCHEDULE_TEXT_BYTES]; /* why it failed */
	char snapshot[SCHEDULE_STAMP_BYTES]; /* of the last run */
	unsigned made, deleted;
	json_t *kept; /* [{volume, snapshot, reason}]: to go, but they stay */
};

/* Retention goes on for a volume when its job has ended. */
struct schedule_follow {
	char volume[SCHEDULE_VOLUME_BYTES];
	uint64_t job; /* 0: as soon as the volume is there */
	char snapshot
		[SCHEDULE_STAMP_BYTES]; /* that it merges; "": it is not ours */
	json_t *failed; /* {SNAPSHOT: why}: since the last run */
	LIST_ENTRY(schedule_follow) link;
};

struct kept_schedule {
	struct schedule_record record;
	bool running;
	bool following; /* retention goes on, without a run */
	bool looked; /* since the start */
	LIST_HEAD(, schedule_follow) follows;
	bool planned; /* `plan` is what the document says */
	struct schedule plan;
	int64_t set_back; /* seconds: the clock's, when it was before `due`; or 0 */
	struct zone *zone; /* of zone_name; NULL: not read */
	char zone_name[ZONE_NAME_BYTES];
	TAILQ_ENTRY(kept_schedule) link;
};

struct schedules {
	const struct daemon_parts *parts;
	struct loop *loop;
	struct event_sink *sink;
	struct jobs *jobs; /* of retention */
	TAILQ_HEAD(, kept_schedule) list;
	struct loop_timer timer;
	struct config_watcher watcher;
	bool ending; /* nothing new is begun */
	bool closing; /* nothing is looked at any more */
	unsigned running; /* runs, and retention that goes on */
	struct co *closer;
	LIST_HEAD(, schedule_pause) pauses; /* schedule_again.c */
};

/* Reads what is kept. Borrows what `jobs` has, and that, until schedules_stop_co has
 * returned. NULL with *err. */
struct schedules *schedules_new(struct jobs *jobs, struct err *err);
/* Runs end at their next step; who asked for one is answered. */
void schedules_end(struct schedules *schedules);
/* NULL is fine. Waits for runs, which end at their next step; frees it. */
void schedules_stop_co(struct schedules *schedules);

/* Those that the document does not have any more go, and what they made is nobody's:
 * before another one of the name can come. One that runs stays until it has ended. */
void schedules_forget_gone(struct schedules *schedules);

/* The one of that name, made if it is not there; NULL: no memory. */
struct kept_schedule *kept_schedule_of(
	struct schedules *schedules, const char *name);
/* What the document says of it, read once for each change of that: borrowed until the
 * caller yields. NULL: there is none (any more). */
const struct schedule *kept_schedule_plan(
	struct schedules *schedules, struct kept_schedule *schedule);
/* Its zone, read if need be. NULL with *err. */
const struct zone *kept_schedule_zone(struct kept_schedule *schedule,
	const struct schedule *plan, struct err *err);
/* When it runs next, seconds since 1970; 0: not by itself, with the reason in *err if
 * that is one. */
int64_t kept_schedule_next(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan,
	struct err *err);

/* -- schedule_run.c ------------------------------------------------------------ */

/* Its snapshots are called by the second: one run in each. */
bool kept_schedule_ran_just_now(const struct kept_schedule *schedule);
/* One run, now; it is not running. 0, or -errno with *err, which the record has too
 * (but for -EBUSY: it ran just now). `who` asked, NULL: the clock. */
int kept_schedule_run_co(struct schedules *schedules, const char *name,
	const char *who, struct err *err);

/* All is to end: nothing new is begun. */
bool schedules_ending(const struct schedules *schedules);
/* A run, or retention, has ended: whoever waits for the last one goes on. */
void schedules_left(struct schedules *schedules);

/* -- schedule_external.c ------------------------------------------------------- */

/* One moment of some volumes of a plan, each with what runs of it. */
struct schedule_moment {
	const struct schedule *plan;
	const json_t *
		placement; /* {LISTENER: PLACE}, those that are not there do not
				  * count; NULL: all by their kinds */
	const char *snapshot; /* its name */
	int64_t instant;
	struct block_source *const *source; /* of the plan's volumes */
	unsigned first, count;
};
/* New images over all of them, or none. 0 or -errno with *err. */
int schedule_external_make_co(struct schedules *schedules,
	const struct schedule_moment *moment, struct err *err);
/* External snapshots of a volume, as a list of internal ones has its items; new. */
json_t *schedule_external_items(const struct config_object *volume);

/* -- schedule_merge.c ------------------------------------------------------------ */

/* The volume's; NULL: there is none. */
struct schedule_follow *schedule_follow_of(
	struct kept_schedule *schedule, const char *volume);
/* Retention of that volume goes on when job `id` has ended. `snapshot`: which that
 * merges, NULL: none of ours. */
void schedule_follow_job(struct kept_schedule *schedule, const char *volume,
	uint64_t id, const char *snapshot);
void schedule_follow_end(struct schedule_follow *follow);
void schedule_follows_free(struct kept_schedule *schedule);
/* A run begins: what has failed is tried again. */
void schedule_follows_forget_failed(struct kept_schedule *schedule);
/* Whether a job is waited for that was begun for the schedule. */
bool schedule_has_merges(const struct kept_schedule *schedule);
/* Something can be done: it is begun, in a coroutine of its own. */
void schedule_follow_look(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan);
/* Retention of the volumes whose job has ended. */
void schedule_follow_step_co(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan);
/* Until no job of the daemon's own is at work on one of the plan's volumes, or all ends. */
void schedule_wait_merges_co(
	struct schedules *schedules, const struct schedule *plan);
/* If the job that retention of the volume waits for has ended: how is told. */
void schedule_merge_settle(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume);
/* What was to be done to an external one that is to go. */
enum schedule_merge_end {
	SCHEDULE_MERGE_GONE,
	SCHEDULE_MERGE_WAITS, /* *err says for what */
	SCHEDULE_MERGE_STAYS /* *err says why */
};
enum schedule_merge_end schedule_merge_co(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume,
	const json_t *snapshot, struct err *err);

/* -- schedule_again.c ---------------------------------------------------------- */

/* Of one step of a run: how often it was tried. Zeroed before the first. */
struct schedule_tries {
	bool by_hand; /* somebody waits for the answer */
	unsigned count;
};

/* True: the step failed (`failed`, *err) for what may pass, and the time to try it
 * again has come; *err is as new. False: it has failed for good, or all ends. */
bool kept_schedule_again_co(struct schedules *schedules, const char *schedule,
	struct schedule_tries *tries, int failed, struct err *err);
/* So long, or until all ends. */
void schedules_pause_co(struct schedules *schedules, uint64_t after_ns);
/* Nobody waits any more. */
void schedules_hurry(struct schedules *schedules);

/* -- schedule_prune.c ---------------------------------------------------------- */

/* Deletes of a volume's snapshots what the plan does not keep; counts and reasons go
 * to the record. */
void kept_schedule_prune_co(struct schedules *schedules,
	struct kept_schedule *schedule, const struct schedule *plan,
	const struct zone *zone, const char *volume);

/* It is not there any more: counted, its row gone, told, audited. */
void schedule_tell_gone(struct schedules *schedules,
	struct kept_schedule *schedule, const char *volume,
	const char *snapshot);

/* -- schedule_store.c ----------------------------------------------------------- */

int schedule_store_load(struct schedules *schedules, struct err *err);
int schedule_store_save(struct schedules *schedules,
	const struct schedule_record *record, struct err *err);
/* Its record, and that anything is its own. */
void schedule_store_forget(struct schedules *schedules, const char *name);

/* That a snapshot of the volume is the schedule's own. -EEXIST: it was before, -EIO. */
int schedule_own_add(struct schedules *schedules, const char *schedule,
	const char *volume, const char *snapshot, int64_t instant,
	struct err *err);
void schedule_own_remove(struct schedules *schedules, const char *schedule,
	const char *volume, const char *snapshot);
/* {snapshot: seconds}; NULL with *err. */
json_t *schedule_own_list(struct schedules *schedules, const char *schedule,
	const char *volume, struct err *err);

#endif
