/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slab: chunks of about 64 KiB cut into objects, free ones on a list whose
 * links live in the objects themselves.
 */
#include "blockcore/base/slab.h"

#include "blockcore/base/asan.h"

#include <assert.h>
#include <stdlib.h>

#define LINE_BYTES 64u
#define CHUNK_BYTES (64u << 10)

/* Takes one cache line before the chunk's objects. */
struct slab_chunk {
	struct slab_chunk *next;
};

struct free_object {
	struct free_object *next;
};

void slab_init(struct slab *slab, size_t object_bytes, uint32_t limit)
{
	size_t objects;

	assert(object_bytes > 0);
	object_bytes = (object_bytes + LINE_BYTES - 1) & ~(LINE_BYTES - 1ul);
	objects = CHUNK_BYTES / object_bytes;
	if (objects == 0)
		objects = 1;
	if (limit && objects > limit)
		objects = limit;
	*slab = (struct slab){
		.object_bytes = object_bytes,
		.limit = limit,
		.chunk_objects = (uint32_t)objects,
	};
}

void slab_fini(struct slab *slab)
{
	size_t bytes = slab->object_bytes * slab->chunk_objects + LINE_BYTES;
	struct slab_chunk *chunk = slab->chunks;

	assert(slab->out == 0);
	while (chunk) {
		struct slab_chunk *next = chunk->next;
		asan_unpoison(chunk, bytes);
		free(chunk);
		chunk = next;
	}
	slab->chunks = NULL;
	slab->free = NULL;
}

static void push(struct slab *slab, void *object)
{
	struct free_object *entry = object;

	entry->next = slab->free;
	slab->free = entry;
	asan_poison(object, slab->object_bytes);
}

/* Pushes backwards, so that objects are handed out in order of address. */
static int grow(struct slab *slab)
{
	size_t bytes = slab->object_bytes * slab->chunk_objects + LINE_BYTES;
	struct slab_chunk *chunk = aligned_alloc(LINE_BYTES, bytes);

	if (!chunk)
		return -1;
	chunk->next = slab->chunks;
	slab->chunks = chunk;
	for (uint32_t i = slab->chunk_objects; i-- > 0;)
		push(slab, (char *)chunk + LINE_BYTES + i * slab->object_bytes);
	return 0;
}

void *slab_get(struct slab *slab)
{
	struct free_object *object;

	if (slab->limit && slab->out == slab->limit)
		return NULL;
	if (!slab->free && grow(slab) < 0)
		return NULL;
	object = slab->free;
	asan_unpoison(object, slab->object_bytes);
	slab->free = object->next;
	slab->out++;
	return object;
}

void slab_put(struct slab *slab, void *object)
{
	assert(slab->out > 0);
	slab->out--;
	push(slab, object);
}
