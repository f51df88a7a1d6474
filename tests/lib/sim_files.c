/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the simulated world: names, opening, sizes, locks.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/sim_world.h"

/* -- names -------------------------------------------------------------------- */

struct sim_inode *sim_inode_find(const struct sim_world *self, const char *path)
{
	struct sim_inode *inode;
	LIST_FOREACH (inode, &self->inodes, link)
		if (!strcmp(inode->path, path))
			return inode;
	return NULL;
}

struct sim_inode *sim_inode_make(
	struct sim_world *self, const char *path, struct sim_disk *disk)
{
	struct sim_inode *inode = calloc(1, sizeof *inode);
	assert(inode);
	inode->path = strdup(path);
	assert(inode->path);
	inode->number = ++self->inode_numbers;
	inode->disk = disk;
	LIST_INIT(&inode->opens);
	LIST_INSERT_HEAD(&self->inodes, inode, link);
	return inode;
}

void sim_inode_free(struct sim_inode *inode)
{
	assert(LIST_EMPTY(&inode->opens));
	LIST_REMOVE(inode, link);
	sim_disk_free(inode->disk);
	free(inode->path);
	free(inode);
}

/* -- open and close ----------------------------------------------------------- */

static int files_direct(const struct sim_world *self, const char *path,
	unsigned flags, struct ring_file *file, struct err *err)
{
	uint32_t align = self->options.direct_align_bytes;
	file->direct_align_bytes = file->memory_align_bytes = 1;
	if (!(flags & (RING_OPEN_DIRECT | RING_OPEN_TRY_DIRECT)))
		return 0;
	if (!align && flags & RING_OPEN_DIRECT)
		return err_set(
			err, EINVAL, "'%s': no direct I/O in here", path);
	if (!align)
		return 0;
	file->direct = true;
	file->direct_align_bytes = align;
	file->memory_align_bytes = self->options.memory_align_bytes
		? self->options.memory_align_bytes
		: align;
	return 0;
}

int sim_files_open(struct ring_world *world, const char *path, unsigned flags,
	uint64_t create_bytes, struct ring_file **file, struct err *err)
{
	struct sim_world *self = sim_world_of(world);
	struct ring_file facts = {
		.world = world,
		.logical_block_bytes = 512,
		.writable = flags & RING_OPEN_WRITABLE,
	};
	if (self->off)
		return err_set(err, EIO, "cannot open '%s': no power", path);
	int failed = files_direct(self, path, flags, &facts, err);
	if (failed)
		return failed;
	struct sim_inode *inode = sim_inode_find(self, path);
	if (!inode && !(flags & RING_OPEN_CREATE))
		return err_set(
			err, ENOENT, "cannot open '%s': no such file", path);
	facts.made = !inode;
	if (!inode)
		inode = sim_inode_make(self, path, sim_disk_new(create_bytes));
	facts.can_punch = facts.writable && !self->options.no_punch;
	facts.can_zero_range = facts.writable && !self->options.no_zero_range;
	facts.size_bytes = sim_disk_size_bytes(inode->disk);
	struct sim_file *opened = calloc(1, sizeof *opened);
	assert(opened);
	opened->file = facts;
	opened->inode = inode;
	LIST_INSERT_HEAD(&inode->opens, opened, link);
	*file = &opened->file;
	return 0;
}

void sim_files_close(struct ring_file *file)
{
	struct sim_file *opened = (struct sim_file *)file;
	assert(!opened->out);
	struct sim_inode *inode = opened->inode;
	LIST_REMOVE(opened, link);
	if (file->unmake && LIST_EMPTY(&inode->opens) &&
		!sim_world_of(file->world)->off)
		sim_inode_free(inode);
	free(opened);
}

/* -- size and extents --------------------------------------------------------- */

/* As ftruncate: done when it returns, durable after the next flush. */
int sim_files_resize(struct ring_file *file, uint64_t bytes, struct err *err)
{
	struct sim_world *self = sim_world_of(file->world);
	struct sim_inode *inode = ((struct sim_file *)file)->inode;
	if (self->off)
		return err_set(
			err, EIO, "cannot resize '%s': no power", inode->path);
	if (bytes > INT64_MAX)
		return err_set(err, EFBIG, "'%s': a file cannot be so large",
			inode->path);
	uint64_t number = ++self->io_numbers;
	uint64_t before = sim_disk_size_bytes(inode->disk);
	uint64_t low = bytes < before ? bytes : before;
	uint64_t high = bytes < before ? before : bytes;
	sim_disk_resize(inode->disk, number, bytes);
	/* Growing has touched no sector: do not look for any. */
	sim_disk_done(inode->disk, number, low, bytes < before ? high - low : 0,
		++self->stamps);
	file->size_bytes = bytes;
	return 0;
}

int sim_files_extent(
	struct ring_file *file, uint64_t offset, uint64_t *length, bool *data)
{
	if (sim_world_of(file->world)->off)
		return -EIO;
	const struct sim_file *opened = (struct sim_file *)file;
	*length = sim_disk_extent(opened->inode->disk, offset, data);
	return 0;
}

uint64_t sim_world_used_bytes(const struct sim_world *self)
{
	const struct sim_inode *inode;
	uint64_t used_bytes = self->others_bytes;
	LIST_FOREACH (inode, &self->inodes, link)
		used_bytes += sim_disk_space_bytes(inode->disk);
	return used_bytes;
}

void sim_world_limit(struct ring_world *world, uint64_t capacity_bytes,
	uint64_t others_bytes)
{
	struct sim_world *self = sim_world_of(world);
	self->options.capacity_bytes = capacity_bytes;
	self->others_bytes = others_bytes;
}

/* All files lie on one file system; without a limit nobody knows about it. */
int sim_files_space(struct ring_file *file, struct ring_space *space)
{
	struct sim_world *self = sim_world_of(file->world);
	if (self->off)
		return -EIO;
	uint64_t total = self->options.capacity_bytes;
	uint64_t used = sim_world_used_bytes(self);
	*space = (struct ring_space){
		.used_bytes = sim_disk_space_bytes(
			((struct sim_file *)file)->inode->disk),
		.file_system = total ? 1 : 0,
		.total_bytes = total,
		.free_bytes = used < total ? total - used : 0,
		.name = "/simulated"};
	return 0;
}

/* -- locks -------------------------------------------------------------------- */

int sim_files_lock(struct ring_file *file, uint64_t taken, uint64_t refused,
	struct err *err)
{
	struct sim_file *opened = (struct sim_file *)file, *other;
	LIST_FOREACH (other, &opened->inode->opens, link)
		if (other != opened &&
			((taken & other->refused) | (refused & other->taken)))
			return err_set(err, EBUSY,
				"'%s' is in use: somebody else has it locked",
				opened->inode->path);
	opened->taken = taken;
	opened->refused = refused;
	return 0;
}
