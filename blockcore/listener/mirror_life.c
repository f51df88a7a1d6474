/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: options and life; see mirror.h.
 */
#include "blockcore/listener/mirror_map.h"

#include "blockcore/core/driver.h"
#include "blockcore/core/plain_file.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <string.h>

struct mirror *mirror_of(struct block_driver *driver)
{
	return driver->kind == &mirror_kind
		? container_of(driver, struct mirror, driver)
		: NULL;
}

/* -- life ----------------------------------------------------------------- */

static const char *const on_error_names[] = {
	[MIRROR_DEGRADE] = "degrade", [MIRROR_FAIL] = "fail", NULL};

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
		.fallback = "1M",
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
	mirror_marks_dirty_kept(&mirror->marks);
	atomic_store(&mirror->error, 0);
	return 0;
}

static int mirror_open_co(struct block_driver *driver, struct err *err)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);
	const struct mirror_options *o = driver->options;
	struct block_info leg = block_source_info(
		driver->others[0], block_core_lane(driver->core, 0));
	int error = mirror_marks_init(
		&mirror->marks, leg.size_bytes, o->granularity_bytes, err);

	if (!error)
		error = leg_check(mirror, driver->others[0], err);
	if (!error && driver->store)
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
	if (driver->store)
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
	uint64_t marked = mirror->marks.count << mirror->marks.shift;

	for (unsigned i = 0; i < driver->others_count; i++) {
		struct block_info leg = block_source_info(
			driver->others[i], block_core_lane(driver->core, 0));

		if (info->size_bytes > leg.size_bytes)
			info->size_bytes = leg.size_bytes;
		info->volatile_cache |= leg.volatile_cache;
	}
	if (info->size_bytes > marked)
		info->size_bytes = marked;
	mirror_show(mirror, info->size_bytes);
}

/* Marked in memory first: then whoever writes marks meanwhile writes these. */
static int mirror_changing_co(struct block_driver *driver, struct err *err)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);

	if (mirror->marks.count)
		mirror_marks_dirty(&mirror->marks,
			(struct mirror_granules){0, mirror->marks.count - 1});
	int error = driver->store ? mirror_map_all_co(mirror) : 0;
	return error ? err_set(err, -error, "its map cannot be written: %s",
			       strerror(-error))
		     : 0;
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

const struct block_kind mirror_kind = {
	.name = "mirror",
	.help = "keep another source equal",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.anchor = BLOCK_HEAD,
	.band = BAND_MIRROR,
	.tracked = true,
	.others = "leg",
	.one_other = true,
	.store = "map",
	.handles = HANDLED,
	/* Only an alias offers COMPARE_AND_WRITE itself; one that writes is refused. */
	.transparent =
		BLOCK_OP(BLOCK_EXTENTS) | BLOCK_OP(BLOCK_COMPARE_AND_WRITE),
	.options = options,
	.options_bytes = sizeof(struct mirror_options),
	.driver_bytes = sizeof(struct mirror),
	.lane_bytes = sizeof(struct mirror_lane),
	.check = mirror_check,
	.open_co = mirror_open_co,
	.close_co = mirror_close_co,
	.lane_start = mirror_lane_start,
	.lane_stop = mirror_lane_stop,
	.submit = mirror_submit,
	.narrow = mirror_narrow,
	.changing_co = mirror_changing_co,
	.below = mirror_below,
	.status = mirror_status,
};
