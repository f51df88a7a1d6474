/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk I/O as the block core sees it: a world of files, and one ring per
 * reactor to read and write them with. Implemented by ring_uring.c, by
 * ring_threads.c (where io_uring is forbidden) and by the simulator, whose
 * world can lose power.
 *
 * Invariants
 *  1. Files are opened once, in the world, and used from any ring.
 *  2. ring_queue never blocks and never completes inside itself; the kernel sees
 *     the operation in that call or, with others, in the turn's LOOP_SUBMIT; `done`
 *     runs in LOOP_REAP on the loop that queued the operation.
 *  3. Operation, vectors and data belong to the ring until `done`.
 *  4. A full submission queue is no error: the ring keeps a list of its own.
 *  5. World calls (open, lock, truncate ...) may block: worker pool or control
 *     thread at start, never a reactor.
 */
#ifndef BLOCKCORE_RING_H
#define BLOCKCORE_RING_H

#include "blockcore/base/err.h"
#include "blockcore/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

enum ring_opcode {
	RING_READ,
	RING_WRITE,
	RING_DATASYNC, /* fdatasync(2) of the whole file */
	RING_PUNCH, /* range reads zero afterwards, space is given back; never
		       makes the file longer */
	RING_ZERO_RANGE, /* range reads zero afterwards, space stays allocated;
			    past the end the file grows */
	RING_ALLOCATE, /* space is reserved, content unchanged; past the end the
			  file grows; nothing to do on a block device */
};

enum ring_flag {
	RING_DSYNC = 1, /* write: durable before it completes (RWF_DSYNC) */
};

/* What a file can do; fixed while it is open, but for `size_bytes`. PUNCH and
 * ZERO_RANGE where the file cannot: -EOPNOTSUPP, content unchanged. */
struct ring_file {
	struct ring_world *world;
	uint64_t size_bytes; /* at open, or after ring_file_resize: writes past
				the end make the file longer and not this */
	uint32_t direct_align_bytes; /* offset and length; 1 when buffered */
	uint32_t memory_align_bytes; /* address of data; 1 when buffered */
	uint32_t logical_block_bytes; /* 512 for regular files */
	bool direct, writable, block_device;
	bool can_punch, can_zero_range;
	bool rotational;
	bool made; /* by this open, with RING_OPEN_CREATE */
	bool unmake; /* see ring_file_unmake */
};

/* An operation: zero it, fill it, queue it. */
struct ring_op {
	uint8_t opcode;
	uint8_t flags;
	bool registered_buffer; /* data lies in the region registered before */
	struct ring_file *file;
	const struct iovec *iov; /* READ, WRITE: its bytes are length_bytes */
	uint32_t iov_count;
	uint64_t offset_bytes, length_bytes; /* READ, WRITE: below 2 GiB */
	int32_t result; /* bytes moved, or 0, or -errno; short only at the end */
	void (*done)(struct ring_op *op);
	STAILQ_ENTRY(ring_op) link; /* the ring's */
	uint64_t scratch[2]; /* the ring's */
};

/* The space that a file takes up, and how its file system stands. */
#define RING_SPACE_NAME_BYTES 256u
struct ring_space {
	uint64_t used_bytes; /* by the file */
	/* One number for all files of a file system while they are open; 0: what
	 * follows is not known. */
	uint64_t file_system;
	/* What files can have of it, and what of that is left; as df(1) says. */
	uint64_t total_bytes, free_bytes;
	char name[RING_SPACE_NAME_BYTES]; /* where it is mounted */
};

enum ring_open_flag {
	RING_OPEN_WRITABLE = 1,
	RING_OPEN_DIRECT = 2, /* O_DIRECT; refused if the file cannot */
	RING_OPEN_TRY_DIRECT = 4, /* O_DIRECT where the file system has it */
	RING_OPEN_CREATE = 8, /* make it if absent: sparse, create_bytes; that
				 it exists is durable when open returns */
	RING_OPEN_PREALLOCATE = 16, /* ... with all its space allocated */
};

struct ring;
struct ring_world;

struct ring_world_ops {
	const char *name; /* "io_uring", "threads", "simulated" */
	void (*world_free)(struct ring_world *world);
	int (*open)(struct ring_world *world, const char *path, unsigned flags,
		uint64_t create_bytes, struct ring_file **file,
		struct err *err);
	void (*close)(struct ring_file *file);
	int (*resize)(struct ring_file *file, uint64_t bytes, struct err *err);
	/* QEMU's byte locks, see ring_file_lock. Replaces what was taken before. */
	int (*lock)(struct ring_file *file, uint64_t taken, uint64_t refused,
		struct err *err);
	/* Next extent at or after `offset`: its length, and whether it holds
	 * data. Blocking (SEEK_DATA, SEEK_HOLE). 0 or -errno. */
	int (*extent)(struct ring_file *file, uint64_t offset, uint64_t *length,
		bool *data);
	/* Blocking, on a network file system for long. 0; -EOPNOTSUPP of a device,
	 * else -errno. */
	int (*space)(struct ring_file *file, struct ring_space *space);
	int (*ring_new)(struct ring_world *world, struct loop *loop,
		struct ring **ring, struct err *err);
	void (*ring_free)(struct ring *ring);
	int (*register_buffers)(struct ring *ring, void *base, size_t bytes);
	void (*queue)(struct ring *ring, struct ring_op *op);
	/* No ring uses the file any more after this (closing in progress). */
	void (*forget_file)(struct ring *ring, struct ring_file *file);
};

