/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/jobs/jobs.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/volume.h"
#include "webui/api/jobs/jobs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ull

const char *const api_job_states[] = {
	[API_JOB_QUEUED] = "queued",
	[API_JOB_RUNNING] = "running",
	[API_JOB_PAUSED] = "paused",
	[API_JOB_CANCELLING] = "cancelling",
	[API_JOB_DONE] = "done",
	[API_JOB_FAILED] = "failed",
	[API_JOB_CANCELLED] = "cancelled",
	NULL,
};

bool api_job_ended(const struct api_job *job)
{
	return job->record.state >= API_JOB_DONE;
}

/* -- keeping ---------------------------------------------------------------- */

/* A record that cannot be kept costs no more than the restart of a job. */
void api_job_save(struct api_job *job)
{
	struct err err = {0};
	struct job_progress progress;
	if (job->job && job->recorded)
		return;
	if (job->job) {
		job_get_progress(job->job, &progress);
		job->record.cursor = progress.cursor;
		job->record.done_bytes = progress.done;
		job->record.total_bytes = progress.total;
	}
	if (api_job_store_save(job->all->api->parts.state, &job->record, &err))
		log_warning("api", "job", "job %u cannot be kept: %s",
			(unsigned)job->record.id, err.text);
}

static void save_all(struct loop_timer *timer)
{
	struct api_jobs *self = container_of(timer, struct api_jobs, save);
	struct api_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (job->job && !api_job_ended(job))
			api_job_save(job);
	}
	if (self->running)
		loop_timer_set(self->api->loop, timer, JOBS_SAVE_S * NS_PER_S);
}

void api_job_tell(struct api_job *job, const char *type)
{
	job->record.generation++;
	api_emit(job->all->api, "jobs", type, api_job_json(job));
}

void api_job_forget(struct api_job *job)
{
	api_job_store_remove(job->all->api->parts.state, job->record.id);
	TAILQ_REMOVE(&job->all->list, job, link);
	api_job_free(job);
}

static void forget_oldest(struct api_jobs *self)
{
	struct api_job *job, *next;
	unsigned ended = 0;
	TAILQ_FOREACH (job, &self->list, link)
		ended += api_job_ended(job) && !job->waiters.lh_first;
	for (job = TAILQ_FIRST(&self->list); job && ended > JOBS_KEPT;
		job = next) {
		next = TAILQ_NEXT(job, link);
		if (!api_job_ended(job) || job->waiters.lh_first)
			continue;
		ended--;
		api_job_forget(job);
	}
}

/* -- the end of one --------------------------------------------------------- */

static void wake_waiters(struct api_job *job)
{
	struct api_job_waiter *waiter;
	while ((waiter = LIST_FIRST(&job->waiters))) {
		LIST_REMOVE(waiter, link);
		loop_timer_clear(job->all->api->loop, &waiter->timer);
		co_resume(waiter->co);
	}
}

static void take_result(struct api_job *job)
{
	static const enum api_job_state states[] = {
		[JOB_DONE] = API_JOB_DONE,
		[JOB_FAILED] = API_JOB_FAILED,
		[JOB_CANCELLED] = API_JOB_CANCELLED,
	};
	struct job_progress progress;
	job_get_progress(job->job, &progress);
	job->record.state = states[progress.state];
	job->record.done_bytes = progress.done;
	job->record.total_bytes = progress.total;
	job->record.cursor = progress.cursor;
	job->record.ended_ms = api_now_ms();
	if (progress.state == JOB_FAILED)
		snprintf(job->record.error, sizeof job->record.error, "%s",
			progress.error.text);
	snprintf(
		job->record.note, sizeof job->record.note, "%s", progress.note);
	job_free(job->job);
	job->job = NULL;
}

/* Stopped by the daemon's end: it goes on at the next start. */
static void take_interruption(struct api_job *job, enum api_job_state before)
{
	api_job_save(job);
	job_free(job->job);
	job->job = NULL;
	job->record.state = before;
}

static void start_queued_co(struct api_jobs *self);

/* It may have come to its end all the same. */
static bool was_cancelled(const struct api_job *job)
{
	struct job_progress progress;
	job_get_progress(job->job, &progress);
	return progress.state == JOB_CANCELLED;
}

static void mind_co(void *argument)
{
	struct api_job *job = argument;
	struct api_jobs *self = job->all;
	job_wait_co(job->job);
	self->running--;
	if (self->stopping && job->interrupted && was_cancelled(job)) {
		take_interruption(job, job->record.state);
	} else {
		take_result(job);
		if (job->record.state == API_JOB_DONE)
			api_job_tidy_co(job);
		api_job_save(job);
		api_job_tell(job, api_job_states[job->record.state]);
	}
	wake_waiters(job);
	if (self->stopping && !self->running && self->stopper) {
		struct co *stopper = self->stopper;
		self->stopper = NULL;
		co_resume(stopper);
		return;
	}
	if (!self->stopping) {
		start_queued_co(self);
		forget_oldest(self);
	}
}

