/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: options and life; see mirror.h.
 */
#include "blockcore/listener/mirror_map.h"

#include "blockcore/base/log.h"
#include "blockcore/core/beside.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/plain_file.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct mirror *mirror_of(struct block_driver *driver)
{
	return driver->kind == &mirror_kind || driver->kind == &carry_kind
		? container_of(driver, struct mirror, driver)
		: NULL;
}

/* -- life ----------------------------------------------------------------- */

static const char *const on_error_names[] = {
	[MIRROR_DEGRADE] = "degrade", [MIRROR_FAIL] = "fail", NULL};

static const char *const resync_names[] = {
	[MIRROR_AUTO] = "auto", [MIRROR_MANUAL] = "manual", NULL};

static const struct opt_spec options[] = {
	{.name = "leg",
		.type = OPT_DOC,
		.offset = offsetof(struct mirror_options, leg),
		.help = "the source (or its name) that is kept equal"},
	{.name = "granularity",
		.type = OPT_SIZE,
		.offset = offsetof(struct mirror_options, granularity_bytes),
		.min = MIRROR_GRANULARITY_LEAST,
		.max = MIRROR_GRANULARITY_MOST,
		.fallback = "256K",
		.help = "bytes that one mark stands for, a power of two"},
	{.name = "on_error",
		.type = OPT_ENUM,
		.offset = offsetof(struct mirror_options, on_error),
		.choices = on_error_names,
		.fallback = "degrade",
		.help = "what hosts see when the leg fails: nothing, or the "
			"error"},
	{.name = "failover",
		.type = OPT_BOOL,
		.offset = offsetof(struct mirror_options, failover),
		.fallback = "true",
		.help = "read from the leg what cannot be read otherwise"},
	{.name = "resync",
		.type = OPT_ENUM,
		.flags = OPT_LIVE,
		.offset = offsetof(struct mirror_options, resync),
		.choices = resync_names,
		.fallback = "auto",
		.help = "who starts the job that brings the leg what it lacks: "
			"the daemon, when it can be opened, or you"},
	{.name = "retry",
		.type = OPT_UINT,
		.flags = OPT_LIVE,
		.offset = offsetof(struct mirror_options, retry_s),
		.min = 1,
		.max = MIRROR_RETRY_MOST_S,
		.fallback = "60",
		.help = "seconds after which the daemon tries again at the "
			"latest"},
	{.name = "map",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = offsetof(struct mirror_options, map),
		.max = BLOCK_NAME_BYTES - 1,
		.help = "keep what the leg lacks in this file of the data "
			"directory, over crashes too"},
	OPT_END};

static int mirror_check(
	const struct doc *map, const void *values, struct err *err)
{
	const struct mirror_options *o = values;

	if (o->granularity_bytes & (o->granularity_bytes - 1))
		return doc_error(doc_find(map, "granularity"), err, EINVAL,
			"expected a power of two");
	return o->map ? plain_file_check(doc_find(map, "map"), o->map, err) : 0;
}

/* Whether it will do. */
static int leg_check(
	struct mirror *mirror, struct block_source *leg, struct err *err)
{
	struct block_info info =
		block_source_info(leg, block_core_lane(mirror->driver.core, 0));
	uint32_t needs = BLOCK_OP(BLOCK_WRITE) | BLOCK_OP(BLOCK_WRITE_ZEROES);

	if (info.read_only || (info.ops & needs) != needs)
		return err_set(err, EROFS, "the leg '%s' cannot be written to",
			block_source_name(leg));
	if (info.size_bytes < mirror->size_bytes)
		return err_set(err, EINVAL,
			"the leg '%s' is smaller than it was",
			block_source_name(leg));
	if (mirror_marks_count(&mirror->marks, info.size_bytes) >
		MIRROR_GRANULES_MOST)
		return err_set(err, EFBIG,
			"the leg '%s' has more than %llu granules: give a "
			"larger granularity",
			block_source_name(leg), MIRROR_GRANULES_MOST);
	mirror->claim.mode = BLOCK_CLAIM_WRITE;
	snprintf(mirror->claim.holder, sizeof mirror->claim.holder,
		"mirror '%s'", mirror->driver.name);
	int error = block_source_claim(leg, &mirror->claim, err);
	mirror->claimed = error == 0;
	return error;
}

void mirror_leg_close_co(struct mirror *mirror)
{
	struct block_driver *driver = &mirror->driver;

	if (mirror->claimed)
		block_source_unclaim(&mirror->claim);
	mirror->claimed = false;
	block_driver_others_put_co(driver);
}

void mirror_leg_is_not_there(struct mirror *mirror, const struct err *why)
{
	snprintf(mirror->why, sizeof mirror->why, "%.*s",
		(int)sizeof mirror->why - 1, why->text);
	atomic_store(&mirror->error, -why->code);
}

