/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of jobs.
 */
#include "webui/api/jobs/jobs_api.h"
#include "blockcore/base/list.h"
#include "blockcore/base/opts.h"
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_S 60u

/* -- showing ---------------------------------------------------------------- */

static json_t *time_or_null(int64_t ms)
{
	return ms ? api_time(ms) : json_null();
}

static json_t *options_json(const struct kept_job_record *record)
{
	json_t *options =
		*record->options ? json_loads(record->options, 0, NULL) : NULL;
	return options ? options : json_object();
}

json_t *api_job_json(const struct kept_job *job)
{
	const struct kept_job_record *r = &job->record;
	struct job_progress progress = {.done = r->done_bytes,
		.total = r->total_bytes,
		.left_s = UINT64_MAX};
	if (job->job)
		job_get_progress(job->job, &progress);
	bool knows = job->job && progress.left_s != UINT64_MAX;
	return json_pack("{sI, ss, ss, so, ss, sI, sI, sI, sI, so, so, so, ss, "
			 "ss?, ss?, sI}",
		"id", (json_int_t)r->id, "volume", r->volume, "kind", r->kind,
		"options", options_json(r), "state", kept_job_states[r->state],
		"done_bytes", (json_int_t)progress.done, "total_bytes",
		(json_int_t)progress.total, "rate_bytes_s",
		(json_int_t)progress.rate_bytes_s, "rate_bytes",
		(json_int_t)r->rate_bytes, "left_seconds",
		knows ? json_integer((json_int_t)progress.left_s) : json_null(),
		"created", api_time(r->created_ms), "ended",
		time_or_null(r->ended_ms), "user", r->user, "error",
		*r->error ? r->error : NULL, "note", *r->note ? r->note : NULL,
		"generation", (json_int_t)r->generation);
}

void api_job_told(struct jobs_watcher *watcher, const struct kept_job *job,
	const char *type)
{
	api_emit(container_of(watcher, struct api, jobs_watcher), "jobs", type,
		api_job_json(job));
}

json_t *api_jobs_stats(struct api *api)
{
	const struct kept_job *job;
	json_t *list = json_array();
	TAILQ_FOREACH (job, &api->jobs->list, link) {
		struct job_progress p;
		if (!job->job)
			continue;
		job_get_progress(job->job, &p);
		json_array_append_new(list,
			json_pack("{sI, sI, sI, sI}", "id",
				(json_int_t)job->record.id, "done_bytes",
				(json_int_t)p.done, "total_bytes",
				(json_int_t)p.total, "rate_bytes_s",
				(json_int_t)p.rate_bytes_s));
	}
	return list;
}

/* -- reading ---------------------------------------------------------------- */

struct kept_job *api_job_of(struct api_request *request)
{
	const char *text = api_parameter(request, "id");
	char *end;
	uint64_t id = strtoull(text, &end, 10);
	struct kept_job *job = *end || *text < '0' || *text > '9'
		? NULL
		: jobs_find(request->api->jobs, id);
	if (!job)
		api_problem(
			request, "not-found", "there is no job %.32s", text);
	return job;
}

static bool is_state(const char *name)
{
	for (const char *const *state = kept_job_states; *state; state++) {
		if (!strcmp(*state, name))
			return true;
	}
	return false;
}

static void list_co(struct api_request *request)
{
	const char *volume = api_query(request, "volume");
	const char *state = api_query(request, "state");
	struct api_page page;
	const struct kept_job *job;
	if (state && !is_state(state)) {
		api_problem(request, "syntax", "there is no state \"%.32s\"",
			state);
		return;
	}
	if (!api_page_begin(request, &page))
		return;
	TAILQ_FOREACH (job, &request->api->jobs->list, link) {
		char key[24];
		snprintf(key, sizeof key, "%020" PRIu64, job->record.id);
		if ((volume && strcmp(volume, job->record.volume) != 0) ||
			(state &&
				strcmp(state,
					kept_job_states[job->record.state]) !=
					0))
			continue;
		if (api_page_wants(&page, key))
			api_page_add(&page, key, api_job_json(job));
	}
	api_page_answer(request, &page);
}

void api_job_answer(struct api_request *request, const struct kept_job *job)
{
	char tag[24];
	snprintf(tag, sizeof tag, "%" PRIu64, job->record.generation);
	api_set_etag(request, tag);
	api_answer(request, 200, api_job_json(job));
}

static void get_co(struct api_request *request)
{
	uint64_t seconds;
	struct kept_job *job = api_job_of(request);
	if (!job ||
		!api_query_uint(request, "wait", 0, WAIT_MAX_S, 0, &seconds))
		return;
	kept_job_wait_co(job, seconds);
	api_job_answer(request, job);
}

/* -- starting --------------------------------------------------------------- */