void api_job_cancel(struct api_job *job)
{
	if (job->job) {
		job->record.state = API_JOB_CANCELLING;
		job_cancel(job->job);
	} else {
		job->record.state = API_JOB_CANCELLED;
		job->record.ended_ms = api_now_ms();
		wake_waiters(job);
	}
	api_job_save(job);
	api_job_tell(job, api_job_states[job->record.state]);
}

/* -- the start of one ------------------------------------------------------- */

static struct block_source *source_of(struct api_job *job, struct err *err)
{
	struct volume *volume = appliance_find_volume(
		job->all->api->parts.appliance, job->record.volume);
	if (!volume) {
		err_set(err, ENOENT, "there is no volume \"%s\"",
			job->record.volume);
		return NULL;
	}
	struct block_source *source = atomic_load(&volume->source);
	if (!source)
		err_set(err, ENODEV, "volume %s is offline: %s",
			job->record.volume, volume->offline_reason);
	return source;
}

/* Runs it; -errno if it cannot. */
int api_job_run_co(struct api_job *job, struct err *err)
{
	struct api_jobs *self = job->all;
	struct block_source *source = source_of(job, err);
	if (!source)
		return -err->code;
	struct doc *options = NULL;
	if (*job->record.options) {
		options = doc_parse("", job->record.options,
			strlen(job->record.options), err);
		if (!options)
			return -EINVAL;
	}
	int failed = api_job_check_files(
		self->api, job->record.kind, job->record.volume, options, err);
	if (!failed)
		failed = job_start_co(self->api->parts.core, source,
			job->record.kind, options, api_job_cursor(job),
			&job->job, err);
	doc_free(options);
	if (failed)
		return failed;
	self->running++;
	if (job->record.state == API_JOB_PAUSED)
		job_pause(job->job);
	else
		job->record.state = API_JOB_RUNNING;
	if (job->record.rate_bytes)
		job_set_rate(job->job, job->record.rate_bytes);
	if (!self->save.armed)
		loop_timer_set(
			self->api->loop, &self->save, JOBS_SAVE_S * NS_PER_S);
	if (co_start(mind_co, job))
		return 0;
	job_cancel(job->job);
	job_wait_co(job->job);
	self->running--;
	job_free(job->job);
	job->job = NULL;
	return err_set(err, ENOMEM, "out of memory");
}

static bool waits(const struct api_job *job)
{
	return !job->job && !api_job_ended(job);
}

static void fail_job(struct api_job *job, const struct err *err)
{
	job->record.state = API_JOB_FAILED;
	job->record.ended_ms = api_now_ms();
	snprintf(job->record.error, sizeof job->record.error, "%s", err->text);
	api_job_save(job);
	api_job_tell(job, "failed");
	wake_waiters(job);
}

/* After a restart: its work was done before. */
static void finish_co(struct api_job *job)
{
	api_job_tidy_co(job);
	job->record.state = API_JOB_DONE;
	job->record.ended_ms = api_now_ms();
	api_job_save(job);
	api_job_tell(job, api_job_states[job->record.state]);
	wake_waiters(job);
}

/* A volume that is offline may come back, and so may memory: such a job waits
 * on. */
static void start_queued_co(struct api_jobs *self)
{
	struct api_job *job, *next;
	bool more = false;
	TAILQ_FOREACH_SAFE (job, &self->list, link, next) {
		struct err err = {0};
		if (!waits(job))
			continue;
		if (job->record.cursor == API_JOB_TIDIES) {
			finish_co(job);
			continue;
		}
		if (self->running >= JOBS_MAX_RUNNING) {
			more = true;
			continue;
		}
		int failed = api_job_run_co(job, &err);
		if (!failed)
			api_job_tell(job, "running");
		else if (failed == -ENODEV || failed == -ENOMEM)
			more = true;
		else
			fail_job(job, &err);
	}
	if (more && !self->retry.armed)
		loop_timer_set(self->api->loop, &self->retry, NS_PER_S);
}

static void retry_co(void *argument)
{
	start_queued_co(argument);
}

static void retry(struct loop_timer *timer)
{
	struct api_jobs *self = container_of(timer, struct api_jobs, retry);
	if (!self->stopping && !co_start(retry_co, self))
		loop_timer_set(self->api->loop, timer, NS_PER_S);
}

static unsigned count_queued(const struct api_jobs *self)
{
	const struct api_job *job;
	unsigned count = 0;
	TAILQ_FOREACH (job, &self->list, link)
		count += waits(job);
	return count;
}

