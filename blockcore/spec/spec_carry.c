/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves that go on after a restart although hosts write to the source: a COPY whose
 * listener is a mirror of the job's own (carry, ../listener/mirror.h), with the target
 * as its leg and a map of what that may lack.
 *
 *	begin	the mirror goes on top of the back part; where its document is kept
 *		(job_keeper), so that whoever opens the source next puts it there again
 *	open	of a source that such a job waits for: the mirror is there before anybody
 *		can change it, without its leg, and notes what changes
 *	begin	of the job that goes on: the target is the leg again, and lacks what the
 *		map says
 *	end	nobody keeps the document any more, then the mirror goes
 *
 * Invariants
 *  1. A source for which a document is kept is never changed without the mirror: either
 *     it is there when the source opens, or it is durable that nobody keeps it.
 *  2. Each map has a name of its own, by chance: none that was left behind is taken for
 *     that of a later job.
 *  3. Where there can be no map the job goes on without (follow.h), begins anew after a
 *     restart, and says so.
 */
#include "blockcore/base/log.h"
#include "blockcore/core/beside.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/image.h"
#include "blockcore/core/stack.h"
#include "blockcore/core/watch.h"
#include "blockcore/job.h"
#include "blockcore/kinds.h"
#include "blockcore/listener/mirror_map.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_mirror_internal.h"
#include "blockcore/spec/spec_move_internal.h"
#include "blockcore/spec_mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Marks are for as little as that costs a small map only. */
#define CARRY_MARKS_FEW (1ull << 16)
#define CARRY_GRANULARITY (256u << 10)

static struct job_keeper *carry_keeper(const struct block_core *core)
{
	struct job_keeper *keeper = core->keeper;

	return keeper && keeper->carry_co ? keeper : NULL;
}

/* The source's; NULL: it has none. */
static struct mirror *carry_find(const struct block_source *source)
{
	const struct block_stack *now = source->current;

	for (unsigned i = 0; i < now->count; i++) {
		if (now->driver[i]->kind == &carry_kind)
			return mirror_of(now->driver[i]);
	}
	return NULL;
}

/* Nobody keeps its document, durable. */
static int carry_disown_co(struct mirror *mirror)
{
	struct block_source *source = block_driver_source(&mirror->driver);
	struct job_keeper *keeper = carry_keeper(mirror->driver.core);

	return source && keeper ? keeper->disown_co(keeper, source->name, NULL)
				: -ENODEV;
}

/* -- the driver ----------------------------------------------------------- */

/* Opened, with `leg` (a reference is taken), or without one: why there is none. */
static int carry_open_co(const struct block_source *source, const char *name,
	const struct doc *document, struct block_source *leg,
	struct block_driver **out, struct err *err)
{
	struct err why = {0};
	struct doc *kept;
	void *options;
	int error =
		spec_options_kept(&carry_kind, document, &options, &kept, err);
	struct block_driver *driver = error
		? NULL
		: block_driver_new(
			  source->core, &carry_kind, name, options, kept, err);

	if (!driver)
		return error ? error : -ENOMEM;
	if (leg) {
		block_source_get(leg);
		driver->others[driver->others_count++] = leg;
	} else {
		err_set(&why, ENOTCONN, "its job has not begun");
		driver->without = &why;
		driver->may_do_without = true;
	}
	mirror_of(driver)->disown_co = carry_disown_co;
	error = spec_open_store_co(source, driver, err);
	if (!error)
		error = block_driver_open_co(driver, err);
	driver->without = NULL;
	if (error) {
		block_driver_sources_put_co(driver);
		block_driver_free(driver);
		return error;
	}
	*out = driver;
	return 0;
}

/* Which files the source lies in, as one number; 0: nobody knows. */
static uint64_t carry_ground(struct block_driver *bottom)
{
	struct block_image image;
	uint64_t ground = 0;

	block_image_get(bottom, &image);
	for (unsigned i = 0; image.known && i < image.count; i++)
		ground = ground * 31 + block_image_identity(image.file[i].path);
	block_image_free(&image);
	return ground >> 1; /* a number of JSON */
}

/* -- a source opens ------------------------------------------------------- */

/* First of the back part. */
static void carry_insert(struct block_driver **driver, unsigned count,
	struct block_driver *fresh)
{
	unsigned at = 0;

	while (at + 1 < count && driver[at]->kind->band < carry_kind.band)
		at++;
	memmove(&driver[at + 1], &driver[at], (count - at) * sizeof(driver[0]));
	driver[at] = fresh;
}

static int carry_join_co(const struct block_source *source,
	const struct doc *document, struct block_driver **driver,
	unsigned *count, struct err *err)
{
	struct block_driver *fresh;
	char name[BLOCK_NAME_BYTES];

	spec_name_free(driver, *count, carry_kind.name, name);
	int error = carry_open_co(source, name, document, NULL, &fresh, err);
	if (error)
		return error;
	carry_insert(driver, (*count)++, fresh);
	error = block_stack_check(driver, *count, err);
	if (!error)
		return 0;
	for (unsigned i = 0; i + 1 < *count; i++) {
		if (driver[i] == fresh)
			memmove(&driver[i], &driver[i + 1],
				(*count - i - 1) * sizeof(driver[0]));
	}
	--*count;
	block_driver_close_co(fresh);
	return error;
}

