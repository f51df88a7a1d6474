/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the listener backup:
 *
 *	backup.c	options, life, requests on their way in, verbs, figures
 *	backup_work.c	operations: who has one, who waits for one, their end
 *	backup_copy.c	old data to the target, before they are changed
 *	backup_read.c	the moment, read by its views
 *	backup_lock.c	order between copying and reading of granules
 *
 * Each calls only those below it, and backup_work.c begins both kinds of work.
 */
#ifndef BLOCKCORE_LISTENER_BACKUP_H
#define BLOCKCORE_LISTENER_BACKUP_H

#include "blockcore/base/counter.h"
#include "blockcore/kind.h"

#include <pthread.h>
#include <stdatomic.h>

#define BACKUP_GRANULE_LEAST (4u << 10)
#define BACKUP_GRANULE_MOST (1u << 20)
#define BACKUP_PIECE_BYTES \
	(64u << 10) /* copied at once, or a granule if larger */
#define BACKUP_BITS_MOST (1ull << 31) /* granules: 256 MiB of bits */
#define BACKUP_SLICES 64u /* of a part of a read */

enum backup_on_error { BACKUP_BREAK, BACKUP_FAIL, BACKUP_WAIT };

struct backup_options {
	const struct doc *target;
	uint64_t granularity_bytes, copies;
	int on_error;
};

enum backup_state {
	BACKUP_NONE, /* its source was opened with it: no moment was kept */
	BACKUP_ACTIVE,
	BACKUP_BROKEN /* of what was not copied, the moment is lost */
};

struct backup_op;

/* Granules that an operation copies (alone) or reads below (with other readers). */
struct backup_lock {
	uint64_t first, last;
	bool alone, granted;
	void (*go)(struct backup_op *op);
	struct loop_message wake;
	TAILQ_ENTRY(backup_lock) link;
};

struct backup_driver {
	struct block_driver driver;
	struct block_claim claim; /* of the target */
	uint64_t id; /* of the moment */
	uint64_t size_bytes, granules; /* of the source then */
	uint64_t bits; /* that there is room for */
	unsigned shift;
	_Atomic int state;
	_Atomic uint64_t copied_count;
	_Atomic uint64_t *copied; /* bits: granules that are in the target */
	pthread_mutex_t mutex; /* of the two below */
	TAILQ_HEAD(, backup_lock) locks; /* in order of arrival */
	char why[160]; /* it is broken */
};

struct backup_op {
	struct backup_lane *lane;
	struct block_request *request, *child;
	struct backup_lock lock;
	struct loop_timer again; /* armed: it waits for the target to work */
	uint64_t at, end; /* what is left to do, within the moment */
	struct iovec piece; /* memory to copy through */
	uint64_t piece_offset;
	struct iovec slice[BACKUP_SLICES];
	SLIST_ENTRY(backup_op) link; /* while it is free */
};

struct backup_lane {
	struct backup_driver *backup;
	struct loop *loop;
	SLIST_HEAD(, backup_op) free;
	struct block_request_list waiting;
	struct backup_op *op;
	uint8_t *memory;
	struct counter copied_bytes, waited, point_reads;
};

/* -- backup_work.c -------------------------------------------------------- */

/* Gives it an operation, at once or when one is free. Cancelled while it waits. */
void backup_work(struct backup_lane *lane, struct block_request *request);
/* The operation is free, or the next request's. The request has ended with `result`,
 * or goes on below. Any operation at work, without a lock. */
void backup_work_end(struct backup_op *op, int result);
void backup_work_pass(struct backup_op *op);
/* A child of the operation's request, to be sent on: *op->child until its end, when
 * `ended` is called. NULL: no memory. */
struct block_request *backup_work_child(struct backup_op *op,
	bool (*ended)(struct block_request *child, struct block_frame *frame));

/* -- backup_copy.c -------------------------------------------------------- */

/* Copies what of the request's range is not in the target yet. Then a change goes on
 * below; what only asked for that (block_point.fill) has ended. */
void backup_copy(struct backup_op *op);

/* -- backup_read.c -------------------------------------------------------- */

/* The request reads the moment. */
void backup_read(struct backup_op *op);

/* -- backup_lock.c -------------------------------------------------------- */

/* Calls op->lock.go when nobody in conflict is before it: inside, or later. */
void backup_lock(struct backup_op *op, uint64_t first, uint64_t last,
	bool alone, void (*go)(struct backup_op *op));
void backup_unlock(struct backup_op *op);

/* -- the moment (backup.c) ------------------------------------------------ */

static inline bool backup_is_copied(
	const struct backup_driver *backup, uint64_t granule)
{
	return atomic_load_explicit(
		       &backup->copied[granule / 64], memory_order_acquire) >>
		granule % 64 &
		1;
}

/* Granules from `granule` on, at most to `last`, that are in the same state. */
uint64_t backup_run(
	const struct backup_driver *backup, uint64_t granule, uint64_t last);
void backup_set_copied(
	struct backup_driver *backup, uint64_t first, uint64_t last);
/* Whether the request is to be worked on before it goes on. */
bool backup_wants(const struct backup_driver *backup,
	const struct block_request *request);
bool backup_is_active(const struct backup_driver *backup);
/* Once; what follows does nothing. Any lane. */
void backup_break(struct backup_driver *backup, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
