/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of the simulated world: their stages in time, what each does; see
 * the header.
 */
#include "tests/lib/sim_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blockcore/base/iov.h"
#include "blockcore/base/list.h"
#include "tests/lib/sim_world.h"

#define SPOILT 0xa5 /* what memory to read into holds until it is read */

STAILQ_HEAD(op_list, ring_op);

struct sim_ring {
	struct ring ring;
	struct loop *loop;
	struct loop_hook reap, submit;
	struct op_list pending, completed;
	uint32_t out; /* queued and not done */
};

struct sim_world *sim_world_of(const struct ring_world *world)
{
	return (struct sim_world *)world; /* the first member */
}

/* -- effects ------------------------------------------------------------------ */

bool sim_io_changes(const struct sim_io *io)
{
	uint8_t opcode = io->op->opcode;
	return opcode == RING_WRITE || opcode == RING_PUNCH ||
		opcode == RING_ZERO_RANGE;
}

static void io_write(const struct sim_io *io, struct sim_disk *disk,
	uint64_t from, uint64_t bytes)
{
	uint8_t *flat = malloc(bytes);
	assert(flat);
	iov_to_flat(io->op->iov, io->op->iov_count, from, flat, bytes);
	sim_disk_write(
		disk, io->number, io->op->offset_bytes + from, flat, bytes);
	free(flat);
}

static void io_read(const struct sim_io *io, uint64_t from, uint64_t bytes)
{
	uint8_t *flat = malloc(bytes);
	assert(flat);
	sim_disk_read(
		io->inode->disk, io->op->offset_bytes + from, flat, bytes);
	iov_from_flat(io->op->iov, io->op->iov_count, from, flat, bytes);
	free(flat);
}

void sim_io_change(const struct sim_io *io, struct sim_disk *disk,
	uint64_t from, uint64_t bytes)
{
	uint64_t offset = io->op->offset_bytes + from;
	if (io->op->opcode == RING_WRITE)
		io_write(io, disk, from, bytes);
	else
		sim_disk_zero(disk, io->number, offset, bytes,
			io->op->opcode == RING_PUNCH);
}

static void io_take_effect(
	const struct sim_io *io, uint64_t from, uint64_t bytes)
{
	if (sim_io_changes(io))
		sim_io_change(io, io->inode->disk, from, bytes);
	else if (io->op->opcode == RING_READ)
		io_read(io, from, bytes);
	else if (io->op->opcode == RING_ALLOCATE)
		sim_disk_allocate(
			io->inode->disk, io->op->offset_bytes + from, bytes);
}

bool sim_io_piece(const struct sim_io *io, unsigned stage, uint64_t *from,
	uint64_t *bytes)
{
	bool second = (stage == SIM_STAGE_SECOND) != io->second_first;
	*from = second ? io->split_bytes : 0;
	*bytes = second ? io->bytes - io->split_bytes : io->split_bytes;
	return stage >= io->stage && *bytes;
}

/* -- what will become of it, decided when it is submitted --------------------- */

static int io_fault(struct sim_world *self, const struct ring_op *op)
{
	for (unsigned i = 0; i < SIM_FAULTS_MAX; i++) {
		struct sim_fault *fault = self->faults[i];
		if (!fault || !(fault->opcodes >> op->opcode & 1))
			continue;
		if (fault->path &&
			strcmp(fault->path,
				((struct sim_file *)op->file)->inode->path) !=
				0)
			continue;
		if (fault->length_bytes &&
			(op->offset_bytes >= fault->offset_bytes +
						fault->length_bytes ||
				op->offset_bytes + op->length_bytes <=
					fault->offset_bytes))
			continue;
		if (fault->percent &&
			sim_below(self->sim, 100) >= fault->percent)
			continue;
		uint64_t hit = fault->hits++;
		if (hit >= fault->skip &&
			(!fault->times || hit < fault->skip + fault->times))
			return fault->error;
	}
	return 0;
}

