/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk I/O by io_uring: one ring per loop.
 *
 * A turn: what is queued waits in `pending`; LOOP_SUBMIT writes it to the
 * submission queue and enters the kernel, which also collects completions;
 * LOOP_REAP of the same or next turn runs `done`. Between turns the kernel wakes
 * the loop through an eventfd.
 *
 * A disk has nothing to do while a turn that took back most of its work prepares
 * the next: so ring_queue enters the kernel by itself as soon as more waits than
 * the disk has. That is at most once for each doubling of the disk's work, thus
 * for a turn of n operations about log2 n times and not n, and with one operation
 * at a time as often as without. Beside one submission a turn, reads of 4 KiB at
 * depth 32 gained a third (tests/bench/qcow2).
 *
 * Invariants
 *  1. in_flight never exceeds the size of the completion queue: it cannot
 *     overflow, whatever the disks do.
 *  2. While the loop has completions to reap the eventfd's notification is off.
 *     It is switched on before the loop may sleep, and the queue is looked at
 *     once more after that: a completion came either before (then we see it) or
 *     after (then the eventfd wakes us). With deferred task work "came" means
 *     that the kernel has set IORING_SQ_TASKRUN; the look includes that flag.
 *  3. One thread: the ring is made, entered and freed on its loop's thread, as
 *     SINGLE_ISSUER demands.
 *  4. A slot of the table of registered files holds the file whose serial is
 *     noted for it, or nothing.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"
#include "blockcore/ring/ring_backends.h"
#include "blockcore/ring/ring_files.h"
#include "blockcore/ring/ring_kernel.h"
#include "blockcore/ring/ring_transfer.h"

#define REAP_BATCH 64u
/* The kernel takes at most this much as one registered buffer. */
#define FIXED_SHIFT 30
#define FIXED_MAX 64u

struct uring {
	struct ring ring;
	struct loop *loop;
	struct io_uring kernel;
	struct loop_hook reap, submit;
	struct loop_watch wake; /* the eventfd */
	STAILQ_HEAD(, ring_op) pending;
	uint32_t pending_count;
	uint32_t in_flight, in_flight_max; /* in_flight: not reaped yet */

	uint32_t file_slots; /* 0: the kernel refused the table */
	uint64_t file_serials[RING_FILES_SLOTS]; /* 0: empty */

	char *fixed_base; /* registered region, fixed_bytes 0 if none */
	size_t fixed_bytes;
};

/* -- from an operation to a submission queue entry ---------------------------- */

/* The index in the table of registered files, or -1: use the descriptor. */
static int uring_file_slot(struct uring *self, struct ring_files_file *file)
{
	if (file->slot >= self->file_slots)
		return -1;
	if (self->file_serials[file->slot] == file->serial)
		return (int)file->slot;
	if (io_uring_register_files_update(
		    &self->kernel, file->slot, &file->fd, 1) != 1)
		return -1;
	self->file_serials[file->slot] = file->serial;
	return (int)file->slot;
}

/* The index of the registered buffer around all of `piece`, or -1. */
static int uring_fixed_index(const struct uring *self, const struct ring_op *op,
	const struct iovec *piece)
{
	if (!op->registered_buffer || !self->fixed_bytes)
		return -1;
	size_t first = (size_t)((char *)piece->iov_base - self->fixed_base);
	size_t last = first + piece->iov_len - 1;
	assert(last < self->fixed_bytes);
	if (first >> FIXED_SHIFT != last >> FIXED_SHIFT)
		return -1;
	return (int)(first >> FIXED_SHIFT);
}

static void uring_prepare_piece(const struct uring *self,
	struct io_uring_sqe *sqe, const struct ring_op *op, int fd,
	const struct ring_part *part)
{
	void *data = part->single.iov_base;
	unsigned bytes = (unsigned)part->single.iov_len;
	int fixed = uring_fixed_index(self, op, &part->single);
	if (op->opcode == RING_READ && fixed >= 0)
		io_uring_prep_read_fixed(
			sqe, fd, data, bytes, part->offset_bytes, fixed);
	else if (op->opcode == RING_READ)
		io_uring_prep_read(sqe, fd, data, bytes, part->offset_bytes);
	else if (fixed >= 0)
		io_uring_prep_write_fixed(
			sqe, fd, data, bytes, part->offset_bytes, fixed);
	else
		io_uring_prep_write(sqe, fd, data, bytes, part->offset_bytes);
}

