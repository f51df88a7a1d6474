/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the listener backup:
 *
 *	backup.c	options, life, requests on their way in
 *	backup_figures.c  verbs, figures
 *	backup_moment.c	with a map: the moment over a stop
 *	backup_work.c	operations: who has one, who waits for one, their end
 *	backup_copy.c	old data to the target, before they are changed
 *	backup_read.c	the moment, read by its views
 *	backup_lock.c	order between copying and reading of granules
 *	backup_keep.c	with a map: what waits until that is durable
 *	backup_map.c	the map's bytes
 *
 * Each calls only those below it, and backup_work.c begins both kinds of work.
 */
#ifndef BLOCKCORE_LISTENER_BACKUP_H
#define BLOCKCORE_LISTENER_BACKUP_H

#include "blockcore/base/co.h"
#include "blockcore/base/counter.h"
#include "blockcore/core/image.h"
#include "blockcore/kind.h"

#include <pthread.h>
#include <stdatomic.h>

#define BACKUP_GRANULE_LEAST (4u << 10)
#define BACKUP_GRANULE_MOST (1u << 20)
#define BACKUP_PIECE_BYTES \
	(64u << 10) /* copied at once, or a granule if larger */
#define BACKUP_BITS_MOST (1ull << 31) /* granules: 256 MiB of bits */
#define BACKUP_SLICES 64u /* of a part of a read */
#define BACKUP_WHY_BYTES 160u

/* The map: marks in sectors, each with the map's number and a checksum. */
#define BACKUP_SECTOR_WORDS 63u
#define BACKUP_BLOCK_BYTES 4096u
#define BACKUP_BLOCK_WORDS \
	(BACKUP_BLOCK_BYTES / BLOCK_SECTOR_BYTES * BACKUP_SECTOR_WORDS)
#define BACKUP_BATCH \
	16u /* blocks that are written for one flush of the target */

enum backup_on_error { BACKUP_BREAK, BACKUP_FAIL, BACKUP_WAIT };

struct backup_options {
	const struct doc *target;
	uint64_t granularity_bytes, copies;
	int on_error;
	char *map; /* NULL: the moment ends with the daemon */
};

enum backup_state {
	BACKUP_NONE, /* its source was opened with it: no moment was kept */
	BACKUP_ACTIVE,
	BACKUP_BROKEN /* of what was not copied, the moment is lost */
};

struct backup_op;
struct backup_lane;

/* What the map's header says. */
struct backup_header {
	uint32_t
		state; /* enum backup_state; of a map that is new BACKUP_NONE */
	uint32_t shift, number;
	uint64_t granules, size_bytes, id;
	uint64_t target; /* a print of its document */
	uint64_t image; /* what the source lay in at a clean stop; 0: unknown */
	bool clean; /* nobody had it open */
	char why[BACKUP_WHY_BYTES]; /* it is broken */
};

/* Of one that keeps. Control lane, but for what is atomic. */
struct backup_map {
	struct co_mutex writing;
	struct backup_header header; /* as it was found, then as it is to be */
	/* The header says, or may say, that the moment is whole. */
	_Atomic bool active;
	/* Changes wait until the mark of what they copied is durable. */
	_Atomic bool keeping;
	_Atomic bool all; /* all that is copied is to be kept */
	_Atomic int error; /* why what must be durable is not; 0: it is */
	/* The map cannot be brought to say that it is broken; hosts go on. */
	_Atomic bool unsaid;
	_Atomic int mute; /* why it cannot say that it is broken; 0: it can */
	bool doubt; /* the header says that it does not know */
	bool settled; /* what was below at the moment is durable there */
	uint64_t doubts; /* times that other content was to come */
	_Atomic uint64_t *kept; /* bits: marks that are durable */
	_Atomic uint64_t *wanted; /* bits: changes wait for these */
	_Atomic uint64_t *blocks; /* bits: blocks with some that are wanted */
	uint8_t *batch; /* BACKUP_BATCH blocks on their way */
	struct block_image closed; /* what the source lay in */
	struct loop_errand errand, settle;
	struct loop_timer timer; /* until settling */
	bool working, settling; /* the errands are under way */
	struct co *closer; /* waits for the end of the errands */
};

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
	bool keeps; /* there is a map */
	_Atomic int state;
	_Atomic uint64_t copied_count;
	_Atomic uint64_t *copied; /* bits: granules that are in the target */
	pthread_mutex_t mutex; /* of the two below */
	TAILQ_HEAD(, backup_lock) locks; /* in order of arrival */
	char why[BACKUP_WHY_BYTES]; /* it is broken */
	/* Its source, which has been in use, was opened without its target: broken. */
	bool without_target;
	char lacks[BACKUP_WHY_BYTES];
	struct backup_map map;
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
	TAILQ_ENTRY(backup_op) keep; /* while it waits for the map */
};

