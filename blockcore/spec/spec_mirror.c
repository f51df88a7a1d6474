/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resync of a mirror; see spec_mirror.h.
 */
#include "blockcore/spec_mirror.h"

#include "blockcore/base/bits.h"
#include "blockcore/core/core.h"
#include "blockcore/core/driver.h"
#include "blockcore/listener/mirror_map.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_chunk.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_mirror_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RESYNC_CHUNKS SPEC_MOVE_CHUNKS

struct resync_chunk {
	struct spec_chunk part;
	struct spec_resync *resync;
	bool busy;
};

struct spec_resync {
	struct block_source *source; /* a reference */
	struct mirror *mirror; /* a reference */
	struct resync_chunk chunk[RESYNC_CHUNKS];
	unsigned chunks; /* at a time: together at most JOB_CHUNK_BYTES */
	uint64_t most_granules; /* of a chunk */
	struct co *waiter;
	uint64_t next; /* granule */
	uint64_t ended; /* bytes since the last step */
	bool cancelled;
	int error;
	struct err *err;
};

/* -- the mirror ----------------------------------------------------------- */

int spec_mirror_find(struct block_source *source, const char *name,
	struct mirror **out, struct err *err)
{
	const struct block_stack *now = source->current;

	*out = NULL;
	for (unsigned i = 0; i < now->count; i++) {
		struct mirror *mirror = mirror_of(now->driver[i]);

		if (!mirror || mirror_is_of_job(mirror) ||
			(name && strcmp(name, mirror->driver.name)))
			continue;
		if (*out)
			return err_set(err, EINVAL,
				"there are several mirrors, '%s' and '%s': say "
				"which one",
				(*out)->driver.name, mirror->driver.name);
		*out = mirror;
	}
	if (*out)
		return 0;
	return name ? err_set(err, ENOENT, "there is no mirror '%s'", name)
		    : err_set(err, ENOENT, "there is no mirror: attach one");
}

/* The leg is closed and opened anew: what it has not flushed it may have lost. */
static int resync_reopen_co(struct spec_resync *resync, struct err *err)
{
	struct mirror *mirror = resync->mirror;
	struct block_source *leg;

	mirror_leg_close_co(mirror);
	int error = spec_open_below_co(resync->source, mirror->driver.name,
		doc_find(mirror->driver.document, "leg"), &leg, err);
	if (error)
		err_wrap(err, "the leg");
	else
		error = mirror_leg_open_co(mirror, leg, err);
	if (error)
		mirror_leg_is_not_there(mirror, err);
	return error;
}

static int resync_open_map_co(
	struct block_driver *driver, void *argument, struct err *err)
{
	const struct spec_resync *resync = argument;

	return spec_open_store_co(resync->source, driver, err);
}

/* In the mirror's turn: nobody settles. */
static int resync_begin_co(struct spec_resync *resync, struct err *err)
{
	struct mirror *mirror = resync->mirror;
	int error = 0;

	co_mutex_lock_co(&mirror->turn);
	if (mirror_error(mirror)) {
		mirror_turn_co(mirror); /* the leg's last answers are heard */
		error = resync_reopen_co(resync, err);
	}
	if (!error && atomic_load(&mirror->map.error))
		error = mirror_map_again_co(
			mirror, resync_open_map_co, resync, err);
	co_mutex_unlock(&mirror->turn);
	return error;
}

/* Large granules are copied one after the other, small ones together. */
static void resync_share(struct spec_resync *resync)
{
	uint64_t granule = 1ull << resync->mirror->marks.shift;
	uint64_t bytes = granule < SPEC_MOVE_CHUNK_BYTES ? SPEC_MOVE_CHUNK_BYTES
							 : granule;

	resync->most_granules = bytes / granule;
	resync->chunks = (unsigned)(JOB_CHUNK_BYTES / bytes);
}

int spec_resync_begin_co(struct block_source *source, const char *name,
	struct spec_resync **out, struct err *err)
{
	struct mirror *mirror;
	int error = spec_mirror_find(source, name, &mirror, err);

