/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: check. Every reference of the image is counted, of all tables and
 * snapshots, and held against the refcounts; repair makes the counts and the
 * COPIED bits true. The map's changes wait meanwhile; overwrites go on.
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

static void count(struct qcow2_checker *c, const char *what, uint64_t offset,
	uint64_t bytes)
{
	unsigned bits = c->image->geometry.cluster_bits;
	uint64_t first = offset >> bits;
	uint64_t last = bytes ? (offset + bytes - 1) >> bits : first;

	for (uint64_t i = first; bytes && i <= last; i++) {
		if (i >= c->clusters) {
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
	uint64_t mask = c->image->geometry.cluster_bytes - 1;

	if (!(offset & mask) &&
		offset >> c->image->geometry.cluster_bits < c->clusters)
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
	return error;
}

static int count_map_co(
	struct qcow2_checker *c, uint64_t offset, uint32_t entries, bool guest)
{
	uint64_t bytes = ((uint64_t)entries * 8 + 511) & ~511ull;
	uint8_t *l1;
	int error;

	if (!entries || !is_placed(c, "L1 table", offset))
		return 0;
	if (entries > QCOW2_L1_BYTES_MAX / 8) {
		qcow2_check_error(
			c->check, "an L1 table has %u entries", entries);
		return 0;
	}
	count(c, "L1 table", offset, (uint64_t)entries * 8);
	l1 = qcow2_io_memory(bytes);
	error = l1 ? qcow2_io_read_co(
			     c->image, PURPOSE_CHECK_LOAD, offset, bytes, l1)
		   : -ENOMEM;
	for (uint32_t i = 0; !error && i < entries; i++)
		error = count_table_co(c, get_be64(l1 + 8 * i), guest);
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

static int count_snapshots_co(struct qcow2_checker *c)
{
	const struct qcow2_header *h = &c->image->header;
	uint64_t at = h->snapshots_offset;
	uint8_t entry[SNAPSHOT_BYTES];
	int error = 0;

	for (uint32_t i = 0; i < h->snapshots && !error; i++) {
		if (at >> h->cluster_bits >= c->clusters) {
			qcow2_check_error(c->check,
				"the snapshot table lies behind the end");
			return 0;
		}
		error = read_bytes_co(c->image, at, sizeof entry, entry);
		if (error)
			break;
		error = count_map_co(
			c, get_be64(entry), get_be32(entry + 8), false);
		at += SNAPSHOT_BYTES + (uint64_t)get_be32(entry + 36) +
			get_be16(entry + 12) + get_be16(entry + 14);
		at = (at + 7) & ~7ull;
	}
	if (h->snapshots)
		count(c, "snapshot table", h->snapshots_offset,
			at - h->snapshots_offset);
	return error;
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
	int error = count_map_co(c, h->l1_offset, h->l1_entries, true);
	return error ? error : count_snapshots_co(c);
}

/* -- the whole ------------------------------------------------------------ */

static int check_all_co(struct qcow2_checker *c)
{
	int error = count_all_co(c);

	if (!error)
		error = qcow2_check_counts_co(c);
	if (!error)
		error = qcow2_check_bits_co(c);
	return error;
}

static int check_with_memory_co(struct qcow2_checker *c, struct err *err)
{
	struct qcow2 *image = c->image;
	int error;

	c->clusters = qcow2_clusters(&image->geometry, image->file_bytes);
	if (c->clusters * sizeof *c->references > MEMORY_MOST)
		return err_set(err, EFBIG,
			"%" PRIu64 " clusters are too many to be counted in "
			"memory",
			c->clusters);
	c->room = c->clusters + image->refcounts.entries + 1;
	c->references = calloc(c->room, sizeof *c->references);
	c->table = qcow2_io_memory(image->geometry.cluster_bytes);
	error = c->references && c->table ? check_all_co(c) : -ENOMEM;
	free(c->references);
	free(c->table);
	return error ? err_set(err, -error, "the check cannot go on: %s",
			       strerror(-error))
		     : 0;
}

int qcow2_check_co(
	struct qcow2 *image, struct qcow2_check *check, struct err *err)
{
	struct qcow2_checker c = {.image = image, .check = check};
	bool repair = check->repair_leaks || check->repair_errors;
	int error = check_with_memory_co(&c, err);

	if (error || !repair)
		return error;
	error = qcow2_epoch_commit_co(image);
	return error ? err_set(err, -error, "the repair cannot be written: %s",
			       strerror(-error))
		     : 0;
}

/* Nothing is reserved or on its way to be freed while all is counted. */
static int settle_co(struct qcow2 *image, struct err *err)
{
	int error = 0;

	if (!image->begun)
		return 0;
	error = qcow2_epoch_commit_co(image);
	if (!error) {
		qcow2_io_wait_helpers_co(image);
		error = qcow2_pool_return_co(image);
	}
	if (!error)
		error = qcow2_epoch_commit_co(image);
	return error ? err_set(err, -error, "the image cannot be written to")
		     : 0;
}

static int check_locked_co(
	struct qcow2 *image, struct qcow2_check *check, struct err *err)
{
	bool repair = check->repair_leaks || check->repair_errors;
	int error = 0;

	if (repair)
		error = qcow2_write_begin_co(image);
	if (error)
		return err_set(err, -error,
			"the image cannot be repaired while it is in use so");
	error = settle_co(image, err);
	return error ? error : qcow2_check_co(image, check, err);
}

int qcow2_check_live_co(
	struct qcow2 *image, struct qcow2_check *check, struct err *err)
{
	struct qcow2_op all = {.image = image};

	if (image->share || image->revert || image->deleting)
		return err_set(err, EBUSY,
			"a snapshot is being made or deleted: counts and "
			"tables do not agree until that is done; try again");
	if (!image->refcounts.table) {
		int error = qcow2_refcount_open_co(image, err);

		if (error)
			return error;
	}
	if (image->format.read_only &&
		(check->repair_leaks || check->repair_errors))
		return err_set(err, EROFS,
			"the image is read-only: it is not repaired");
	qcow2_lock_co(&all, 0, UINT64_MAX);
	int error = check_locked_co(image, check, err);
	qcow2_unlock(&all);
	return error;
}
