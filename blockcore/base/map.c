/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See map.h. The table is uthash's; ours are its nodes, and the seed of the hash.
 */
#include "blockcore/base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t hash_of(const void *key, size_t bytes);
/* No memory: the node is not in the table, and its hh.tbl NULL. */
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, bytes, hash) \
	((hash) = (unsigned)hash_of((key), (bytes)))
#include <uthash.h>

struct map_node {
	void *value;
	UT_hash_handle hh;
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

static struct map_node *find(
	const struct map *map, const void *key, size_t bytes)
{
	struct map_node *node;

	HASH_FIND(hh, map->node, key, bytes, node);
	return node;
}

int map_put(struct map *map, const void *key, size_t bytes, void *value)
{
	assert(value);
	if (find(map, key, bytes))
		return -EEXIST;
	struct map_node *node = calloc(1, sizeof *node);
	if (!node)
		return -ENOMEM;
	node->value = value;
	HASH_ADD_KEYPTR(hh, map->node, key, bytes, node);
	if (!node->hh.tbl) {
		free(node);
		return -ENOMEM;
	}
	map->count++;
	return 0;
}

void *map_find(const struct map *map, const void *key, size_t bytes)
{
	const struct map_node *node = find(map, key, bytes);

	return node ? node->value : NULL;
}

void *map_remove(struct map *map, const void *key, size_t bytes)
{
	struct map_node *node = find(map, key, bytes);

	if (!node)
		return NULL;
	void *value = node->value;
	HASH_DELETE(hh, map->node, node);
	free(node);
	map->count--;
	return value;
}

void map_free(struct map *map)
{
	struct map_node *node = map->node;

	HASH_CLEAR(hh, map->node);
	while (node) {
		struct map_node *next = node->hh.next;

		free(node);
		node = next;
	}
	*map = (struct map){0};
}
