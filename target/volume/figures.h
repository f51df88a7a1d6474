/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts ask of a volume and how long they wait: a book for each volume, in
 * it an entry for each host, in that a page for each lane.
 *
 *	book --> host "web1" --> page of lane 1, page of lane 2 ...
 *	     --> host ""         (all hosts beyond the first VOLUME_BOOK_HOSTS)
 *
 * The volume's own figures are the sum over its hosts, so each request is counted
 * once. The path that counts is plain loads, adds and stores to a page of the
 * lane's own; no lock, no allocation, and the time is the loop's turn time. Of about
 * one request in 64 the clock itself says how long each layer had it: on its way in
 * and in the command set here, below that in the stack (blockcore/times.h).
 *
 * Invariants
 *  1. A page has one writer, the thread of its lane. Any thread may read it
 *     meanwhile and sees each counter whole, but not several at one moment.
 *  2. Entries and pages live as long as the book: sessions come and go, counters
 *     only rise.
 *  3. Bounded: VOLUME_BOOK_HOSTS + 1 entries; a new name beyond them is counted
 *     in the last one. Entries and pages are made when a nexus opens.
 *  4. A request is counted when it ends; in flight is what has begun and not
 *     ended.
 */
#ifndef TARGET_VOLUME_FIGURES_H
#define TARGET_VOLUME_FIGURES_H

#include "blockcore/base/counter.h"
#include "blockcore/block.h"
#include "blockcore/times.h"

#include <pthread.h>

#define VOLUME_BOOK_HOSTS 64u
/* Bucket n counts what took at most 16 us << n (the last one: all the rest), as
 * long as it is above the bound of n - 1: 16 us to 16.8 s. */
#define VOLUME_BUCKETS 22u
#define VOLUME_BUCKET_NS 16000ull

enum volume_op {
	VOLUME_OP_READ,
	VOLUME_OP_WRITE,
	VOLUME_OP_FLUSH,
	VOLUME_OP_DISCARD, /* UNMAP, WRITE SAME with UNMAP */
	VOLUME_OP_OTHER, /* INQUIRY, reservations ... */
	VOLUME_OPS
};

/* Why a request did not succeed. */
enum volume_error {
	VOLUME_ERROR_NONE,
	VOLUME_ERROR_MEDIUM, /* the storage failed */
	VOLUME_ERROR_SPACE, /* the storage is full */
	VOLUME_ERROR_PROTECTED, /* a write to what is read-only */
	VOLUME_ERROR_OFFLINE, /* not ready */
	VOLUME_ERROR_CONFLICT, /* somebody else's reservation */
	VOLUME_ERROR_MISCOMPARE,
	VOLUME_ERROR_INVALID, /* the host asked for what cannot be */
	VOLUME_ERROR_ATTENTION, /* the host was told of news instead */
	VOLUME_ERROR_ABORTED,
	VOLUME_ERROR_BUSY, /* out of memory or buffers: the host tries again */
	VOLUME_ERRORS
};

/* What a timed request goes through above the volume's stack. */
enum volume_layer {
	/* From its header to the moment when its buffer and all its data are
	 * here: the host's way of sending is in it. */
	VOLUME_LAYER_TRANSPORT,
	/* From then to its status: order, reservations, the whole stack. */
	VOLUME_LAYER_COMMAND,
	VOLUME_LAYERS
};

/* "read", "medium" ...: as in metrics. */
const char *volume_op_name(enum volume_op op);
const char *volume_error_name(enum volume_error error);
const char *volume_layer_name(enum volume_layer layer);
/* Upper bound of a bucket in nanoseconds; 0: none, it is the last. */
uint64_t volume_bucket_bound_ns(unsigned bucket);

/* -- counting, on the page's lane ----------------------------------------- */

struct volume_page {
	struct counter nexuses; /* open now */
	struct block_times_turn turn; /* which requests are timed */
	struct volume_page_op {
		struct counter begun, requests, bytes, total_ns;
		struct counter latency[VOLUME_BUCKETS];
		struct counter errors[VOLUME_ERRORS]; /* [0] is not used */
	} op[VOLUME_OPS];
	struct block_times layer[VOLUME_LAYERS];
} __attribute__((aligned(BLOCK_LINE_BYTES)));

static inline void volume_page_begin(
	struct volume_page *page, enum volume_op op)
{
	counter_add(&page->op[op].begun, 1);
}

static inline unsigned volume_bucket_of(uint64_t took_ns)
{
	return counter_bucket(took_ns, VOLUME_BUCKET_NS, VOLUME_BUCKETS);
}

/* `bytes`: read, written or discarded; 0 with an error. */
static inline void volume_page_end(struct volume_page *page, enum volume_op op,
	enum volume_error error, uint64_t bytes, uint64_t took_ns)
{
	struct volume_page_op *at = &page->op[op];

	counter_add(&at->requests, 1);
	counter_add(&at->bytes, bytes);
	counter_add(&at->total_ns, took_ns);
	counter_add(&at->latency[volume_bucket_of(took_ns)], 1);
	if (error)
		counter_add(&at->errors[error], 1);
}

/* -- the book ------------------------------------------------------------- */

struct volume_book_host {
	char name[BLOCK_NAME_BYTES]; /* of the access table; "": the others */
	_Atomic(struct volume_page *) page[BLOCK_MAX_LANES];
};

struct volume_book {
	pthread_mutex_t mutex; /* of who adds an entry or a page */
	_Atomic(struct volume_book_host *) host[VOLUME_BOOK_HOSTS + 1];
};

void volume_book_init(struct volume_book *book);
/* No lane counts any more. */
void volume_book_fini(struct volume_book *book);
/* The page of `host` on a lane, made if need be; any thread. NULL without
 * memory: then nothing is counted. */
struct volume_page *volume_book_page(
	struct volume_book *book, unsigned lane, const char *host);

/* -- looking, on any thread ----------------------------------------------- */

struct volume_figures {
	uint64_t nexuses; /* a session's view of a LUN each, open now */
	struct volume_figures_op {
		uint64_t in_flight, requests, bytes, total_ns;
		uint64_t latency[VOLUME_BUCKETS];
		uint64_t errors[VOLUME_ERRORS];
	} op[VOLUME_OPS];
	struct block_times_sum layer[VOLUME_LAYERS];
};

/* Of all hosts together: `nexuses` alone, and everything, since the volume was made. */
uint64_t volume_book_nexuses(const struct volume_book *book);
void volume_book_sum(
	const struct volume_book *book, struct volume_figures *figures);
/* Entry by entry: *cursor starts at 0; NULL ends. The entry of the others (name
 * "") comes last, if it has been needed. */
const struct volume_book_host *volume_book_next(
	const struct volume_book *book, unsigned *cursor);
void volume_book_host_sum(
	const struct volume_book_host *host, struct volume_figures *figures);

#endif
