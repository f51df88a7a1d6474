/* SPDX-License-Identifier: Apache-2.0 */
/* See resyncs.h. */
#include "target/control/jobs/resyncs.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "blockcore/figures.h"
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/jobs/jobs_private.h"
#include "target/volume/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull

/* A mirror as it was seen last. */
struct resync {
	char volume[BLOCK_NAME_BYTES], listener[BLOCK_NAME_BYTES];
	enum block_health_state state;
	bool seen; /* in this look */
	bool due; /* something is to be tried */
	uint64_t delay_ns, retry_most_ns;
	uint64_t next_ns; /* not before */
	uint64_t
		cancelled; /* the job that is not to be taken for a refusal any more */
	TAILQ_ENTRY(resync) link;
};

struct resyncs {
	const struct daemon_parts *parts;
	struct loop *loop;
	struct event_sink *sink;
	struct jobs *jobs;
	TAILQ_HEAD(, resync) list;
	struct loop_timer timer;
	const char *looking; /* at this volume, while it is visited */
	/* The one that is expected next in a look: volumes and their mirrors come in
	 * the same order each time. NULL: none. */
	struct resync *expected;
	bool working, stopping;
	struct co *stopper;
};

/* -- jobs of a mirror ------------------------------------------------------- */

/* Whether the job brings the mirror's leg what it lacks. Without a listener's name a
 * resync is of the only mirror, a migrate of none. */
static bool is_of(const struct kept_job *job, const struct resync *resync)
{
	bool migrates = !strcmp(job->record.kind, "migrate");
	if (strcmp(job->record.volume, resync->volume) != 0 ||
		(!migrates && strcmp(job->record.kind, "resync") != 0))
		return false;
	json_t *options = *job->record.options
		? json_loads(job->record.options, 0, NULL)
		: NULL;
	const char *name =
		json_string_value(json_object_get(options, "listener"));
	bool is = name ? !strcmp(name, resync->listener) : !migrates;
	json_decref(options);
	return is;
}

/* The latest one; NULL: none is known. */
static struct kept_job *latest_job(
	const struct resyncs *self, const struct resync *resync)
{
	struct kept_job *job, *latest = NULL;
	TAILQ_FOREACH (job, &self->jobs->list, link) {
		if (is_of(job, resync))
			latest = job;
	}
	return latest;
}

/* Somebody has one, or does not want one. */
static bool is_left_alone(
	const struct resyncs *self, const struct resync *resync)
{
	const struct kept_job *job = latest_job(self, resync);
	if (!job)
		return false;
	return !kept_job_ended(job) ||
		(job->record.state == KEPT_JOB_CANCELLED &&
			job->record.id != resync->cancelled);
}

/* -- looking ---------------------------------------------------------------- */

static void tell(const struct resyncs *self, const struct resync *resync,
	const struct block_health *health)
{
	static const char *const types[] = {[BLOCK_WHOLE] = "mirror_in_sync",
		[BLOCK_BEHIND] = "mirror_behind",
		[BLOCK_DEGRADED] = "mirror_degraded"};
	event_sink_emit(self->sink, "volumes", types[health->state],
		json_pack("{ss, ss, ss, sI, ss?}", "id", resync->volume,
			"listener", resync->listener, "state",
			block_health_name(health->state), "behind_bytes",
			(json_int_t)health->behind_bytes, "error",
			*health->why ? health->why : NULL));
}

static bool is_called(
	const struct resync *resync, const char *volume, const char *listener)
{
	return !strcmp(resync->volume, volume) &&
		!strcmp(resync->listener, listener);
}

static struct resync *find(
	const struct resyncs *self, const char *volume, const char *listener)
{
	struct resync *resync;
	if (self->expected && is_called(self->expected, volume, listener))
		return self->expected;
	TAILQ_FOREACH (resync, &self->list, link) {
		if (is_called(resync, volume, listener))
			return resync;
	}
	return NULL;
}

/* One that is new counts as in sync before. NULL without memory: the next look. */
static struct resync *find_or_make(
	struct resyncs *self, const char *volume, const char *listener)
{
	struct resync *resync = find(self, volume, listener);
	if (resync)
		return resync;
	resync = calloc(1, sizeof *resync);
	if (!resync)
		return NULL;
	snprintf(resync->volume, sizeof resync->volume, "%s", volume);
	snprintf(resync->listener, sizeof resync->listener, "%s", listener);
	TAILQ_INSERT_TAIL(&self->list, resync, link);
	return resync;
}

/* What was tried and what was refused before is no measure any more. Coming back from a
 * failure is no success yet. */
static void take_state(struct resyncs *self, struct resync *resync,
	const struct block_health *health)
{
	const struct kept_job *job = latest_job(self, resync);
	bool back = resync->state == BLOCK_DEGRADED &&
		health->state == BLOCK_BEHIND;
	if (!back)
		resync->delay_ns = resync->next_ns = 0;
	if (!back && job && kept_job_ended(job))
		resync->cancelled = job->record.id;
	resync->state = health->state;
	tell(self, resync, health);
}

static void look_at(const struct block_health *health, void *argument)
{
	struct resyncs *self = argument;
	struct resync *resync = find_or_make(self, self->looking, health->name);
	if (!resync)
		return;
	self->expected = TAILQ_NEXT(resync, link);
	resync->seen = true;
	resync->retry_most_ns = health->retry_most_ns;
	if (resync->state != health->state)
		take_state(self, resync, health);
	resync->due = health->mends && health->state != BLOCK_WHOLE &&
		!health->job && loop_now_ns(self->loop) >= resync->next_ns;
}