static int carry_look_co(const struct block_source *source, const char *text,
	struct block_driver **driver, unsigned *count, struct err *err)
{
	struct doc *kept = doc_parse("", text, strlen(text), err);
	const struct doc *listener = kept ? doc_find(kept, "listener") : NULL;
	const struct doc *node = kept ? doc_find(kept, "ground") : NULL;
	uint64_t ground = 0;
	int error = -EINVAL;

	if (listener && node)
		error = doc_uint(node, 0, UINT64_MAX, &ground, err);
	if (!error && ground != carry_ground(driver[*count - 1]))
		error = err_set(err, ESTALE, "it lies in other files now");
	if (!error && *count == BLOCK_MAX_DRIVERS)
		error = err_set(
			err, ENOSPC, "there are %u drivers already", *count);
	if (!error)
		error = carry_join_co(source, listener, driver, count, err);
	doc_free(kept);
	return error;
}

int spec_carry_opens_co(const struct block_source *source,
	struct block_driver **driver, unsigned *count, struct err *err)
{
	struct job_keeper *keeper =
		source->listed ? carry_keeper(source->core) : NULL;
	struct err why = {0};
	char *text = NULL;
	int error = keeper
		? keeper->carried_co(keeper, source->name, &text, err)
		: 0;

	if (error || !text)
		return error;
	error = carry_look_co(source, text, driver, count, &why);
	free(text);
	if (!error)
		return 0;
	log_warning(source->name, "carry",
		"what hosts change cannot be noted for the job that waits, "
		"which will begin anew: %s",
		why.text);
	return keeper->disown_co(keeper, source->name, err);
}

/* -- the job begins ------------------------------------------------------- */

/* The listener as a document, and what it is true of; to be freed. */
static char *carry_text(
	const struct spec_move *move, const struct spec_move_setup *setup)
{
	uint64_t granularity = MIRROR_GRANULARITY_LEAST;
	uint64_t number = loop_random(move->lane->loop);
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	while ((move->bytes / granularity >= CARRY_MARKS_FEW &&
		       granularity < CARRY_GRANULARITY) ||
		(move->bytes / granularity >= MIRROR_GRANULES_MOST / 4 &&
			granularity < MIRROR_GRANULARITY_MOST))
		granularity *= 2;
	if (!out)
		return NULL;
	fprintf(out,
		"{\"ground\": %" PRIu64 ", \"listener\": {\"granularity\": "
		"%" PRIu64 ", \"map\": \"" JOB_CARRY_MAP "\", \"leg\": ",
		carry_ground(move->bottom), granularity, number);
	doc_print_json(setup->target, out);
	fputs("}}", out);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

/* The target is the mirror's from here on, as it was the job's. */
static void carry_give_target(struct spec_move *move)
{
	block_source_unclaim(&move->claim);
	move->claimed = false;
}

static void carry_take_target_back(struct spec_move *move)
{
	move->claimed =
		block_source_claim(move->target, &move->claim, NULL) == 0;
}

static int carry_attach_co(
	struct spec_move *move, const char *text, struct err *err)
{
	const struct block_stack *now = move->source->current;
	struct block_driver *fresh;
	char name[BLOCK_NAME_BYTES];
	struct doc *document = doc_parse("", text, strlen(text), err);

	spec_name_free(now->driver, now->count, move->job, name);
	int error = document ? carry_open_co(move->source, name,
				       doc_find(document, "listener"),
				       move->target, &fresh, err)
			     : -EINVAL;

	doc_free(document);
	if (error)
		return error;
	error = block_drivers_changing_co(&fresh, 1, err);
	if (error) {
		block_driver_close_co(fresh);
		return error;
	}
	error = spec_move_attach_co(move, fresh, err);
	if (!error)
		move->mirror = mirror_of(fresh);
	return error;
}

/* From here on it is found after a restart. */
static int carry_keep_co(
	struct spec_move *move, const char *text, struct err *err)
{
	struct job_keeper *keeper = carry_keeper(move->core);
	int error = keeper->carry_co(keeper, move->source->name, text, err);

	if (error)
		spec_move_detach_co(move);
	return error;
}

static int carry_first_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	char *text = carry_text(move, setup);
	int error = text ? 0 : err_set(err, ENOMEM, "no memory for a map");

	carry_give_target(move);
	if (!error)
		error = carry_attach_co(move, text, err);
	if (!error)
		error = carry_keep_co(move, text, err);
	free(text);
	if (error)
		carry_take_target_back(move);
	return error;
}