static bool io_is_aligned(const struct ring_op *op)
{
	const struct ring_file *file = op->file;
	return op->opcode > RING_WRITE ||
		((op->offset_bytes | op->length_bytes) %
					file->direct_align_bytes ==
				0 &&
			iov_aligned(op->iov, op->iov_count,
				file->memory_align_bytes));
}

static int io_refusal(struct sim_world *self, const struct ring_op *op)
{
	if (op->opcode != RING_READ && op->opcode != RING_DATASYNC &&
		!op->file->writable)
		return -EBADF;
	if (!io_is_aligned(op))
		return -EINVAL;
	if (op->opcode > RING_DATASYNC && !op->length_bytes)
		return -EINVAL;
	if (op->opcode == RING_PUNCH && self->options.no_punch)
		return -EOPNOTSUPP;
	if (op->opcode == RING_ZERO_RANGE && self->options.no_zero_range)
		return -EOPNOTSUPP;
	return 0;
}

/* Space that other operations are about to take is not counted: the disk may
 * be filled a little beyond its capacity by those that race. */
static int io_space(const struct sim_world *self, const struct sim_io *io)
{
	const struct ring_op *op = io->op;
	if (!self->options.capacity_bytes || op->opcode == RING_READ ||
		op->opcode == RING_DATASYNC || op->opcode == RING_PUNCH)
		return 0;
	uint64_t used_bytes = sim_world_used_bytes(self);
	uint64_t more_bytes = sim_disk_missing_bytes(
		io->inode->disk, op->offset_bytes, op->length_bytes);
	return more_bytes &&
			used_bytes + more_bytes > self->options.capacity_bytes
		? -ENOSPC
		: 0;
}

/* Some number of whole sectors of the operation, 0 and all included. */
static uint64_t io_some_bytes(
	struct sim_world *self, const struct ring_op *op, uint64_t bytes)
{
	uint64_t first = SIM_SECTOR_BYTES - op->offset_bytes % SIM_SECTOR_BYTES;
	if (bytes <= first)
		return sim_below(self->sim, 2) ? bytes : 0;
	uint64_t sectors = (bytes - first) / SIM_SECTOR_BYTES + 2;
	uint64_t some = sim_below(self->sim, sectors + 1);
	if (!some)
		return 0;
	some = first + (some - 1) * SIM_SECTOR_BYTES;
	return some < bytes ? some : bytes;
}

static void io_decide(struct sim_world *self, struct sim_io *io)
{
	const struct ring_op *op = io->op;
	io->bytes = op->opcode == RING_DATASYNC ? 0 : op->length_bytes;
	io->error = io_refusal(self, op);
	if (io->error) {
		io->bytes = 0;
		return;
	}
	io->error = io_fault(self, op);
	if (!io->error)
		io->error = io_space(self, io);
	/* A full disk gets nothing new, a failing one anything. */
	if (io->error)
		io->bytes = io->error == -ENOSPC || op->opcode == RING_ALLOCATE
			? 0
			: io_some_bytes(self, op, io->bytes);
	uint64_t size_bytes = sim_disk_size_bytes(io->inode->disk);
	if (op->opcode == RING_READ) {
		uint64_t left = op->offset_bytes < size_bytes
			? size_bytes - op->offset_bytes
			: 0;
		if (io->bytes > left)
			io->bytes = left;
	}
	io->split_bytes = io_some_bytes(self, op, io->bytes);
	io->second_first = sim_below(self->sim, 2);
}

static uint64_t io_latency_ns(struct sim_world *self)
{
	struct sim *sim = self->sim;
	if (self->options.latency_max_ns)
		return 1 + sim_below(sim, self->options.latency_max_ns);
	uint64_t kind = sim_below(sim, 100);
	if (kind < 90)
		return 20000 + sim_below(sim, 180000);
	return 20000 + sim_below(sim, kind < 99 ? 2000000 : 50000000);
}

/* -- stages ------------------------------------------------------------------- */

