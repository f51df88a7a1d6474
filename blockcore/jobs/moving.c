/* SPDX-License-Identifier: Apache-2.0 */
#include "blockcore/jobs/moving.h"

#include <errno.h>
#include <inttypes.h>

/* How much is moved between flushes for the sake of the cursor. */
#define FLUSH_BYTES (64u << 20)

struct moving {
	struct job *job;
	struct spec_move *move;
	bool lasting;
	uint64_t durable; /* bytes from the start */
	struct err *err;
};

static int moving_step_co(void *argument, uint64_t reached, uint64_t bytes)
{
	struct moving *moving = argument;

	if (moving->lasting && reached - moving->durable >= FLUSH_BYTES) {
		int error = spec_move_flush_co(moving->move, moving->err);

		if (error)
			return error;
		moving->durable = reached;
	}
	return job_step_co(moving->job, 1 + moving->durable, bytes);
}

static void moving_cancel(void *argument)
{
	spec_move_cancel(argument);
}

int moving_run_co(struct job *job, struct spec_move *move, uint64_t from,
	bool lasting, int (*end_co)(struct spec_move *move, struct err *err),
	struct err *err)
{
	struct moving moving = {.job = job,
		.move = move,
		.lasting = lasting,
		.durable = from,
		.err = err};

	/* What is found in the target after a crash is the job's own. */
	int error = spec_move_warn_co(move, err);
	if (!error)
		error = job_keep_cursor_co(job, 1 + from, err);
	if (error)
		return error;
	job_set_total(job, spec_move_bytes(move), from);
	job_on_cancel(job, moving_cancel, move);
	error = spec_move_run_co(move, from, moving_step_co, &moving, err);
	if (!error)
		error = end_co(move, err);
	job_on_cancel(job, NULL, NULL);
	return error;
}

int moving_check_space_co(struct job *job,
	int (*space_co)(struct block_core *core, struct block_source *source,
		const void *options, struct job_space *space, struct err *err),
	struct err *err)
{
	struct job_space space;
	int error = space_co(
		job_core(job), job_source(job), job_options(job), &space, err);

	if (error || !*space.path || space.needs_bytes <= space.free_bytes)
		return error;
	return err_set(err, ENOSPC,
		"needs %" PRIu64 " bytes where '%s' is to be, %" PRIu64
		" are free: make room there",
		space.needs_bytes, space.path, space.free_bytes);
}
