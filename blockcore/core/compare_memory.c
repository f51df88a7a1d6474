/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for COMPARE_AND_WRITE; see compare_memory.h.
 */
#include "blockcore/core/compare_memory.h"

#include "blockcore/base/list.h"
#include "blockcore/core/park.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Room for 4094 vectors beside the largest range; touched when it is used. */
#define RESERVE_BYTES (BLOCK_MAX_COMPARE_BYTES + (64u << 10))

static uint64_t compare_bytes(const struct block_request *request)
{
	return request->length_bytes + sizeof(struct compare) +
		request->iov_count * sizeof(struct iovec);
}

static struct compare *compare_take(
	struct compare_memory *memory, const struct block_request *request)
{
	uint32_t bytes = (uint32_t)compare_bytes(request);
	struct buf *buf = buf_get(memory->pool, bytes);
	uint8_t *data = buf ? buf->data : memory->reserve;

	if (!buf && memory->reserve_taken)
		return NULL;
	if (!buf)
		memory->reserve_taken = true;
	struct compare *compare = (void *)(data + request->length_bytes);
	compare->buf = buf;
	compare->data = data;
	compare->read.iov_base = data;
	compare->read.iov_len = request->length_bytes;
	return compare;
}

static void compare_serve(struct compare_memory *memory)
{
	struct block_request *request;

	while ((request = TAILQ_FIRST(&memory->starving))) {
		struct compare *compare = compare_take(memory, request);

		if (!compare) {
			buf_wait(memory->pool, &memory->waiter);
			return;
		}
		block_unpark(&memory->starving, request);
		memory->go(request, compare);
	}
}

static void compare_ready(struct buf_waiter *waiter)
{
	compare_serve(container_of(waiter, struct compare_memory, waiter));
}

void compare_memory_get(
	struct compare_memory *memory, struct block_request *request)
{
	if (compare_bytes(request) > RESERVE_BYTES) {
		block_complete(request, -ENOMEM);
		return;
	}
	block_park(&memory->starving, request);
	if (TAILQ_FIRST(&memory->starving) == request)
		compare_serve(memory);
}

void compare_memory_put(struct compare_memory *memory, struct compare *compare)
{
	if (compare->buf)
		buf_put(compare->buf);
	else
		memory->reserve_taken = false;
	compare_serve(memory);
}

int compare_memory_init(struct compare_memory *memory, struct buf_pool *pool,
	void (*go)(struct block_request *request, struct compare *compare))
{
	*memory = (struct compare_memory){
		.pool = pool, .waiter.ready = compare_ready, .go = go};
	TAILQ_INIT(&memory->starving);
	memory->reserve = aligned_alloc(4096, RESERVE_BYTES);
	return memory->reserve ? 0 : -ENOMEM;
}

void compare_memory_fini(struct compare_memory *memory)
{
	assert(TAILQ_EMPTY(&memory->starving) && !memory->reserve_taken);
	buf_wait_cancel(memory->pool, &memory->waiter);
	free(memory->reserve);
}
