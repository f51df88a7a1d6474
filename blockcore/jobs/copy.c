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
#include "blockcore/figures.h"
#include "blockcore/jobs/jobs.h"
#include "blockcore/jobs/moving.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define COPY_EXTENTS 64u

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

/* Bytes of data in the source. */
static int copy_needs_co(struct job *job, uint64_t *bytes)
{
	struct block_lane *lane = block_core_lane(job_core(job), 0);
	struct block_source *source = job_source(job);
	uint64_t end = block_source_info(source, lane).size_bytes, at = 0;
	struct block_extent extent[COPY_EXTENTS] = {0};

	*bytes = 0;
	while (at < end) {
		struct block_extents answer = {
			.extent = extent, .room = COPY_EXTENTS};
		uint64_t before = at;
		int error = block_extents_co(
			source, lane, BLOCK_INTERNAL, at, end - at, &answer);

		for (uint32_t i = 0; !error && i < answer.count; i++) {
			if (extent[i].flags & BLOCK_EXTENT_DATA)
				*bytes += extent[i].length_bytes;
			at += extent[i].length_bytes;
		}
		if (error == -EOPNOTSUPP) { /* for all one knows */
			*bytes = end;
			return 0;
		}
		if (error || at == before)
			return error ? error : -EIO;
	}
	return 0;
}

/* The file that a source's document ends in; NULL: it is none. */
static const char *copy_path(const struct doc *source)
{
	const struct doc *format = doc_find(source, "format");
	const struct doc *file = format ? doc_find(format, "file") : source;
	const struct doc *protocol = file && file->kind == DOC_MAP
		? doc_find(file, "protocol")
		: NULL;
	const struct doc *path = protocol ? doc_find(protocol, "path") : NULL;

	return path && path->kind == DOC_SCALAR ? path->text : NULL;
}

/* Of the file system in which it is, or will be; false: not known. */
static bool copy_free(const struct job *job, const char *path, uint64_t *bytes)
{
	const char *directory =
		block_core_data_directory(job_core((struct job *)job));
	struct statvfs fs;
	char folder[4096];
	int length = *path == '/'
		? snprintf(folder, sizeof folder, "%s", path)
		: snprintf(folder, sizeof folder, "%s/%s", directory, path);

	if (length < 0 || (size_t)length >= sizeof folder)
		return false;
	*strrchr(folder, '/') = 0;
	if (statvfs(*folder ? folder : "/", &fs))
		return false;
	*bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return true;
}

static int copy_check_space_co(struct job *job, struct err *err)
{
	const struct copy_options *options = job_options(job);
	const char *path = copy_path(options->to);
	uint64_t needs = 0, room = 0;

	if (!path || !copy_free(job, path, &room))
		return 0;
	int error = copy_needs_co(job, &needs);
	if (error)
		return error;
	if (needs > room)
		return err_set(err, ENOSPC,
			"needs %" PRIu64 " bytes where '%s' is to be, %" PRIu64
			" are free",
			needs, path, room);
	return 0;
}

/* -- the work ------------------------------------------------------------- */

static int copy_work_co(
	struct job *job, uint64_t cursor, bool pivot, struct err *err)
{
	const struct copy_options *options = job_options(job);
	struct block_info info = block_source_info(
		job_source(job), block_core_lane(job_core(job), 0));
	const struct spec_move_setup setup = {.kind = SPEC_MOVE_COPY,
		.source = job_source(job),
		.job = pivot ? "migrate" : "copy",
		.target = options->to,
		.pivots = pivot,
		.overwrite = options->overwrite || cursor,
		.keep_zeroes = !options->detect_zeroes};
	bool lasting = info.read_only;
	uint64_t from = cursor && lasting ? cursor - 1 : 0;
	struct spec_move *move;
	int error = cursor ? 0 : copy_check_space_co(job, err);

	if (!error)
		error = spec_move_begin_co(&setup, &move, err);
	if (error)
		return error;
	error = moving_run_co(job, move, from, lasting,
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
	.options = copy_option_specs,
	.options_bytes = sizeof(struct copy_options),
	.run_co = copy_run_co,
};

const struct job_kind job_migrate = {
	.name = "migrate",
	.help = "copy, and go on in the copy; hosts go on meanwhile",
	.pivots = true,
	.options = copy_option_specs,
	.options_bytes = sizeof(struct copy_options),
	.run_co = migrate_run_co,
};