static void io_durability(struct sim_world *self, const struct sim_io *io)
{
	const struct ring_op *op = io->op;
	struct sim_disk *disk = io->inode->disk;
	if (op->opcode == RING_DATASYNC && io->error)
		sim_disk_sync_failed(disk, io->stamp);
	else if (op->opcode == RING_DATASYNC)
		sim_disk_sync(disk, io->stamp);
	if (!sim_io_changes(io) || !io->bytes)
		return;
	sim_disk_done(
		disk, io->number, op->offset_bytes, io->bytes, ++self->stamps);
	if (op->flags & RING_DSYNC && !io->error)
		sim_disk_sync_write(
			disk, io->number, op->offset_bytes, io->bytes);
}

/* ALLOCATE makes the file longer at its end. */
static void io_extend(struct sim_world *self, const struct sim_io *io)
{
	struct sim_disk *disk = io->inode->disk;
	uint64_t end = io->op->offset_bytes + io->op->length_bytes;
	if (io->op->opcode != RING_ALLOCATE || io->error ||
		end <= sim_disk_size_bytes(disk))
		return;
	sim_disk_resize(disk, io->number, end);
	sim_disk_done(disk, io->number, end, 0, ++self->stamps);
}

static int32_t io_count(const struct sim_io *io)
{
	struct sim_traffic *traffic = &io->inode->traffic;
	*(io->op->opcode == RING_READ ? &traffic->read_bytes
				      : &traffic->written_bytes) += io->bytes;
	return (int32_t)io->bytes;
}

static void io_end(struct sim_world *self, struct sim_io *io)
{
	struct ring_op *op = io->op;
	if (io->epoch == self->epoch)
		sim_world_pass_point(self);
	if (io->epoch != self->epoch)
		op->result = -EIO; /* power failed on the way */
	else {
		io_durability(self, io);
		io_extend(self, io);
		op->result = io->error;
		if (!op->result && op->opcode <= RING_WRITE)
			op->result = io_count(io);
	}
	sim_note(self->sim, (uint64_t)(uint32_t)op->result ^ io->number << 32);
	TAILQ_REMOVE(&self->out, io, link);
	((struct sim_file *)op->file)->out--;
	STAILQ_INSERT_TAIL(&io->ring->completed, op, link);
	sim_loop_wake(io->ring->loop);
	free(io);
}

static void io_stage(struct sim_event *event)
{
	struct sim_io *io = container_of(event, struct sim_io, event);
	struct sim_world *self = sim_world_of(io->ring->ring.world);
	if (io->stage == SIM_STAGE_END) {
		io_end(self, io);
		return;
	}
	uint64_t from, bytes;
	if (io->epoch == self->epoch &&
		sim_io_piece(io, io->stage, &from, &bytes))
		io_take_effect(io, from, bytes);
	io->stage++;
	uint64_t now_ns = sim_now_ns(self->sim);
	uint64_t left_ns = io->end_ns > now_ns ? io->end_ns - now_ns : 0;
	if (io->stage != SIM_STAGE_END)
		left_ns = sim_below(self->sim, left_ns + 1);
	sim_event_set(self->sim, event, left_ns);
}

static void io_submit(struct sim_ring *ring, struct ring_op *op)
{
	struct sim_world *self = sim_world_of(ring->ring.world);
	struct sim_file *file = (struct sim_file *)op->file;
	struct sim_io *io = calloc(1, sizeof *io);
	assert(io);
	sim_world_pass_point(self);
	io->event.run = io_stage;
	io->op = op;
	io->ring = ring;
	io->inode = file->inode;
	io->number = ++self->io_numbers;
	io->epoch = self->off ? UINT64_MAX : self->epoch;
	io->stamp = self->stamps;
	io_decide(self, io);
	if (op->opcode == RING_READ)
		for (unsigned i = 0; i < op->iov_count; i++)
			memset(op->iov[i].iov_base, SPOILT, op->iov[i].iov_len);
	sim_note(self->sim, op->opcode ^ file->inode->number << 8);
	sim_note(self->sim, op->offset_bytes ^ op->length_bytes << 40);
	file->out++;
	TAILQ_INSERT_TAIL(&self->out, io, link);
	uint64_t takes_ns = io_latency_ns(self);
	io->end_ns = sim_now_ns(self->sim) + takes_ns;
	sim_event_set(self->sim, &io->event, sim_below(self->sim, takes_ns));
}

