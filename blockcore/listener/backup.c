/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: keeps one moment of a source, the one at which it was attached,
 * in another source, the target (copy before write).
 *
 *	host's change --> in the target already? --no--> old data --> target
 *			  |				  |
 *			  '-------------> below <---------'
 *	the moment: what is in the target from there, the rest from below
 *
 * The moment is read through a view, a source of its own (core/point.h), for a backup
 * program or a second export, or copied as a whole by the job `backup`, after which the
 * target holds all of it.
 *
 * Invariants
 *  1. It joins behind a gate: no change is under way at the moment. A source that is
 *     opened with it has no moment but the one that its map has kept: what happened
 *     before nobody has seen.
 *  2. Before a granule is changed below for the first time its old data are in the
 *     target, or the backup is broken and says so; then no read of the moment
 *     succeeds.
 *  3. Without `map` what is in the target is marked in memory only: a stop ends the
 *     moment. With it the moment outlives a stop, clean or not (backup_keep.c). The
 *     target is worth something by itself when all was copied.
 *     A source that has been in use opens without its target, where that is not
 *     there: hosts go on, and the backup is broken.
 *  4. Each lane has `copies` operations, with all memory that they need; what finds
 *     none waits. Nothing is allocated for a request, but children from the slab.
 *  5. A change of what has been copied takes no lock.
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/bits.h"
#include "blockcore/base/log.h"
#include "blockcore/core/plain_file.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const on_error_names[] = {[BACKUP_BREAK] = "break",
	[BACKUP_FAIL] = "fail",
	[BACKUP_WAIT] = "wait",
	NULL};

#define FIELD(name) offsetof(struct backup_options, name)
static const struct opt_spec options[] = {
	{.name = "target",
		.type = OPT_DOC,
		.offset = FIELD(target),
		.help = "the source (or its name) that old data are copied to, "
			"at least as large"},
	{.name = "granularity",
		.type = OPT_SIZE,
		.offset = FIELD(granularity_bytes),
		.min = BACKUP_GRANULE_LEAST,
		.max = BACKUP_GRANULE_MOST,
		.fallback = "64K",
		.help = "bytes that are copied at least, a power of two"},
	{.name = "copies",
		.type = OPT_UINT,
		.offset = FIELD(copies),
		.min = 1,
		.max = 64,
		.fallback = "8",
		.help = "copies at work at a time on each thread"},
	{.name = "on_error",
		.type = OPT_ENUM,
		.offset = FIELD(on_error),
		.choices = on_error_names,
		.fallback = "break",
		.help = "if old data cannot be copied: break the backup, fail "
			"the write, or let it wait"},
	{.name = "map",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(map),
		.max = BLOCK_NAME_BYTES - 1,
		.help = "keep the moment over restarts and crashes: which old "
			"data are in the target, in this file of the data "
			"directory"},
	OPT_END};

static struct backup_driver *backup_of(struct block_driver *driver)
{
	return (struct backup_driver *)driver;
}

/* -- the moment ----------------------------------------------------------- */

bool backup_is_active(const struct backup_driver *backup)
{
	return atomic_load_explicit(&backup->state, memory_order_acquire) ==
		BACKUP_ACTIVE;
}

uint64_t backup_run(
	const struct backup_driver *backup, uint64_t granule, uint64_t last)
{
	bool copied = backup_is_copied(backup, granule);
	uint64_t end = granule + 1;

	while (end <= last) {
		uint64_t word = atomic_load_explicit(
			&backup->copied[end / 64], memory_order_acquire);

		if (end % 64 == 0 && word == (copied ? UINT64_MAX : 0))
			end += 64;
		else if ((word >> end % 64 & 1) == copied)
			end++;
		else
			break;
	}
	return (end <= last ? end : last + 1) - granule;
}

void backup_set_copied(
	struct backup_driver *backup, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++)
		atomic_fetch_or(&backup->copied[i / 64], 1ull << i % 64);
	atomic_fetch_add(&backup->copied_count, last - first + 1);
}