void mirror_leg_exchange(struct mirror *mirror, struct block_source **leg,
	void *new_options, struct doc **document)
{
	struct block_driver *driver = &mirror->driver;
	struct mirror_options *new = new_options, *now = driver->options;
	struct mirror_options values = *now;
	struct block_source *source = driver->others[0];
	struct doc *text = driver->document;

	*now = *new;
	*new = values;
	driver->document = *document;
	*document = text;
	driver->others[0] = *leg;
	*leg = source;
}

void mirror_leg_exchanged_co(struct mirror *mirror, struct block_source *old)
{
	block_source_unclaim(&mirror->claim);
	/* Nobody else knows it yet. */
	mirror->claimed = block_source_claim(mirror->driver.others[0],
				  &mirror->claim, NULL) == 0;
	block_source_put_co(old);
}

void mirror_leg_settle_co(struct mirror *mirror)
{
	mirror->leg_file = block_beside_file(mirror->driver.others[0]);
	if (mirror->has_map)
		mirror_map_of_leg_co(mirror);
}

static void marks_dirty_all(struct mirror *mirror)
{
	if (mirror->marks.count)
		mirror_marks_dirty(&mirror->marks,
			(struct mirror_granules){0, mirror->marks.count - 1});
}

/* Marks are of the file that it was: another one lacks everything, also after a crash. */
static void leg_take_co(struct mirror *mirror, struct block_source *leg)
{
	uint64_t was = mirror->leg_file, is = block_beside_file(leg);

	mirror->leg_file = is;
	if (!was || !is || was == is)
		return;
	log_warning(mirror->driver.name, "mirror",
		"the leg is in another file than before: it lacks everything");
	marks_dirty_all(mirror);
	if (mirror->has_map)
		mirror_map_all_co(mirror);
}

int mirror_leg_open_co(
	struct mirror *mirror, struct block_source *leg, struct err *err)
{
	struct block_driver *driver = &mirror->driver;
	int error = leg_check(mirror, leg, err);

	if (error) {
		block_source_put_co(leg);
		return error;
	}
	driver->others[0] = leg;
	driver->others_count = 1;
	mirror->why[0] = '\0';
	leg_take_co(mirror, leg);
	mirror_marks_dirty_kept(&mirror->marks);
	atomic_store(&mirror->error, 0);
	return 0;
}

/* The first one, or why there is none. */
static int leg_begin_co(struct mirror *mirror, struct err *err)
{
	struct block_driver *driver = &mirror->driver;
	struct err why = {0};
	int error = 0;

	if (!driver->without) {
		error = leg_check(mirror, driver->others[0], &why);
		if (!error) {
			mirror->leg_file = block_beside_file(driver->others[0]);
			return 0;
		}
		if (!driver->may_do_without)
			return err_set(err, why.code, "%s", why.text);
		block_driver_others_put_co(driver);
	}
	mirror_leg_is_not_there(mirror, error ? &why : driver->without);
	if (!mirror_is_of_job(mirror))
		log_warning(driver->name, "degraded",
			"the mirror has no leg: %s; what hosts change is "
			"noted, the job resync brings it back",
			mirror->why);
	return 0;
}

static int mirror_open_co(struct block_driver *driver, struct err *err)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);
	const struct mirror_options *o = driver->options;
	int error =
		mirror_marks_init(&mirror->marks, o->granularity_bytes, err);

	if (!error)
		error = leg_begin_co(mirror, err);
	mirror->has_map = driver->store != NULL;
	if (!error && mirror->has_map)
		error = mirror_map_open_co(mirror, &mirror->size_bytes, err);
	if (error) {
		if (mirror->claimed)
			block_source_unclaim(&mirror->claim);
		mirror_marks_fini(&mirror->marks);
		return error;
	}
	mirror->on_error_fails = o->on_error == MIRROR_FAIL;
	mirror->failover = o->failover;
	mirror_keep_start(mirror);
	return 0;
}

static void mirror_close_co(struct block_driver *driver)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);

	mirror_keep_stop_co(mirror);
	if (mirror->has_map)
		mirror_map_close_co(mirror);
	if (mirror->claimed)
		block_source_unclaim(&mirror->claim);
	mirror_marks_fini(&mirror->marks);
}

static int mirror_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct mirror_lane *l = block_driver_lane(driver, lane);

	l->mirror = container_of(driver, struct mirror, driver);
	slab_init(&l->ops, sizeof(struct mirror_op), 0);
	return 0;
}

static void mirror_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct mirror_lane *l = block_driver_lane(driver, lane);

	slab_fini(&l->ops);
}

/* What it shows may have grown, or be new: the leg lacks that. */
static void mirror_show(struct mirror *mirror, uint64_t bytes)
{
	uint64_t old = mirror->size_bytes;

	mirror->size_bytes = bytes;
	if (bytes > old)
		mirror_marks_dirty(&mirror->marks,
			mirror_granules(&mirror->marks, old, bytes - old));
}

