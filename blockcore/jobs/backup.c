/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: copies to a listener's target (backup) what hosts have not yet made it copy,
 * so that the target holds the whole moment and is worth something by itself.
 *
 * Invariant: the listener copies, each granule once; the job asks it to, a chunk at a
 * time, whatever hosts do. The last chunk makes the target durable. After a restart,
 * which a moment outlives if the listener has a map, the job passes quickly over what
 * is in the target already.
 */
#include "blockcore/jobs/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct backup_job_options {
	char *listener;
};

static const struct opt_spec backup_option_specs[] = {
	{.name = "listener",
		.type = OPT_STRING,
		.offset = offsetof(struct backup_job_options, listener),
		.max = BLOCK_NAME_BYTES - 1,
		.help = "the listener of type backup that keeps the moment"},
	OPT_END};

static int backup_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	const struct backup_job_options *options = job_options(job);
	struct block_source *source = job_source(job);
	uint64_t id, total, at = 0;
	int error =
		block_point_find(source, options->listener, &id, &total, err);

	(void)cursor;
	if (error)
		return error;
	job_set_total(job, total, 0);
	while (at < total && !error) {
		uint64_t bytes = total - at;

		if (bytes > JOB_CHUNK_BYTES)
			bytes = JOB_CHUNK_BYTES;
		error = block_point_fill_co(source, id, at, bytes);
		if (error)
			return err_set(err, -error,
				"'%s' could not copy %llu bytes at %llu: %s",
				options->listener, (unsigned long long)bytes,
				(unsigned long long)at, strerror(-error));
		at += bytes;
		error = job_step_co(job, at, bytes);
	}
	return error;
}

const struct job_kind job_backup = {
	.name = "backup",
	.help = "copy all that a listener of type backup keeps to its target",
	.options = backup_option_specs,
	.options_bytes = sizeof(struct backup_job_options),
	.run_co = backup_run_co,
};
