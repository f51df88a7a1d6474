/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: check. Every reference of the image is counted, of all tables and
 * snapshots, and held against the refcounts; repair makes the counts and the
 * COPIED bits true. check_live.c is about hosts that change the image meanwhile.
 *
 * Invariants
 *  1. A cluster that is counted more often than it is named is a leak and does no
 *     harm; one that is counted less often, or a misplaced entry, is an error.
 *  2. Memory is bounded by the length of the file: two bytes for each cluster.
 *  3. Where clusters are named by what is not known here (bitmaps), none is
 *     called a leak.
 */
#include "blockcore/format/qcow2/check.h"

#include "blockcore/base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MOST (1ull << 30)
#define SNAPSHOT_BYTES 40u /* of an entry, before what varies */

/* -- counting ------------------------------------------------------------- */

/* The file has grown since the check began. */
static bool is_later(const struct qcow2_checker *c, uint64_t cluster)
{
	return c->watch &&
		cluster <
		qcow2_clusters(&c->image->geometry, c->image->file_bytes);
}

static void count(struct qcow2_checker *c, const char *what, uint64_t offset,
	uint64_t bytes)
{
	unsigned bits = c->image->geometry.cluster_bits;
	uint64_t first = offset >> bits;
	uint64_t last = bytes ? (offset + bytes - 1) >> bits : first;

	for (uint64_t i = first; bytes && i <= last; i++) {
		if (i >= c->clusters) {
			if (is_later(c, i))
				return;
			qcow2_check_error(c->check,
				"%s at %#" PRIx64 " lies behind the end", what,
				offset);
			return;
		}
		if (c->references[i] < UINT16_MAX)
			c->references[i]++;
		if ((i + 1) << bits > c->check->end_bytes)
			c->check->end_bytes = (i + 1) << bits;
	}
}

/* False, and an error, if a table or cluster cannot lie there. */
static bool is_placed(
	struct qcow2_checker *c, const char *what, uint64_t offset)
{
	uint64_t cluster = offset >> c->image->geometry.cluster_bits;
	uint64_t mask = c->image->geometry.cluster_bytes - 1;

	if (!(offset & mask) && (cluster < c->clusters || is_later(c, cluster)))
		return true;
	qcow2_check_error(
		c->check, "%s is misplaced at %#" PRIx64, what, offset);
	return false;
}

static void count_entry(
	struct qcow2_checker *c, const uint64_t word[2], bool guest)
{
	const struct qcow2_geometry *g = &c->image->geometry;
	uint64_t host = qcow2_entry_cluster(word[0]);
	struct qcow2_piece piece;

	if (word[0] & QCOW2_COMPRESSED) {
		struct qcow2_packed packed = qcow2_entry_packed(g, word[0]);

		if (word[0] & QCOW2_COPIED)
			qcow2_check_error(c->check,
				"a compressed cluster has the COPIED bit");
		count(c, "compressed cluster", packed.offset, packed.bytes);
		c->check->allocated += guest;
		return;
	}
	qcow2_entry_look(g, word, 0, &piece);
	if (host && is_placed(c, "data cluster", host))
		count(c, "data cluster", host, g->cluster_bytes);
	else if (!host && piece.state == QCOW2_BAD)
		qcow2_check_error(c->check, "an L2 entry contradicts itself");
	c->check->allocated += guest && host;
}

static int read_table_co(struct qcow2_checker *c, uint64_t offset)
{
	return qcow2_io_read_co(c->image, PURPOSE_CHECK_LOAD, offset,
		c->image->geometry.cluster_bytes, c->table);
}

static int count_table_co(
	struct qcow2_checker *c, uint64_t l1_entry, bool guest)
{
	const struct qcow2_geometry *g = &c->image->geometry;
	uint64_t offset = l1_entry & QCOW2_OFFSET_MASK, word[2];

	if (!offset || !is_placed(c, "L2 table", offset))
		return 0;
	count(c, "L2 table", offset, g->cluster_bytes);
	int error = read_table_co(c, offset);
	for (uint64_t i = 0; !error && i < 1ull << g->l2_bits; i++) {
		qcow2_check_entry(c, i, word);
		count_entry(c, word, guest);
	}
	return error ? error : qcow2_check_step_co(c, g->cluster_bytes);
}

