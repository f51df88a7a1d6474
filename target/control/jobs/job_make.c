/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job is made: for who asks, or one of the daemon's own, which nobody asked for.
 */
#include "target/control/jobs/jobs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kept_job *jobs_make(struct jobs *self, const char *kind,
	const char *volume, const char *options, const char *user)
{
	struct kept_job *job = kept_job_new(self);
	char *copy = job ? strdup(options) : NULL;
	if (!copy) {
		free(job);
		return NULL;
	}
	struct kept_job_record *r = &job->record;
	r->options = copy;
	snprintf(r->volume, sizeof r->volume, "%s", volume);
	snprintf(r->kind, sizeof r->kind, "%s", kind);
	snprintf(r->user, sizeof r->user, "%s", user);
	return job;
}

/* What would make it fail later is found first, as for who asks over REST. */
static int check_co(struct jobs *jobs, const char *kind, const char *volume,
	const char *options, struct err *err)
{
	struct doc *doc = doc_parse("", options, strlen(options), err);
	int failed = doc ? jobs_check_alone(jobs, kind, volume, err)
			 : err_set(err, ENOMEM, "out of memory");
	if (!failed)
		failed = jobs_check_space_co(jobs, kind, volume, doc, err);
	doc_free(doc);
	if (!failed && jobs->stopping)
		failed = err_set(err, ESHUTDOWN, "the daemon is stopping");
	return failed;
}

static int start_co(struct jobs *jobs, const char *kind, const char *volume,
	const char *options, uint64_t *id, struct err *err)
{
	int failed = check_co(jobs, kind, volume, options, err);
	struct kept_job *job = failed
		? NULL
		: jobs_make(jobs, kind, volume, options, KEPT_JOB_OWN_USER);
	if (failed)
		return failed;
	if (!job)
		return err_set(err, ENOMEM, "out of memory");
	failed = kept_job_start_co(job, err);
	if (!failed)
		*id = job->record.id;
	return failed;
}

int jobs_begin_own_co(struct jobs *jobs, const char *kind, const char *volume,
	const json_t *options, uint64_t *id, struct err *err)
{
	char *text = json_dumps(options, JSON_COMPACT);
	int failed = text ? start_co(jobs, kind, volume, text, id, err)
			  : err_set(err, ENOMEM, "out of memory");
	free(text);
	return failed;
}
