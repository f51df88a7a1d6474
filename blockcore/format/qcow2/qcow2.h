/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the format qcow2 share: the image, its map, its half on each
 * lane. Each file calls only those below it:
 *
 *	format.c	options, opening, closing
 *	view.c		the driver: requests come in, are counted, go out
 *	check*.c	all references counted, beside hosts; repair (check.h)
 *	resize.c	a larger or smaller image (create.h)
 *	backing.c	an image comes to stand without its backing file, names another
 *	create.c	a new image
 *	share.c unshare.c revert.c	a new snapshot; one less; back to one (share.h)
 *	leave.c		clusters go that the backing file has, too (create.h)
 *	zero.c		WRITE_ZEROES and DISCARD
 *	write.c		WRITE where something must be allocated or copied
 *	flush.c		FLUSH
 *	extents.c	EXTENTS
 *	lock.c		order between changes of the same clusters
 *	read.c		READ that is more than one run of one kind
 *	owned.c differ.c	what snapshots take up, where they differ
 *	snapshots*.c	the snapshot table, read and written (snapshots.h)
 *	epoch.c		group commit: what makes changes of the map durable
 *	pool.c		clusters to be given out, reserved ahead
 *	release.c	space of clusters that nothing names any more
 *	refcount.c	refcount table and blocks
 *	own.c		changes of the map
 *	map.c meta.c	guest offset -> place in the file
 *	cache.c		what of it stays in memory
 *	watch.c		what changes while a check counts (watch.h)
 *	io.c		reads and writes of the format's own; the corrupt bit
 *	header*.c entry.c compress.c	pure: bytes and numbers
 *
 * Threads. The image belongs to its home, lane 0: tables are read, changed and
 * written by coroutines there. Every lane looks offsets up in the map without a
 * lock and moves data by itself wherever the answer is one run: an overwrite or
 * a read costs a look-up. What needs more goes home as a message.
 *
 * A change of the map, in order:
 *	1. a cluster comes from the pool. Its refcount of 1 and its zeroes, if it
 *	   has to hold any, were written when the pool was filled: the first fdatasync covers them.
 *	2. the data is written there; then the entry in memory says so.
 *	3. an epoch is closed: copies of all changed tables are taken. They name
 *	   nothing whose data is not written.
 *	4. early writes: refcounts, and slices of L2 tables that no L1 entry names
 *	   yet; fdatasync: data, refcounts and new tables are durable. It is left
 *	   out of an epoch all of whose entries are calm: they name zeroes of the
 *	   file where the guest read zeroes, in clusters that are durably counted.
 *	   Such an entry shows the same without its data as before it, so it is
 *	   set before its data is written, and may be on disk before that, too:
 *	   slices that hold no others are written ahead while data is on its way.
 *	5. late writes: slices of L2 tables, L1 entries; fdatasync. Only now flushes
 *	   are answered.
 *	6. what the epoch has set free gives its space back and is counted down,
 *	   once no request that may still use it is in flight.
 *
 * Invariants (strict; after a power cut there are leaks at worst)
 *  1. On disk, a refcount is never below the number of references.
 *  2. A durable entry names only durable data, or zeroes where zeroes were read
 *     before: no stale bytes are ever seen.
 *  3. A cluster is reused only after the entry that named it is durably gone
 *     and every request that had looked it up has ended.
 *  4. Nothing is written before the autoclear bits are durably cleared.
 *  5. A failed flush or a failed write of a table is never tried again: the
 *     image refuses changes from then on.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_QCOW2_H
#define BLOCKCORE_FORMAT_QCOW2_QCOW2_H

#include "blockcore/base/co.h"
#include "blockcore/base/counter.h"
#include "blockcore/base/slab.h"
#include "blockcore/format/format.h"
#include "blockcore/format/qcow2/entry.h"
#include "blockcore/format/qcow2/epochs.h"
#include "blockcore/format/qcow2/grant.h"
#include "blockcore/format/qcow2/header.h"
#include "blockcore/format/qcow2/slice.h"
#include "blockcore/memory.h"

#include <stdatomic.h>

#define QCOW2_L1_SECTOR_ENTRIES (QCOW2_SECTOR_BYTES / 8)

struct qcow2;
struct qcow2_view;
struct qcow2_watch;

/* Indices of the choices of options. */
enum { QCOW2_VERSION_3, QCOW2_VERSION_2 };
enum { QCOW2_SUBCLUSTERS_AUTO, QCOW2_SUBCLUSTERS_ON, QCOW2_SUBCLUSTERS_OFF };
enum {
	QCOW2_PREALLOCATE_OFF,
	QCOW2_PREALLOCATE_METADATA,
	QCOW2_PREALLOCATE_FALLOC,
	QCOW2_PREALLOCATE_FULL
};

