/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table: from keys, which are bytes, to pointers.
 *
 *	struct map map = {0};		empty; takes no memory
 *	map_put(&map, key, bytes, value)
 *	map_find(&map, key, bytes)	-> value, NULL
 *	map_free(&map)
 *
 * Invariants
 *  1. Keys and values are borrowed: a key lives, unchanged, as long as it is in
 *     the table. A value is not NULL.
 *  2. A key is there once at most.
 *  3. The hash is seeded at random once for the process, so that nobody can choose
 *     names that fall together.
 * One thread at a time.
 */
#ifndef BLOCKCORE_BASE_MAP_H
#define BLOCKCORE_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct map {
	struct map_node *node; /* NULL: none */
	size_t count;
};

/* 0, -EEXIST (nothing is changed) or -ENOMEM. */
int map_put(struct map *map, const void *key, size_t bytes, void *value);
/* The value of the key, NULL if it is not there. */
void *map_find(const struct map *map, const void *key, size_t bytes);
/* The value that was taken out, NULL if there was none. */
void *map_remove(struct map *map, const void *key, size_t bytes);
/* Empty again; keys and values are the caller's. */
void map_free(struct map *map);

/* The same with a text as key. */
static inline int map_put_text(struct map *map, const char *key, void *value)
{
	return map_put(map, key, strlen(key), value);
}
static inline void *map_find_text(const struct map *map, const char *key)
{
	return map_find(map, key, strlen(key));
}
static inline void *map_remove_text(struct map *map, const char *key)
{
	return map_remove(map, key, strlen(key));
}

#endif