struct ring_world {
	const struct ring_world_ops *ops;
};

/* Since the ring was made; its thread's. */
struct ring_figures {
	uint64_t queued, done; /* operations */
	uint64_t submits; /* calls that gave the kernel or the threads work */
	uint64_t full; /* times that not all of a turn's work fitted */
};
struct ring {
	struct ring_world *world;
	struct ring_figures figures;
};

/* The world of real files: io_uring if the kernel allows it, else threads (one
 * line in the log says so and why). `name` NULL chooses; "io_uring" or "threads"
 * insists. */
struct ring_world *ring_world_real(const char *name, struct err *err);

/* Every file and ring must be gone. */
static inline void ring_world_free(struct ring_world *world)
{
	world->ops->world_free(world);
}

/* Opens `path`. 0, or -errno with *err. EBUSY: the file is locked. */
static inline int ring_file_open(struct ring_world *world, const char *path,
	unsigned flags, uint64_t create_bytes, struct ring_file **file,
	struct err *err)
{
	return world->ops->open(world, path, flags, create_bytes, file, err);
}

/* No operation may be queued or running. Releases the locks. */
static inline void ring_file_close(struct ring_file *file)
{
	file->world->ops->close(file);
}

/* Whoever made the file does not want it: its name goes when `file` is closed. For
 * files alone that this or an earlier open of the caller's has made. */
static inline void ring_file_unmake(struct ring_file *file)
{
	file->unmake = true;
}

/* A block device cannot be resized: this then takes note of the size that it has
 * now, and fails if that is below `bytes`. */
static inline int ring_file_resize(
	struct ring_file *file, uint64_t bytes, struct err *err)
{
	return file->world->ops->resize(file, bytes, err);
}

/* QEMU's scheme (block/file-posix.c, facts): an open file description lock (OFD,
 * shared) on byte 100 + n says "I use permission n", on byte 200 + n "I do not
 * let others use permission n"; permissions are numbered CONSISTENT_READ 0,
 * WRITE 1, WRITE_UNCHANGED 2, RESIZE 3. Taking `taken` and `refused` (masks) is
 * followed by looking for others' locks that contradict them. -EBUSY with a
 * text that says who may hold it. */
static inline int ring_file_lock(struct ring_file *file, uint64_t taken,
	uint64_t refused, struct err *err)
{
	return file->world->ops->lock(file, taken, refused, err);
}

/* Where the next extent at or after `offset` ends: *length is 0 at the end of the
 * file. A file system that does not know says that all is data. */
static inline int ring_file_extent(
	struct ring_file *file, uint64_t offset, uint64_t *length, bool *data)
{
	return file->world->ops->extent(file, offset, length, data);
}

static inline int ring_file_space(
	struct ring_file *file, struct ring_space *space)
{
	return file->world->ops->space(file, space);
}

/* A ring on the calling thread's loop; adds its own hooks. Stays with its
 * thread: the kernel refuses operations from another one. */
static inline int ring_new(struct ring_world *world, struct loop *loop,
	struct ring **ring, struct err *err)
{
	return world->ops->ring_new(world, loop, ring, err);
}

/* Nothing may be queued or running. */
static inline void ring_free(struct ring *ring)
{
	ring->world->ops->ring_free(ring);
}

/* Registers a region of data buffers (buf_pool_region) with the kernel, once, and
 * before anything is queued. All of it is then in memory and locked there.
 * -errno if the kernel refuses (-ENOMEM: the limit of locked memory): the ring
 * works all the same. */
static inline int ring_register_buffers(
	struct ring *ring, void *base, size_t bytes)
{
	return ring->world->ops->register_buffers(ring, base, bytes);
}

/* Each ring that used `file` must hear this before ring_file_close, on its own
 * thread, with nothing of that file queued or running. */
static inline void ring_forget_file(struct ring *ring, struct ring_file *file)
{
	ring->world->ops->forget_file(ring, file);
}

static inline void ring_queue(struct ring *ring, struct ring_op *op)
{
	ring->figures.queued++;
	ring->world->ops->queue(ring, op);
}

#endif
