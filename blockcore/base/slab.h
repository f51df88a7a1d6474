/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of one size from chunks that are never given back while the slab
 * lives: no allocation on the fast path once the slab is warm.
 *
 * Invariants
 *  1. One thread: a slab belongs to its reactor; no lock, no atomics.
 *  2. At most `limit` objects are out at a time; slab_get returns NULL beyond
 *     it or without memory, and the caller treats that as back-pressure.
 *  3. An object's bytes are not cleared: who gets it fills it.
 *  4. Under AddressSanitizer a free object is poisoned.
 */
#ifndef BLOCKCORE_BASE_SLAB_H
#define BLOCKCORE_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab_chunk;

struct slab {
	void *free;
	struct slab_chunk *chunks;
	size_t object_bytes; /* rounded up to a cache line (64) */
	uint32_t out, limit, chunk_objects;
};

/* `limit` 0 means no limit. Nothing is allocated until the first get. */
void slab_init(struct slab *slab, size_t object_bytes, uint32_t limit);

/* Every object must be back. */
void slab_fini(struct slab *slab);

void *slab_get(struct slab *slab);
void slab_put(struct slab *slab, void *object);

#endif
