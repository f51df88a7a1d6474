/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener dirty: which blocks have changed, for backups that copy no more
 * than that. Each consumer (a name) has a point of its own since which changes
 * are remembered. Its verbs:
 *
 *	add	a consumer; for it everything has changed, or with `clean: true`
 *		nothing (it has just copied everything from a snapshot)
 *	freeze	what has changed till now is put aside; changes from now on are
 *		remembered apart
 *	list	what was put aside, as extents, a page at a time; with `later: true`
 *		also what has changed since
 *	done	what was put aside is copied: forget it
 *	remove	the consumer
 *
 * A consumer that dies between freeze and done loses nothing: the next freeze
 * adds to what is aside. One that wants the copy of one moment makes a snapshot after
 * freeze, and then asks for `later`: nothing else can differ from the snapshot, and
 * what changes after it stays noted for the next time.
 *
 * Invariants
 *  1. A change is marked when it comes and again when it has ended, before
 *     anybody hears of that: one under way at a freeze is in what was put aside,
 *     and in what comes next, for its data may be read before or after.
 *  2. Marks are a superset: a change that failed is marked, too.
 *  3. Bits are allocated when a consumer is added, for the size of then. Beyond
 *     that lies one bit more, so a source may grow: the new part is one block.
 *  4. Without `file` marks are in memory: who restarts the daemon or detaches the
 *     listener ends all consumers, and the next add says that all has changed.
 *  5. With `file` a clean stop keeps them (dirty_file.c). After anything else
 *     (crash, detached and attached again, the image changed by others meanwhile)
 *     consumers stay, and all has changed.
 */
#include "blockcore/listener/dirty.h"

#include "blockcore/base/co.h"
#include "blockcore/core/plain_file.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct opt_spec options[] = {
	{.name = "granularity",
		.type = OPT_SIZE,
		.offset = offsetof(struct dirty_options, granularity_bytes),
		.min = DIRTY_GRANULARITY_LEAST,
		.max = DIRTY_GRANULARITY_MOST,
		.fallback = "64K",
		.help = "bytes that one mark stands for, a power of two"},
	{.name = "file",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = offsetof(struct dirty_options, file),
		.max = BLOCK_NAME_BYTES - 1,
		.help = "keep the marks over a clean stop in this file of the "
			"data directory"},
	OPT_END};

/* -- marking -------------------------------------------------------------- */

static void mark_word(_Atomic uint64_t *word, uint64_t bits)
{
	uint64_t set = atomic_load_explicit(word, memory_order_acquire);

	if ((set & bits) != bits)
		atomic_fetch_or_explicit(word, bits, memory_order_acq_rel);
}

/* Bits first to last, both inclusive. */
static void mark_bits(struct dirty_consumer *c, uint64_t first, uint64_t last)
{
	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t bits = UINT64_MAX;

		if (word == first / 64)
			bits &= UINT64_MAX << first % 64;
		if (word == last / 64)
			bits &= UINT64_MAX >> (63 - last % 64);
		mark_word(&c->now[word], bits);
	}
}

static void mark(struct dirty_table *table, unsigned shift,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	if (!length_bytes)
		return;
	for (unsigned i = 0; i < table->count; i++) {
		struct dirty_consumer *c = table->consumer[i];
		uint64_t first = offset_bytes >> shift;
		uint64_t last = (offset_bytes + length_bytes - 1) >> shift;

		if (first >= c->bits)
			first = c->bits - 1;
		if (last >= c->bits)
			last = c->bits - 1;
		mark_bits(c, first, last);
	}
}

static bool dirty_ended(
	struct block_request *request, struct block_frame *frame)
{
	struct dirty_lane *lane = frame->context;

	mark(lane->table, lane->shift, request->offset_bytes,
		request->length_bytes);
	return true;
}