static void uring_prepare_transfer(const struct uring *self,
	struct io_uring_sqe *sqe, const struct ring_op *op, int fd)
{
	struct ring_part part;
	ring_transfer_part(op, &part);
	if (!part.iov)
		uring_prepare_piece(self, sqe, op, fd, &part);
	else if (op->opcode == RING_READ)
		io_uring_prep_readv(
			sqe, fd, part.iov, part.count, part.offset_bytes);
	else
		io_uring_prep_writev(
			sqe, fd, part.iov, part.count, part.offset_bytes);
	if (op->opcode == RING_WRITE && op->flags & RING_DSYNC)
		sqe->rw_flags = RWF_DSYNC;
}

static void uring_prepare(
	struct uring *self, struct io_uring_sqe *sqe, struct ring_op *op)
{
	struct ring_files_file *file = ring_files_file(op->file);
	int slot = uring_file_slot(self, file);
	int fd = slot >= 0 ? slot : file->fd;
	if (op->opcode <= RING_WRITE)
		uring_prepare_transfer(self, sqe, op, fd);
	else if (op->opcode == RING_DATASYNC)
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	else if (op->opcode == RING_ALLOCATE && op->file->block_device)
		io_uring_prep_nop(sqe);
	else
		/* The kernel's length has 64 bits here, liburing 2.3's
		 * parameter is an off_t. */
		io_uring_prep_fallocate(sqe, fd,
			ring_transfer_fallocate_mode(op),
			(off_t)op->offset_bytes, (off_t)op->length_bytes);
	if (slot >= 0 && sqe->opcode != IORING_OP_NOP)
		sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, op);
}

/* -- submission --------------------------------------------------------------- */

/* Moves what there is room for to the submission queue. */
static void uring_fill(struct uring *self)
{
	struct ring_op *op;
	while (self->in_flight < self->in_flight_max &&
		(op = STAILQ_FIRST(&self->pending))) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&self->kernel);
		if (!sqe)
			return;
		STAILQ_REMOVE_HEAD(&self->pending, link);
		self->pending_count--;
		uring_prepare(self, sqe, op);
		self->in_flight++;
	}
}

/* Before the kernel is entered to take what uring_fill has prepared. */
static void uring_note_submit(struct uring *self)
{
	self->ring.figures.submits++;
	self->ring.figures.full += !STAILQ_EMPTY(&self->pending);
	trace(ring_submit, self, io_uring_sq_ready(&self->kernel));
}

/* More waits than the disk has. What it has finished and the kernel has not told
 * us of yet counts as the disk's: to hear of it costs an entry. */
static bool uring_is_disk_short(const struct uring *self)
{
	return self->pending_count >
		self->in_flight - io_uring_cq_ready(&self->kernel);
}

static void uring_queue(struct ring *ring, struct ring_op *op)
{
	struct uring *self = (struct uring *)ring;
	ring_transfer_start(op);
	STAILQ_INSERT_TAIL(&self->pending, op, link);
	self->pending_count++;
	/* It arms the eventfd, too, and sends what the kernel did not take. */
	self->submit.again = true;
	if (!uring_is_disk_short(self))
		return;
	uring_fill(self);
	if (!io_uring_sq_ready(&self->kernel))
		return;
	uring_note_submit(self);
	(void)io_uring_submit(&self->kernel);
}

/* Completions that can be reaped now, or that the kernel would turn into such
 * as soon as we enter it. */
static bool uring_has_completions(const struct uring *self)
{
	if (io_uring_cq_ready(&self->kernel))
		return true;
	unsigned flags =
		__atomic_load_n(self->kernel.sq.kflags, __ATOMIC_RELAXED);
	return flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
}

