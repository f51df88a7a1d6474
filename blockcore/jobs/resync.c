/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resync: a mirror's leg gets what it lacks, and is in sync from then on. Hosts go on
 * meanwhile. A restart goes on with what it lacks then. pivot: the source stands on the
 * leg from then on, and what it stood on is the leg; or the mirror ends there. migrate
 * (copy.c) does one after the other, if it is told a mirror.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/spec_mirror.h"

struct resync_options {
	char *listener;
};

static const struct opt_spec resync_option_specs[] = {
	{.name = "listener",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.max = BLOCK_NAME_BYTES - 1,
		.offset = offsetof(struct resync_options, listener),
		.help = "the mirror's name, if there are several"},
	OPT_END,
};

struct pivot_options {
	char *listener;
	bool ends;
};

static const struct opt_spec pivot_option_specs[] = {
	{.name = "listener",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.max = BLOCK_NAME_BYTES - 1,
		.offset = offsetof(struct pivot_options, listener),
		.help = "the mirror's name, if there are several"},
	{.name = "end",
		.type = OPT_BOOL,
		.offset = offsetof(struct pivot_options, ends),
		.fallback = "false",
		.help = "the mirror ends, and the old file stays as it is "
			"then; "
			"else that is the leg"},
	OPT_END,
};

static int pivot_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	const struct pivot_options *options = job_options(job);

	(void)cursor;
	return spec_mirror_pivot_co(
		job_source(job), options->listener, options->ends, job, err);
}

static int resync_step_co(void *argument, uint64_t bytes)
{
	return job_step_co(argument, 1, bytes);
}

static void resync_cancel(void *argument)
{
	spec_resync_cancel(argument);
}

int resync_all_co(struct job *job, const char *listener, struct err *err)
{
	struct spec_resync *resync;
	int error =
		spec_resync_begin_co(job_source(job), listener, &resync, err);

	if (error)
		return error;
	job_set_total(job, spec_resync_bytes(resync), 0);
	job_on_cancel(job, resync_cancel, resync);
	error = spec_resync_run_co(resync, resync_step_co, job, err);
	job_on_cancel(job, NULL, NULL);
	spec_resync_end_co(resync);
	return error;
}

static int resync_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	const struct resync_options *options = job_options(job);

	(void)cursor;
	return resync_all_co(job, options->listener, err);
}

const struct job_kind job_resync = {
	.name = "resync",
	.help = "bring a mirror's leg what it lacks",
	.options = resync_option_specs,
	.options_bytes = sizeof(struct resync_options),
	.run_co = resync_run_co,
};

const struct job_kind job_pivot = {
	.name = "pivot",
	.help = "go on on a mirror's leg, which has everything",
	.pivots = true,
	.options = pivot_option_specs,
	.options_bytes = sizeof(struct pivot_options),
	.run_co = pivot_run_co,
};
