/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which job has a volume to itself, and what a volume stands on while one waits.
 *
 * Invariant: a job that needs its volume to itself (job_kind.alone) has it from when it
 * is asked for to its end, also while it waits. So none begins that would be refused by
 * what is at work already. Nor do two that destroy what is there.
 */
#include "blockcore/base/crc32c.h"
#include "target/control/jobs/jobs_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct kept_job *jobs_holder(const struct jobs *self, const char *volume)
{
	const struct kept_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (!kept_job_ended(job) &&
			!strcmp(job->record.volume, volume) &&
			jobs_kind(job->record.kind)->alone)
			return job;
	}
	return NULL;
}

uint64_t jobs_holder_id(const struct jobs *jobs, const char *volume)
{
	const struct kept_job *job = jobs_holder(jobs, volume);
	return job ? job->record.id : 0;
}

/* Two of which each writes what it wants over the same data spoil each other. */
static bool excludes(const struct job_kind *kind, const struct job_kind *other)
{
	return (kind->alone && other->alone) ||
		(kind->destroys && other->destroys);
}

const struct kept_job *jobs_in_way(
	const struct jobs *self, const char *kind, const char *volume)
{
	const struct kept_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (!kept_job_ended(job) &&
			!strcmp(job->record.volume, volume) &&
			excludes(jobs_kind(kind), jobs_kind(job->record.kind)))
			return job;
	}
	return NULL;
}

int jobs_check_alone(const struct jobs *jobs, const char *kind,
	const char *volume, struct err *err)
{
	const struct kept_job *job = jobs_in_way(jobs, kind, volume);
	if (!job)
		return 0;
	return err_set(err, EBUSY,
		"job %" PRIu64 " (%s) is %s volume %s: start this one when it "
		"has ended, or cancel it",
		job->record.id, job->record.kind,
		job->job ? "at work on" : "waiting for", volume);
}

/* Listeners come and go beside a job; what is below them does not. */
uint32_t jobs_ground(const struct jobs *jobs, const char *volume)
{
	const struct config_object *object =
		config_find(jobs->parts->config, CONFIG_VOLUME, volume);
	json_t *source = object
		? json_copy(json_object_get(object->value, "source"))
		: NULL;
	json_object_del(source, "listeners");
	char *text = json_dumps(source, JSON_COMPACT | JSON_SORT_KEYS);
	uint32_t sum = text ? crc32c(0, text, strlen(text)) : 0;
	free(text);
	json_decref(source);
	return sum;
}

uint64_t kept_job_cursor(const struct kept_job *job)
{
	const struct kept_job_record *r = &job->record;
	bool same = jobs_ground(job->all, r->volume) == r->ground;
	return same || !r->cursor || !jobs_kind(r->kind)->alone ? r->cursor : 1;
}

struct letting_go {
	struct block_core *core;
	char volume[sizeof((struct kept_job_record *)0)->volume];
};

static void let_go_co(void *argument)
{
	struct letting_go *go = argument;
	job_forget_co(go->core, go->volume);
	free(go);
}

/* Without memory: at the next start, or before the next such job. */
void kept_job_let_go(const struct kept_job *job)
{
	struct letting_go *go = calloc(1, sizeof *go);
	if (!go || !jobs_kind(job->record.kind)->alone) {
		free(go);
		return;
	}
	go->core = job->all->parts->core;
	snprintf(go->volume, sizeof go->volume, "%s", job->record.volume);
	if (!co_start(let_go_co, go))
		free(go);
}

void jobs_let_go_co(const struct jobs *self)
{
	const struct config *config = self->parts->config;
	const struct config_object *object = NULL;
	while (config &&
		(object = config_next(config, CONFIG_VOLUME, object))) {
		char volume[sizeof((struct letting_go *)0)->volume];
		snprintf(volume, sizeof volume, "%s", object->id);
		if (!jobs_holder(self, volume))
			job_forget_co(self->parts->core, volume);
	}
}