/* The switch of the notification must be seen before we look at the queue: the
 * kernel sets its flag, then reads the switch. ThreadSanitizer knows no fences,
 * and this one is between us and the kernel, which it does not see. */
static void uring_fence(void)
{
#ifndef CAIRN_TSAN
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#else
	static uint32_t nothing;
	__atomic_fetch_add(&nothing, 1, __ATOMIC_SEQ_CST);
#endif
}

/* Before the loop may sleep; true: it must not. */
static bool uring_arm_wake(struct uring *self)
{
	if (!self->in_flight)
		return false;
	if (uring_has_completions(self))
		return true;
	io_uring_cq_eventfd_toggle(&self->kernel, true);
	uring_fence();
	return uring_has_completions(self);
}

/* LOOP_SUBMIT. More than one call only if more waits than fits. */
static bool uring_submit(struct loop_hook *hook)
{
	struct uring *self = container_of(hook, struct uring, submit);
	for (;;) {
		uring_fill(self);
		if (!io_uring_sq_ready(&self->kernel))
			return uring_arm_wake(self);
		uring_note_submit(self);
		int sent = io_uring_submit_and_get_events(&self->kernel);
		/* No memory for requests (-EAGAIN), or a signal: the entries
		 * are still there, next turn. */
		if (sent <= 0)
			return true;
	}
}

/* -- completion --------------------------------------------------------------- */

static void uring_complete(struct uring *self, struct ring_op *op, int result)
{
	self->in_flight--;
	if (ring_transfer_step(op, result)) {
		self->ring.figures.done++;
		op->done(op);
	} else {
		STAILQ_INSERT_HEAD(&self->pending, op, link);
		self->pending_count++;
	}
}

/* LOOP_REAP */
static bool uring_reap(struct loop_hook *hook)
{
	struct uring *self = container_of(hook, struct uring, reap);
	struct io_uring_cqe *cqes[REAP_BATCH];
	if (!self->in_flight)
		return false;
	io_uring_cq_eventfd_toggle(&self->kernel, false);
	for (;;) {
		unsigned count = io_uring_peek_batch_cqe(
			&self->kernel, cqes, REAP_BATCH);
		if (!count)
			return false;
		trace(ring_reap, self, count);
		for (unsigned i = 0; i < count; i++) {
			struct ring_op *op = io_uring_cqe_get_data(cqes[i]);
			int result = cqes[i]->res;
			/* One by one: uring_queue looks at what is left. */
			io_uring_cq_advance(&self->kernel, 1);
			uring_complete(self, op, result);
		}
	}
}

/* The hooks do the work; this only makes the turn happen. */
static void uring_woken(struct loop_watch *watch, unsigned events)
{
	(void)events;
	uint64_t count;
	ssize_t got = read(watch->fd, &count, sizeof count);
	assert(got == sizeof count || errno == EAGAIN);
}

/* -- registration ------------------------------------------------------------- */

static int uring_register_buffers(struct ring *ring, void *base, size_t bytes)
{
	struct uring *self = (struct uring *)ring;
	struct iovec pieces[FIXED_MAX];
	assert(!self->fixed_bytes && !self->in_flight && bytes > 0);
	size_t most = (size_t)1 << FIXED_SHIFT, at = 0;
	unsigned count = 0;
	for (; at < bytes; at += most, count++) {
		if (count == FIXED_MAX)
			return -E2BIG;
		pieces[count].iov_base = (char *)base + at;
		pieces[count].iov_len = bytes - at < most ? bytes - at : most;
	}
	int failed = io_uring_register_buffers(&self->kernel, pieces, count);
	if (failed)
		return failed;
	self->fixed_base = base;
	self->fixed_bytes = bytes;
	return 0;
}