void backup_break(struct backup_driver *backup, const char *format, ...)
{
	int active = BACKUP_ACTIVE;
	char why[sizeof backup->why];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof why, format, arguments);
	va_end(arguments);
	pthread_mutex_lock(&backup->mutex);
	bool first = atomic_compare_exchange_strong(
		&backup->state, &active, BACKUP_BROKEN);
	if (first)
		memcpy(backup->why, why, sizeof why);
	pthread_mutex_unlock(&backup->mutex);
	if (!first)
		return;
	log_error(backup->driver.name, "backup",
		"%s: the backup is broken; remove the listener, and "
		"attach it again for a new one",
		why);
	block_driver_notice(&backup->driver, "broken", why);
}

/* -- requests ------------------------------------------------------------- */

bool backup_wants(
	struct backup_driver *backup, const struct block_request *request)
{
	uint64_t end = request->offset_bytes + request->length_bytes;
	bool stored = backup->keeps;

	if (request->op == BLOCK_READ)
		return true;
	if ((!backup_is_active(backup) && !stored) ||
		request->offset_bytes >= backup->size_bytes ||
		!request->length_bytes)
		return false;
	if (end > backup->size_bytes)
		end = backup->size_bytes;
	uint64_t first = request->offset_bytes >> backup->shift;
	uint64_t last = (end - 1) >> backup->shift;
	if (stored && backup_keep_needed(backup, first, last))
		return true;
	return backup_is_active(backup) &&
		!bits_all(backup->copied, first, last);
}

/* Somebody asks for a moment of the source, perhaps this one. */
static void read_point(struct backup_lane *lane, struct block_request *request)
{
	struct block_point *point = request->point;

	if (point->id != lane->backup->id) {
		block_pass(request);
		return;
	}
	point->taken = true;
	request->flags &= (uint16_t)~BLOCK_POINT;
	if (backup_is_active(lane->backup))
		backup_work(lane, request);
	else
		block_complete(request, -EIO);
}

static void backup_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct backup_lane *lane = block_driver_lane(driver, request->lane);

	if (request->flags & BLOCK_POINT && request->op == BLOCK_READ)
		read_point(lane, request);
	else if (BLOCK_OP(request->op) & BLOCK_OPS_CHANGE &&
		backup_wants(lane->backup, request))
		backup_work(lane, request);
	else
		block_pass(request);
}

/* -- life ----------------------------------------------------------------- */

static int backup_check(
	const struct doc *map, const void *values, struct err *err)
{
	const struct backup_options *o = values;

	if (o->granularity_bytes & (o->granularity_bytes - 1))
		return doc_error(doc_find(map, "granularity"), err, EINVAL,
			"expected a power of two");
	return o->map ? plain_file_check(doc_find(map, "map"), o->map, err) : 0;
}

/* Bits for as much as the target can hold; the source is no larger. */
static int make_bits(struct backup_driver *backup, struct err *err)
{
	struct block_info target = block_source_info(backup->driver.others[0],
		block_core_lane(backup->driver.core, 0));

	backup->bits = (target.size_bytes >> backup->shift) + 1;
	if (backup->bits > BACKUP_BITS_MOST)
		return err_set(err, EFBIG,
			"'%s' has %llu granules, at most %llu are kept in "
			"mind; attach it with a larger granularity",
			block_source_name(backup->driver.others[0]),
			(unsigned long long)backup->bits,
			(unsigned long long)BACKUP_BITS_MOST);
	if (target.read_only)
		return err_set(err, EROFS, "'%s' cannot be written to",
			block_source_name(backup->driver.others[0]));
	backup->copied = calloc(backup->bits / 64 + 1, sizeof(uint64_t));
	return backup->copied ? 0
			      : err_set(err, ENOMEM, "no memory for %llu marks",
					(unsigned long long)backup->bits);
}