struct start_options {
	char *volume, *kind;
	const struct doc *options;
	uint64_t rate_bytes;
	bool destroy; /* said, not guessed: the data may go */
};

#define START(field) offsetof(struct start_options, field)
static const struct opt_spec start_specs[] = {
	{.name = "volume",
		.type = OPT_STRING,
		.offset = START(volume),
		.max = 63,
		.help = "on which"},
	{.name = "kind",
		.type = OPT_STRING,
		.offset = START(kind),
		.max = 31,
		.help = "what"},
	{.name = "options",
		.type = OPT_DOC,
		.flags = OPT_OPTIONAL,
		.offset = START(options),
		.help = "of the kind"},
	{.name = "rate_bytes",
		.type = OPT_SIZE,
		.offset = START(rate_bytes),
		.max = 1ull << 50,
		.fallback = "0",
		.help = "bytes per second; 0: no limit"},
	{.name = "destroy",
		.type = OPT_BOOL,
		.offset = START(destroy),
		.fallback = "false",
		.help = "the data that are there may go"},
	OPT_END,
};

static const struct job_kind *kind_of(const struct start_options *o)
{
	return jobs_kind(o->kind);
}

/* A job would say so when it runs; who asks hears it at once. `names`: it may be one of a
 * source. */
static int check_target(const struct doc *options, bool names, struct err *err)
{
	const struct doc *to = options ? doc_find(options, "to") : NULL;
	if (!to || (names && to->kind == DOC_SCALAR))
		return 0;
	if (to->kind != DOC_MAP)
		return doc_error(to, err, EINVAL,
			"expected a source: {protocol: ...} or {format: ...}");
	return spec_check(to, err);
}

static const char *kind_at(const void *none, unsigned i)
{
	(void)none;
	return job_kinds[i] ? job_kinds[i]->name : NULL;
}

static int unknown_kind(const struct doc *kind, struct err *err)
{
	doc_error(kind, err, EINVAL,
		"there is no job \"%s\"; there are: ", kind->text);
	err_allow(err, kind_at, NULL, NULL);
	err_list_allowed(err);
	return -EINVAL;
}

static int check_kind(
	const struct doc *body, const struct start_options *o, struct err *err)
{
	const struct job_kind *kind = kind_of(o);
	if (!kind)
		return unknown_kind(doc_find(body, "kind"), err);
	void *values = calloc(1, kind->options_bytes + 1);
	if (!values)
		return err_set(err, ENOMEM, "out of memory");
	int failed = opts_parse(kind->options, o->options, NULL, values,
		kind->options_bytes, err);
	if (!failed)
		opts_free(kind->options, values);
	free(values);
	return failed
		? failed
		: check_target(o->options, !strcmp(kind->name, "rebase"), err);
}

static char *print_options(const struct doc *options)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = options ? open_memstream(&text, &bytes) : NULL;
	if (!options)
		return strdup("");
	if (out) {
		doc_print_json(options, out);
		fclose(out);
	}
	return text;
}

static struct kept_job *make_job(
	struct api_request *request, const struct start_options *o)
{
	char *options = print_options(o->options);
	struct kept_job *job = options
		? jobs_make(request->api->jobs, o->kind, o->volume, options,
			  request->who.name)
		: NULL;
	free(options);
	if (job)
		job->record.rate_bytes = o->rate_bytes;
	return job;
}

/* What takes all data away is said in so many words, and never under the eyes of
 * hosts. False: answered. */
static bool may_destroy(
	struct api_request *request, const struct start_options *o)
{
	struct volume_view view;
	const struct volume *volume =
		appliance_find_volume(request->parts->appliance, o->volume);
	if (!kind_of(o)->destroys || !volume) /* told when it starts */
		return true;
	volume_view_get(volume, &view);
	if (view.nexuses) {
		api_problem(request, "conflict",
			"the job (%s) DESTROYS all data of %s, and sessions of "
			"hosts are open on it (%" PRIu64
			"): end them first, or remove its exports",
			o->kind, o->volume, view.nexuses);
		return false;
	}
	if (o->destroy || request->dry_run)
		return true;
	api_problem_at(request, "/destroy", NULL,
		"the job (%s) DESTROYS all data of %s: say \"destroy\": true "
		"if that is meant",
		o->kind, o->volume);
	return false;
}

/* What a job would do under the eyes of hosts; NULL: nothing that they must not see. */
static const char *needs_quiet(const struct start_options *o)
{
	const struct doc *repair =
		o->options ? doc_find(o->options, "repair") : NULL;
	const struct doc *unsafe =
		o->options ? doc_find(o->options, "unsafe") : NULL;
	if (!strcmp(o->kind, "check") && repair &&
		strcmp(repair->text, "nothing") != 0)
		return "the check would repair the image of";
	if (!strcmp(o->kind, "rebase") && unsafe &&
		strcmp(unsafe->text, "false") != 0)
		return "the rebase may change all data of";
	return NULL;
}