static void forget_unseen(struct resyncs *self)
{
	struct resync *resync, *next;
	TAILQ_FOREACH_SAFE (resync, &self->list, link, next) {
		if (resync->seen)
			continue;
		TAILQ_REMOVE(&self->list, resync, link);
		free(resync);
	}
}

static void look(struct resyncs *self)
{
	const struct volume *volume;
	const void *at = NULL;
	struct resync *resync;
	TAILQ_FOREACH (resync, &self->list, link)
		resync->seen = resync->due = false;
	self->expected = TAILQ_FIRST(&self->list);
	while ((volume = appliance_next_volume(self->parts->appliance, &at))) {
		struct block_source *source = atomic_load(&volume->source);
		self->looking = volume->settings.name;
		if (source)
			block_health_visit(source, look_at, self);
	}
	self->expected = NULL;
	forget_unseen(self);
}

/* -- mending ---------------------------------------------------------------- */

/* Of tries that fail again and again the latest is known: they push no other jobs out of
 * the list. */
static void forget_failed(struct resyncs *self, const struct resync *resync)
{
	struct kept_job *job = latest_job(self, resync);
	if (job && job->record.state == KEPT_JOB_FAILED &&
		!strcmp(job->record.user, KEPT_JOB_OWN_USER) &&
		LIST_EMPTY(&job->waiters))
		kept_job_forget(job);
}

static int start_job_co(
	struct resyncs *self, const struct resync *resync, struct err *err)
{
	json_t *options = json_pack("{ss}", "listener", resync->listener);
	char *text = options ? json_dumps(options, JSON_COMPACT) : NULL;
	struct kept_job *job = text
		? jobs_make(self->jobs, "resync", resync->volume, text,
			  KEPT_JOB_OWN_USER)
		: NULL;
	json_decref(options);
	free(text);
	if (!job)
		return err_set(err, ENOMEM, "out of memory");
	forget_failed(self, resync);
	return kept_job_start_co(job, err);
}

static void delay(struct resyncs *self, struct resync *resync)
{
	resync->delay_ns = resync->delay_ns ? resync->delay_ns * 2
					    : RESYNCS_LOOK_S * NS_PER_S;
	if (resync->delay_ns > resync->retry_most_ns)
		resync->delay_ns = resync->retry_most_ns;
	resync->next_ns = loop_now_ns(self->loop) + resync->delay_ns;
}

/* Each try, whatever comes of it, makes the next one later: a leg may fail again and
 * again while it gets what it lacks. */
static void mend_co(struct resyncs *self, const struct resync *wanted)
{
	const struct volume *volume =
		appliance_find_volume(self->parts->appliance, wanted->volume);
	struct block_source *source =
		volume ? atomic_load(&volume->source) : NULL;
	struct resync *resync = find(self, wanted->volume, wanted->listener);
	struct err err = {0};
	if (!source || !resync || is_left_alone(self, resync))
		return;
	delay(self, resync);
	block_source_get(source);
	int failed = spec_mirror_reopen_co(source, wanted->listener, &err);
	block_source_put_co(source);
	if (!failed && !self->stopping)
		failed = start_job_co(self, wanted, &err);
	if (failed && failed != -EBUSY)
		log_info(wanted->volume, "mirror",
			"resync of mirror %s is tried again: %s",
			wanted->listener, err.text);
}

static struct resync *next_due(struct resyncs *self)
{
	struct resync *resync;
	TAILQ_FOREACH (resync, &self->list, link) {
		if (resync->due)
			return resync;
	}
	return NULL;
}

static void work_co(void *argument)
{
	struct resyncs *self = argument;
	struct resync *resync;
	while (!self->stopping && (resync = next_due(self))) {
		const struct resync wanted = *resync; /* it may go meanwhile */
		resync->due = false;
		mend_co(self, &wanted);
	}
	self->working = false;
	if (self->stopper) {
		co_resume(self->stopper);
		return;
	}
	loop_timer_set(self->loop, &self->timer, RESYNCS_LOOK_S * NS_PER_S);
}

static void expired(struct loop_timer *timer)
{
	struct resyncs *self = container_of(timer, struct resyncs, timer);
	look(self);
	self->working = next_due(self) != NULL;
	if (self->working && co_start(work_co, self))
		return;
	self->working = false;
	loop_timer_set(self->loop, timer, RESYNCS_LOOK_S * NS_PER_S);
}

/* -- life ------------------------------------------------------------------- */

struct resyncs *resyncs_new(struct jobs *jobs, struct err *err)
{
	struct resyncs *self = calloc(1, sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	self->parts = jobs->parts;
	self->loop = jobs->loop;
	self->sink = jobs->sink;
	self->jobs = jobs;
	self->timer.expired = expired;
	TAILQ_INIT(&self->list);
	if (jobs->parts->appliance) /* tests of the server alone have none */
		loop_timer_set(
			jobs->loop, &self->timer, RESYNCS_LOOK_S * NS_PER_S);
	return self;
}

void resyncs_stop_co(struct resyncs *self)
{
	struct resync *resync;
	if (!self)
		return;
	self->stopping = true;
	loop_timer_clear(self->loop, &self->timer);
	if (self->working) {
		self->stopper = co_self();
		co_yield ();
	}
	while ((resync = TAILQ_FIRST(&self->list))) {
		TAILQ_REMOVE(&self->list, resync, link);
		free(resync);
	}
	free(self);
}
