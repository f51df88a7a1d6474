/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk I/O by threads, where io_uring is forbidden: a world has one bounded pool;
 * each ring gives it up to RING_THREADS drainers, jobs that take operations from
 * the ring one after the other until none is left.
 *
 * Invariants
 *  1. LOOP_SUBMIT hands over all of a turn's operations under one lock; what has
 *     finished comes back under one message, however many it is.
 *  2. The message is out exactly while `finished` is not empty and has not been
 *     announced to the loop; LOOP_REAP takes the list only after the message has
 *     run. So when all operations are done no message is out, and the ring can
 *     be freed.
 *  3. A drainer touches the ring last when it unlocks after `active--`;
 *     ring_free waits for that.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blockcore/base/list.h"
#include "blockcore/base/trace.h"
#include "blockcore/ring/ring_backends.h"
#include "blockcore/ring/ring_files.h"
#include "blockcore/ring/ring_transfer.h"
#include "blockcore/worker.h"

#define RING_THREADS 16u

struct threads_world {
	struct ring_files_world files; /* first: it begins with the world */
	struct worker_pool *pool;
};

STAILQ_HEAD(op_list, ring_op);

struct drainer {
	struct loop_job job;
	struct threads_ring *ring;
	bool active; /* under the ring's lock */
};

struct threads_ring {
	struct ring ring;
	struct loop *loop;
	struct worker_pool *pool;
	struct loop_hook reap, submit;
	struct op_list pending; /* the loop's: queued in this turn */
	uint32_t pending_count, in_flight;
	bool announced; /* the message has run, `finished` can be taken */

	pthread_mutex_t lock; /* what follows */
	pthread_cond_t drained; /* active became 0 */
	struct op_list todo, finished;
	uint32_t todo_count;
	unsigned active;
	struct drainer drainers[RING_THREADS];
	struct loop_message message;
};

/* -- in a thread of the pool -------------------------------------------------- */

static int64_t threads_transfer(const struct ring_op *op, int fd)
{
	struct ring_part part;
	ring_transfer_part(op, &part);
	const struct iovec *iov = part.iov ? part.iov : &part.single;
	int count = (int)part.count;
	off_t offset = (off_t)part.offset_bytes;
	if (op->opcode == RING_READ)
		return preadv(fd, iov, count, offset);
	int flags = op->flags & RING_DSYNC ? RWF_DSYNC : 0;
	return pwritev2(fd, iov, count, offset, flags);
}

/* One attempt; >= 0 or -errno. */
static int64_t threads_try(const struct ring_op *op)
{
	int fd = ring_files_file(op->file)->fd;
	int64_t got;
	if (op->opcode <= RING_WRITE)
		got = threads_transfer(op, fd);
	else if (op->opcode == RING_DATASYNC)
		got = fdatasync(fd);
	else if (op->opcode == RING_ALLOCATE && op->file->block_device)
		got = 0;
	else
		got = fallocate(fd, ring_transfer_fallocate_mode(op),
			(off_t)op->offset_bytes, (off_t)op->length_bytes);
	return got < 0 ? -errno : got;
}

static void threads_execute(struct ring_op *op)
{
	while (!ring_transfer_step(op, threads_try(op)))
		;
}

/* Locked. */
static void threads_finish(struct threads_ring *self, struct ring_op *op)
{
	bool first = STAILQ_EMPTY(&self->finished);
	STAILQ_INSERT_TAIL(&self->finished, op, link);
	if (first)
		loop_post(self->loop, &self->message);
}

static void threads_drain(struct loop_job *job)
{
	struct drainer *drainer = container_of(job, struct drainer, job);
	struct threads_ring *self = drainer->ring;
	struct ring_op *op;
	pthread_mutex_lock(&self->lock);
	while ((op = STAILQ_FIRST(&self->todo))) {
		STAILQ_REMOVE_HEAD(&self->todo, link);
		self->todo_count--;
		pthread_mutex_unlock(&self->lock);
		threads_execute(op);
		pthread_mutex_lock(&self->lock);
		threads_finish(self, op);
	}
	drainer->active = false;
	if (--self->active == 0)
		pthread_cond_signal(&self->drained);
	pthread_mutex_unlock(&self->lock);
}

/* -- on the loop --------------------------------------------------------------- */

static void threads_queue(struct ring *ring, struct ring_op *op)
{
	struct threads_ring *self = (struct threads_ring *)ring;
	ring_transfer_start(op);
	STAILQ_INSERT_TAIL(&self->pending, op, link);
	self->pending_count++;
	self->submit.again = true;
}

/* Locked: as many drainers as there are operations. One that is about to end
 * sees, or has seen, the list under the same lock. */
