/* SPDX-License-Identifier: Apache-2.0 */
/* See map.h. */
#include "blockcore/base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#define FIRST_ROOM 16u

struct map_slot {
	const void *key;
	size_t bytes;
	uint64_t hash;
	void *value; /* NULL: free */
};

static uint64_t seed(void)
{
	static atomic_uint_least64_t kept;
	uint64_t made = atomic_load_explicit(&kept, memory_order_relaxed);
	uint64_t random;
	if (made)
		return made;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) !=
		(ssize_t)sizeof random)
		random = (uintptr_t)&kept;
	random |= 1;
	return atomic_compare_exchange_strong(&kept, &made, random) ? random
								    : made;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/* Eight bytes at a time, then those that are left, with the length. */
static uint64_t hash_of(const void *key, size_t bytes)
{
	const uint8_t *at = key;
	uint64_t hash = mix(seed(), bytes), word;
	for (; bytes >= sizeof word; at += sizeof word, bytes -= sizeof word) {
		memcpy(&word, at, sizeof word);
		hash = mix(hash, word);
	}
	word = 0;
	memcpy(&word, at, bytes);
	return mix(mix(hash, word), 0);
}

/* Where the key is, or the free slot where it would be. There is always one. */
static size_t find_slot(
	const struct map *map, const void *key, size_t bytes, uint64_t hash)
{
	size_t mask = map->room - 1, i = hash & mask;
	while (map->slot[i].value) {
		const struct map_slot *slot = &map->slot[i];
		if (slot->hash == hash && slot->bytes == bytes &&
			!memcmp(slot->key, key, bytes))
			break;
		i = (i + 1) & mask;
	}
	return i;
}

static int grow(struct map *map)
{
	struct map larger = {.count = map->count,
		.room = map->room ? 2 * map->room : FIRST_ROOM};
	larger.slot = calloc(larger.room, sizeof *larger.slot);
	if (!larger.slot)
		return -ENOMEM;
	for (size_t i = 0; i < map->room; i++) {
		const struct map_slot *from = &map->slot[i];
		if (from->value)
			larger.slot[find_slot(&larger, from->key, from->bytes,
				from->hash)] = *from;
	}
	free(map->slot);
	*map = larger;
	return 0;
}

int map_put(struct map *map, const void *key, size_t bytes, void *value)
{
	assert(value);
	uint64_t hash = hash_of(key, bytes);
	if (4 * (map->count + 1) > 3 * map->room && grow(map))
		return -ENOMEM;
	struct map_slot *slot = &map->slot[find_slot(map, key, bytes, hash)];
	if (slot->value)
		return -EEXIST;
	*slot = (struct map_slot){
		.key = key, .bytes = bytes, .hash = hash, .value = value};
	map->count++;
	return 0;
}

void *map_find(const struct map *map, const void *key, size_t bytes)
{
	if (!map->count)
		return NULL;
	return map->slot[find_slot(map, key, bytes, hash_of(key, bytes))].value;
}

/* What stands behind the hole and would be looked for before it moves into it, so
 * that no chain is broken. */
static void close_hole(struct map *map, size_t hole)
{
	size_t mask = map->room - 1;
	for (size_t i = (hole + 1) & mask; map->slot[i].value;
		i = (i + 1) & mask) {
		size_t home = map->slot[i].hash & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		map->slot[hole] = map->slot[i];
		hole = i;
	}
	map->slot[hole] = (struct map_slot){0};
}

void *map_remove(struct map *map, const void *key, size_t bytes)
{
	if (!map->count)
		return NULL;
	size_t i = find_slot(map, key, bytes, hash_of(key, bytes));
	void *value = map->slot[i].value;
	if (value) {
		close_hole(map, i);
		map->count--;
	}
	return value;
}

void map_free(struct map *map)
{
	free(map->slot);
	*map = (struct map){0};
}
