/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: what makes changes durable, and how a request ends.
 *
 * The kernel reports a write-back error once per open file, to whoever syncs
 * first. So all lanes' flushes of a file go through lane 0, which has one
 * fdatasync running and one batch waiting.
 *
 * Invariants
 *  1. A flush is answered by an fdatasync that was started after the flush was
 *     submitted: one that comes while an fdatasync runs waits for the next.
 *  2. All flushes of a batch get its one result.
 *  3. A failed fdatasync, or a durable write that fails with EIO, makes the
 *     driver FAILED before anything is answered; nothing that promises
 *     durability succeeds afterwards.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"

#include <assert.h>
#include <errno.h>

static void flush_start(struct file_driver *file);

bool file_flush_failed(struct file_driver *file)
{
	return atomic_load_explicit(&file->failed, memory_order_acquire);
}

void file_flush_fail(struct file_driver *file, int error, const char *text)
{
	if (!atomic_exchange(&file->failed, true))
		block_driver_failed(&file->driver, error, text);
}

int file_flush_result(struct file_io *io, uint64_t bytes)
{
	int result = io->op.result;

	if (result == -EIO && (io->op.flags & RING_DSYNC))
		file_flush_fail(io->file, result,
			"a write that had to be durable failed");
	/* A quota, or the largest file that may be, is as good a limit as a disk's
	 * end. */
	if (result == -EDQUOT || result == -EFBIG)
		return -ENOSPC;
	if (result < 0)
		return result;
	return (uint64_t)result == bytes ? 0 : -EIO;
}

/* -- the end of a request ------------------------------------------------- */

static void io_end(struct file_io *io, int result)
{
	struct block_request *request = io->request;
	bool durable = io->ring_flags & RING_DSYNC;

	if (!request) {
		io->result = result;
		if (co_self() != io->co)
			co_resume(io->co);
		return;
	}
	if (!result && durable && file_flush_failed(io->file))
		result = -EIO;
	slab_put(&io->lane->ios, io);
	block_complete(request, result);
}

void file_flush_finish(struct file_io *io, int result)
{
	if (!result && io->flush_after)
		file_flush_join(io);
	else
		io_end(io, result);
}

/* -- lane 0 --------------------------------------------------------------- */

static void waiter_home(struct loop_message *message)
{
	struct file_io *io = container_of(message, struct file_io, message);

	io_end(io, io->result);
}

static void waiter_answer(struct file_io *io, int result)
{
	io->result = result;
	if (io->lane->lane->index == 0) {
		io_end(io, result);
		return;
	}
	io->message.run = waiter_home;
	loop_post(io->lane->lane->loop, &io->message);
}

static void flush_done(struct ring_op *op)
{
	struct file_flush *flush = container_of(op, struct file_flush, op);
	struct file_driver *file =
		container_of(flush, struct file_driver, flush);
	struct file_io_list served = TAILQ_HEAD_INITIALIZER(served);
	struct file_io *io;
	int result = op->result;

	if (result < 0)
		file_flush_fail(file, result,
			"fdatasync failed: what was "
			"written since the last one may be lost");
	if (file_flush_failed(file))
		result = -EIO;
	TAILQ_CONCAT(&served, &flush->served, link);
	flush->running = false;
	if (!TAILQ_EMPTY(&flush->waiting))
		flush_start(file);
	while ((io = TAILQ_FIRST(&served))) {
		TAILQ_REMOVE(&served, io, link);
		waiter_answer(io, result);
	}
}

static void flush_start(struct file_driver *file)
{
	struct file_flush *flush = &file->flush;
	struct ring *ring = block_core_lane(file->driver.core, 0)->ring;

	TAILQ_CONCAT(&flush->served, &flush->waiting, link);
	flush->running = true;
	counter_add(&flush->syncs, 1);
	flush->op = (struct ring_op){.opcode = RING_DATASYNC,
		.file = file->file,
		.done = flush_done};
#ifdef CAIRN_MUTANT_NO_DATASYNC /* must not pass tests/sim/test_power_cut */
	(void)ring;
	flush_done(&flush->op);
#else
	ring_queue(ring, &flush->op);
#endif
}

static void waiter_enter(struct file_io *io)
{
	struct file_flush *flush = &io->file->flush;

	trace(file_flush, io->file, flush->running);
#ifdef CAIRN_MUTANT_FLUSH_ORDER /* must not pass tests/sim/test_power_cut */
	if (flush->running) {
		TAILQ_INSERT_TAIL(&flush->served, io, link);
		return;
	}
#endif
	TAILQ_INSERT_TAIL(&flush->waiting, io, link);
	if (!flush->running)
		flush_start(io->file);
}

static void waiter_arrives(struct loop_message *message)
{
	waiter_enter(container_of(message, struct file_io, message));
}

void file_flush_join(struct file_io *io)
{
	struct block_lane *home = block_core_lane(io->file->driver.core, 0);

	counter_add(&io->lane->flushes, 1);
	if (io->lane->lane == home) {
		waiter_enter(io);
		return;
	}
	io->message.run = waiter_arrives;
	loop_post(home->loop, &io->message);
}

int file_flush_co(struct file_driver *file)
{
	struct block_lane *home = block_core_lane(file->driver.core, 0);
	struct file_io io = {.file = file,
		.lane = block_driver_lane(&file->driver, home),
		.co = co_self(),
		.result = INT32_MAX};

	file_flush_join(&io);
	while (io.result == INT32_MAX)
		co_yield ();
	return io.result;
}

void file_flush_init(struct file_driver *file)
{
	TAILQ_INIT(&file->flush.waiting);
	TAILQ_INIT(&file->flush.served);
	atomic_init(&file->failed, false);
}