static void backup_let_go(struct backup_driver *backup)
{
	if (!backup->without_target)
		block_source_unclaim(&backup->claim);
	pthread_mutex_destroy(&backup->mutex);
	free(backup->copied);
}

/* What it kept is lost, and hosts go on. */
static int backup_begin_without(
	struct backup_driver *backup, const struct err *why, struct err *err)
{
	snprintf(backup->lacks, sizeof backup->lacks,
		"its target is not there: %.*s", BACKUP_WHY_BYTES - 40,
		why->text);
	backup->without_target = true;
	backup->bits = 1;
	backup->copied = calloc(1, sizeof(uint64_t));
	return backup->copied ? 0 : err_set(err, ENOMEM, "no memory for marks");
}

static int backup_begin(struct backup_driver *backup, struct err *err)
{
	struct block_driver *driver = &backup->driver;

	if (driver->without)
		return backup_begin_without(backup, driver->without, err);
	int error = make_bits(backup, err);
	return error
		? error
		: block_source_claim(driver->others[0], &backup->claim, err);
}

static int backup_open_co(struct block_driver *driver, struct err *err)
{
	struct backup_driver *backup = backup_of(driver);
	const struct backup_options *o = driver->options;

	backup->shift = (unsigned)__builtin_ctzll(o->granularity_bytes);
	backup->claim.mode = BLOCK_CLAIM_WRITE;
	snprintf(backup->claim.holder, sizeof backup->claim.holder,
		"backup '%s'", driver->name);
	int error = backup_begin(backup, err);
	if (error) {
		free(backup->copied);
		return error;
	}
	pthread_mutex_init(&backup->mutex, NULL);
	TAILQ_INIT(&backup->locks);
	backup->keeps = driver->store != NULL;
	error = backup->keeps ? backup_moment_open_co(backup, err) : 0;
	if (error)
		backup_let_go(backup);
	return error;
}

static void backup_close_co(struct block_driver *driver)
{
	struct backup_driver *backup = backup_of(driver);

	if (backup->keeps)
		backup_moment_close_co(backup);
	backup_let_go(backup);
}

static int backup_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct backup_lane *l = block_driver_lane(driver, lane);
	const struct backup_options *o = driver->options;
	size_t piece = o->granularity_bytes > BACKUP_PIECE_BYTES
		? o->granularity_bytes
		: BACKUP_PIECE_BYTES;

	l->memory = aligned_alloc(4096, o->copies * piece);
	l->op = calloc(o->copies, sizeof *l->op);
	if (!l->memory || !l->op) {
		free(l->memory);
		free(l->op);
		return -ENOMEM;
	}
	l->backup = backup_of(driver);
	l->loop = lane->loop;
	TAILQ_INIT(&l->waiting);
	SLIST_INIT(&l->free);
	for (unsigned i = 0; i < o->copies; i++) {
		l->op[i].lane = l;
		l->op[i].piece.iov_base = l->memory + i * piece;
		SLIST_INSERT_HEAD(&l->free, &l->op[i], link);
	}
	return 0;
}

static void backup_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct backup_lane *l = block_driver_lane(driver, lane);

	free(l->op);
	free(l->memory);
}

static int backup_changing_co(struct block_driver *driver, struct err *err)
{
	struct backup_driver *backup = backup_of(driver);

	return backup->keeps ? backup_keep_doubt_co(backup, err) : 0;
}

static void backup_opened_over_co(
	struct block_driver *driver, struct block_image *image)
{
	struct backup_driver *backup = backup_of(driver);

	if (backup->keeps)
		backup_moment_resume_co(backup, image);
	if (!backup->without_target ||
		atomic_load(&backup->state) == BACKUP_BROKEN)
		return;
	atomic_store(&backup->state, BACKUP_ACTIVE);
	backup_break(backup, "%s", backup->lacks);
}

