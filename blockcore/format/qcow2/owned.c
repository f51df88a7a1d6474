/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. Every map counts a reference to each table and cluster that it names,
 * so a table that is named twice has nothing below it that one snapshot holds alone: such
 * tables are read for what is shared only, and each once, however many name it.
 *
 *	refcount of a table, a cluster	1: the snapshot's own	more: shared
 *
 * Of compressed clusters several may lie in one of the file, which goes with the last of
 * them: so those of a snapshot's own tables are counted, by cluster of the file.
 *
 * Invariants
 *  1. The image is only looked at: tables are read past the cache of hosts.
 *  2. Nothing that was read is relied on once the table of snapshots is another one:
 *     what a deleted one named may be somebody else's by then.
 *  3. Memory: two words for each L2 table of snapshots; and, if there are compressed
 *     clusters, four bytes for each cluster of the file, PACKED_BYTES_MOST at most:
 *     beyond that they count as shared.
 */
#include "blockcore/format/qcow2/owned.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/doc.h"
#include "blockcore/format/qcow2/share.h"
#include "blockcore/format/qcow2/snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PACKED_BYTES_MOST (256ull << 20)
#define TURN_ENTRIES 1024u /* of an L1 table; then others have their turn */

/* An L2 table that several maps name. */
struct shared_table {
	uint64_t offset, bytes; /* of all that it names */
};

struct packed_cluster {
	uint16_t references, sectors;
};

struct owned {
	struct qcow2 *image;
	uint64_t naming; /* of the table of snapshots that is looked at */
	uint8_t *table; /* an L2 table, as in the file */
	struct shared_table *shared;
	size_t shared_count, shared_room; /* the room is a power of two */
	struct packed_cluster *packed; /* NULL: there was none */
	uint64_t packed_clusters;
	bool any_packed;
	uint64_t own_bytes, all_bytes; /* of the snapshot */
};

static int check_same(const struct owned *o, struct err *err)
{
	return o->naming == o->image->naming
		? 0
		: err_set(err, EAGAIN,
			  "a snapshot was made or deleted meanwhile: try "
			  "again");
}

static int read_co(struct owned *o, uint64_t offset, uint64_t bytes, void *to,
	struct err *err)
{
	int error = qcow2_io_read_co(
		o->image, PURPOSE_CHECK_LOAD, offset, bytes, to);

	return error ? err_set(err, -error,
			       "a table of a snapshot cannot be read: %s",
			       strerror(-error))
		     : check_same(o, err);
}

static int count_of_co(
	struct owned *o, uint64_t offset, uint64_t *count, struct err *err)
{
	int error = qcow2_share_count_co(
		o->image, offset >> o->image->geometry.cluster_bits, count);

	return error ? err_set(err, -error, "refcounts cannot be read: %s",
			       strerror(-error))
		     : check_same(o, err);
}

static bool is_placed(const struct owned *o, uint64_t offset)
{
	return !(offset & (o->image->geometry.cluster_bytes - 1)) &&
		offset < o->image->file_bytes;
}

/* -- tables that several name ---------------------------------------------- */

/* Where the table of that offset is, or is to be put. */
static struct shared_table *shared_place(struct owned *o, uint64_t offset)
{
	size_t mask = o->shared_room - 1;
	size_t at = (size_t)((offset >> o->image->geometry.cluster_bits) *
			    0x9e3779b97f4a7c15ull) &
		mask;

	while (o->shared[at].offset && o->shared[at].offset != offset)
		at = (at + 1) & mask;
	return &o->shared[at];
}

/* Room for one more, half of it empty. */
static bool shared_reserve(struct owned *o)
{
	struct shared_table *old = o->shared;
	size_t room = o->shared_room;

	if (2 * (o->shared_count + 1) <= room)
		return true;
	o->shared = calloc(room ? 2 * room : 64, sizeof *old);
	if (!o->shared) {
		o->shared = old;
		return false;
	}
	o->shared_room = room ? 2 * room : 64;
	for (size_t i = 0; i < room; i++) {
		if (old[i].offset)
			*shared_place(o, old[i].offset) = old[i];
	}
	free(old);
	return true;
}

static uint64_t table_word(const struct owned *o, uint64_t index)
{
	return get_be64(
		o->table + 8 * (size_t)(index * o->image->geometry.words));
}