/* What writes to tables that it has found wrong does so while nobody else does. */
static bool may_repair(
	struct api_request *request, const struct start_options *o)
{
	struct volume_view view;
	const struct volume *volume =
		appliance_find_volume(request->parts->appliance, o->volume);
	const char *what = needs_quiet(o);
	if (!what || !volume)
		return true;
	volume_view_get(volume, &view);
	if (!view.nexuses)
		return true;
	api_problem(request, "conflict",
		"%s %s, and sessions of hosts are open on it (%" PRIu64
		"): end them first, or remove its exports",
		what, o->volume, view.nexuses);
	return false;
}

static void name_in_way(
	struct api_request *request, const struct kept_job *other)
{
	char text[32];
	snprintf(text, sizeof text, "job %" PRIu64, other->record.id);
	api_problem_add(request, "held_by", json_pack("[s]", text));
}

/* What would make it fail later is said at once. False: answered. */
static bool may_begin_co(
	struct api_request *request, const struct start_options *o)
{
	const struct jobs *jobs = request->api->jobs;
	const struct kept_job *other = jobs_in_way(jobs, o->kind, o->volume);
	struct err err = {0};
	int failed = other ? jobs_check_alone(jobs, o->kind, o->volume, &err)
			   : jobs_check_space_co(jobs, o->kind, o->volume,
				     o->options, &err);
	if (failed)
		api_fail(request, &err);
	if (other)
		name_in_way(request, other);
	return !failed;
}

/* Who asks, and wants no second job if he asks again (Idempotency-Key). */
struct asker {
	struct job_asker asker;
	struct api_request *request;
};

static int asked(struct job_asker *asker, uint64_t id, struct err *err)
{
	struct api_request *request =
		container_of(asker, struct asker, asker)->request;
	char place[64] = "";
	if (id)
		snprintf(place, sizeof place, "/api/v1/jobs/%" PRIu64, id);
	return api_key_done(request, id ? 202 : 0, place, err);
}

/* Starts it, or says what it would do. */
static void begin_co(struct api_request *request, const struct start_options *o)
{
	struct err err = {0};
	char location[64];
	if (request->dry_run) {
		api_job_plan_co(request, o->kind, o->volume, o->options);
		return;
	}
	if (!may_begin_co(request, o))
		return;
	struct kept_job *job = make_job(request, o);
	if (!job) {
		api_problem(request, "busy", "out of memory");
		return;
	}
	struct asker asker = {.asker.asked = asked, .request = request};
	job->asker = &asker.asker;
	if (kept_job_start_co(job, &err)) {
		api_fail(request, &err);
		return;
	}
	json_t *json = api_job_json(job);
	snprintf(location, sizeof location, "/api/v1/jobs/%" PRIu64,
		job->record.id);
	api_audit(request, location + 8, NULL, json_incref(json));
	api_answer_job(request, location, json);
}

void api_job_order_co(struct api_request *request, const char *kind,
	const char *volume, const json_t *options)
{
	char *text = json_dumps(options, JSON_COMPACT);
	struct doc *doc = text ? doc_parse("", text, strlen(text), NULL) : NULL;
	const struct start_options o = {
		.volume = (char *)volume, .kind = (char *)kind, .options = doc};
	if (doc)
		begin_co(request, &o);
	else
		api_problem(request, "busy", "out of memory");
	doc_free(doc);
	free(text);
}

static void start_with_co(struct api_request *request, const struct doc *body,
	const struct start_options *o)
{
	struct err err = {0};
	if (check_kind(body, o, &err))
		api_fail(request, &err);
	else if (may_destroy(request, o) && may_repair(request, o))
		begin_co(request, o);
}

static void start_co(struct api_request *request)
{
	struct err err = {0};
	struct start_options o;
	struct doc *body =
		doc_parse("", request->text, request->text_bytes, &err);
	if (!body || opts_parse(start_specs, body, NULL, &o, sizeof o, &err)) {
		api_fail(request, &err);
	} else {
		start_with_co(request, body, &o);
		opts_free(start_specs, &o);
	}
	doc_free(body);
}

const struct api_route api_jobs_routes[] = {
	{"listJobs", "GET", "/api/v1/jobs", API_VIEWER, API_PAGED,
		"volume state", list_co},
	{"startJob", "POST", "/api/v1/jobs", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL, start_co},
	{"getJob", "GET", "/api/v1/jobs/{id}", API_VIEWER, 0, "wait", get_co},
	{"changeJob", "PATCH", "/api/v1/jobs/{id}", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_NEEDS_MATCH, NULL,
		api_job_change_co},
	{"cancelJob", "POST", "/api/v1/jobs/{id}/cancel", API_OPERATOR,
		API_DRY_RUN | API_IDEMPOTENT, NULL, api_job_cancel_co},
	{0},
};
