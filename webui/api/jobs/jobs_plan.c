/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job would do, for dry runs: refused as the job would be.
 */
#include "webui/api/jobs/jobs_api.h"
#include "webui/api/live/live_impact.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_text(const struct job_kind *kind, const char *volume,
	bool ranged, const struct job_space *space, char *text, size_t bytes)
{
	size_t used;
	if (kind->destroys) {
		snprintf(text, bytes, "DESTROYS all data of %s%s: %s", volume,
			ranged ? " in the range of its options" : "",
			kind->help);
		return;
	}
	snprintf(text, bytes, "a job (%s) begins: %s; hosts stay", kind->name,
		kind->help);
	if (!kind->space_co)
		return;
	used = strlen(text);
	snprintf(text + used, bytes - used, "; needs %" PRIu64 " bytes",
		space->needs_bytes);
	if (!*space->path)
		return;
	used = strlen(text);
	snprintf(text + used, bytes - used,
		" where %.200s is, %" PRIu64 " are free%s", space->path,
		space->free_bytes,
		space->needs_bytes > space->free_bytes
			? ": too few, it would be refused"
			: "");
}

void api_job_plan_co(struct api_request *request, const char *name,
	const char *volume, const struct doc *options)
{
	const struct jobs *jobs = request->api->jobs;
	const struct job_kind *kind = jobs_kind(name);
	struct block_source *source = jobs_source(jobs, volume);
	struct job_space space;
	struct err err = {0};
	char text[700];
	int failed = source
		? jobs_check_files(jobs, name, volume, options, &err)
		: err_set(&err, ENOENT,
			  "there is no volume \"%s\", or it is offline",
			  volume);
	if (!failed)
		failed = jobs_check_alone(jobs, name, volume, &err);
	if (!failed)
		failed = jobs_find_space_co(
			jobs, source, kind, options, &space, &err);
	if (failed) {
		api_fail(request, &err);
		return;
	}
	print_text(kind, volume, options, &space, text, sizeof text);
	live_plan_co(request, volume, kind->pivots ? "parked" : "live", text);
}