	if (!error)
		error = spec_check_stays(&mirror->driver, err);
	if (!error)
		error = spec_resync_of_co(source, mirror, out, err);
	return error ? err_wrap(err, "resync of '%s'", source->name) : 0;
}

void spec_resync_zeroes(struct spec_resync *resync, bool keep)
{
	for (unsigned i = 0; i < RESYNC_CHUNKS; i++) {
		resync->chunk[i].part.keeps_zeroes = keep;
		resync->chunk[i].part.asks_zeroes = !keep;
	}
}

int spec_resync_of_co(struct block_source *source, struct mirror *mirror,
	struct spec_resync **out, struct err *err)
{
	struct spec_resync *resync = calloc(1, sizeof *resync);

	if (!resync)
		return err_set(err, ENOMEM, "no memory for a job");
	resync->source = source;
	resync->mirror = mirror;
	resync_share(resync);
	block_source_get(source);
	block_driver_get(&mirror->driver);
	mirror->driver.job = "resync";
	int error = resync_begin_co(resync, err);
	if (error) {
		spec_resync_end_co(resync);
		return error;
	}
	*out = resync;
	return 0;
}

int spec_mirror_reopen_co(
	struct block_source *source, const char *name, struct err *err)
{
	struct spec_resync *resync;
	int error = spec_resync_begin_co(source, name, &resync, err);

	if (!error)
		spec_resync_end_co(resync);
	return error;
}

uint64_t spec_resync_bytes(const struct spec_resync *resync)
{
	return mirror_behind_bytes(resync->mirror);
}

void spec_resync_end_co(struct spec_resync *resync)
{
	resync->mirror->driver.job = NULL;
	block_driver_put_co(&resync->mirror->driver);
	block_source_put_co(resync->source);
	for (unsigned i = 0; i < RESYNC_CHUNKS; i++)
		free(resync->chunk[i].part.data);
	free(resync);
}

/* -- a chunk -------------------------------------------------------------- */

static int resync_extent_co(
	struct spec_chunk *part, const struct block_extent *extent)
{
	return extent->flags & BLOCK_EXTENT_ZERO
		? spec_chunk_zero_co(
			  part, extent->offset_bytes, extent->length_bytes)
		: spec_chunk_data_co(
			  part, extent->offset_bytes, extent->length_bytes);
}

static int resync_chunk_work_co(struct resync_chunk *chunk)
{
	struct spec_chunk *part = &chunk->part;
	struct spec_resync *resync = chunk->resync;
	struct mirror *mirror = resync->mirror;
	int error = block_ticket_enter_co(&part->ticket, resync->source,
		&mirror->driver, part->offset, part->bytes);

	if (error)
		return error;
	error = resync->cancelled
		? -ECANCELED
		: spec_chunk_each_co(part, 0, resync_extent_co);
	if (error && part->to_failed)
		mirror_leg_failed(mirror, error);
	if (!error)
		error = mirror_error(mirror);
	if (!error)
		mirror_copied(mirror, part->offset, part->bytes);
	block_ticket_leave_co(&part->ticket, error);
	return error;
}

static void resync_chunk_failed(struct resync_chunk *chunk, int error)
{
	struct spec_resync *resync = chunk->resync;

	if (resync->error)
		return;
	resync->error = error;
	if (error != -ECANCELED)
		err_set(resync->err, -error,
			"%" PRIu64 " bytes at %" PRIu64 ": %s",
			chunk->part.bytes, chunk->part.offset,
			strerror(-error));
}

static void resync_chunk_run_co(void *argument)
{
	struct resync_chunk *chunk = argument;
	struct spec_resync *resync = chunk->resync;
	int error = resync_chunk_work_co(chunk);

	if (error)
		resync_chunk_failed(chunk, error);
	else
		resync->ended += chunk->part.bytes;
	chunk->busy = false;
	if (resync->waiter)
		co_resume(resync->waiter);
}

/* -- all ------------------------------------------------------------------ */