/* *l1: in the machine's order, to be freed. */
static int read_l1_co(struct qcow2_checker *c, uint64_t offset,
	uint32_t entries, uint64_t **l1)
{
	uint64_t bytes = ((uint64_t)entries * 8 + 511) & ~511ull;
	int error;

	*l1 = qcow2_io_memory(bytes);
	error = *l1 ? qcow2_io_read_co(
			      c->image, PURPOSE_CHECK_LOAD, offset, bytes, *l1)
		    : -ENOMEM;
	for (uint32_t i = 0; !error && i < entries; i++)
		(*l1)[i] = get_be64((uint8_t *)*l1 + 8 * (size_t)i);
	return error;
}

static int count_tables_co(struct qcow2_checker *c, const uint64_t *l1,
	uint32_t entries, bool guest)
{
	int error = 0;

	for (uint32_t i = 0; !error && i < entries; i++)
		error = count_table_co(c, l1[i], guest);
	return error;
}

/* False, and an error, if an L1 table cannot be so. */
static bool is_l1(struct qcow2_checker *c, uint64_t offset, uint32_t entries)
{
	if (!entries || !is_placed(c, "L1 table", offset))
		return false;
	if (entries <= QCOW2_L1_BYTES_MAX / 8)
		return true;
	qcow2_check_error(c->check, "an L1 table has %u entries", entries);
	return false;
}

static int count_current_co(struct qcow2_checker *c, uint64_t offset)
{
	if (!is_l1(c, offset, c->l1_entries))
		return 0;
	count(c, "L1 table", offset, (uint64_t)c->l1_entries * 8);
	return count_tables_co(c, c->l1, c->l1_entries, true);
}

/* A snapshot's. */
static int count_map_co(
	struct qcow2_checker *c, uint64_t offset, uint32_t entries)
{
	uint64_t *l1;
	int error;

	if (!is_l1(c, offset, entries))
		return 0;
	count(c, "L1 table", offset, (uint64_t)entries * 8);
	error = read_l1_co(c, offset, entries, &l1);
	if (!error)
		error = count_tables_co(c, l1, entries, false);
	free(l1);
	return error;
}

/* -- snapshots ------------------------------------------------------------ */

/* Any bytes of the file. */
static int read_bytes_co(
	struct qcow2 *image, uint64_t offset, uint32_t bytes, void *to)
{
	uint64_t skew = offset % QCOW2_SECTOR_BYTES;
	uint64_t whole = (skew + bytes + QCOW2_SECTOR_BYTES - 1) &
		~(uint64_t)(QCOW2_SECTOR_BYTES - 1);
	uint8_t *sectors = qcow2_io_memory(whole);
	int error = sectors ? qcow2_io_read_co(image, PURPOSE_CHECK_LOAD,
				      offset - skew, whole, sectors)
			    : -ENOMEM;

	if (!error)
		memcpy(to, sectors + skew, bytes);
	free(sectors);
	return error;
}

/* Calls `map_co` for the L1 table of each. *end: of the table of snapshots; 0: it
 * is not where it can be. */
static int each_snapshot_co(struct qcow2_checker *c,
	int (*map_co)(
		struct qcow2_checker *c, uint64_t offset, uint32_t entries),
	uint64_t *end)
{
	const struct qcow2_header *h = &c->image->header;
	uint64_t at = h->snapshots_offset;
	uint8_t entry[SNAPSHOT_BYTES];
	int error = 0;

	*end = 0;
	for (uint32_t i = 0; i < h->snapshots && !error; i++) {
		if (at >> h->cluster_bits >= c->clusters)
			return 0;
		error = read_bytes_co(c->image, at, sizeof entry, entry);
		if (error)
			return error;
		error = map_co(c, get_be64(entry), get_be32(entry + 8));
		at += SNAPSHOT_BYTES + (uint64_t)get_be32(entry + 36) +
			get_be16(entry + 12) + get_be16(entry + 14);
		at = (at + 7) & ~7ull;
	}
	*end = at;
	return error;
}

static int count_snapshots_co(struct qcow2_checker *c)
{
	const struct qcow2_header *h = &c->image->header;
	uint64_t end;
	int error = each_snapshot_co(c, count_map_co, &end);

	if (error || !h->snapshots)
		return error;
	if (end)
		count(c, "snapshot table", h->snapshots_offset,
			end - h->snapshots_offset);
	else
		qcow2_check_error(
			c->check, "the snapshot table lies behind the end");
	return 0;
}

static int count_all_co(struct qcow2_checker *c)
{
	const struct qcow2_header *h = &c->image->header;
	const struct qcow2_refcounts *r = &c->image->refcounts;
	uint64_t cluster = c->image->geometry.cluster_bytes;

	c->check->clusters = qcow2_clusters(&c->image->geometry, h->size_bytes);
	count(c, "header", 0, cluster);
	count(c, "refcount table", h->reftable_offset,
		(uint64_t)h->reftable_clusters << h->cluster_bits);
	for (uint64_t i = 0; i < r->entries; i++) {
		if (r->table[i] && is_placed(c, "refcount block", r->table[i]))
			count(c, "refcount block", r->table[i], cluster);
	}
	int error = count_current_co(c, h->l1_offset);
	return error ? error : count_snapshots_co(c);
}