struct api_job *api_job_new(struct api_jobs *self)
{
	struct api_job *job = calloc(1, sizeof *job);
	if (!job)
		return NULL;
	job->all = self;
	LIST_INIT(&job->waiters);
	return job;
}

void api_job_free(struct api_job *job)
{
	free(job->record.options);
	free(job);
}

/* Takes `job` over: it runs or waits; or -errno with *err and it is freed. */
/* It cannot run: as if it had not been asked for. */
static void remove_first(struct api_job *job)
{
	TAILQ_REMOVE(&job->all->list, job, link);
	api_job_store_remove(job->all->api->parts.state, job->record.id);
	if (job->asked_by)
		(void)api_key_done(job->asked_by, 0, "", NULL);
	api_job_free(job);
}

int api_job_start_co(struct api_job *job, struct err *err)
{
	struct api_jobs *self = job->all;
	struct block_source *source = source_of(job, err);
	int failed = source ? 0 : -err->code;
	if (!failed && self->running >= JOBS_MAX_RUNNING &&
		count_queued(self) >= JOBS_MAX_QUEUED)
		failed = err_set(err, EAGAIN,
			"%u jobs wait already: cancel some, or wait",
			JOBS_MAX_QUEUED);
	if (!failed) {
		job->record.id = self->next_id++;
		job->record.created_ms = api_now_ms();
		job->record.ground =
			api_job_ground(self->api, job->record.volume);
		failed = api_job_keep_first(job, err);
	}
	if (failed) {
		api_job_free(job);
		return failed;
	}
	TAILQ_INSERT_TAIL(&self->list, job, link); /* it may be asked for */
	if (self->running < JOBS_MAX_RUNNING)
		failed = api_job_run_co(job, err);
	if (failed) {
		remove_first(job);
		return failed;
	}
	job->asked_by = NULL;
	api_job_tell(job, api_job_states[job->record.state]);
	return 0;
}

struct api_job *api_job_find(struct api_jobs *self, uint64_t id)
{
	struct api_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (job->record.id == id)
			return job;
	}
	return NULL;
}

/* -- waiting ---------------------------------------------------------------- */

static void waited_enough(struct loop_timer *timer)
{
	struct api_job_waiter *waiter =
		container_of(timer, struct api_job_waiter, timer);
	LIST_REMOVE(waiter, link);
	co_resume(waiter->co);
}

void api_job_wait_co(struct api_job *job, uint64_t seconds)
{
	struct api_job_waiter waiter = {
		.co = co_self(), .timer.expired = waited_enough};
	if (!seconds || api_job_ended(job) || job->all->stopping)
		return;
	LIST_INSERT_HEAD(&job->waiters, &waiter, link);
	loop_timer_set(job->all->api->loop, &waiter.timer, seconds * NS_PER_S);
	co_yield ();
}

/* -- all -------------------------------------------------------------------- */

static int restore_one(struct api_job_record *record, void *argument)
{
	struct api_jobs *self = argument;
	struct api_job *job = api_job_new(self);
	if (!job)
		return -ENOMEM;
	job->record = *record; /* its options too */
	if (job->record.state == API_JOB_CANCELLING) {
		job->record.state = API_JOB_CANCELLED;
		job->record.ended_ms = api_now_ms();
	}
	if (job->record.state == API_JOB_RUNNING)
		job->record.state = API_JOB_QUEUED;
	if (record->id >= self->next_id)
		self->next_id = record->id + 1;
	TAILQ_INSERT_TAIL(&self->list, job, link);
	return 0;
}

struct api_jobs *api_jobs_new(struct api *api, struct err *err)
{
	struct api_jobs *self = calloc(1, sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	self->api = api;
	self->next_id = 1;
	self->save.expired = save_all;
	self->retry.expired = retry;
	TAILQ_INIT(&self->list);
	if (api_job_store_load(api->parts.state, restore_one, self, err)) {
		api_jobs_stop_co(self);
		return NULL;
	}
	if (count_queued(self))
		loop_timer_set(api->loop, &self->retry, 0);
	api_jobs_watch(self);
	api->job_holder = api_job_holder_id;
	return self;
}

void api_jobs_stop_co(struct api_jobs *self)
{
	struct api_job *job;
	if (!self)
		return;
	self->stopping = true;
	loop_timer_clear(self->api->loop, &self->save);
	loop_timer_clear(self->api->loop, &self->retry);
	TAILQ_FOREACH (job, &self->list, link) {
		wake_waiters(job);
		if (!job->job || api_job_ended(job))
			continue;
		job->interrupted = job->record.state != API_JOB_CANCELLING;
		job_cancel(job->job);
	}
	if (self->running) {
		self->stopper = co_self();
		co_yield ();
	}
	while ((job = TAILQ_FIRST(&self->list))) {
		TAILQ_REMOVE(&self->list, job, link);
		api_job_free(job);
	}
	api_jobs_unwatch(self);
	free(self);
}
