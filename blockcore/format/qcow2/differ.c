/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. A snapshot shares what has not changed since: the same place in the
 * file is the same content, and tables that are the same are not looked into.
 *
 * Invariant: image->names is held for as long as an answer takes, so no snapshot that is
 * looked at goes; an answer is bounded by what it says, and by STEPS_MOST.
 */
#include "blockcore/format/qcow2/differ.h"

#include "blockcore/base/doc.h"
#include "blockcore/base/opts.h"
#include "blockcore/format/qcow2/snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MOST 65536u
#define TURN_STEPS 512u /* then others have their turn */

struct arguments {
	char *from, *to;
	uint64_t offset, extents;
};

#define ARGUMENT(field) offsetof(struct arguments, field)
static const struct opt_spec specs[] = {
	{.name = "from",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = ARGUMENT(from),
		.max = FORMAT_SNAPSHOT_BYTES - 1,
		.help = "a snapshot; else all of the image's own"},
	{.name = "to",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = ARGUMENT(to),
		.max = FORMAT_SNAPSHOT_BYTES - 1,
		.help = "a later one; else what is shown now"},
	{.name = "offset",
		.type = OPT_SIZE,
		.offset = ARGUMENT(offset),
		.max = INT64_MAX,
		.fallback = "0",
		.help = "where to begin"},
	{.name = "extents",
		.type = OPT_UINT,
		.offset = ARGUMENT(extents),
		.min = 1,
		.max = QCOW2_DIFFER_EXTENTS_MOST,
		.fallback = "1000",
		.help = "at most so many"},
	OPT_END};

/* What is compared. */
struct side {
	struct qcow2_map *map; /* NULL: nothing, as if all were holes */
	struct qcow2_map own; /* a snapshot's */
	uint64_t size_bytes;
};

struct differ {
	struct qcow2 *image;
	struct side from, to;
	struct block_extent *extent; /* flags: enum qcow2_state */
	uint32_t count, room;
	uint64_t at;
	unsigned steps;
};

/* -- the two ---------------------------------------------------------------- */

static int side_open_co(struct differ *d, const struct qcow2_snapshots *s,
	const char *name, struct side *side, struct err *err)
{
	const struct qcow2_snapshot *snapshot = qcow2_snapshots_find(s, name);

	if (!snapshot)
		return err_set(err, ENOENT, "there is no snapshot '%s'", name);
	int error = qcow2_map_open_co(d->image, &side->own, snapshot->l1_offset,
		snapshot->l1_entries, err);
	side->map = &side->own;
	side->size_bytes = snapshot->size_bytes;
	return error;
}

static void side_close(struct side *side)
{
	if (!side->own.root)
		return;
	qcow2_map_forget(&side->own);
	qcow2_map_close(&side->own);
}

static int open_co(struct differ *d, const struct arguments *a, struct err *err)
{
	struct qcow2_snapshots s = {0};
	int error = a->from || a->to
		? qcow2_snapshots_read_co(d->image, &s, err)
		: 0;

	if (!error && a->from)
		error = side_open_co(d, &s, a->from, &d->from, err);
	if (!error && a->to)
		error = side_open_co(d, &s, a->to, &d->to, err);
	qcow2_snapshots_free(&s);
	if (!a->to) {
		d->to.map = &d->image->map;
		d->to.size_bytes = d->image->header.size_bytes;
	}
	return error;
}

/* -- what is there ------------------------------------------------------------ */

static int look_co(struct differ *d, const struct side *side, uint64_t want,
	struct qcow2_piece *piece)
{
	int error = 0;

	*piece = (struct qcow2_piece){.state = QCOW2_HOLE, .bytes = want};
	if (!side->map || d->at >= side->size_bytes)
		return 0;
	if (want > side->size_bytes - d->at)
		want = side->size_bytes - d->at;
	qcow2_map_look(side->map, d->at, want, piece);
	while (piece->state == QCOW2_ABSENT && !error) {
		error = qcow2_map_load_co(side->map, d->at);
		d->steps += TURN_STEPS / 4;
		qcow2_map_look(side->map, d->at, want, piece);
	}
	return error;
}

/* A hole reads as zeroes where nothing is below: it is called so, up to where that
 * ends. */
static void settle_hole(const struct differ *d, struct qcow2_piece *piece)
{
	uint64_t end = d->image->backing_bytes;

	if (piece->state != QCOW2_HOLE || !d->from.map)
		return;
	if (d->at >= end)
		piece->state = QCOW2_ZEROES;
	else if (piece->bytes > end - d->at)
		piece->bytes = end - d->at;
}

static bool is_same(const struct qcow2_piece *a, const struct qcow2_piece *b)
{
	if (a->state != b->state)
		return false;
	switch (a->state) {
	case QCOW2_DATA: return a->host == b->host;
	case QCOW2_PACKED: return a->packed == b->packed;
	default: return true;
	}
}

