/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: check, second part: what was counted held against the refcounts and the
 * COPIED bits, and what differs made true if that is wanted.
 *
 * Invariants
 *  1. A refcount block that is missing is made behind the end of the file, where
 *     certainly nothing is.
 *  2. The space of leaks goes back to the file system, but not where anything else is
 *     wrong: a table that cannot be read may name them.
 */
#include "blockcore/format/qcow2/check.h"

#include "blockcore/base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void qcow2_check_error(struct block_check *check, const char *format, ...)
{
	va_list args;

	if (check->errors++)
		return;
	va_start(args, format);
	vsnprintf(check->first, sizeof check->first, format, args);
	va_end(args);
}

void qcow2_check_entry(
	const struct qcow2_checker *c, uint64_t i, uint64_t word[2])
{
	unsigned words = c->image->geometry.words;

	word[0] = get_be64(c->table + 8 * i * words);
	word[1] = words == 2 ? get_be64(c->table + 8 * i * words + 8) : 0;
}

/* -- refcounts ------------------------------------------------------------ */

static int get_count_co(struct qcow2 *image, uint64_t cluster, uint64_t *value,
	struct qcow2_refblock **block)
{
	unsigned bits = qcow2_refcount_block_bits(image);
	int error;

	do
		error = qcow2_refcount_load_co(image, cluster >> bits, block);
	while (error == -EAGAIN);
	*value = 0;
	if (!error)
		*value = qcow2_refcount_get(
			image, (*block)->data, cluster & ((1ull << bits) - 1));
	else
		*block = NULL;
	return error == -ENOENT ? 0 : error;
}

static int set_count_co(struct qcow2 *image, uint64_t cluster, uint64_t value,
	struct qcow2_refblock *block)
{
	unsigned bits = qcow2_refcount_block_bits(image);

	if (value > qcow2_refcount_max(image))
		return -ERANGE;
	if (!block)
		return -ENOENT;
	qcow2_refcount_set(
		image, block->data, cluster & ((1ull << bits) - 1), value);
	qcow2_refcount_dirty(image, block);
	return 0;
}

static int mend_leak_co(struct qcow2_checker *c, uint64_t cluster)
{
	struct qcow2_refblock *block;
	uint64_t is;
	int error = get_count_co(c->image, cluster, &is, &block);

	if (error || !qcow2_check_is_still(c, cluster))
		return error;
	if (!set_count_co(c->image, cluster, c->references[cluster], block))
		c->check->fixed_leaks++;
	return 0;
}

/* Their space before their counts: until then nobody takes them. */
static int mend_leaks_co(struct qcow2_checker *c)
{
	uint64_t first = c->leak, count = c->leaks;
	int error = 0;

	c->leaks = 0;
	if (count && !c->references[first] && !c->check->errors)
		qcow2_release_space_co(c->image,
			first << c->image->geometry.cluster_bits, count);
	for (uint64_t i = 0; i < count && !error; i++)
		error = mend_leak_co(c, first + i);
	return error;
}

/* Those in a row that nothing names in one go. */
static int note_leak_co(struct qcow2_checker *c, uint64_t cluster)
{
	bool follows = c->leaks && cluster == c->leak + c->leaks &&
		!c->references[cluster] && !c->references[c->leak];
	int error = follows ? 0 : mend_leaks_co(c);

	if (!follows)
		c->leak = cluster;
	c->leaks++;
	return error;
}

static int compare_cluster_co(struct qcow2_checker *c, uint64_t cluster)
{
	struct block_check *check = c->check;
	uint64_t is, named = c->references[cluster];
	struct qcow2_refblock *block;
	int error;

	if (!qcow2_check_is_still(c, cluster))
		return 0;
	error = get_count_co(c->image, cluster, &is, &block);
	/* It may have waited for the block. */
	if (!qcow2_check_is_still(c, cluster))
		return 0;
	if (error || is == named || (named == UINT16_MAX && is > named))
		return error;
	if (is > named) {
		if (c->image->header.has_bitmaps)
			return 0;
		check->leaks++;
		return check->repair_leaks ? note_leak_co(c, cluster) : 0;
	}
	qcow2_check_error(check,
		"cluster at %#" PRIx64 " is counted %" PRIu64
		" times and named %" PRIu64 " times",
		cluster << c->image->geometry.cluster_bits, is, named);
	if (check->repair_errors &&
		!set_count_co(c->image, cluster, named, block))
		check->fixed_errors++;
	return 0;
}

/* A block for each stretch of the file that has none and needs one, behind the
 * end of the file: from there downwards, so that a new one is counted. */
