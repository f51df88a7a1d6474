/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: all that a source shows, into another one: an export, a conversion. Hosts may
 * write meanwhile: the copy is of one point in time, when the job ends.
 *
 * migrate: the same, and then the source itself stands on the target. Or, of a source
 * with a mirror, onto the mirror's leg: that goes on after a restart whatever hosts have
 * written, if the mirror keeps its marks in a map.
 *
 * Invariant: after a restart, what a read-only source has given is not copied again.
 * Of one that hosts can write to only what they have changed since, if that could be
 * noted (spec_move.h, carries); else everything is.
 */
#include "blockcore/jobs/jobs.h"
#include "blockcore/jobs/moving.h"
#include "blockcore/spec_mirror.h"

#include <errno.h>

struct copy_options {
	const struct doc *to;
	char *listener; /* of migrate */
	bool overwrite, detect_zeroes;
};

#define OPTION_TO(flags_) \
	{ \
		.name = "to", .type = OPT_DOC, .flags = flags_, \
		.offset = offsetof(struct copy_options, to), \
		.help = "the target, as a source: {protocol: ...} or " \
			"{format: ...}", \
	}
#define OPTION_OVERWRITE \
	{ \
		.name = "overwrite", .type = OPT_BOOL, \
		.offset = offsetof(struct copy_options, overwrite), \
		.fallback = "false", .help = "whatever is in the target", \
	}
#define OPTION_DETECT_ZEROES \
	{ \
		.name = "detect_zeroes", .type = OPT_BOOL, \
		.offset = offsetof(struct copy_options, detect_zeroes), \
		.fallback = "true", \
		.help = "blocks of zeroes take no space in the target", \
	}
static const struct opt_spec copy_option_specs[] = {
	OPTION_TO(0), OPTION_OVERWRITE, OPTION_DETECT_ZEROES, OPT_END};
static const struct opt_spec migrate_option_specs[] = {OPTION_TO(OPT_OPTIONAL),
	OPTION_OVERWRITE, OPTION_DETECT_ZEROES,
	{.name = "listener",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.max = BLOCK_NAME_BYTES - 1,
		.offset = offsetof(struct copy_options, listener),
		.help = "instead of a target: the mirror onto whose leg it "
			"goes"},
	OPT_END};

/* -- space ---------------------------------------------------------------- */

static int copy_space_co(struct block_core *core, struct block_source *source,
	const void *options, struct job_space *space, struct err *err)
{
	const struct copy_options *copy = options;
	const struct spec_move_setup setup = {
		.kind = SPEC_MOVE_COPY, .source = source, .target = copy->to};

	(void)core;
	*space = (struct job_space){0};
	return copy->to ? spec_move_space_co(&setup, space, err)
			: 0; /* the leg is there already */
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
		.overwrite = options->overwrite,
		.again = cursor,
		.carries = true,
		.keep_zeroes = !options->detect_zeroes};
	struct spec_move *move;
	int error = cursor ? 0 : moving_check_space_co(job, copy_space_co, err);

	if (!error)
		error = spec_move_begin_co(&setup, &move, err);
	if (error)
		return error;
	if (cursor)
		error = moving_check_rest_co(move, options->to, err);
	if (!error)
		error = moving_run_co(job, move, cursor,
			pivot ? spec_move_pivot_co : spec_move_settle_co, err);
	if (error && job_is_interrupted(job))
		spec_move_leave(move);
	spec_move_end_co(move);
	return error;
}

static int copy_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	return copy_work_co(job, cursor, false, err);
}

static int migrate_mirror_co(
	struct job *job, const char *listener, struct err *err)
{
	int error = resync_all_co(job, listener, err);

	return error ? error
		     : spec_mirror_pivot_co(
			       job_source(job), listener, true, job, err);
}

static int migrate_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	const struct copy_options *options = job_options(job);

	if (!options->to == !options->listener)
		return err_set(err, EINVAL,
			"say where to: a target (to), or a mirror (listener) "
			"that is there");
	return options->listener
		? migrate_mirror_co(job, options->listener, err)
		: copy_work_co(job, cursor, true, err);
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
	.options = migrate_option_specs,
	.options_bytes = sizeof(struct copy_options),
	.space_co = copy_space_co,
	.run_co = migrate_run_co,
};
