/* SPDX-License-Identifier: Apache-2.0 */
/* See blockcore/memory.h. */
#include "blockcore/memory.h"

#include "blockcore/core/core.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

void block_memory_join(struct block_core *core, struct block_memory_user *user)
{
	user->core = core;
	user->bytes = 0;
	LIST_INSERT_HEAD(&core->memory.users, user, link);
}

void block_memory_leave(struct block_memory_user *user)
{
	if (!user->core)
		return;
	user->core->memory.used_bytes -= user->bytes;
	user->core = NULL;
	LIST_REMOVE(user, link);
}

static struct block_memory_user *largest(const struct block_memory *memory)
{
	struct block_memory_user *user, *most = NULL;

	LIST_FOREACH (user, &memory->users, link) {
		if (!most || user->bytes > most->bytes)
			most = user;
	}
	return most;
}

/* A little more than needed, so that it is not asked for each table. */
static void make_room(struct block_memory *memory)
{
	struct block_memory_user *user = largest(memory);
	uint64_t over = memory->used_bytes - memory->limit_bytes +
		memory->limit_bytes / 16;

	user->shrink(user, user->bytes > over ? user->bytes - over : 0);
}

void block_memory_add(struct block_memory_user *user, int64_t bytes)
{
	struct block_memory *memory = &user->core->memory;

	assert(bytes >= 0 || user->bytes >= (uint64_t)-bytes);
	user->bytes += (uint64_t)bytes;
	memory->used_bytes += (uint64_t)bytes;
	if (bytes >= 0 && memory->used_bytes > memory->limit_bytes)
		make_room(memory);
}

bool block_memory_is_full(const struct block_core *core)
{
	return core->memory.used_bytes > core->memory.limit_bytes;
}

void block_memory_limit(struct block_core *core, uint64_t bytes)
{
	core->memory.limit_bytes = bytes;
}

const struct block_memory *block_memory_of(const struct block_core *core)
{
	return &core->memory;
}

int block_cache_take(struct block_core *core, uint64_t bytes, struct err *err)
{
	struct block_caches *caches = &core->caches;
	uint64_t left = caches->limit_bytes - caches->used_bytes;

	if (bytes > left)
		return err_set(err, EBUSY,
			"a cache that takes %" PRIu64 " bytes: of the %" PRIu64
			" that all may take %" PRIu64
			" are left; give a smaller size, or allow more "
			"(read_cache in the settings)",
			bytes, caches->limit_bytes, left);
	caches->used_bytes += bytes;
	return 0;
}

void block_cache_give(struct block_core *core, uint64_t bytes)
{
	assert(core->caches.used_bytes >= bytes);
	core->caches.used_bytes -= bytes;
}

void block_cache_limit(struct block_core *core, uint64_t bytes)
{
	core->caches.limit_bytes = bytes;
}

const struct block_caches *block_caches_of(const struct block_core *core)
{
	return &core->caches;
}