/* Another file in its place is not the job's to write over. */
static int carry_check_file(const struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	uint64_t was = move->mirror->leg_file;
	uint64_t is = block_beside_file(move->target);

	if (move->zero || setup->overwrite || !was || !is || was == is)
		return 0;
	return err_set(err, EEXIST,
		"the target is another file than the one that the job began "
		"with, and there is something in it: start it again with "
		"another target, or with overwrite");
}

static int carry_again_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	struct mirror *mirror = move->mirror;
	int error = carry_check_file(move, setup, err);

	if (error)
		return error;
	carry_give_target(move);
	co_mutex_lock_co(&mirror->turn);
	mirror_turn_co(mirror);
	mirror_leg_close_co(mirror);
	block_source_get(move->target);
	error = mirror_leg_open_co(mirror, move->target, err);
	if (error)
		mirror_leg_is_not_there(mirror, err);
	co_mutex_unlock(&mirror->turn);
	return error;
}

static int carry_ready(const struct spec_move *move, struct err *err)
{
	int error = mirror_error(move->mirror);

	if (error)
		return err_set(
			err, -error, "the target failed: %s", strerror(-error));
	if (mirror_in_sync(move->mirror))
		return 0;
	return err_set(err, EAGAIN,
		"a change has failed, so that the target may lack %" PRIu64
		" bytes: start the job again",
		mirror_behind_bytes(move->mirror));
}

static int carry_begun_co(struct spec_move *move, struct err *err)
{
	move->ready = carry_ready;
	int error = spec_resync_of_co(
		move->source, move->mirror, &move->resync, err);
	if (!error)
		spec_resync_zeroes(move->resync, move->keep_zeroes);
	return error;
}

int spec_carry_begin_co(struct spec_move *move,
	const struct spec_move_setup *setup, struct err *err)
{
	struct err why = {0};

	if (move->mirror) {
		int error = carry_again_co(move, setup, err);

		return error ? error : carry_begun_co(move, err);
	}
	if (!setup->carries || !carry_keeper(move->core) ||
		block_source_info(move->source, move->lane).read_only)
		return 0;
	if (!carry_first_co(move, setup, &why))
		return carry_begun_co(move, err);
	log_warning(move->source->name, move->job,
		"a restart begins anew, as what hosts change cannot be noted: "
		"%s",
		why.text);
	if (move->owner)
		job_note(move->owner, "a restart begins anew: %s", why.text);
	return 0;
}

void spec_carry_find_co(
	struct spec_move *move, const struct spec_move_setup *setup)
{
	struct mirror *mirror = carry_find(move->source);

	if (mirror && setup->carries && setup->again) {
		move->mirror = mirror;
		move->through = &mirror->driver;
	} else if (mirror && setup->carries) {
		spec_carry_forget_co(move->source);
	}
}

/* -- the run -------------------------------------------------------------- */

struct carry_run {
	int (*step_co)(void *argument, uint64_t reached, uint64_t bytes);
	void *argument;
};

static int carry_step_co(void *argument, uint64_t bytes)
{
	const struct carry_run *run = argument;

	return run->step_co(run->argument, 0, bytes);
}

uint64_t spec_move_there(const struct spec_move *move)
{
	return move->mirror ? move->bytes - mirror_behind_bytes(move->mirror)
			    : 0;
}

int spec_carry_run_co(struct spec_move *move,
	int (*step_co)(void *argument, uint64_t reached, uint64_t bytes),
	void *argument, struct err *err)
{
	struct carry_run run = {step_co, argument};
	int error = 0;

	/* What did not pass the mirror. */
	while (block_stacks_old_busy(move->source) && !move->cancelled)
		block_source_wait_co(move->source);
	if (move->cancelled)
		return -ECANCELED;
	error = spec_resync_run_co(move->resync, carry_step_co, &run, err);
	if (error)
		return error;
	/* It goes with its generation. */
	spec_resync_end_co(move->resync);
	move->resync = NULL;
	return 0;
}

/* -- the end -------------------------------------------------------------- */

void spec_carry_forget_co(struct block_source *source)
{
	struct spec_move move = {.core = source->core,
		.lane = block_core_lane(source->core, 0),
		.source = source,
		.mirror = carry_find(source)};

	if (!move.mirror)
		return;
	move.through = &move.mirror->driver;
	spec_move_detach_co(&move);
}

bool spec_carry_disown_co(struct spec_move *move)
{
	struct job_keeper *keeper = carry_keeper(move->core);
	const char *name = move->source->name;
	struct err err = {0};

	if (!keeper || !keeper->disown_co(keeper, name, &err))
		return true;
	/* Or it says of itself that nothing is known. */
	if (!mirror_map_all_co(move->mirror))
		return true;
	log_error(name, "carry",
		"what a job has noted cannot be given up: %s; it goes on "
		"noting",
		err.text);
	return false;
}

void job_forget_co(struct block_core *core, const char *name)
{
	struct block_source *source = block_source_find(core, name);
	struct job_keeper *keeper = carry_keeper(core);

	if (source && source->current)
		spec_carry_forget_co(source);
	else if (keeper)
		keeper->disown_co(keeper, name, NULL);
}
