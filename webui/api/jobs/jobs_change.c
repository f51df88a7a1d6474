/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job that runs or waits: paused, resumed, slowed, cancelled.
 */
#include "blockcore/base/opts.h"
#include "webui/api/jobs/jobs_api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool refuse_ended(
	struct api_request *request, const struct kept_job *job)
{
	if (!kept_job_ended(job))
		return false;
	api_problem(request, "conflict", "job %" PRIu64 " has ended: %s",
		job->record.id, kept_job_states[job->record.state]);
	return true;
}

/* NULL: it is not said. */
static const struct doc *member(const struct doc *body, const char *name)
{
	const struct doc *node = doc_find(body, name);
	return node && node->kind != DOC_NULL ? node : NULL;
}

/* What a patch says; what it leaves out is as it was. */
struct wanted {
	bool sets_paused, paused, sets_rate;
	uint64_t rate_bytes;
};

static int read_wanted(
	const struct doc *body, struct wanted *wanted, struct err *err)
{
	static const char *const keys[] = {"paused", "rate_bytes", NULL};
	static const struct opt_spec none[] = {OPT_END};
	const struct doc *paused = member(body, "paused");
	const struct doc *rate = member(body, "rate_bytes");
	*wanted = (struct wanted){
		.sets_paused = paused != NULL, .sets_rate = rate != NULL};
	if (body->kind != DOC_MAP || !body->first)
		return doc_error(
			body, err, EINVAL, "paused or rate_bytes is expected");
	if (opts_check_keys(none, body, keys, err) ||
		(paused && doc_bool(paused, &wanted->paused, err)) ||
		(rate &&
			doc_size(
				rate, 0, 1ull << 50, &wanted->rate_bytes, err)))
		return -EINVAL;
	return 0;
}

/* Both are taken over; `before` may be NULL. */
static void audit(struct api_request *request, const struct kept_job *job,
	json_t *before, json_t *after)
{
	char object[32];
	snprintf(object, sizeof object, "jobs/%" PRIu64, job->record.id);
	api_audit(request, object, before, after);
}

static void change(struct api_request *request, struct kept_job *job,
	const struct wanted *wanted)
{
	json_t *before = api_job_json(job);
	if (wanted->sets_paused)
		kept_job_pause(job, wanted->paused);
	if (wanted->sets_rate)
		kept_job_set_rate(job, wanted->rate_bytes);
	kept_job_save(job);
	kept_job_tell(job, kept_job_states[job->record.state]);
	audit(request, job, before, api_job_json(job));
	api_job_answer(request, job);
}

/* Hosts notice nothing of what a job is told, but what it takes of the disks. */
static void plan(struct api_request *request, const struct kept_job *job,
	json_t *after, const char *text)
{
	char object[32], id[24];
	snprintf(object, sizeof object, "job %" PRIu64, job->record.id);
	snprintf(id, sizeof id, "%" PRIu64, job->record.id);
	json_t *change = json_pack("{ss, ss, ss, so, so}", "kind", "job", "id",
		id, "operation", "update", "before", api_job_json(job), "after",
		after);
	api_answer(request, 200,
		json_pack("{sb, s[o], s[{ss, ss, ss, s[], s[]}]}", "dry_run", 1,
			"changes", change, "impact", "object", object, "effect",
			"none", "text", text, "sessions", "hosts"));
}

static void plan_change(struct api_request *request, const struct kept_job *job,
	const struct wanted *wanted)
{
	json_t *after = api_job_json(job);
	if (wanted->sets_paused)
		json_object_set_new(after, "state",
			json_string(kept_job_states[kept_job_state_if(
				job, wanted->paused)]));
	if (wanted->sets_rate)
		json_object_set_new(after, "rate_bytes",
			json_integer((json_int_t)wanted->rate_bytes));
	plan(request, job, after,
		wanted->sets_paused && wanted->paused
			? "it rests until it is resumed"
			: "it goes on");
}

void api_job_change_co(struct api_request *request)
{
	char tag[24];
	struct err err = {0};
	struct wanted wanted;
	struct kept_job *job = api_job_of(request);
	if (!job)
		return;
	snprintf(tag, sizeof tag, "%" PRIu64, job->record.generation);
	if (!api_match(request, tag) || refuse_ended(request, job))
		return;
	struct doc *body =
		doc_parse("", request->text, request->text_bytes, &err);
	if (!body || read_wanted(body, &wanted, &err))
		api_fail(request, &err);
	else if (request->dry_run)
		plan_change(request, job, &wanted);
	else
		change(request, job, &wanted);
	doc_free(body);
}

void api_job_cancel_co(struct api_request *request)
{
	struct kept_job *job = api_job_of(request);
	if (!job || refuse_ended(request, job))
		return;
	if (request->dry_run) {
		json_t *after = api_job_json(job);
		json_object_set_new(after, "state",
			json_string(kept_job_states[KEPT_JOB_CANCELLING]));
		plan(request, job, after,
			"it ends soon, and leaves what it has done so far");
		return;
	}
	kept_job_cancel(job);
	json_t *json = api_job_json(job);
	audit(request, job, NULL, json_incref(json));
	api_answer(request, 202, json);
}
