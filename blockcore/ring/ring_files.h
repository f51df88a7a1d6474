/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real files for the real rings: opening, locks, resizing, extents, space. What
 * ring_uring.c and ring_threads.c share; their worlds begin with a
 * ring_files_world and their files are ring_files_file.
 *
 * Invariants
 *  1. A file has a slot number, unique among the open files of its world and as
 *     small as possible, so that each ring can use it as the index in its table
 *     of registered files; and a serial number that is never used again, so that
 *     a ring notices that a slot has another file now.
 *  2. Locks go at ring_file_close even if a ring still keeps a reference to the
 *     open file.
 */
#ifndef BLOCKCORE_RING_RING_FILES_H
#define BLOCKCORE_RING_RING_FILES_H

#include <pthread.h>
#include <stdatomic.h>

#include "blockcore/ring.h"

#define RING_FILES_SLOTS 1024u
#define RING_FILES_NO_SLOT UINT32_MAX

struct ring_files_world {
	struct ring_world world;
	pthread_mutex_t lock; /* the two below */
	uint64_t slots_used[RING_FILES_SLOTS / 64];
	uint64_t last_serial;
};

struct ring_files_file {
	struct ring_file file;
	int fd;
	uint32_t slot; /* RING_FILES_NO_SLOT beyond the table */
	uint64_t serial; /* from 1 */
	uint64_t taken, refused; /* locks held */
	char *path;
	/* Where its file system begins; NULL: not known. */
	_Atomic(char *) mounted;
};

static inline struct ring_files_file *ring_files_file(struct ring_file *file)
{
	return (struct ring_files_file *)file; /* the first member */
}

void ring_files_world_init(
	struct ring_files_world *world, const struct ring_world_ops *ops);
void ring_files_world_fini(struct ring_files_world *world);

/* The entries of ring_world_ops of these names. */
int ring_files_open(struct ring_world *world, const char *path, unsigned flags,
	uint64_t create_bytes, struct ring_file **file, struct err *err);
void ring_files_close(struct ring_file *file);
int ring_files_resize(struct ring_file *file, uint64_t bytes, struct err *err);
int ring_files_lock(struct ring_file *file, uint64_t taken, uint64_t refused,
	struct err *err);
int ring_files_extent(
	struct ring_file *file, uint64_t offset, uint64_t *length, bool *data);
int ring_files_space(struct ring_file *file, struct ring_space *space);

#endif