static void threads_start_drainers(struct threads_ring *self)
{
	uint32_t wanted = self->todo_count;
	for (unsigned i = 0; i < RING_THREADS && wanted; i++) {
		struct drainer *drainer = &self->drainers[i];
		if (drainer->active)
			continue;
		drainer->active = true;
		self->active++;
		wanted--;
		worker_pool_submit(self->pool, &drainer->job);
	}
}

/* LOOP_SUBMIT */
static bool threads_submit(struct loop_hook *hook)
{
	struct threads_ring *self =
		container_of(hook, struct threads_ring, submit);
	if (!self->pending_count)
		return false;
	pthread_mutex_lock(&self->lock);
	STAILQ_CONCAT(&self->todo, &self->pending);
	self->todo_count += self->pending_count;
	threads_start_drainers(self);
	pthread_mutex_unlock(&self->lock);
	trace(ring_submit, self, self->pending_count);
	self->ring.figures.submits++;
	self->in_flight += self->pending_count;
	self->pending_count = 0;
	return false;
}

static void threads_announced(struct loop_message *message)
{
	container_of(message, struct threads_ring, message)->announced = true;
}

/* LOOP_REAP */
static bool threads_reap(struct loop_hook *hook)
{
	struct threads_ring *self =
		container_of(hook, struct threads_ring, reap);
	if (!self->announced)
		return false;
	self->announced = false;
	struct op_list finished = STAILQ_HEAD_INITIALIZER(finished);
	pthread_mutex_lock(&self->lock);
	STAILQ_CONCAT(&finished, &self->finished);
	pthread_mutex_unlock(&self->lock);
	struct ring_op *op;
	uint32_t count = 0;
	for (; (op = STAILQ_FIRST(&finished)); count++) {
		STAILQ_REMOVE_HEAD(&finished, link);
		self->in_flight--;
		self->ring.figures.done++;
		op->done(op);
	}
	trace(ring_reap, self, count);
	return false;
}

/* -- life --------------------------------------------------------------------- */

static int threads_ring_new(struct ring_world *world, struct loop *loop,
	struct ring **ring, struct err *err)
{
	struct threads_ring *self = calloc(1, sizeof *self);
	if (!self)
		return err_set(err, ENOMEM, "no memory for a ring");
	self->ring.world = world;
	self->loop = loop;
	self->pool = ((struct threads_world *)world)->pool;
	STAILQ_INIT(&self->pending);
	STAILQ_INIT(&self->todo);
	STAILQ_INIT(&self->finished);
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->drained, NULL);
	self->message.run = threads_announced;
	for (unsigned i = 0; i < RING_THREADS; i++) {
		self->drainers[i].ring = self;
		self->drainers[i].job.work = threads_drain;
		self->drainers[i].job.loop = loop;
	}
	self->reap.run = threads_reap;
	self->submit.run = threads_submit;
	loop_hook_add(loop, LOOP_REAP, &self->reap);
	loop_hook_add(loop, LOOP_SUBMIT, &self->submit);
	*ring = &self->ring;
	return 0;
}

static void threads_ring_free(struct ring *ring)
{
	struct threads_ring *self = (struct threads_ring *)ring;
	assert(!self->in_flight && !self->pending_count);
	loop_hook_remove(self->loop, LOOP_REAP, &self->reap);
	loop_hook_remove(self->loop, LOOP_SUBMIT, &self->submit);
	pthread_mutex_lock(&self->lock);
	while (self->active)
		pthread_cond_wait(&self->drained, &self->lock);
	pthread_mutex_unlock(&self->lock);
	pthread_cond_destroy(&self->drained);
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static int threads_register_buffers(struct ring *ring, void *base, size_t bytes)
{
	(void)ring;
	(void)base;
	(void)bytes;
	return 0; /* nothing to gain, nothing refused */
}

static void threads_forget_file(struct ring *ring, struct ring_file *file)
{
	(void)ring;
	(void)file;
}

static void threads_world_free(struct ring_world *world)
{
	struct threads_world *self = (struct threads_world *)world;
	worker_pool_free(self->pool);
	ring_files_world_fini(&self->files);
	free(self);
}

static const struct ring_world_ops threads_ops = {
	.name = "threads",
	.world_free = threads_world_free,
	.open = ring_files_open,
	.close = ring_files_close,
	.resize = ring_files_resize,
	.lock = ring_files_lock,
	.extent = ring_files_extent,
	.space = ring_files_space,
	.ring_new = threads_ring_new,
	.ring_free = threads_ring_free,
	.register_buffers = threads_register_buffers,
	.queue = threads_queue,
	.forget_file = threads_forget_file,
};

struct ring_world *ring_threads_world_new(struct err *err)
{
	struct threads_world *self = malloc(sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "no memory for disk I/O");
		return NULL;
	}
	self->pool = worker_pool_new(RING_THREADS, err);
	if (!self->pool) {
		free(self);
		return NULL;
	}
	ring_files_world_init(&self->files, &threads_ops);
	return &self->files.world;
}
