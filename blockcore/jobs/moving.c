/* SPDX-License-Identifier: Apache-2.0 */
#include "blockcore/jobs/moving.h"

#include <errno.h>
#include <inttypes.h>

/* How much is moved between flushes for the sake of the cursor, and how long that may
 * take where it is slow. */
#define FLUSH_BYTES (64u << 20)
#define FLUSH_NS (5ull * 1000 * 1000 * 1000)

struct moving {
	struct job *job;
	struct spec_move *move;
	bool lasting;
	uint64_t
		known; /* bytes from the start: an earlier run has moved them */
	uint64_t ended; /* bytes of this run, from where it has begun */
	uint64_t durable; /* bytes from the start */
	uint64_t flushed_ns; /* when that was said */
	struct err *err;
};

static uint64_t now_ns(const struct moving *moving)
{
	return loop_now_ns(block_core_lane(job_core(moving->job), 0)->loop);
}

static bool must_flush(const struct moving *moving, uint64_t reached)
{
	return moving->lasting && reached > moving->durable &&
		(reached - moving->durable >= FLUSH_BYTES ||
			now_ns(moving) - moving->flushed_ns >= FLUSH_NS);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int moving_step_co(void *argument, uint64_t reached, uint64_t bytes)
{
	struct moving *moving = argument;
	uint64_t before = larger(moving->ended, moving->known);

	if (must_flush(moving, reached)) {
		int error =
			spec_move_secure_co(moving->move, reached, moving->err);

		if (error)
			return error;
		moving->durable = reached;
		moving->flushed_ns = now_ns(moving);
	}
	moving->ended += bytes;
	return job_step_co(moving->job, 1 + moving->durable,
		larger(moving->ended, moving->known) - before);
}

static void moving_cancel(void *argument)
{
	spec_move_cancel(argument);
}

static int moving_begin_co(const struct moving *moving)
{
	/* What is found in the target after a crash is the job's own. */
	int error = spec_move_warn_co(moving->move, moving->err);

	return error ? error
		     : job_keep_cursor_co(
			       moving->job, 1 + moving->known, moving->err);
}

int moving_run_co(struct job *job, struct spec_move *move, uint64_t cursor,
	int (*end_co)(struct spec_move *move, struct err *err), struct err *err)
{
	bool lasting = spec_move_lasts(move);
	uint64_t known = cursor && lasting ? cursor - 1 : 0;
	uint64_t from = spec_move_looks_again(move) ? 0 : known;
	uint64_t there = spec_move_there(move);
	struct moving moving = {.job = job,
		.move = move,
		.lasting = lasting,
		.known = known,
		.ended = larger(from, there),
		.durable = known,
		.err = err};
	int error = moving_begin_co(&moving);

	if (error)
		return error;
	moving.flushed_ns = now_ns(&moving);
	job_set_total(job, spec_move_bytes(move), larger(known, there));
	job_on_cancel(job, moving_cancel, move);
	error = spec_move_run_co(move, from, moving_step_co, &moving, err);
	if (!error)
		error = end_co(move, err);
	job_on_cancel(job, NULL, NULL);
	return error;
}

static int moving_refuse(const struct job_space *space, struct err *err)
{
	if (!*space->path || space->needs_bytes <= space->free_bytes)
		return 0;
	return err_set(err, ENOSPC,
		"needs %" PRIu64 " bytes where '%s' is to be, %" PRIu64
		" are free: make room there",
		space->needs_bytes, space->path, space->free_bytes);
}

int moving_check_space_co(struct job *job,
	int (*space_co)(struct block_core *core, struct block_source *source,
		const void *options, struct job_space *space, struct err *err),
	struct err *err)
{
	struct job_space space;
	int error = space_co(
		job_core(job), job_source(job), job_options(job), &space, err);

	return error ? error : moving_refuse(&space, err);
}

int moving_check_rest_co(
	struct spec_move *move, const struct doc *target, struct err *err)
{
	struct job_space space;
	int error = spec_move_rest_co(move, target, &space, err);

	return error ? error : moving_refuse(&space, err);
}
