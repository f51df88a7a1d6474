/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: writes what an image holds down into its backing file; then the source
 * stands on that. flatten: copies what the backing file shows up into the image, which
 * then stands by itself. stream: only what images between it and one further down hold, on
 * which it stands then. Hosts go on meanwhile, and read the same all the time. Either
 * also of an image further down: external snapshots go so.
 *
 * After a restart a flatten and a stream look only at the tables of the image for what
 * they have copied already, and a commit goes on behind what it has copied of an image
 * that the source stands on. A commit of the image that hosts write to takes out of it
 * what is durable in the backing file: what is in it after a restart is what is left, and
 * what they wrote while the job was away.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/jobs/moving.h"

struct commit_options {
	char *image, *base;
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
static const struct opt_spec stream_option_specs[] = {OPTION_IMAGE,
	{.name = "base",
		.type = OPT_STRING,
		.offset = offsetof(struct commit_options, base),
		.max = 1023,
		.help = "file of the image further down that it comes to stand "
			"on"},
	OPT_END};

static struct spec_move_setup commit_setup(enum spec_move_kind kind,
	struct block_source *source, const struct commit_options *options)
{
	return (struct spec_move_setup){.kind = kind,
		.source = source,
		.image = options->image,
		.base = options->base,
		.pivots = true};
}

#define SPACE(name, kind) \
	static int name(struct block_core *core, struct block_source *source, \
		const void *options, struct job_space *space, struct err *err) \
	{ \
		struct spec_move_setup setup = \
			commit_setup(kind, source, options); \
		(void)core; \
		return spec_move_space_co(&setup, space, err); \
	}
SPACE(commit_space_co, SPEC_MOVE_COMMIT)
SPACE(flatten_space_co, SPEC_MOVE_PULL)
SPACE(stream_space_co, SPEC_MOVE_STREAM)

static int commit_move_co(struct job *job, const struct job_kind *kind,
	enum spec_move_kind move_kind, uint64_t cursor, struct err *err)
{
	struct spec_move_setup setup =
		commit_setup(move_kind, job_source(job), job_options(job));
	struct spec_move *move;
	/* Of what is left, after a restart: the images' tables tell. */
	int error = moving_check_space_co(job, kind->space_co, err);

	setup.owner = job;
	setup.job = kind->name;
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
	return commit_move_co(job, &job_commit, SPEC_MOVE_COMMIT, cursor, err);
}

static int flatten_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	return commit_move_co(job, &job_flatten, SPEC_MOVE_PULL, cursor, err);
}

static int stream_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	return commit_move_co(job, &job_stream, SPEC_MOVE_STREAM, cursor, err);
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

const struct job_kind job_stream = {
	.name = "stream",
	.help = "copy what images between hold up into the image, stand on one "
		"below them",
	.alone = true,
	.pivots = true,
	.options = stream_option_specs,
	.options_bytes = sizeof(struct commit_options),
	.space_co = stream_space_co,
	.run_co = stream_run_co,
};