struct qcow2_options {
	uint64_t size_bytes, cluster_bytes, refcount_bits;
	uint64_t cache_bytes, pool_bytes;
	int preallocation, version, subclusters;
	bool zeroed;
	char *backing_name, *backing_format;
};

/* -- the map -------------------------------------------------------------- */

/* The slices of one L2 table; NULL: not in memory. */
struct qcow2_table {
	bool fresh; /* home: not named by a durable L1 entry yet */
	_Atomic(struct qcow2_slice *) slice[];
};

/* An L1 table. Lanes read `root`; home the rest. Tables where the L1 entry is 0
 * are image->hole_table, whose slices are image->hole: all zero, shared. */
struct qcow2_root {
	uint64_t entries;
	_Atomic(struct qcow2_table *) table[];
};
struct qcow2_map {
	struct qcow2 *image;
	_Atomic(struct qcow2_root *) root;
	uint64_t *l1, l1_offset; /* as on disk, in the machine's order */
	uint32_t l1_entries;
	uint8_t *l1_dirty; /* one for each sector of 64 entries */
};

/* -- refcounts ------------------------------------------------------------ */

struct qcow2_refblock {
	uint64_t index; /* in the table */
	bool dirty;
	TAILQ_ENTRY(qcow2_refblock) link; /* in memory, oldest use first */
	uint8_t data[]; /* as on disk */
};
TAILQ_HEAD(qcow2_refblock_list, qcow2_refblock);

struct qcow2_refcounts {
	uint64_t *table; /* machine's order */
	uint64_t entries;
	struct qcow2_refblock **block; /* NULL: not in memory */
	struct qcow2_refblock_list blocks;
	uint32_t count, dirty;
	struct co_mutex load;
	/* Held by whoever writes refcounts or the header: two writes to one
	 * sector never overtake each other. */
	struct co_mutex write;
};

/* -- the image ------------------------------------------------------------ */

struct qcow2_op;
TAILQ_HEAD(qcow2_op_list, qcow2_op);

struct qcow2 {
	struct block_format format;
	struct qcow2_header header;
	struct qcow2_geometry geometry;
	uint8_t sector[QCOW2_HEADER_SECTOR]; /* the first one, as on disk */
	uint8_t backing_at[12]; /* backing.c: what said where the name is */
	/* What lanes read. */
	_Atomic uint64_t file_bytes; /* of the source `file` */
	_Atomic uint64_t backing_bytes; /* 0: none */
	/* The same, or more if another one comes: holes before it do not stand for
	 * zeroes. */
	_Atomic uint64_t backing_reach;
	_Atomic bool begun; /* may be written to: invariant 4 */
	_Atomic bool uncommitted; /* the map in memory is ahead of the disk */
	_Atomic bool failed; /* invariant 5 */
	_Atomic bool sharing; /* COPIED bits may be out of date: share.h */
	_Atomic bool corrupt;
	/* Home's. */
	struct block_lane *home;
	struct qcow2_view *view; /* current */
	struct qcow2_map map;
	struct qcow2_slice *hole;
	struct qcow2_table *hole_table;
	struct qcow2_slice_list slices;
	uint64_t cached_bytes, keep_bytes;
	bool evicting;
	/* By the bound for all images: how much may stay. */
	struct block_memory_user memory;
	struct loop_message trim;
	bool trim_posted, asked;
	uint64_t asked_bytes;
	struct qcow2_share *share; /* being made; or NULL */
	struct qcow2_revert *revert; /* the same */
	struct qcow2_watch *watch; /* of a check; or NULL */
	bool soiled, deleting; /* dirty before that; a snapshot */
	uint64_t naming; /* changes with the table of snapshots */
	bool resizing;
	bool filling; /* new clusters are mapped without being written */
	/* While filling: clusters from here on hold nothing and need no space. Else
	 * UINT64_MAX. */
	uint64_t sparse_from;
	struct co_mutex load[16], tables, begin, names; /* snapshots.h */
	uint8_t *meta; /* a bit for each host cluster that holds tables */
	uint64_t meta_clusters;
	struct qcow2_refcounts refcounts;
	struct qcow2_epochs epochs;
	struct qcow2_pool pool;
	struct qcow2_op_list active, waiting; /* that lock a range */
	_Atomic uint32_t helpers; /* messages and coroutines of its own */
	struct co *closer;
	/* Waits for requests that are in flight now: view.c's. */
	void (*drain_co)(struct qcow2 *image);
	/* How often what happened, for the status; home. */
	uint64_t slow_writes, loads, allocated_clusters;
};

