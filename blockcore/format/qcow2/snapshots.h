/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot table of a qcow2 image: read from the file whenever it is asked for,
 * so an image with a damaged one can still be used. It is never changed in place:
 * another one is written, then the header names that. An entry:
 *
 *	L1 table | id, name | time | VM clock, VM state | extra data
 *
 * Invariants
 *  1. What qcow2_snapshots_read_co lets through is within the limits below: an L1
 *     table that lies in the file, a name that ends.
 *  2. Memory is bounded: 64 MiB of table, 65536 entries.
 *  3. image->names is held from reading the table until what was read is no longer
 *     relied on: a view that is opened, a table that takes the place of this one.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_SNAPSHOTS_H
#define BLOCKCORE_FORMAT_QCOW2_SNAPSHOTS_H

#include "blockcore/format/qcow2/qcow2.h"

#define QCOW2_SNAPSHOT_BYTES 40u /* of an entry, before what varies */
#define QCOW2_SNAPSHOT_EXTRA_MAX 1024u
#define QCOW2_SNAPSHOT_TABLE_MAX (64u << 20)

struct qcow2_snapshot {
	char id[128], name[FORMAT_SNAPSHOT_BYTES];
	uint64_t l1_offset;
	uint32_t l1_entries;
	uint32_t seconds, nanoseconds; /* when, since 1970 */
	uint64_t clock_ns; /* how long the VM had run */
	uint64_t vm_state_bytes, size_bytes;
	size_t at, bytes; /* of the entry in the table */
};

struct qcow2_snapshots {
	uint8_t *table; /* as on disk */
	size_t bytes;
	struct qcow2_snapshot *snapshot;
	uint32_t count;
};

/* Home; `names` is held. -EINVAL with a text if the table is damaged. Freed by the
 * caller, also when it fails. */
int qcow2_snapshots_read_co(struct qcow2 *image,
	struct qcow2_snapshots *snapshots, struct err *err);
void qcow2_snapshots_free(struct qcow2_snapshots *snapshots);

/* By its name, else by its id; NULL: there is none. */
const struct qcow2_snapshot *qcow2_snapshots_find(
	const struct qcow2_snapshots *snapshots, const char *name);

/* -EBUSY with a text that names them: the image does not become smaller while it
 * keeps snapshots. */
int qcow2_snapshots_refuse_shrink_co(struct qcow2 *image, struct err *err);

/* block_format_kind's. */
int qcow2_snapshots_look_co(
	struct block_format *format, const char *name, struct err *err);
int qcow2_snapshots_print_co(
	struct block_format *format, FILE *out, struct err *err);

/* -- written (snapshots_write.c); home ------------------------------------- */

/* Clusters in a row, for a table. */
struct qcow2_area {
	uint64_t offset, clusters;
	uint8_t *bytes;
};
/* Memory of whole clusters, zeroed, and a place for it in the file. */
int qcow2_area_new_co(
	struct qcow2 *image, uint64_t bytes, struct qcow2_area *area);
/* Not flushed. Frees the memory. */
int qcow2_area_write_co(struct qcow2 *image, enum block_purpose purpose,
	struct qcow2_area *area);

/* Bytes of the table as it was read. */
size_t qcow2_snapshots_used(const struct qcow2_snapshots *snapshots);
/* Writes, not flushed, a table of what was read and `made`, which gets its id. The
 * area's memory is the caller's to free if it fails. */
int qcow2_snapshots_add_co(struct qcow2 *image,
	const struct qcow2_snapshots *snapshots, struct qcow2_snapshot *made,
	struct qcow2_area *table);
/* The header, with the mark as image->header has it, names `table` of `count`
 * entries, which is durable, in place of what was read: durable. The old one goes.
 * `names` is held. */
int qcow2_snapshots_name_co(struct qcow2 *image,
	const struct qcow2_snapshots *snapshots, uint64_t table,
	uint32_t count);
int qcow2_snapshots_header_co(struct qcow2 *image, enum block_purpose purpose);
/* The image is dirty, durably; whether it was before is kept. */
int qcow2_snapshots_mark_co(struct qcow2 *image, struct err *err);
/* The image is not dirty any more, if it was not before. */
int qcow2_snapshots_unmark_co(struct qcow2 *image);

#endif
