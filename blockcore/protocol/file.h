/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the protocol `file` share: the driver, its half on each
 * lane, and one object per request.
 *
 *	file.c		options, figures, the table of operations
 *	file_open.c	open, close, resize
 *	file_zero.c	WRITE_ZEROES and DISCARD, edges and middle
 *	file_move.c	READ and WRITE whose data the kernel takes as it is
 *	file_align.c	READ and WRITE through a bounce buffer, with
 *			read-modify-write of blocks that are touched in part
 *	file_extents.c	EXTENTS, on the worker pool
 *	file_lock.c	order between a read-modify-write and what else changes
 *			its blocks
 *	file_flush.c	one fdatasync for all lanes, and the end of a request
 *
 * Each calls only those below it.
 */
#ifndef BLOCKCORE_PROTOCOL_FILE_H
#define BLOCKCORE_PROTOCOL_FILE_H

#include "blockcore/base/buf.h"
#include "blockcore/base/counter.h"
#include "blockcore/base/slab.h"
#include "blockcore/kind.h"
#include "blockcore/ring.h"

#include <pthread.h>
#include <stdatomic.h>

/* A bounce buffer is at most this large: one request holds one at a time. */
#define FILE_BOUNCE_BYTES (256u << 10)
/* Each lane keeps one of its own for when the pool is empty. */
#define FILE_RESERVE_BYTES (64u << 10)

struct file_io;
struct file_driver;
TAILQ_HEAD(file_io_list, file_io);

enum file_cache { FILE_DIRECT, FILE_WRITEBACK, FILE_WRITETHROUGH };

struct file_options {
	char *path;
	uint64_t size_bytes;
	int cache;
	bool read_only, locking, preallocate, must_exist;
};

/* -- one request ---------------------------------------------------------- */

enum file_lock_state {
	FILE_LOCK_NONE,
	FILE_LOCK_COUNTED, /* not in the table: the lane counts it */
	FILE_LOCK_PARKED, /* until all lanes use the table */
	FILE_LOCK_WAITING, /* in the table, behind another */
	FILE_LOCK_HELD
};

/* The state belongs to the table's mutex while WAITING, else to the lane. */
struct file_lock {
	enum file_lock_state state;
	bool exclusive;
	uint64_t start, end; /* bytes, multiples of the file's alignment */
	TAILQ_ENTRY(file_io) link;
	void (*granted)(struct file_io *io);
	void (*refused)(struct file_io *io, int result);
};

/* Bytes on their way through memory of ours, one aligned piece at a time. */
struct file_bounce {
	struct buf *buf; /* NULL: none, or the lane's reserve */
	uint8_t *data; /* NULL: none */
	uint32_t capacity_bytes;
	uint64_t start, end; /* the piece in the file, aligned */
	uint64_t stop; /* where the request's bytes end in it */
	void (*then)(struct file_io *io, int result);
};

struct file_io {
	struct ring_op op;
	struct iovec iov;
	struct file_driver *file;
	struct file_lane *lane;
	struct block_request *request; /* NULL: `co` waits instead */
	struct co *co;
	int result;
	uint8_t ring_flags; /* of every write */
	uint8_t zero_method; /* file_zero.c's */
	bool writes, zeroes; /* zeroes: instead of the request's data */
	bool flush_after;
	uint64_t position, limit; /* what is left to do of this step */
	struct file_bounce bounce;
	struct file_lock lock;
	struct loop_message message; /* between lanes */
	struct loop_job job; /* file_extents.c's */
	TAILQ_ENTRY(file_io) link; /* starving, parked or flushing */
};

/* -- the driver's halves -------------------------------------------------- */

struct file_lane {
	struct file_driver *file;
	struct block_lane *lane;
	struct slab ios;

	/* file_align.c: who waits for memory */
	uint8_t *reserve;
	bool reserve_taken;
	struct file_io_list starving;
	struct buf_waiter waiter;

