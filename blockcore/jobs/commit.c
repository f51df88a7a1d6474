/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: writes what an image holds down into its backing file; then the source
 * stands on that. flatten: copies what the backing file shows up into the image, which
 * then stands by itself. Hosts go on meanwhile, and read the same all the time.
 *
 * A restart begins anew: a flatten passes quickly over what is in the image already.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/jobs/moving.h"

static const struct opt_spec commit_option_specs[] = {OPT_END};

static int commit_space_co(struct block_core *core, struct block_source *source,
	const void *options, struct job_space *space, struct err *err)
{
	(void)core;
	(void)options;
	return spec_move_space_co(SPEC_MOVE_COMMIT, source, NULL, space, err);
}

static int flatten_space_co(struct block_core *core,
	struct block_source *source, const void *options,
	struct job_space *space, struct err *err)
{
	(void)core;
	(void)options;
	return spec_move_space_co(SPEC_MOVE_PULL, source, NULL, space, err);
}

static int commit_move_co(struct job *job, enum spec_move_kind kind,
	const char *name, struct err *err)
{
	const struct spec_move_setup setup = {.kind = kind,
		.source = job_source(job),
		.owner = job,
		.job = name,
		.pivots = true};
	struct spec_move *move;
	int error = moving_check_space_co(job,
		kind == SPEC_MOVE_COMMIT ? commit_space_co : flatten_space_co,
		err);

	if (!error)
		error = spec_move_begin_co(&setup, &move, err);
	if (error)
		return error;
	error = moving_run_co(job, move, 0, false, spec_move_pivot_co, err);
	spec_move_end_co(move);
	return error;
}

static int commit_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	(void)cursor;
	return commit_move_co(job, SPEC_MOVE_COMMIT, "commit", err);
}

static int flatten_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	(void)cursor;
	return commit_move_co(job, SPEC_MOVE_PULL, "flatten", err);
}

const struct job_kind job_commit = {
	.name = "commit",
	.help = "write the image down into its backing file, go on there",
	.pivots = true,
	.options = commit_option_specs,
	.space_co = commit_space_co,
	.run_co = commit_run_co,
};

const struct job_kind job_flatten = {
	.name = "flatten",
	.help = "copy the backing file up into the image, do without it",
	.pivots = true,
	.options = commit_option_specs,
	.space_co = flatten_space_co,
	.run_co = flatten_run_co,
};