static void resync_wait_co(struct spec_resync *resync)
{
	resync->waiter = co_self();
	co_yield ();
	resync->waiter = NULL;
}

static struct resync_chunk *resync_chunk_that(
	struct spec_resync *resync, bool busy)
{
	for (unsigned i = 0; i < resync->chunks; i++) {
		if (resync->chunk[i].busy == busy)
			return &resync->chunk[i];
	}
	return NULL;
}

/* Neighbours go together, as far as a chunk has room. */
static int resync_start(struct spec_resync *resync, uint64_t first)
{
	struct mirror_marks *marks = &resync->mirror->marks;
	struct resync_chunk *chunk = resync_chunk_that(resync, false);
	struct spec_chunk *part = &chunk->part;
	uint64_t size = resync->mirror->size_bytes;
	uint64_t most = first + resync->most_granules;
	uint64_t end = bits_next(marks->dirty, first,
		most < marks->count ? most : marks->count, false);

	if (spec_chunk_ready(part))
		return -ENOMEM;
	resync->next = end;
	chunk->resync = resync;
	part->source = resync->source;
	part->to = resync->mirror->driver.others[0];
	part->cancelled = &resync->cancelled;
	part->to_failed = false;
	part->offset = first << marks->shift;
	part->bytes = (end << marks->shift) - part->offset;
	if (part->bytes > size - part->offset)
		part->bytes = size - part->offset;
	chunk->busy = true;
	if (co_start(resync_chunk_run_co, chunk))
		return 0;
	chunk->busy = false;
	return -ENOMEM;
}

static int resync_next_co(struct spec_resync *resync, uint64_t first,
	int (*step_co)(void *argument, uint64_t bytes), void *argument)
{
	while (!resync_chunk_that(resync, false))
		resync_wait_co(resync);
	uint64_t ended = resync->ended;

	resync->ended = 0;
	int error = step_co(argument, ended);
	if (!error)
		error = resync->error;
	return error ? error : resync_start(resync, first);
}

/* From one end to the other, once. What is not shown any more is not lacked. */
static int resync_pass_co(struct spec_resync *resync,
	int (*step_co)(void *argument, uint64_t bytes), void *argument)
{
	struct mirror_marks *marks = &resync->mirror->marks;
	int error = mirror_error(resync->mirror);

	resync->next = 0;
	while (!error && !resync->cancelled) {
		uint64_t first = bits_next(
			marks->dirty, resync->next, marks->count, true);

		if (first << marks->shift >= resync->mirror->size_bytes)
			break;
		error = resync_next_co(resync, first, step_co, argument);
	}
	if (error)
		spec_resync_cancel(resync);
	while (resync_chunk_that(resync, true))
		resync_wait_co(resync);
	if (!error)
		error = resync->error;
	if (!error && resync->cancelled)
		error = -ECANCELED;
	if (!error)
		mirror_forget_beyond(resync->mirror);
	return error;
}

/* What hosts were told is on the leg is durable there if they flush, and settled. */
static int resync_settle_co(struct spec_resync *resync, struct err *err)
{
	struct mirror *mirror = resync->mirror;

	co_mutex_lock_co(&mirror->turn);
	int error = mirror_settle_co(mirror);
	co_mutex_unlock(&mirror->turn);
	return error ? err_set(err, -error, "it cannot be flushed: %s",
			       strerror(-error))
		     : 0;
}

int spec_resync_run_co(struct spec_resync *resync,
	int (*step_co)(void *argument, uint64_t bytes), void *argument,
	struct err *err)
{
	int error = 0;

	resync->err = err;
	while (!error && !mirror_in_sync(resync->mirror))
		error = resync_pass_co(resync, step_co, argument);
	if (!error)
		error = resync_settle_co(resync, err);
	return error ? error : step_co(argument, resync->ended);
}

void spec_resync_cancel(struct spec_resync *resync)
{
	resync->cancelled = true;
	for (unsigned i = 0; i < RESYNC_CHUNKS; i++) {
		if (resync->chunk[i].busy)
			spec_chunk_cancel(&resync->chunk[i].part);
	}
}