	/* file_lock.c */
	bool tracked; /* changes go into the table */
	bool ordered; /* ... on every lane: exclusive locks can be had */
	bool asked, answer_due;
	uint32_t untracked; /* changes in the kernel that are not in it */
	struct file_io_list parked;
	struct loop_message ask, turn, answer, go;

	/* file_zero.c: the first way that the file system has not refused */
	uint8_t zero_method[2];

	struct counter bounced, merged, flushes;
};

struct file_locks {
	pthread_mutex_t mutex;
	struct file_io_list list; /* in order of arrival */
	/* lane 0's */
	bool turned;
	unsigned answers_left;
};

/* Lane 0's. */
struct file_flush {
	struct ring_op op;
	bool running;
	struct file_io_list waiting, served;
	struct counter syncs;
};

struct file_driver {
	struct block_driver driver;
	struct ring_file *file;
	char *path; /* as opened */
	uint64_t print; /* core/image.h: when it was opened */
	bool made; /* by the opening of this driver */
	uint32_t
		align_bytes; /* of every read's and write's offset and length */
	uint32_t memory_align_bytes;
	_Atomic bool failed;
	struct file_locks locks;
	struct file_flush flush;
};

/* -- file_open.c: the kind's functions ------------------------------------ */

int file_open_check(
	const struct doc *map, const void *options, struct err *err);
int file_open_look_co(
	struct block_core *core, const void *options, struct err *err);
int file_open_co(struct block_driver *driver, struct err *err);
void file_open_close_co(struct block_driver *driver);
int file_open_space_co(struct block_driver *driver, struct ring_space *space);
int file_open_resize_co(
	struct block_driver *driver, uint64_t bytes, struct err *err);
const char *file_open_file(struct block_driver *driver, uint64_t *print);

/* -- file_beside.c -------------------------------------------------------- */

/* block_kind.beside: the document of what the image in this file calls `name`. 0 or
 * -errno with *err; control lane. */
int file_beside(struct block_driver *driver, const char *name, FILE *out,
	struct err *err);

/* -- file_flush.c --------------------------------------------------------- */

void file_flush_init(struct file_driver *file);
/* Ends `io` with the result of an fdatasync that starts after this. */
void file_flush_join(struct file_io *io);
/* In a coroutine on lane 0: an fdatasync for the driver's own sake. */
int file_flush_co(struct file_driver *file);
/* The request's work is done: a flush if it needs one, then its completion. */
void file_flush_finish(struct file_io *io, int result);
/* From now on every request fails; `error` is negative. Any thread. */
void file_flush_fail(struct file_driver *file, int error, const char *text);
bool file_flush_failed(struct file_driver *file);
/* The result of io->op, which was to move `bytes`: 0 or -errno. */
int file_flush_result(struct file_io *io, uint64_t bytes);

/* -- file_lock.c ---------------------------------------------------------- */

void file_lock_init(struct file_driver *file);
void file_lock_fini(struct file_driver *file);
void file_lock_lane_init(struct file_lane *lane);
/* Calls `granted` (perhaps at once) when no change of [start, end) that this one
 * must not meet is under way; the lock is then held until file_lock_release.
 * Shared: the change writes whole blocks. `refused`: the request was cancelled
 * meanwhile, nothing is held. */
void file_lock_take(struct file_io *io, uint64_t start, uint64_t end,
	bool exclusive, void (*granted)(struct file_io *io),
	void (*refused)(struct file_io *io, int result));
void file_lock_release(struct file_io *io);

/* -- file_align.c --------------------------------------------------------- */

int file_align_lane_init(struct file_lane *lane);
void file_align_lane_fini(struct file_lane *lane);
/* Moves [io->position, io->limit) through a bounce buffer, then calls `then`
 * with 0 or -errno. */
void file_align_run(
	struct file_io *io, void (*then)(struct file_io *io, int result));

/* -- file_move.c, file_zero.c, file_extents.c: the operations -------------- */

void file_move_read(struct file_io *io);
void file_move_write(struct file_io *io);
void file_zero_start(struct file_io *io);
void file_extents_start(struct file_io *io);

#endif
