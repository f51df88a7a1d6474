/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebase: an image comes to stand on another backing file. What hosts read stays the
 * same: where the two show something else, it is copied up into the image first. Hosts
 * go on meanwhile.
 *
 * unsafe: only what the image stands on changes, and with that perhaps what is read: for
 * a backing file that has moved, or was changed on purpose. No host may look then.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/jobs/moving.h"

struct rebase_options {
	const struct doc *to;
	bool unsafe;
};

static const struct opt_spec rebase_option_specs[] = {
	{.name = "to",
		.type = OPT_DOC,
		.offset = offsetof(struct rebase_options, to),
		.help = "the new backing file, as a source, or the name of "
			"one"},
	{.name = "unsafe",
		.type = OPT_BOOL,
		.offset = offsetof(struct rebase_options, unsafe),
		.fallback = "false",
		.help = "copy nothing: what is read may become something else"},
	OPT_END,
};

/* At most: all that the old one shows. */
static int rebase_space_co(struct block_core *core, struct block_source *source,
	const void *options, struct job_space *space, struct err *err)
{
	const struct rebase_options *rebase = options;

	const struct spec_move_setup setup = {
		.kind = SPEC_MOVE_REBASE, .source = source};

	(void)core;
	*space = (struct job_space){0};
	return rebase->unsafe ? 0 : spec_move_space_co(&setup, space, err);
}

static int rebase_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	const struct rebase_options *options = job_options(job);
	const struct spec_move_setup setup = {.kind = SPEC_MOVE_REBASE,
		.source = job_source(job),
		.owner = job,
		.job = "rebase",
		.target = options->to,
		.unsafe = options->unsafe,
		.pivots = true};
	struct spec_move *move;
	int error = moving_check_space_co(job, rebase_space_co, err);

	if (!error)
		error = spec_move_begin_co(&setup, &move, err);
	if (error)
		return error;
	error = options->unsafe
		? spec_move_pivot_co(move, err)
		: moving_run_co(job, move, cursor, spec_move_pivot_co, err);
	spec_move_end_co(move);
	return error;
}

const struct job_kind job_rebase = {
	.name = "rebase",
	.help = "stand on another backing file; what is read stays the same",
	.alone = true,
	.pivots = true,
	.options = rebase_option_specs,
	.options_bytes = sizeof(struct rebase_options),
	.space_co = rebase_space_co,
	.run_co = rebase_run_co,
};
