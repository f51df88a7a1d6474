/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: a part of an L2 table in memory (map.c).
 *
 * Invariant: words are read and set through the two functions only, as they lie here
 * in the byte order of the file.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_SLICE_H
#define BLOCKCORE_FORMAT_QCOW2_SLICE_H

#include "blockcore/base/bytes.h"
#include "blockcore/format/qcow2/entry.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct qcow2_map;

/* A slice of an L2 table in memory: 4 KiB at most. Home changes words between two
 * steps of `sequence` (odd meanwhile); lanes read a pair of words as a whole. */
struct qcow2_slice {
	_Atomic uint32_t sequence;
	_Atomic bool used; /* since the last look of the cache */
	/* home */
	bool dirty;
	/* Extended entries whose clusters hold zeroes where they have no data. */
	uint64_t zeroed[QCOW2_SLICE_BYTES_MAX / 16 / 64];
	uint32_t pins;
	struct qcow2_map *map; /* NULL: of none any more */
	uint32_t l1_index, slice_index;
	TAILQ_ENTRY(qcow2_slice) link; /* cached ones, oldest first */
	TAILQ_ENTRY(qcow2_slice)
	dirty_link, closed_link; /* an epoch writes it */
	/* In the order of the file: it is written as it lies here. */
	_Atomic uint64_t disk_word[];
};

/* Any lane. */
static inline uint64_t qcow2_slice_word(
	const struct qcow2_slice *slice, uint64_t index)
{
	uint64_t word = atomic_load_explicit(
		&slice->disk_word[index], memory_order_acquire);

	return get_be64(&word);
}

/* Home. */
static inline void qcow2_slice_set_word(
	struct qcow2_slice *slice, uint64_t index, uint64_t value)
{
	uint64_t word;

	put_be64(&word, value);
	atomic_store_explicit(
		&slice->disk_word[index], word, memory_order_release);
}

#endif