static uint64_t bytes_named(const struct owned *o)
{
	const struct qcow2_geometry *g = &o->image->geometry;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < 1ull << g->l2_bits; i++) {
		uint64_t word = table_word(o, i);

		if (word & QCOW2_COMPRESSED)
			bytes += qcow2_entry_packed(g, word).bytes;
		else if (qcow2_entry_cluster(word))
			bytes += g->cluster_bytes;
	}
	return bytes;
}

static int shared_table_co(struct owned *o, uint64_t offset, struct err *err)
{
	uint64_t cluster = o->image->geometry.cluster_bytes;

	if (!shared_reserve(o))
		return err_set(err, ENOMEM, "no memory for its tables");
	struct shared_table *known = shared_place(o, offset);
	if (!known->offset) {
		int error = read_co(o, offset, cluster, o->table, err);
		if (error)
			return error;
		*known = (struct shared_table){offset, bytes_named(o)};
		o->shared_count++;
	}
	o->all_bytes += cluster + known->bytes;
	return 0;
}

/* -- a table of the snapshot's own ----------------------------------------- */

static void note_packed(struct owned *o, uint64_t word)
{
	const struct qcow2_geometry *g = &o->image->geometry;
	struct qcow2_packed packed = qcow2_entry_packed(g, word);
	struct qcow2_row row = qcow2_entry_row(g, word);
	uint64_t first = row.offset >> g->cluster_bits;

	o->all_bytes += packed.bytes;
	if (!o->packed && !o->any_packed) {
		o->packed_clusters = qcow2_clusters(g, o->image->file_bytes);
		if (o->packed_clusters * sizeof *o->packed <= PACKED_BYTES_MOST)
			o->packed = calloc(
				o->packed_clusters + 1, sizeof *o->packed);
	}
	o->any_packed = true;
	for (uint64_t i = 0; o->packed && i < row.clusters; i++) {
		struct packed_cluster *one = &o->packed[first + i];

		if (first + i >= o->packed_clusters)
			return;
		if (one->references < UINT16_MAX)
			one->references++;
		if (!i && one->sectors < UINT16_MAX - 4096)
			one->sectors += (uint16_t)(packed.bytes / 512);
	}
}

static int entry_co(struct owned *o, uint64_t word, struct err *err)
{
	uint64_t cluster = qcow2_entry_cluster(word), count;

	if (word & QCOW2_COMPRESSED)
		note_packed(o, word);
	if (!cluster || !is_placed(o, cluster)) /* for check to find */
		return 0;
	int error = count_of_co(o, cluster, &count, err);
	o->all_bytes += o->image->geometry.cluster_bytes;
	if (!error && count <= 1)
		o->own_bytes += o->image->geometry.cluster_bytes;
	return error;
}

static int own_table_co(struct owned *o, uint64_t offset, struct err *err)
{
	const struct qcow2_geometry *g = &o->image->geometry;
	int error = read_co(o, offset, g->cluster_bytes, o->table, err);

	o->own_bytes += g->cluster_bytes;
	o->all_bytes += g->cluster_bytes;
	for (uint64_t i = 0; i < 1ull << g->l2_bits && !error; i++)
		error = entry_co(o, table_word(o, i), err);
	return error;
}

static int table_co(struct owned *o, uint64_t offset, struct err *err)
{
	uint64_t count;

	if (!is_placed(o, offset))
		return err_set(err, EIO,
			"an L2 table of a snapshot is misplaced at %#" PRIx64
			": check the image",
			offset);
	int error = count_of_co(o, offset, &count, err);
	if (error)
		return error;
	return count > 1 ? shared_table_co(o, offset, err)
			 : own_table_co(o, offset, err);
}

/* -- compressed clusters ---------------------------------------------------- */

/* Those of the file that nobody else needs go as wholes. */
static int own_packed_co(struct owned *o, struct err *err)
{
	const struct qcow2_geometry *g = &o->image->geometry;
	uint64_t count;
	int error = 0;

	for (uint64_t i = 0; o->packed && i < o->packed_clusters && !error;
		i++) {
		if (!o->packed[i].references)
			continue;
		error = count_of_co(o, i << g->cluster_bits, &count, err);
		if (error || count > o->packed[i].references)
			continue;
		o->own_bytes += g->cluster_bytes;
		o->all_bytes += g->cluster_bytes;
		o->all_bytes -= 512ull * o->packed[i].sectors;
	}
	if (o->packed)
		memset(o->packed, 0, o->packed_clusters * sizeof *o->packed);
	return error;
}

