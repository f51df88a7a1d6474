/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: whether the image that a source shows is sound: its tables, its refcounts.
 * Leaks cost space only, and are told; errors fail the job. With `repair` what was
 * found is put right; who asks sees to it that no host is there.
 *
 * Invariants
 *  1. Without repair no host waits for it. With repair, changes of the image's
 *     tables wait while they are counted; reads and overwrites go on.
 *  2. What it has counted is in memory: it begins anew after a restart.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/kind.h"
#include "blockcore/spec.h"

#include <errno.h>
#include <inttypes.h>

enum check_repair { CHECK_NOTHING, CHECK_LEAKS, CHECK_ALL };
static const char *const check_repairs[] = {"nothing", "leaks", "all", NULL};

struct check_options {
	int repair;
};

static const struct opt_spec check_option_specs[] = {
	{.name = "repair",
		.type = OPT_ENUM,
		.offset = offsetof(struct check_options, repair),
		.choices = check_repairs,
		.fallback = "nothing",
		.help = "what is put right"},
	OPT_END,
};

struct check_run {
	struct block_check check;
	struct job *job;
	uint64_t done_bytes; /* told to the job */
};

/* In words: leaks are no failure, errors that stay are. */
static int check_tell(
	struct job *job, const struct block_check *found, struct err *err)
{
	if (found->fixed_leaks || found->fixed_errors)
		job_note(job,
			"%" PRIu64 " leaked clusters and %" PRIu64
			" errors put right",
			found->fixed_leaks, found->fixed_errors);
	else if (found->leaks && !found->errors)
		job_note(job,
			"sound; %" PRIu64 " clusters are leaked: repair=leaks "
			"gives them back",
			found->leaks);
	else if (!found->errors && found->changed)
		job_note(job,
			"sound; no leaks; hosts changed %" PRIu64
			" clusters meanwhile, which are not judged",
			found->changed);
	else if (!found->errors)
		job_note(job, "sound; no leaks");
	if (found->errors <= found->fixed_errors)
		return 0;
	return err_set(err, EIO,
		"the image has %" PRIu64 " errors (%s) and %" PRIu64
		" leaks: take it from its hosts, copy it, then check it with "
		"repair=all",
		found->errors - found->fixed_errors, found->first,
		found->leaks);
}

/* It may have begun anew. */
static int check_step_co(struct block_check *check)
{
	struct check_run *run = container_of(check, struct check_run, check);
	uint64_t before = run->done_bytes;

	if (!before || check->done_bytes < before) {
		job_set_total(run->job, check->total_bytes, 0);
		before = 0;
	}
	run->done_bytes = check->done_bytes;
	return job_step_co(run->job, 0, check->done_bytes - before);
}

static int check_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	const struct check_options *options = job_options(job);
	struct check_run run = {
		.job = job,
		.check = {.step_co = check_step_co,
			.repair_leaks = options->repair != CHECK_NOTHING,
			.repair_errors = options->repair == CHECK_ALL},
	};

	(void)cursor;
	int error = spec_check_image_co(job_source(job), &run.check, err);
	return error ? error : check_tell(job, &run.check, err);
}

const struct job_kind job_check = {
	.name = "check",
	.help = "whether the image is sound: leaks, errors",
	.options = check_option_specs,
	.options_bytes = sizeof(struct check_options),
	.run_co = check_run_co,
};