/* -- the ring ------------------------------------------------------------------ */

static void sim_queue(struct ring *ring, struct ring_op *op)
{
	struct sim_ring *self = (struct sim_ring *)ring;
	assert(op->opcode <= RING_ALLOCATE && op->done && op->file);
	assert(op->file->world == ring->world);
	if (op->opcode <= RING_WRITE)
		assert(op->length_bytes > 0 && op->length_bytes <= INT32_MAX &&
			iov_bytes(op->iov, op->iov_count) == op->length_bytes);
	self->out++;
	STAILQ_INSERT_TAIL(&self->pending, op, link);
	sim_loop_wake(self->loop);
}

/* LOOP_SUBMIT */
static bool sim_submit(struct loop_hook *hook)
{
	struct sim_ring *self = container_of(hook, struct sim_ring, submit);
	struct ring_op *op;
	while ((op = STAILQ_FIRST(&self->pending))) {
		STAILQ_REMOVE_HEAD(&self->pending, link);
		io_submit(self, op);
	}
	return false;
}

/* LOOP_REAP */
static bool sim_reap(struct loop_hook *hook)
{
	struct sim_ring *self = container_of(hook, struct sim_ring, reap);
	struct ring_op *op;
	while ((op = STAILQ_FIRST(&self->completed))) {
		STAILQ_REMOVE_HEAD(&self->completed, link);
		self->out--;
		self->ring.figures.done++;
		op->done(op);
	}
	return false;
}

static int sim_ring_new(struct ring_world *world, struct loop *loop,
	struct ring **ring, struct err *err)
{
	(void)err;
	struct sim_ring *self = calloc(1, sizeof *self);
	assert(self && sim_of(loop) == sim_world_of(world)->sim);
	self->ring.world = world;
	self->loop = loop;
	STAILQ_INIT(&self->pending);
	STAILQ_INIT(&self->completed);
	self->reap.run = sim_reap;
	self->submit.run = sim_submit;
	loop_hook_add(loop, LOOP_REAP, &self->reap);
	loop_hook_add(loop, LOOP_SUBMIT, &self->submit);
	*ring = &self->ring;
	return 0;
}

static void sim_ring_free(struct ring *ring)
{
	struct sim_ring *self = (struct sim_ring *)ring;
	assert(!self->out);
	loop_hook_remove(self->loop, LOOP_REAP, &self->reap);
	loop_hook_remove(self->loop, LOOP_SUBMIT, &self->submit);
	free(self);
}

static int sim_register_buffers(struct ring *ring, void *base, size_t bytes)
{
	(void)ring;
	(void)base;
	(void)bytes;
	return 0;
}

static void sim_forget_file(struct ring *ring, struct ring_file *file)
{
	(void)ring;
	(void)file;
}

/* -- the world ----------------------------------------------------------------- */

static void sim_world_end(struct ring_world *world)
{
	struct sim_world *self = sim_world_of(world);
	assert(TAILQ_EMPTY(&self->out));
	while (!LIST_EMPTY(&self->inodes))
		sim_inode_free(LIST_FIRST(&self->inodes));
	free(self);
}

static const struct ring_world_ops sim_ops = {
	.name = "simulated",
	.world_free = sim_world_end,
	.open = sim_files_open,
	.close = sim_files_close,
	.resize = sim_files_resize,
	.lock = sim_files_lock,
	.extent = sim_files_extent,
	.space = sim_files_space,
	.ring_new = sim_ring_new,
	.ring_free = sim_ring_free,
	.register_buffers = sim_register_buffers,
	.queue = sim_queue,
	.forget_file = sim_forget_file,
};

struct ring_world *sim_world_new(
	struct sim *sim, const struct sim_world_options *options)
{
	static const struct sim_world_options usual = {
		.direct_align_bytes = 512};
	struct sim_world *self = calloc(1, sizeof *self);
	assert(self);
	self->world.ops = &sim_ops;
	self->sim = sim;
	self->options = options ? *options : usual;
	LIST_INIT(&self->inodes);
	TAILQ_INIT(&self->out);
	return &self->world;
}