/* -- a snapshot -------------------------------------------------------------- */

/* Its L1 table takes up whole clusters, too. */
static int l1_clusters_co(
	struct owned *o, const struct qcow2_snapshot *snapshot, struct err *err)
{
	const struct qcow2_geometry *g = &o->image->geometry;
	uint64_t clusters = qcow2_clusters(g, 8ull * snapshot->l1_entries);
	uint64_t count;
	int error = 0;

	for (uint64_t i = 0; i < clusters && !error; i++) {
		error = count_of_co(o,
			snapshot->l1_offset + (i << g->cluster_bits), &count,
			err);
		o->all_bytes += g->cluster_bytes;
		if (!error && count <= 1)
			o->own_bytes += g->cluster_bytes;
	}
	return error;
}

static int tables_co(
	struct owned *o, const struct qcow2_snapshot *snapshot, struct err *err)
{
	uint64_t bytes = (8ull * snapshot->l1_entries + 511) & ~511ull;
	uint8_t *l1 = qcow2_io_memory(bytes + 512);
	int error = l1 ? read_co(o, snapshot->l1_offset, bytes, l1, err)
		       : err_set(err, ENOMEM, "no memory for an L1 table");

	for (uint32_t i = 0; i < snapshot->l1_entries && !error; i++) {
		uint64_t offset =
			get_be64(l1 + 8 * (size_t)i) & QCOW2_OFFSET_MASK;

		if (offset)
			error = table_co(o, offset, err);
		if (i % TURN_ENTRIES == TURN_ENTRIES - 1) {
			loop_sleep_co(o->image->home->loop, 0);
			error = error ? error : check_same(o, err);
		}
	}
	free(l1);
	return error;
}

static int print_one_co(struct owned *o, const struct qcow2_snapshot *snapshot,
	FILE *out, struct err *err)
{
	o->own_bytes = o->all_bytes = 0;
	int error = l1_clusters_co(o, snapshot, err);
	if (!error)
		error = tables_co(o, snapshot, err);
	if (!error)
		error = own_packed_co(o, err);
	if (error)
		return err_wrap(err, "snapshot '%s'", snapshot->name);
	fputs("{\"id\": ", out);
	json_print_string(out, snapshot->id);
	fputs(", \"name\": ", out);
	json_print_string(out, snapshot->name);
	fprintf(out,
		", \"seconds\": %u, \"nanoseconds\": %u, \"owned_bytes\": "
		"%" PRIu64 ", \"shared_bytes\": %" PRIu64 "}",
		snapshot->seconds, snapshot->nanoseconds, o->own_bytes,
		o->all_bytes > o->own_bytes ? o->all_bytes - o->own_bytes : 0);
	return 0;
}

/* -- all of them -------------------------------------------------------------- */

static int print_all_co(struct owned *o, const struct qcow2_snapshots *s,
	FILE *out, struct err *err)
{
	int error = 0;

	o->table = qcow2_io_memory(o->image->geometry.cluster_bytes);
	if (!o->table)
		return err_set(err, ENOMEM, "no memory for an L2 table");
	fputs("\"snapshots\": [", out);
	for (uint32_t i = 0; i < s->count && !error; i++) {
		fputs(i ? ", " : "", out);
		error = print_one_co(o, &s->snapshot[i], out, err);
	}
	fputc(']', out);
	return error;
}

static int begin_co(struct owned *o, struct qcow2_snapshots *s, struct err *err)
{
	struct qcow2 *image = o->image;
	int error = 0;

	if (image->share || image->revert || image->deleting)
		return err_set(err, EAGAIN,
			"a snapshot is being made or deleted: try again when "
			"it is done");
	if (!image->refcounts.table)
		error = qcow2_refcount_open_co(image, err);
	if (error)
		return error;
	co_mutex_lock_co(&image->names);
	o->naming = image->naming;
	error = qcow2_snapshots_read_co(image, s, err);
	co_mutex_unlock(&image->names);
	return error;
}

int qcow2_owned_print_co(struct qcow2 *image, FILE *out, struct err *err)
{
	struct owned o = {.image = image};
	struct qcow2_snapshots s = {0};
	int error = begin_co(&o, &s, err);

	if (!error)
		error = print_all_co(&o, &s, out, err);
	qcow2_snapshots_free(&s);
	free(o.table);
	free(o.shared);
	free(o.packed);
	return error;
}