static void uring_forget_file(struct ring *ring, struct ring_file *file)
{
	struct uring *self = (struct uring *)ring;
	struct ring_files_file *known = ring_files_file(file);
	if (known->slot >= self->file_slots ||
		self->file_serials[known->slot] != known->serial)
		return;
	int none = -1;
	io_uring_register_files_update(&self->kernel, known->slot, &none, 1);
	self->file_serials[known->slot] = 0;
}

/* The table cannot be larger than the limit of open files. */
static void uring_register_files(struct uring *self)
{
	for (uint32_t slots = RING_FILES_SLOTS; slots >= 64; slots /= 2)
		if (!io_uring_register_files_sparse(&self->kernel, slots)) {
			self->file_slots = slots;
			return;
		}
}

/* -- life --------------------------------------------------------------------- */

static int uring_start_wake(struct uring *self)
{
	self->wake.ready = uring_woken;
	self->wake.interest = LOOP_READABLE;
	self->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->wake.fd < 0)
		return -errno;
	int failed = io_uring_register_eventfd(&self->kernel, self->wake.fd);
	if (!failed)
		failed = loop_watch(self->loop, &self->wake);
	if (failed)
		close(self->wake.fd);
	return failed;
}

static int uring_ring_new(struct ring_world *world, struct loop *loop,
	struct ring **ring, struct err *err)
{
	struct uring *self = calloc(1, sizeof *self);
	if (!self)
		return err_set(err, ENOMEM, "no memory for a ring");
	self->ring.world = world;
	self->loop = loop;
	STAILQ_INIT(&self->pending);
	int failed = ring_kernel_setup(&self->kernel);
	if (failed)
		goto no_ring;
	failed = uring_start_wake(self);
	if (failed)
		goto no_wake;
	self->in_flight_max = *self->kernel.cq.kring_entries;
	uring_register_files(self);
	(void)io_uring_register_ring_fd(&self->kernel);
	self->reap.run = uring_reap;
	self->submit.run = uring_submit;
	loop_hook_add(loop, LOOP_REAP, &self->reap);
	loop_hook_add(loop, LOOP_SUBMIT, &self->submit);
	*ring = &self->ring;
	return 0;
no_wake:
	io_uring_queue_exit(&self->kernel);
no_ring:
	free(self);
	return err_set(
		err, -failed, "no ring for disk I/O: %s", strerror(-failed));
}

static void uring_ring_free(struct ring *ring)
{
	struct uring *self = (struct uring *)ring;
	assert(!self->in_flight && STAILQ_EMPTY(&self->pending));
	loop_hook_remove(self->loop, LOOP_REAP, &self->reap);
	loop_hook_remove(self->loop, LOOP_SUBMIT, &self->submit);
	loop_unwatch(self->loop, &self->wake);
	io_uring_queue_exit(&self->kernel);
	close(self->wake.fd);
	free(self);
}

static void uring_world_free(struct ring_world *world)
{
	struct ring_files_world *self = (struct ring_files_world *)world;
	ring_files_world_fini(self);
	free(self);
}

static const struct ring_world_ops uring_ops = {
	.name = "io_uring",
	.world_free = uring_world_free,
	.open = ring_files_open,
	.close = ring_files_close,
	.resize = ring_files_resize,
	.lock = ring_files_lock,
	.extent = ring_files_extent,
	.space = ring_files_space,
	.ring_new = uring_ring_new,
	.ring_free = uring_ring_free,
	.register_buffers = uring_register_buffers,
	.queue = uring_queue,
	.forget_file = uring_forget_file,
};

struct ring_world *ring_uring_world_new(struct err *err)
{
	const char *what;
	int failed = ring_kernel_try(&what);
	if (failed) {
		err_set(err, -failed,
			"io_uring cannot be used: %s (%s; see "
			"kernel.io_uring_disabled and the container's seccomp "
			"profile)",
			what, strerror(-failed));
		return NULL;
	}
	struct ring_files_world *world = malloc(sizeof *world);
	if (!world) {
		err_set(err, ENOMEM, "no memory for disk I/O");
		return NULL;
	}
	ring_files_world_init(world, &uring_ops);
	return &world->world;
}
