/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub: reads everything, so that what has gone bad on disk is known while there is
 * another copy of it. It goes on behind an error, to find the next one.
 *
 * Invariant: the cursor counts the bytes read; a restart forgets errors before it, but
 * for what the log has.
 */
#include "blockcore/base/log.h"
#include "blockcore/jobs/jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRUB_ERRORS 8u /* that the job's text names */
/* How closely a place that cannot be read is named. */
#define SCRUB_FINE_BYTES 4096u

struct scrub {
	struct job *job;
	uint8_t *data;
	uint64_t errors;
	uint64_t first[SCRUB_ERRORS];
	int error; /* of the first */
};

static const struct opt_spec scrub_option_specs[] = {OPT_END};

static void scrub_note(struct scrub *scrub, uint64_t offset, int error)
{
	if (scrub->errors < SCRUB_ERRORS)
		scrub->first[scrub->errors] = offset;
	if (!scrub->errors++)
		scrub->error = error;
	if (scrub->errors <= SCRUB_ERRORS)
		log_warning(block_source_name(job_source(scrub->job)), "scrub",
			"%" PRIu64 ": cannot be read: %s", offset,
			strerror(-error));
}

/* -ECANCELED, or 0 with what is wrong noted. */
static int scrub_read_co(struct scrub *scrub, uint64_t offset, uint64_t bytes)
{
	int error = job_transfer_co(
		scrub->job, BLOCK_READ, offset, bytes, scrub->data);

	if (!error || error == -ECANCELED)
		return error;
	if (bytes <= SCRUB_FINE_BYTES) {
		scrub_note(scrub, offset, error);
		return 0;
	}
	for (uint64_t at = 0; at < bytes; at += SCRUB_FINE_BYTES) {
		uint64_t left = bytes - at;

		error = scrub_read_co(scrub, offset + at,
			left < SCRUB_FINE_BYTES ? left : SCRUB_FINE_BYTES);
		if (error)
			return error;
	}
	return 0;
}

static int scrub_result(const struct scrub *scrub, struct err *err)
{
	char text[SCRUB_ERRORS * 24];
	size_t used = 0;

	if (!scrub->errors)
		return 0;
	for (unsigned i = 0; i < scrub->errors && i < SCRUB_ERRORS; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
			"%s%" PRIu64, i ? ", " : "", scrub->first[i]);
	return err_set(err, -scrub->error,
		"%" PRIu64 " places of %u bytes cannot be read (%s), at "
		"%s%s",
		scrub->errors, SCRUB_FINE_BYTES, strerror(-scrub->error), text,
		scrub->errors > SCRUB_ERRORS ? " ..." : "");
}

static int scrub_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	struct scrub scrub = {.job = job};
	uint64_t total = block_source_info(
		job_source(job), block_core_lane(job_core(job), 0))
				 .size_bytes;
	int error = 0;

	job_set_total(job, total, cursor);
	scrub.data = aligned_alloc(4096, JOB_CHUNK_BYTES);
	if (!scrub.data)
		return err_set(err, ENOMEM, "no memory for a chunk");
	while (cursor < total && !error) {
		uint64_t bytes = total - cursor;

		if (bytes > JOB_CHUNK_BYTES)
			bytes = JOB_CHUNK_BYTES;
		error = scrub_read_co(&scrub, cursor, bytes);
		cursor += bytes;
		if (!error)
			error = job_step_co(job, cursor, bytes);
	}
	free(scrub.data);
	return error ? error : scrub_result(&scrub, err);
}

const struct job_kind job_scrub = {
	.name = "scrub",
	.help = "read everything, say what cannot be read",
	.options = scrub_option_specs,
	.run_co = scrub_run_co,
};
