/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: writes what an image holds down into its backing file; then the source
 * stands on that. flatten: copies what the backing file shows up into the image, which
 * then stands by itself. Hosts go on meanwhile, and read the same all the time. Either
 * also of an image further down: external snapshots go so.
 *
 * After a restart a flatten looks only at the tables of the image for what it has copied
 * already, and a commit goes on behind what it has copied of an image that the source
 * stands on. A commit of the image that hosts write to takes out of it what is durable in
 * the backing file: what is in it after a restart is what is left, and what they wrote
 * while the job was away.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/jobs/moving.h"

struct commit_options {
	char *image;
	bool remove;
};

#define OPTION_IMAGE \
	{ \
		.name = "image", .type = OPT_STRING, .flags = OPT_OPTIONAL, \
		.offset = offsetof(struct commit_options, image), .max = 1023, \
		.help = "file of the image, if it is one that the source " \
			"stands on", \
	}
static const struct opt_spec commit_option_specs[] = {OPTION_IMAGE,
	{.name = "remove",
		.type = OPT_BOOL,
		.offset = offsetof(struct commit_options, remove),
		.fallback = "false",
		.help = "with image: where documents are kept, its file goes "
			"when nothing needs it any more"},
	OPT_END};
static const struct opt_spec flatten_option_specs[] = {OPTION_IMAGE, OPT_END};

static int commit_space_co(struct block_core *core, struct block_source *source,
	const void *options, struct job_space *space, struct err *err)
{
	const struct commit_options *commit = options;

	(void)core;
	return spec_move_space_co(
		SPEC_MOVE_COMMIT, source, NULL, commit->image, space, err);
}

static int flatten_space_co(struct block_core *core,
	struct block_source *source, const void *options,
	struct job_space *space, struct err *err)
{
	const struct commit_options *commit = options;

	(void)core;
	return spec_move_space_co(
		SPEC_MOVE_PULL, source, NULL, commit->image, space, err);
}

static int commit_move_co(struct job *job, enum spec_move_kind kind,
	const char *name, uint64_t cursor, struct err *err)
{
	const struct commit_options *options = job_options(job);
	const struct spec_move_setup setup = {.kind = kind,
		.source = job_source(job),
		.owner = job,
		.job = name,
		.image = options->image,
		.pivots = true};
	struct spec_move *move;
	/* Of what is left, after a restart: the images' tables tell. */
	int error = moving_check_space_co(job,
		kind == SPEC_MOVE_COMMIT ? commit_space_co : flatten_space_co,
		err);

	if (!error)
		error = spec_move_begin_co(&setup, &move, err);
	if (error)
		return error;
	error = moving_run_co(job, move, cursor, spec_move_pivot_co, err);
	spec_move_end_co(move);
	return error;
}

static int commit_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	return commit_move_co(job, SPEC_MOVE_COMMIT, "commit", cursor, err);
}

static int flatten_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	return commit_move_co(job, SPEC_MOVE_PULL, "flatten", cursor, err);
}

const struct job_kind job_commit = {
	.name = "commit",
	.help = "write the image down into its backing file, go on there",
	.alone = true,
	.pivots = true,
	.options = commit_option_specs,
	.options_bytes = sizeof(struct commit_options),
	.space_co = commit_space_co,
	.run_co = commit_run_co,
};

const struct job_kind job_flatten = {
	.name = "flatten",
	.help = "copy the backing file up into the image, do without it",
	.alone = true,
	.pivots = true,
	.options = flatten_option_specs,
	.options_bytes = sizeof(struct commit_options),
	.space_co = flatten_space_co,
	.run_co = flatten_run_co,
};