static void backup_closing_over(
	struct block_driver *driver, struct block_image *image)
{
	struct backup_map *map = &backup_of(driver)->map;
	bool keeps = backup_of(driver)->keeps;

	block_image_free(keeps ? &map->closed : image);
	if (keeps)
		map->closed = *image;
}

/* Before it is in a stack: it joins, behind the gate to come, and the moment begins.
 * Later: a swap took away what was not copied. */
static void backup_content_changed(struct block_driver *driver,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	struct backup_driver *backup = backup_of(driver);

	(void)offset_bytes;
	if (driver->references) {
		backup_break(backup,
			"the source shows other content than at the moment");
		if (backup->keeps)
			backup_keep_soon(backup);
		return;
	}
	backup->size_bytes = length_bytes;
	backup->granules =
		(length_bytes + (1ull << backup->shift) - 1) >> backup->shift;
	if (backup->granules > backup->bits)
		return; /* too small a target: refused when it joins */
	do
		backup->id =
			loop_random(block_core_lane(driver->core, 0)->loop);
	while (!backup->id);
	atomic_store(&backup->state, BACKUP_ACTIVE);
}

/* Narrows nothing: it sees that what was not copied is cut off. */
static void backup_narrow(struct block_driver *driver, struct block_info *info)
{
	struct backup_driver *backup = backup_of(driver);
	uint64_t last = backup->granules - 1;
	uint64_t first = info->size_bytes >> backup->shift;

	if (!backup_is_active(backup) || info->size_bytes >= backup->size_bytes)
		return;
	if (bits_all(backup->copied, first, last))
		return;
	backup_break(
		backup, "the source has become smaller than at the moment");
	if (backup->keeps)
		backup_keep_soon(backup);
}

static int backup_point(struct block_driver *driver, uint64_t *id,
	uint64_t *bytes, struct err *err)
{
	struct backup_driver *backup = backup_of(driver);

	if (!backup_is_active(backup))
		return err_set(err, ENODATA,
			"backup '%s' keeps no moment (%s): attach it to the "
			"source while that is in use",
			driver->name,
			*backup->why ? backup->why
				     : "its source was opened since");
	*id = backup->id;
	*bytes = backup->size_bytes;
	return 0;
}

static struct block_source *backup_below(
	struct block_driver *driver, unsigned index)
{
	return index < driver->others_count ? driver->others[index] : NULL;
}

const struct block_kind backup_kind = {
	.name = "backup",
	.help = "keep the moment of its attaching in another source",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.anchor = BLOCK_HEAD,
	.band = BAND_BACKUP,
	.others = "target",
	.one_other = true,
	.opens_without = true,
	.handles = (BLOCK_OPS_CHANGE & ~BLOCK_OP(BLOCK_COMPARE_AND_WRITE)) |
		BLOCK_OP(BLOCK_READ),
	/* Only an alias offers COMPARE_AND_WRITE itself, and is refused. */
	.transparent = BLOCK_OP(BLOCK_FLUSH) | BLOCK_OP(BLOCK_EXTENTS) |
		BLOCK_OP(BLOCK_COMPARE_AND_WRITE),
	.store = "map",
	.options = options,
	.options_bytes = sizeof(struct backup_options),
	.driver_bytes = sizeof(struct backup_driver),
	.lane_bytes = sizeof(struct backup_lane),
	.check = backup_check,
	.open_co = backup_open_co,
	.close_co = backup_close_co,
	.lane_start = backup_lane_start,
	.lane_stop = backup_lane_stop,
	.submit = backup_submit,
	.narrow = backup_narrow,
	.changing_co = backup_changing_co,
	.content_changed = backup_content_changed,
	.opened_over_co = backup_opened_over_co,
	.closing_over = backup_closing_over,
	.point = backup_point,
	.command_co = backup_command_co,
	.rehearse_co = backup_rehearse_co,
	.below = backup_below,
	.status = backup_status,
};
