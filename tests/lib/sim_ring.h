/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated world of disks behind blockcore/ring.h: files in a volatile cache
 * (sim_disk.h), operations that take a random time, errors on demand, power cuts.
 *
 * The life of an operation: it is submitted at a time, takes effect (in two
 * pieces, at times of their own: a reader may see half of a write) and completes
 * at a later time; operations that are out together overtake each other. The
 * kernel reads and writes the caller's memory when the effect takes place, so who
 * touches it too early is found out; memory to read into is spoilt first.
 *
 * Points: the submission and the completion of each operation are numbered from 1.
 * A power cut is put at a point, or looked at from one.
 *
 * Invariants
 *  1. After a cut there is what sim_disk.h says, and of writes that were out each
 *     sector independently, whether they had taken effect or not.
 *  2. What completed durably before a cut is there after it: a write with
 *     RING_DSYNC; a write that had completed when a RING_DATASYNC was submitted
 *     which has succeeded. That a file exists is durable when open returns.
 *  3. Without power every operation ends with -EIO and changes nothing.
 *  4. A failed write has changed any part of what it was to change.
 */
#ifndef TESTS_LIB_SIM_RING_H
#define TESTS_LIB_SIM_RING_H

#include "blockcore/ring.h"
#include "tests/lib/sim_loop.h"

struct sim_world_options {
	uint32_t direct_align_bytes; /* 0: files cannot do direct I/O */
	uint32_t memory_align_bytes; /* of direct I/O; 0: the same */
	uint64_t capacity_bytes; /* 0: without limit; else ENOSPC beyond */
	bool no_punch, no_zero_range; /* -EOPNOTSUPP */
	/* 0: 90% of operations take 20 to 200 us, 9% up to 2 ms, 1% up to
	 * 50 ms. Else each takes at most this, and at least 1 ns. */
	uint64_t latency_max_ns;
};

/* `options` NULL: direct I/O in 512 bytes, no limits. */
struct ring_world *sim_world_new(
	struct sim *sim, const struct sim_world_options *options);

/* From now on the disk of the world has room for `capacity_bytes` (0: no limit), of
 * which files that nobody opens here take `others_bytes`. */
void sim_world_limit(struct ring_world *world, uint64_t capacity_bytes,
	uint64_t others_bytes);

/* -- power -------------------------------------------------------------------- */

/* Power fails now, or just before point `point` (0: not any more) happens. */
void sim_world_cut(struct ring_world *world);
void sim_world_cut_at(struct ring_world *world, uint64_t point);
bool sim_world_is_off(const struct ring_world *world);
/* Power is back; every file must have been closed. */
void sim_world_power_on(struct ring_world *world);

/* Points passed so far. */
uint64_t sim_world_points(const struct ring_world *world);
/* `look(arg, point)` just before each point happens; NULL: nobody any more. */
void sim_world_watch(struct ring_world *world,
	void (*look)(void *arg, uint64_t point), void *arg);

/* What there would be if power failed now: a world of its own under `after`,
 * powered, its files closed, its choices `after`'s. `world` goes on undisturbed:
 * so many cuts of one run can be looked at. */
struct ring_world *sim_world_after_cut(
	const struct ring_world *world, struct sim *after);

/* -- errors ------------------------------------------------------------------- */

struct sim_fault {
	unsigned opcodes; /* 1 << RING_READ | ... */
	unsigned skip; /* lets so many pass first */
	unsigned times; /* then fails so many; 0: all */
	unsigned percent; /* of those; 0: all of them */
	int error; /* -EIO, -ENOSPC ... */
	const char *path; /* of this file only; NULL: of any */
	uint64_t offset_bytes,
		length_bytes; /* only there; length 0: anywhere */
	uint64_t hits; /* the world's */
};

/* `fault` is used where it is until it is taken away. At most 8 at a time. */
void sim_world_fail(struct ring_world *world, struct sim_fault *fault);
void sim_world_heal(struct ring_world *world, struct sim_fault *fault);

/* -- files from outside ------------------------------------------------------- */

/* Makes a file of this content, durable at once. */
void sim_world_put(struct ring_world *world, const char *path,
	const void *content, uint64_t bytes);
/* What a program that reads `path` now would see. False: no such file. */
bool sim_world_get(const struct ring_world *world, const char *path,
	uint64_t offset, void *to, uint64_t bytes);
/* What operations that have succeeded have moved, since the file was made. */
struct sim_traffic {
	uint64_t read_bytes, written_bytes; /* of data: no zeroes, no punches */
};
/* `path` NULL: of all files. Of none: zeroes. */
struct sim_traffic sim_world_traffic(
	const struct ring_world *world, const char *path);
/* UINT64_MAX: no such file. */
uint64_t sim_world_size_bytes(const struct ring_world *world, const char *path);
/* True if a power cut could lose nothing of it. */
bool sim_world_is_durable(const struct ring_world *world, const char *path);
/* Copies a file out to, or in from, a real one (for qemu-img). 0 or -errno. */
int sim_world_export(const struct ring_world *world, const char *path,
	const char *real_path);
int sim_world_import(
	struct ring_world *world, const char *path, const char *real_path);
/* Takes a file away; it must be closed. */
void sim_world_remove(struct ring_world *world, const char *path);

#endif
