/* SPDX-License-Identifier: Apache-2.0 */
#include "blockcore/jobs/moving.h"

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

	job_set_total(job, spec_move_bytes(move), from);
	job_on_cancel(job, moving_cancel, move);
	int error = spec_move_run_co(move, from, moving_step_co, &moving, err);
	if (!error)
		error = end_co(move, err);
	job_on_cancel(job, NULL, NULL);
	return error;
}