static inline struct qcow2 *qcow2_of(struct block_format *format)
{
	return (struct qcow2 *)format;
}
static inline const struct qcow2_options *qcow2_options(
	const struct qcow2 *image)
{
	return image->format.options;
}
static inline uint64_t qcow2_clusters(
	const struct qcow2_geometry *g, uint64_t bytes)
{
	return (bytes + g->cluster_bytes - 1) >> g->cluster_bits;
}

/* -- requests ------------------------------------------------------------- */

/* The view's on each lane. A request is counted in the phase in which it came; to
 * wait for those that are in flight is to change the phase and to wait until the
 * old one's count is 0. */
struct qcow2_lane {
	struct qcow2_view *view;
	struct block_lane *lane;
	struct slab ops;
	unsigned phase;
	uint32_t count[2];
	bool awaited;
	struct loop_message drained;
};

struct qcow2_view {
	struct block_view view;
	struct qcow2 *image;
	struct qcow2_map *map; /* the image's, or its own of a snapshot */
	struct qcow2_map own;
	uint64_t snapshot_bytes; /* its size */
	struct block_source_watch file_watch;
	/* home: drains */
	unsigned lanes_left;
	struct co *drainer;
};

/* A request that is more than a look-up. */
struct qcow2_op {
	struct block_request *request;
	struct qcow2 *image;
	struct qcow2_lane *lane;
	struct loop_message message;
	void (*run_co)(struct qcow2_op *op); /* home: sets `result` */
	struct co *co; /* on the lane, that waits for home */
	int result;
	struct iovec *iov; /* scratch, as many as the request has, + 2 */
	/* home: the clusters that it locks, both inclusive */
	uint64_t first, last;
	struct co *waiter;
	TAILQ_ENTRY(qcow2_op) link;
};

/* -- io.c ----------------------------------------------------------------- */

/* Each says what it is for: purpose.h. Whole sectors of the file, at home. Beyond
 * its end: zeroes. */
int qcow2_io_read_co(struct qcow2 *image, enum block_purpose purpose,
	uint64_t offset, uint64_t bytes, void *to);
int qcow2_io_write_co(struct qcow2 *image, enum block_purpose purpose,
	uint64_t offset, uint64_t bytes, void *from);
int qcow2_io_vector_co(struct qcow2 *image, enum block_purpose purpose,
	struct block_source *source, enum block_opcode op, uint64_t offset,
	uint64_t bytes, const struct iovec *iov, unsigned count);
/* One that fails makes the image refuse changes: invariant 5. */
int qcow2_io_flush_co(struct qcow2 *image, enum block_purpose purpose);
/* The same without an image, on `lane`: while there is none. */
int qcow2_io_transfer_co(struct block_lane *lane, enum block_purpose purpose,
	struct block_source *source, enum block_opcode op, uint64_t offset,
	uint64_t bytes, const struct iovec *iov, unsigned count);
/* Memory that the kernel takes as it is; free(). */
void *qcow2_io_memory(uint64_t bytes);

/* Several writes at once, each of a copy of `data`, which goes with the list. */
struct qcow2_write;
STAILQ_HEAD(qcow2_write_list, qcow2_write);
int qcow2_io_add(struct qcow2 *image, struct qcow2_write_list *list,
	enum block_purpose purpose, uint64_t offset, const void *data,
	uint32_t bytes);
int qcow2_io_write_all_co(
	struct qcow2 *image, const struct qcow2_write_list *list);
void qcow2_io_free(struct qcow2_write_list *list);

/* The header as it is now, durable. */
int qcow2_io_header_co(struct qcow2 *image, enum block_purpose purpose);
/* The image contradicts itself: said once, and if it can be written to, marked.
 * Any lane. Returns -EIO. */
int qcow2_io_corrupt(struct qcow2 *image, const char *what, uint64_t where);
/* A table or a flush could not be written: no changes any more. */
int qcow2_io_failed(struct qcow2 *image, int error, const char *what);
/* Of what was asked for: that `error` (-errno) has come of it, why, and what helps. */
int qcow2_io_refuse(const struct qcow2 *image, int error, struct err *err);
/* A coroutine of the image's own, which its end waits for. */
bool qcow2_io_helper(struct qcow2 *image, void (*run_co)(void *image));
void qcow2_io_helper_done(struct qcow2 *image);
void qcow2_io_wait_helpers_co(struct qcow2 *image); /* one at a time */

/* -- map.c ---------------------------------------------------------------- */