static int make_block_co(struct qcow2_checker *c, uint64_t index)
{
	struct qcow2 *image = c->image;
	uint64_t end = qcow2_clusters(&image->geometry, image->file_bytes);
	uint64_t is;
	struct qcow2_refblock *block;
	int error;

	if (index >= image->refcounts.entries || end >= c->room)
		return -EFBIG;
	error = qcow2_refcount_make_co(
		image, index, end << image->geometry.cluster_bits);
	if (error)
		return error;
	c->check->fixed_errors++;
	c->references[end]++;
	c->clusters = end + 1;
	error = get_count_co(image, end, &is, &block);
	if (!error && !is && block)
		error = set_count_co(image, end, 1, block);
	return error;
}

static bool is_block_needed(const struct qcow2_checker *c, uint64_t index)
{
	unsigned bits = qcow2_refcount_block_bits(c->image);
	uint64_t end = (index + 1) << bits;
	const struct qcow2_refcounts *r = &c->image->refcounts;

	if (index < r->entries && r->table[index])
		return false;
	for (uint64_t i = index << bits; i < end && i < c->clusters; i++) {
		if (c->references[i])
			return true;
	}
	return false;
}

static int make_blocks_co(struct qcow2_checker *c)
{
	uint64_t index = c->clusters >> qcow2_refcount_block_bits(c->image);
	int error = 0;

	for (index++; index-- > 0 && !error;) {
		if (is_block_needed(c, index))
			error = make_block_co(c, index);
	}
	return error;
}

int qcow2_check_counts_co(struct qcow2_checker *c)
{
	uint64_t block = (1ull << qcow2_refcount_block_bits(c->image)) - 1;
	int error = c->check->repair_errors ? make_blocks_co(c) : 0;

	for (uint64_t i = 0; i < c->clusters && !error; i++) {
		error = compare_cluster_co(c, i);
		if (error || (i + 1) & block)
			continue;
		error = mend_leaks_co(c);
		if (error)
			break;
		loop_sleep_co(c->image->home->loop, 0); /* others' turn */
		error = qcow2_check_step_co(
			c, c->image->geometry.cluster_bytes);
	}
	return error ? error : mend_leaks_co(c);
}

/* -- COPIED bits ---------------------------------------------------------- */

/* True if the bit has to be the other one. */
static int is_wrong_co(struct qcow2_checker *c, uint64_t word, bool *wrong)
{
	uint64_t host = qcow2_entry_cluster(word), is;
	uint64_t cluster = host >> c->image->geometry.cluster_bits;
	struct qcow2_refblock *block;
	int error;

	*wrong = false;
	if (!host || cluster >= c->clusters ||
		host & (c->image->geometry.cluster_bytes - 1))
		return 0;
	error = get_count_co(c->image, cluster, &is, &block);
	if (!error && c->check->repair_errors)
		is = c->references[cluster];
	*wrong = !error && qcow2_check_is_still(c, cluster) &&
		(is == 1) != !!(word & QCOW2_COPIED);
	if (*wrong)
		qcow2_check_error(c->check,
			"COPIED bit of %#" PRIx64
			" with a refcount of %" PRIu64,
			host, is);
	return error;
}

static int fix_entry_co(struct qcow2_checker *c, uint64_t guest)
{
	struct qcow2_map *map = &c->image->map;
	struct qcow2_slice *slice;
	uint64_t word[2];
	int error = qcow2_map_pin_co(map, guest, &slice);

	if (error)
		return error;
	qcow2_map_entry(map, guest, word);
	word[0] ^= QCOW2_COPIED;
	qcow2_map_set(map, slice, guest, word);
	qcow2_map_unpin(slice);
	c->check->fixed_errors++;
	return 0;
}

static int bits_of_table_co(struct qcow2_checker *c, uint32_t l1_index)
{
	const struct qcow2_geometry *g = &c->image->geometry;
	uint64_t table = c->l1[l1_index], word[2];
	uint64_t guest = (uint64_t)l1_index << (g->l2_bits + g->cluster_bits);
	bool wrong;
	int error = is_wrong_co(c, table, &wrong);

	if (!error && wrong && c->check->repair_errors) {
		qcow2_map_flip_l1(&c->image->map, l1_index);
		c->check->fixed_errors++;
	}
	table &= QCOW2_OFFSET_MASK;
	if (error || !table || table & (g->cluster_bytes - 1))
		return error;
	error = qcow2_io_read_co(c->image, PURPOSE_CHECK_LOAD, table,
		g->cluster_bytes, c->table);
	for (uint64_t i = 0; i < 1ull << g->l2_bits && !error; i++) {
		qcow2_check_entry(c, i, word);
		error = is_wrong_co(c, word[0], &wrong);
		if (!error && wrong && c->check->repair_errors)
			error = fix_entry_co(c, guest + (i << g->cluster_bits));
	}
	return error ? error : qcow2_check_step_co(c, g->cluster_bytes);
}

int qcow2_check_bits_co(struct qcow2_checker *c)
{
	int error = 0;

	for (uint32_t i = 0; i < c->l1_entries && !error; i++)
		error = bits_of_table_co(c, i);
	return error;
}
