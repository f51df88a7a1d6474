/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: all that a source shows, into another one: an export, a conversion. Hosts may
 * write meanwhile: the copy is of one point in time, when the job ends.
 *
 * migrate: the same, and then the source itself stands on the target.
 *
 * Invariant: after a restart, what a read-only source has given is not copied again.
 * Of one that hosts can write to everything is: they may have done so before the job
 * came back.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/jobs/moving.h"

struct copy_options {
	const struct doc *to;
	bool overwrite, detect_zeroes;
};

static const struct opt_spec copy_option_specs[] = {
	{.name = "to",
		.type = OPT_DOC,
		.offset = offsetof(struct copy_options, to),
		.help = "the target, as a source: {protocol: ...} or {format: "
			"...}"},
	{.name = "overwrite",
		.type = OPT_BOOL,
		.offset = offsetof(struct copy_options, overwrite),
		.fallback = "false",
		.help = "whatever is in the target"},
	{.name = "detect_zeroes",
		.type = OPT_BOOL,
		.offset = offsetof(struct copy_options, detect_zeroes),
		.fallback = "true",
		.help = "blocks of zeroes take no space in the target"},
	OPT_END,
};

/* -- space ---------------------------------------------------------------- */

static int copy_space_co(struct block_core *core, struct block_source *source,
	const void *options, struct job_space *space, struct err *err)
{
	const struct copy_options *copy = options;

	(void)core;
	return spec_move_space_co(
		SPEC_MOVE_COPY, source, copy->to, NULL, space, err);
}

/* -- the work ------------------------------------------------------------- */

static int copy_work_co(
	struct job *job, uint64_t cursor, bool pivot, struct err *err)
{
	const struct copy_options *options = job_options(job);
	const struct spec_move_setup setup = {.kind = SPEC_MOVE_COPY,
		.source = job_source(job),
		.owner = job,
		.job = pivot ? "migrate" : "copy",
		.target = options->to,
		.pivots = pivot,
		.overwrite = options->overwrite || cursor,
		.keep_zeroes = !options->detect_zeroes};
	struct spec_move *move;
	int error = cursor ? 0 : moving_check_space_co(job, copy_space_co, err);

	if (!error)
		error = spec_move_begin_co(&setup, &move, err);
	if (error)
		return error;
	error = moving_run_co(job, move, cursor,
		pivot ? spec_move_pivot_co : spec_move_settle_co, err);
	spec_move_end_co(move);
	return error;
}

static int copy_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	return copy_work_co(job, cursor, false, err);
}

static int migrate_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	return copy_work_co(job, cursor, true, err);
}

const struct job_kind job_copy = {
	.name = "copy",
	.help = "copy what the source shows into another one",
	.alone = true,
	.options = copy_option_specs,
	.options_bytes = sizeof(struct copy_options),
	.space_co = copy_space_co,
	.run_co = copy_run_co,
};

const struct job_kind job_migrate = {
	.name = "migrate",
	.help = "copy, and go on in the copy; hosts go on meanwhile",
	.alone = true,
	.pivots = true,
	.options = copy_option_specs,
	.options_bytes = sizeof(struct copy_options),
	.space_co = copy_space_co,
	.run_co = migrate_run_co,
};