int qcow2_map_open_co(struct qcow2 *image, struct qcow2_map *map,
	uint64_t l1_offset, uint32_t l1_entries, struct err *err);
void qcow2_map_close(struct qcow2_map *map);
/* Before that, if the image lives on: nothing of it is in memory any more. */
void qcow2_map_forget(struct qcow2_map *map);
int qcow2_map_init(struct qcow2 *image); /* what maps share; before open */
void qcow2_map_fini(struct qcow2 *image);

/* Any lane, without waiting: what is at `offset`, for at most `want` bytes; runs
 * are followed over clusters and slices. */
void qcow2_map_look(struct qcow2_map *map, uint64_t offset, uint64_t want,
	struct qcow2_piece *piece);
/* Home: so that the next look at `offset` is not ABSENT. */
int qcow2_map_load_co(struct qcow2_map *map, uint64_t offset);
/* The entry of the cluster at `offset`; its slice is in memory. */
void qcow2_map_entry(struct qcow2_map *map, uint64_t offset, uint64_t word[2]);
/* Home: every lane has returned from a look that had begun before. */
void qcow2_map_visit_lanes_co(struct qcow2 *image);
/* Home's own view of it. */
struct qcow2_slice *qcow2_map_slice(
	const struct qcow2_map *map, uint64_t cluster);
struct qcow2_slice *qcow2_map_slice_new(const struct qcow2_geometry *g);
struct qcow2_table *qcow2_map_table_new(
	const struct qcow2_geometry *g, struct qcow2_slice *all);
struct qcow2_root *qcow2_map_root_new(uint64_t entries);
struct qcow2_table *qcow2_map_get(
	const struct qcow2_map *map, uint32_t l1_index);
void qcow2_map_put(
	struct qcow2_map *map, uint32_t l1_index, struct qcow2_table *table);
/* The slice in memory, pinned. */
int qcow2_map_pin_co(
	struct qcow2_map *map, uint64_t offset, struct qcow2_slice **slice);
static inline void qcow2_map_unpin(struct qcow2_slice *slice)
{
	slice->pins--;
}
int qcow2_map_check_l1(struct qcow2_map *map, uint32_t l1_index);
uint64_t qcow2_map_l1_room(uint32_t entries); /* in whole sectors */

/* -- cache.c -------------------------------------------------------------- */

void qcow2_cache_init(struct qcow2 *image);
void qcow2_cache_fini(struct qcow2 *image);
/* Lanes find it there from now on; NULL: it is to be loaded. */
void qcow2_cache_put(
	struct qcow2_table *table, uint32_t index, struct qcow2_slice *slice);
/* It is in memory. */
void qcow2_cache_add(struct qcow2 *image, struct qcow2_slice *slice);
/* What is too much goes, soon. */
void qcow2_cache_trim(struct qcow2 *image);

/* -- meta.c: host clusters that hold tables ------------------------------- */

int qcow2_map_mark_meta(
	struct qcow2 *image, uint64_t offset, uint64_t clusters);
void qcow2_map_unmark_meta(
	struct qcow2 *image, uint64_t offset, uint64_t clusters);
bool qcow2_map_is_meta(const struct qcow2 *image, uint64_t offset);

/* -- refcount.c ----------------------------------------------------------- */

int qcow2_refcount_open_co(struct qcow2 *image, struct err *err);
void qcow2_refcount_close(struct qcow2 *image);
uint64_t qcow2_refcount_get(
	const struct qcow2 *image, const uint8_t *block, uint64_t index);
void qcow2_refcount_set(const struct qcow2 *image, uint8_t *block,
	uint64_t index, uint64_t value);
static inline unsigned qcow2_refcount_block_bits(const struct qcow2 *image)
{
	return image->header.cluster_bits + 3 - image->header.refcount_order;
}
static inline uint64_t qcow2_refcount_max(const struct qcow2 *image)
{
	unsigned bits = 1u << image->header.refcount_order;

	return bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
}
/* The block of this index, in memory until the next wait. -ENOENT: there is none,
 * all its clusters are free. */
int qcow2_refcount_load_co(
	struct qcow2 *image, uint64_t index, struct qcow2_refblock **block);
void qcow2_refcount_dirty(struct qcow2 *image, struct qcow2_refblock *block);
/* The blocks in memory take so many bytes at most, but for dirty ones; the oldest go. */
void qcow2_refcount_trim(struct qcow2 *image, uint64_t bytes);
/* One reference less to each cluster. In memory; durable with a later epoch. */
int qcow2_refcount_drop_co(
	struct qcow2 *image, uint64_t offset, uint64_t clusters);
/* The same; with the last one their space goes, too. Nothing durable names them, and
 * nobody who has looked them up is in flight. */