struct backup_lane {
	struct backup_driver *backup;
	struct loop *loop;
	SLIST_HEAD(, backup_op) free;
	struct block_request_list waiting;
	struct backup_op *op;
	uint8_t *memory;
	struct counter copied_bytes, waited, point_reads;
	TAILQ_HEAD(, backup_op) keeping; /* wait for the map */
	struct loop_message ask, go;
	_Atomic bool asked, going; /* they are on their way */
	bool asking; /* control lane: to be told when marks are kept */
};

/* -- backup_figures.c (see block_kind) -------------------------------------- */

int backup_rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err);
int backup_command_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err);
void backup_status(struct block_driver *driver, FILE *out);

/* -- backup_moment.c: only with a map --------------------------------------- */

int backup_moment_open_co(struct backup_driver *backup, struct err *err);
/* No request is in it any more. */
void backup_moment_close_co(struct backup_driver *backup);
/* Its source opens: the moment goes on, or says why not. */
void backup_moment_resume_co(
	struct backup_driver *backup, struct block_image *image);

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

/* -- backup_keep.c: only with a map ---------------------------------------- */

/* Whether a change of these granules (of a range that lies in the moment) has to wait
 * for the map, all of them being in the target. Any lane. */
bool backup_keep_needed(
	struct backup_driver *backup, uint64_t first, uint64_t last);
/* The operation's change goes on when the map is durable; what only asked for copies
 * has ended then. Whatever cannot be made durable fails it. */
void backup_keep(struct backup_op *op);

void backup_keep_start(struct backup_driver *backup);
/* No request is in it any more. */
void backup_keep_stop_co(struct backup_driver *backup);
/* What is below is to change otherwise than by requests, or the moment begins: after a
 * crash there is none, until it has settled. */
int backup_keep_doubt_co(struct backup_driver *backup, struct err *err);
/* In a while the header says what is true. */
void backup_keep_soon(struct backup_driver *backup);
/* It says that the moment is broken. */
int backup_keep_broken_co(struct backup_driver *backup);

/* -- backup_map.c: control lane -------------------------------------------- */

/* Makes room for the marks, reads map->header. */
int backup_map_open_co(struct backup_driver *backup, struct err *err);
/* Durable when it returns 0; map->active is what it says. */
int backup_map_header_co(
	struct backup_driver *backup, enum backup_state state, const char *why);
/* As backup_map_header_co with BACKUP_BROKEN, whatever of the map can still be written:
 * opened again, and if need be its body is spoilt, so that who loads it finds it damaged. */
int backup_map_broken_co(struct backup_driver *backup);
/* All marks, which are copied and kept then. -EILSEQ: some are damaged. */
int backup_map_load_co(struct backup_driver *backup);
/* Takes what is wanted, of at most BACKUP_BATCH blocks: makes the target durable, then
 * their marks, which are kept then. *more: there may be others. */
int backup_map_batch_co(struct backup_driver *backup, bool *more);
/* All that is copied, durable in the target and there. */
int backup_map_whole_co(struct backup_driver *backup);

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
bool backup_wants(
	struct backup_driver *backup, const struct block_request *request);
bool backup_is_active(const struct backup_driver *backup);
/* Once; what follows does nothing. Any lane. */
void backup_break(struct backup_driver *backup, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
