/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See figures.h. Entries are filled in before they are published (release) and
 * never change their name, so who looks needs no lock.
 */
#include "target/volume/figures.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS VOLUME_BOOK_HOSTS /* index of the last entry */

const char *volume_op_name(enum volume_op op)
{
	static const char *const names[VOLUME_OPS] = {
		[VOLUME_OP_READ] = "read",
		[VOLUME_OP_WRITE] = "write",
		[VOLUME_OP_FLUSH] = "flush",
		[VOLUME_OP_DISCARD] = "discard",
		[VOLUME_OP_OTHER] = "other",
	};

	assert(op < VOLUME_OPS);
	return names[op];
}

const char *volume_error_name(enum volume_error error)
{
	static const char *const names[VOLUME_ERRORS] = {
		[VOLUME_ERROR_NONE] = "none",
		[VOLUME_ERROR_MEDIUM] = "medium",
		[VOLUME_ERROR_SPACE] = "space",
		[VOLUME_ERROR_PROTECTED] = "protected",
		[VOLUME_ERROR_OFFLINE] = "offline",
		[VOLUME_ERROR_CONFLICT] = "conflict",
		[VOLUME_ERROR_MISCOMPARE] = "miscompare",
		[VOLUME_ERROR_INVALID] = "invalid",
		[VOLUME_ERROR_ATTENTION] = "attention",
		[VOLUME_ERROR_ABORTED] = "aborted",
		[VOLUME_ERROR_BUSY] = "busy",
	};

	assert(error < VOLUME_ERRORS);
	return names[error];
}

const char *volume_layer_name(enum volume_layer layer)
{
	static const char *const names[VOLUME_LAYERS] = {
		[VOLUME_LAYER_TRANSPORT] = "transport",
		[VOLUME_LAYER_COMMAND] = "command",
	};

	assert(layer < VOLUME_LAYERS);
	return names[layer];
}

uint64_t volume_bucket_bound_ns(unsigned bucket)
{
	assert(bucket < VOLUME_BUCKETS);
	return counter_bucket_bound(bucket, VOLUME_BUCKET_NS, VOLUME_BUCKETS);
}

/* -- the book ------------------------------------------------------------- */

void volume_book_init(struct volume_book *book)
{
	memset(book, 0, sizeof *book);
	pthread_mutex_init(&book->mutex, NULL);
}

static struct volume_book_host *host_at(
	const struct volume_book *book, unsigned index)
{
	return atomic_load_explicit(&((struct volume_book *)book)->host[index],
		memory_order_acquire);
}

static struct volume_page *page_at(
	const struct volume_book_host *host, unsigned lane)
{
	return atomic_load_explicit(
		&((struct volume_book_host *)host)->page[lane],
		memory_order_acquire);
}

void volume_book_fini(struct volume_book *book)
{
	for (unsigned i = 0; i <= OTHERS; i++) {
		struct volume_book_host *host = host_at(book, i);

		for (unsigned j = 0; host && j < BLOCK_MAX_LANES; j++)
			free(page_at(host, j));
		free(host);
	}
	pthread_mutex_destroy(&book->mutex);
}

/* Under the mutex, as is the next. */
static struct volume_book_host *find_host(
	struct volume_book *book, const char *name)
{
	struct volume_book_host *host = NULL;
	unsigned index;

	for (index = 0; index < OTHERS; index++) {
		host = host_at(book, index);
		if (!host || !strncmp(host->name, name, sizeof host->name - 1))
			break;
	}
	if (index == OTHERS)
		host = host_at(book, OTHERS);
	if (host)
		return host;
	host = calloc(1, sizeof *host);
	if (!host)
		return NULL;
	if (index < OTHERS)
		strncpy(host->name, name, sizeof host->name - 1);
	atomic_store_explicit(&book->host[index], host, memory_order_release);
	return host;
}

static struct volume_page *find_page(
	struct volume_book_host *host, unsigned lane)
{
	struct volume_page *page = page_at(host, lane);

	if (page)
		return page;
	page = aligned_alloc(BLOCK_LINE_BYTES, sizeof *page);
	if (!page)
		return NULL;
	memset(page, 0, sizeof *page);
	atomic_store_explicit(&host->page[lane], page, memory_order_release);
	return page;
}

struct volume_page *volume_book_page(
	struct volume_book *book, unsigned lane, const char *name)
{
	struct volume_book_host *host;
	struct volume_page *page = NULL;

	assert(lane < BLOCK_MAX_LANES);
	pthread_mutex_lock(&book->mutex);
	host = find_host(book, name);
	if (host)
		page = find_page(host, lane);
	pthread_mutex_unlock(&book->mutex);
	return page;
}

/* -- looking -------------------------------------------------------------- */

static void add_op(
	struct volume_figures_op *sum, const struct volume_page_op *op)
{
	/* Ends before begins, so that in flight is rarely too low. */
	uint64_t requests = counter_get(&op->requests);
	uint64_t begun = counter_get(&op->begun);

	sum->requests += requests;
	sum->in_flight += begun > requests ? begun - requests : 0;
	sum->bytes += counter_get(&op->bytes);
	sum->total_ns += counter_get(&op->total_ns);
	for (unsigned i = 0; i < VOLUME_BUCKETS; i++)
		sum->latency[i] += counter_get(&op->latency[i]);
	for (unsigned i = 0; i < VOLUME_ERRORS; i++)
		sum->errors[i] += counter_get(&op->errors[i]);
}

static void add_host(
	struct volume_figures *figures, const struct volume_book_host *host)
{
	for (unsigned i = 0; i < BLOCK_MAX_LANES; i++) {
		const struct volume_page *page = page_at(host, i);

		if (!page)
			continue;
		figures->nexuses += counter_get(&page->nexuses);
		for (unsigned op = 0; op < VOLUME_OPS; op++)
			add_op(&figures->op[op], &page->op[op]);
		for (unsigned layer = 0; layer < VOLUME_LAYERS; layer++)
			block_times_sum(
				&page->layer[layer], &figures->layer[layer]);
	}
}

uint64_t volume_book_nexuses(const struct volume_book *book)
{
	uint64_t nexuses = 0;

	for (unsigned i = 0; i <= OTHERS; i++) {
		const struct volume_book_host *host = host_at(book, i);

		for (unsigned j = 0; host && j < BLOCK_MAX_LANES; j++) {
			const struct volume_page *page = page_at(host, j);

			if (page)
				nexuses += counter_get(&page->nexuses);
		}
	}
	return nexuses;
}

void volume_book_sum(
	const struct volume_book *book, struct volume_figures *figures)
{
	memset(figures, 0, sizeof *figures);
	for (unsigned i = 0; i <= OTHERS; i++) {
		const struct volume_book_host *host = host_at(book, i);

		if (host)
			add_host(figures, host);
	}
}

const struct volume_book_host *volume_book_next(
	const struct volume_book *book, unsigned *cursor)
{
	while (*cursor <= OTHERS) {
		const struct volume_book_host *host =
			host_at(book, (*cursor)++);

		if (host)
			return host;
	}
	return NULL;
}

void volume_book_host_sum(
	const struct volume_book_host *host, struct volume_figures *figures)
{
	memset(figures, 0, sizeof *figures);
	add_host(figures, host);
}