/* -- how much there is ---------------------------------------------------- */

static uint64_t tables_bytes(
	const struct qcow2_checker *c, const uint64_t *l1, uint32_t entries)
{
	uint64_t tables = 0;

	for (uint32_t i = 0; i < entries; i++)
		tables += (l1[i] & QCOW2_OFFSET_MASK) != 0;
	return tables << c->image->geometry.cluster_bits;
}

/* What is wrong with it is found when it is counted. */
static int plan_map_co(
	struct qcow2_checker *c, uint64_t offset, uint32_t entries)
{
	unsigned bits = c->image->geometry.cluster_bits;
	uint64_t *l1;
	int error;

	if (!entries || entries > QCOW2_L1_BYTES_MAX / 8 ||
		offset >> bits >= c->clusters || offset % QCOW2_SECTOR_BYTES)
		return 0;
	error = read_l1_co(c, offset, entries, &l1);
	if (!error)
		c->check->total_bytes += tables_bytes(c, l1, entries);
	free(l1);
	return error;
}

/* The current map's tables are read twice, once for COPIED bits. */
static int plan_co(struct qcow2_checker *c)
{
	uint64_t blocks = c->clusters >> qcow2_refcount_block_bits(c->image);
	uint64_t end;

	c->check->done_bytes = 0;
	c->check->total_bytes = 2 * tables_bytes(c, c->l1, c->l1_entries) +
		(blocks << c->image->geometry.cluster_bits);
	return each_snapshot_co(c, plan_map_co, &end);
}

int qcow2_check_step_co(struct qcow2_checker *c, uint64_t bytes)
{
	struct block_check *check = c->check;

	check->done_bytes += bytes;
	if (c->watch && c->watch->disturbed && !c->repairing)
		return -EAGAIN;
	return check->step_co && !c->repairing ? check->step_co(check) : 0;
}

/* -- the whole ------------------------------------------------------------ */

static int check_all_co(struct qcow2_checker *c)
{
	int error = plan_co(c);

	if (!error)
		error = count_all_co(c);
	c->repairing = c->check->repair_leaks || c->check->repair_errors;
	if (!error)
		error = qcow2_check_counts_co(c);
	if (!error)
		error = qcow2_check_bits_co(c);
	return error;
}

int qcow2_check_begin(struct qcow2_checker *c, struct err *err)
{
	struct qcow2 *image = c->image;
	const struct qcow2_map *map = &image->map;

	c->clusters = qcow2_clusters(&image->geometry, image->file_bytes);
	if (c->clusters * sizeof *c->references > MEMORY_MOST)
		return err_set(err, EFBIG,
			"%" PRIu64 " clusters are too many to be counted in "
			"memory, %llu at most: convert the image to one with "
			"larger ones",
			c->clusters, MEMORY_MOST / sizeof *c->references);
	c->room = c->clusters + image->refcounts.entries + 1;
	c->references = calloc(c->room, sizeof *c->references);
	c->table = qcow2_io_memory(image->geometry.cluster_bytes);
	c->l1 = calloc(map->l1_entries + 1ull, sizeof *c->l1);
	if (!c->references || !c->table || !c->l1)
		return err_set(err, ENOMEM, "no memory to count clusters");
	memcpy(c->l1, map->l1, map->l1_entries * sizeof *c->l1);
	c->l1_entries = map->l1_entries;
	return 0;
}

int qcow2_check_run_co(struct qcow2_checker *c, struct err *err)
{
	int error = check_all_co(c);

	return error ? err_set(err, -error, "the check cannot go on: %s",
			       strerror(-error))
		     : 0;
}

void qcow2_check_end(struct qcow2_checker *c)
{
	free(c->references);
	free(c->table);
	free(c->l1);
}

int qcow2_check_co(
	struct qcow2 *image, struct block_check *check, struct err *err)
{
	struct qcow2_checker c = {.image = image, .check = check};
	int error = qcow2_check_begin(&c, err);

	if (!error)
		error = qcow2_check_run_co(&c, err);
	qcow2_check_end(&c);
	if (error || !(check->repair_leaks || check->repair_errors))
		return error;
	error = qcow2_epoch_commit_co(image);
	return error ? err_set(err, -error, "the repair cannot be written: %s",
			       strerror(-error))
		     : 0;
}