/* No more than both have and marks stand for. */
static void mirror_narrow(struct block_driver *driver, struct block_info *info)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);

	for (unsigned i = 0; i < driver->others_count; i++) {
		struct block_info leg = block_source_info(
			driver->others[i], block_core_lane(driver->core, 0));

		if (info->size_bytes > leg.size_bytes)
			info->size_bytes = leg.size_bytes;
		info->volatile_cache |= leg.volatile_cache;
	}
	uint64_t wanted = mirror_marks_count(&mirror->marks, info->size_bytes);
	if (mirror_marks_grow(&mirror->marks, wanted))
		info->size_bytes = mirror->marks.count << mirror->marks.shift;
	mirror_show(mirror, info->size_bytes);
}

/* Marked in memory first: then whoever writes marks meanwhile writes these. */
static int mirror_changing_co(struct block_driver *driver, struct err *err)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);

	marks_dirty_all(mirror);
	int error = mirror->has_map ? mirror_map_all_co(mirror) : 0;
	return error ? err_set(err, -error, "its map cannot be written: %s",
			       strerror(-error))
		     : 0;
}

/* A leg with a name of its own has its size from elsewhere. */
static int growing_check(struct mirror *mirror, struct block_source *leg,
	uint64_t bytes, struct err *err)
{
	if (mirror_marks_count(&mirror->marks, bytes) > MIRROR_GRANULES_MOST)
		return err_set(err, EFBIG,
			"%" PRIu64 " bytes are more than %llu granules: give "
			"the mirror a larger granularity first",
			bytes, MIRROR_GRANULES_MOST);
	if (leg &&
		block_source_find(
			mirror->driver.core, block_source_name(leg)) == leg)
		return err_set(err, EBUSY,
			"the leg is the source '%s', which is smaller and has "
			"a life of its own: let that grow first",
			block_source_name(leg));
	return 0;
}

static int mirror_growing_co(
	struct block_driver *driver, uint64_t bytes, bool back, struct err *err)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);
	struct block_source *leg =
		driver->others_count ? driver->others[0] : NULL;
	uint64_t was = mirror->leg_bytes;

	mirror->leg_bytes = 0;
	if (back)
		return was && leg ? block_source_resize_co(leg, was, NULL) : 0;
	if (mirror_error(mirror) || !leg)
		return err_set(err, EBUSY,
			"its leg is not there, and grows with it: start the "
			"job resync first, or detach the mirror");
	was = block_source_info(leg, block_core_lane(driver->core, 0))
		      .size_bytes;
	if (was >= bytes)
		return growing_check(mirror, NULL, bytes, err);
	int error = growing_check(mirror, leg, bytes, err);
	if (!error)
		error = block_source_resize_co(leg, bytes, err);
	if (!error)
		mirror->leg_bytes = was;
	return error;
}

/* What may change live is looked at here only, when it is wanted. */
static int mirror_configure_co(
	struct block_driver *driver, void *values, struct err *err)
{
	struct mirror_options *new = values, *now = driver->options;
	struct mirror_options old = *now;

	(void)err;
	*now = *new;
	*new = old;
	return 0;
}

static struct block_source *mirror_below(
	struct block_driver *driver, unsigned index)
{
	return index < driver->others_count ? driver->others[index] : NULL;
}

#define HANDLED \
	(BLOCK_OPS_DATA | BLOCK_OP(BLOCK_WRITE_ZEROES) | \
		BLOCK_OP(BLOCK_DISCARD) | BLOCK_OP(BLOCK_FLUSH) | \
		BLOCK_OP(BLOCK_COPY))

/* What both kinds have in common. */
#define MIRROR_KIND \
	.role = BLOCK_LISTENER, .part = BLOCK_BACK, .anchor = BLOCK_HEAD, \
	.tracked = true, .others = "leg", .one_other = true, \
	.opens_without = true, .store = "map", \
	.handles = \
		HANDLED, /* Only an alias offers COMPARE_AND_WRITE itself; one \
			       that writes is refused. */ \
		.transparent = BLOCK_OP(BLOCK_EXTENTS) | \
		BLOCK_OP(BLOCK_COMPARE_AND_WRITE), \
	.options = options, .options_bytes = sizeof(struct mirror_options), \
	.driver_bytes = sizeof(struct mirror), \
	.lane_bytes = sizeof(struct mirror_lane), .check = mirror_check, \
	.open_co = mirror_open_co, .close_co = mirror_close_co, \
	.lane_start = mirror_lane_start, .lane_stop = mirror_lane_stop, \
	.submit = mirror_submit, .narrow = mirror_narrow, \
	.changing_co = mirror_changing_co, .growing_co = mirror_growing_co, \
	.below = mirror_below

const struct block_kind mirror_kind = {
	MIRROR_KIND,
	.name = "mirror",
	.help = "keep another source equal",
	.band = BAND_MIRROR,
	.configure_co = mirror_configure_co,
	.status = mirror_status,
	.health = mirror_health,
};

const struct block_kind carry_kind = {
	MIRROR_KIND,
	.name = "carry",
	.help = "a job's own: keeps its target equal, over restarts",
	.band = BAND_JOB,
	.of_job = true,
};