int qcow2_release_co(struct qcow2 *image, uint64_t offset, uint64_t clusters);
/* Their space alone, before their count falls to 0. */
void qcow2_release_space_co(
	struct qcow2 *image, uint64_t offset, uint64_t clusters);
/* Copies of what is dirty; `write` is held. */
int qcow2_refcount_collect(struct qcow2 *image, enum block_purpose purpose,
	struct qcow2_write_list *list);
/* Makes a block of this index, durable; `write` is held. */
int qcow2_refcount_grow_co(struct qcow2 *image, uint64_t index);
/* The same, at a cluster that is known to be free: for repair. */
int qcow2_refcount_make_co(
	struct qcow2 *image, uint64_t index, uint64_t offset);

/* -- own.c ---------------------------------------------------------------- */

/* Home: the slice in memory and its table the image's own, pinned. */
int qcow2_map_own_co(
	struct qcow2_map *map, uint64_t offset, struct qcow2_slice **slice);
/* Home: a new entry in a pinned slice; in the epoch that is open. */
void qcow2_map_set(struct qcow2_map *map, struct qcow2_slice *slice,
	uint64_t offset, const uint64_t word[2]);
/* The same for a calm one (step 4): new clusters, or new units of one that held
 * zeroes, where the guest read zeroes. */
void qcow2_map_set_calm(struct qcow2_map *map, struct qcow2_slice *slice,
	uint64_t offset, const uint64_t word[2]);
/* The cluster holds zeroes where its entry says no data; as far as is known. */
bool qcow2_map_is_zeroed(const struct qcow2_map *map,
	const struct qcow2_slice *slice, uint64_t offset);
/* A write to it has failed: that is not known any more. */
void qcow2_map_doubt(const struct qcow2_map *map, struct qcow2_slice *slice,
	uint64_t offset);
void qcow2_map_flip_l1(struct qcow2_map *map, uint32_t l1_index);
/* A longer L1 table of the same content, in memory. */
int qcow2_map_lengthen_co(struct qcow2_map *map, uint32_t l1_entries);

/* -- read.c --------------------------------------------------------------- */

void qcow2_read_start(struct qcow2_lane *lane, struct block_request *request);
/* Home: guest bytes into memory, to be written elsewhere. */
int qcow2_read_buffer_co(
	struct qcow2 *image, uint64_t offset, uint64_t bytes, void *to);
/* Lane: what home must do first for `op`; comes back with op->result. */
int qcow2_read_home_co(
	struct qcow2_op *op, void (*run_co)(struct qcow2_op *op));
struct qcow2_op *qcow2_read_op(
	struct qcow2_lane *lane, struct block_request *request);
void qcow2_read_end(struct qcow2_op *op, int result);
/* Starts the op at home; there its `run_co` runs, then the request ends. */
void qcow2_read_send_home(
	struct qcow2_op *op, void (*run_co)(struct qcow2_op *op));
/* The whole request is an op there; without memory it fails. */
void qcow2_read_at_home(struct qcow2_lane *lane, struct block_request *request,
	void (*run_co)(struct qcow2_op *op));

/* -- lock.c --------------------------------------------------------------- */

/* Waits for its turn at these clusters, both inclusive. */
void qcow2_lock_co(struct qcow2_op *op, uint64_t first, uint64_t last);
void qcow2_unlock(struct qcow2_op *op);

/* -- flush.c -------------------------------------------------------------- */

void qcow2_flush_start(struct qcow2_lane *lane, struct block_request *request);
/* A frame of a change that must be durable and went straight into the file: its
 * data is durable, what names the cluster may not be yet. `context`: the lane. */
bool qcow2_flush_written(
	struct block_request *request, struct block_frame *frame);

/* -- write.c, zero.c, extents.c ------------------------------------------- */

void qcow2_write_start(struct qcow2_lane *lane, struct block_request *request);
/* The bytes of `iov` to the image. The range is locked. */
int qcow2_write_range_co(struct qcow2 *image, uint64_t offset, uint64_t bytes,
	const struct iovec *iov, unsigned count);
/* Before the first change ever: invariant 4. */
int qcow2_write_begin_co(struct qcow2 *image);

/* The range is locked. */
int qcow2_zero_range_co(
	struct qcow2 *image, uint64_t offset, uint64_t bytes, bool unmap);
void qcow2_zero_start(struct qcow2_lane *lane, struct block_request *request);
void qcow2_extents_start(
	struct qcow2_lane *lane, struct block_request *request);

/* -- view.c --------------------------------------------------------------- */

void qcow2_view_drain_co(struct qcow2 *image);

#endif