static void dirty_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct dirty_lane *lane = block_driver_lane(driver, request->lane);

	if (BLOCK_OP(request->op) & BLOCK_OPS_CHANGE) {
		mark(lane->table, lane->shift, request->offset_bytes,
			request->length_bytes);
		block_push(request, dirty_ended, lane, 0);
	}
	block_pass(request);
}

static void dirty_content_changed(struct block_driver *driver,
	uint64_t offset_bytes, uint64_t length_bytes)
{
	struct dirty_driver *dirty = (struct dirty_driver *)driver;

	mark(dirty->table, dirty->shift, offset_bytes, length_bytes);
}

/* -- life ----------------------------------------------------------------- */

static int dirty_check(
	const struct doc *map, const void *values, struct err *err)
{
	const struct dirty_options *o = values;

	if (o->granularity_bytes & (o->granularity_bytes - 1))
		return doc_error(doc_find(map, "granularity"), err, EINVAL,
			"expected a power of two");
	return o->file ? plain_file_check(doc_find(map, "file"), o->file, err)
		       : 0;
}

static void dirty_table_free(struct dirty_table *table)
{
	for (unsigned i = 0; i < table->count; i++)
		dirty_consumer_free(table->consumer[i]);
	free(table);
}

static int dirty_open_co(struct block_driver *driver, struct err *err)
{
	struct dirty_driver *dirty = (struct dirty_driver *)driver;
	const struct dirty_options *o = driver->options;

	co_mutex_init(&dirty->changing);
	dirty->shift = (unsigned)__builtin_ctzll(o->granularity_bytes);
	dirty->fd = -1;
	dirty->table = calloc(1, sizeof *dirty->table);
	if (!dirty->table)
		return err_set(err, ENOMEM, "out of memory");
	int error = o->file ? dirty_file_open_co(dirty, err) : 0;
	if (error)
		dirty_table_free(dirty->table);
	return error;
}

static void dirty_close_co(struct block_driver *driver)
{
	struct dirty_driver *dirty = (struct dirty_driver *)driver;

	if (dirty->fd >= 0)
		dirty_file_close_co(dirty);
	block_image_free(&dirty->closed);
	dirty_table_free(dirty->table);
}

static int dirty_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct dirty_lane *l = block_driver_lane(driver, lane);
	const struct dirty_driver *dirty = (struct dirty_driver *)driver;

	l->table = dirty->table;
	l->shift = dirty->shift;
	return 0;
}

/* Narrows nothing: it sees the size here. What a change of size takes away or
 * adds reads as zeroes when it is there again. */
static void dirty_narrow(struct block_driver *driver, struct block_info *info)
{
	struct dirty_driver *dirty = (struct dirty_driver *)driver;
	uint64_t old = dirty->size_bytes, new = info->size_bytes;

	dirty->size_bytes = new;
	if (!dirty->table || old == new)
		return;
	dirty_content_changed(driver, old < new ? old : new,
		old < new ? new - old : old - new);
}

const struct block_kind dirty_kind = {
	.name = "dirty",
	.help = "remember which blocks have changed, for backups",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.anchor = BLOCK_HEAD,
	.band = BAND_DIRTY,
	.handles = BLOCK_OPS_CHANGE,
	.transparent = BLOCK_OP(BLOCK_READ) | BLOCK_OP(BLOCK_FLUSH) |
		BLOCK_OP(BLOCK_EXTENTS),
	.options = options,
	.options_bytes = sizeof(struct dirty_options),
	.driver_bytes = sizeof(struct dirty_driver),
	.lane_bytes = sizeof(struct dirty_lane),
	.check = dirty_check,
	.open_co = dirty_open_co,
	.close_co = dirty_close_co,
	.lane_start = dirty_lane_start,
	.submit = dirty_submit,
	.narrow = dirty_narrow,
	.content_changed = dirty_content_changed,
	.opened_over_co = dirty_image_opened_co,
	.closing_over = dirty_image_closing,
	.command_co = dirty_verbs_co,
	.rehearse_co = dirty_verbs_rehearse_co,
	.status = dirty_verbs_status,
};