/* How much from here on lies in tables that are the same. */
static uint64_t same_table(const struct differ *d)
{
	const struct qcow2_geometry *g = &d->image->geometry;
	unsigned bits = g->l2_bits + g->cluster_bits;
	const struct qcow2_map *from = d->from.map, *to = d->to.map;
	uint64_t at = d->at, i = at >> bits;

	if (!from)
		return 0;
	for (; i < from->l1_entries && i < to->l1_entries &&
		!((from->l1[i] ^ to->l1[i]) & QCOW2_OFFSET_MASK);
		i++)
		at = (i + 1) << bits;
	return at - d->at;
}

/* -- the list ------------------------------------------------------------------- */

/* False: there is no room. */
static bool append(struct differ *d, const struct qcow2_piece *to)
{
	unsigned kind = to->state == QCOW2_PACKED ? QCOW2_DATA : to->state;
	struct block_extent *last = d->count ? &d->extent[d->count - 1] : NULL;

	if (last && last->flags == kind &&
		last->offset_bytes + last->length_bytes == d->at) {
		last->length_bytes += to->bytes;
		return true;
	}
	if (d->count == d->room)
		return false;
	d->extent[d->count++] = (struct block_extent){.offset_bytes = d->at,
		.length_bytes = to->bytes,
		.flags = kind};
	return true;
}

/* 1: the answer is full. */
static int step_co(struct differ *d)
{
	struct qcow2_piece from, to;
	uint64_t left = d->to.size_bytes - d->at, same = same_table(d);

	if (same) {
		d->at += same < left ? same : left;
		return 0;
	}
	int error = look_co(d, &d->to, left, &to);
	if (!error)
		error = look_co(d, &d->from, to.bytes, &from);
	if (error)
		return error;
	settle_hole(d, &to);
	settle_hole(d, &from);
	if (to.bytes > from.bytes)
		to.bytes = from.bytes;
	if (to.state == QCOW2_BAD || from.state == QCOW2_BAD)
		return qcow2_io_corrupt(d->image, "wrong L2 entry for", d->at);
	if (!is_same(&from, &to) && !append(d, &to))
		return 1;
	d->at += to.bytes;
	return 0;
}

static int run_co(struct differ *d, struct err *err)
{
	int error = 0;

	while (d->at < d->to.size_bytes && d->steps < STEPS_MOST && !error) {
		error = step_co(d);
		if (++d->steps % TURN_STEPS == 0)
			loop_sleep_co(d->image->home->loop, 0);
	}
	return error < 0 ? err_set(err, -error, "its tables cannot be read: %s",
				   strerror(-error))
			 : 0;
}

static void print(const struct differ *d, FILE *out)
{
	static const char *const kinds[] = {[QCOW2_HOLE] = "backing",
		[QCOW2_ZEROES] = "zeroes",
		[QCOW2_DATA] = "data"};

	fprintf(out, "\"size_bytes\": %" PRIu64 ", \"extents\": [",
		d->to.size_bytes);
	for (uint32_t i = 0; i < d->count; i++)
		fprintf(out,
			"%s{\"offset\": %" PRIu64 ", \"length\": %" PRIu64
			", \"kind\": \"%s\"}",
			i ? ", " : "", d->extent[i].offset_bytes,
			d->extent[i].length_bytes, kinds[d->extent[i].flags]);
	if (d->at < d->to.size_bytes)
		fprintf(out, "], \"next\": %" PRIu64, d->at);
	else
		fputs("], \"next\": null", out);
}

static int differ_co(struct qcow2 *image, const struct arguments *a, FILE *out,
	struct err *err)
{
	struct differ d = {.image = image,
		.at = a->offset,
		.room = (uint32_t)a->extents,
		.extent = calloc(a->extents, sizeof *d.extent)};
	int error = d.extent ? 0 : err_set(err, ENOMEM, "out of memory");

	co_mutex_lock_co(&image->names);
	if (!error)
		error = open_co(&d, a, err);
	if (!error)
		error = run_co(&d, err);
	side_close(&d.from);
	side_close(&d.to);
	co_mutex_unlock(&image->names);
	if (!error)
		print(&d, out);
	free(d.extent);
	return error;
}

/* -- arguments --------------------------------------------------------------------- */

static int take(
	const struct doc *arguments, struct arguments *a, struct err *err)
{
	return opts_parse(specs, arguments, NULL, a, sizeof *a, err);
}

int qcow2_differ_check(const struct doc *arguments, struct err *err)
{
	struct arguments a;
	int error = take(arguments, &a, err);

	if (!error)
		opts_free(specs, &a);
	return error;
}

int qcow2_differ_print_co(struct qcow2 *image, const struct doc *arguments,
	FILE *out, struct err *err)
{
	struct arguments a;
	int error = take(arguments, &a, err);

	if (error)
		return error;
	error = differ_co(image, &a, out, err);
	opts_free(specs, &a);
	return error;
}
