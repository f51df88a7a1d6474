/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts, errors on demand, and files from outside; see sim_ring.h.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blockcore/base/iov.h"
#include "blockcore/base/prng.h"
#include "tests/lib/sim_world.h"

/* -- cuts --------------------------------------------------------------------- */

/* A quarter of the cuts lose all or keep all: the states that programs reach
 * most, and that independent choices would hardly ever produce. */
static struct sim_cut cut_draw(uint64_t *random)
{
	uint64_t kind = prng_below(random, 8);
	struct sim_cut cut = {.random = random};
	if (kind == 0)
		cut.percent_kept = 0;
	else if (kind == 1)
		cut.percent_kept = 100;
	else
		cut.percent_kept = 1 + (unsigned)prng_below(random, 99);
	return cut;
}

/* A piece of a write that was out and had not taken effect: each sector of it has
 * reached the disk or not. (A piece that had is a version like others: what was
 * written over it since may be durable, and cannot be undone.) */
static void cut_piece(const struct sim_io *io, uint64_t at, uint64_t bytes,
	struct sim_disk *disk, const struct sim_cut *cut)
{
	uint64_t end = at + bytes;
	while (at < end) {
		uint64_t part = SIM_SECTOR_BYTES -
			(io->op->offset_bytes + at) % SIM_SECTOR_BYTES;
		if (part > end - at)
			part = end - at;
		if (sim_cut_keeps(cut))
			sim_io_change(io, disk, at, part);
		at += part;
	}
}

static void cut_write_out(const struct sim_io *io, struct sim_disk *disk,
	const struct sim_cut *cut)
{
	uint64_t from, bytes;
	if (sim_io_piece(io, SIM_STAGE_FIRST, &from, &bytes))
		cut_piece(io, from, bytes, disk, cut);
	if (sim_io_piece(io, SIM_STAGE_SECOND, &from, &bytes))
		cut_piece(io, from, bytes, disk, cut);
}

/* What is left of one file. */
static struct sim_disk *cut_inode(const struct sim_world *self,
	const struct sim_inode *inode, const struct sim_cut *cut)
{
	struct sim_disk *after = sim_disk_after_cut(inode->disk, cut);
	const struct sim_io *io;
	TAILQ_FOREACH (io, &self->out, link)
		if (io->inode == inode && io->epoch == self->epoch &&
			sim_io_changes(io))
			cut_write_out(io, after, cut);
	sim_disk_settle(after);
	return after;
}

void sim_world_cut(struct ring_world *world)
{
	struct sim_world *self = sim_world_of(world);
	assert(!self->off);
	uint64_t random = sim_random(self->sim);
	struct sim_cut cut = cut_draw(&random);
	struct sim_inode *inode;
	LIST_FOREACH (inode, &self->inodes, link) {
		struct sim_disk *after = cut_inode(self, inode, &cut);
		sim_disk_free(inode->disk);
		inode->disk = after;
	}
	self->off = true;
	self->cut_point = 0;
	self->epoch++;
}

struct ring_world *sim_world_after_cut(
	const struct ring_world *world, struct sim *after)
{
	const struct sim_world *self = sim_world_of(world);
	struct ring_world *left = sim_world_new(after, &self->options);
	uint64_t random = sim_random(after);
	struct sim_cut cut = cut_draw(&random);
	const struct sim_inode *inode;
	LIST_FOREACH (inode, &self->inodes, link)
		sim_inode_make(sim_world_of(left), inode->path,
			cut_inode(self, inode, &cut));
	return left;
}

void sim_world_cut_at(struct ring_world *world, uint64_t point)
{
	sim_world_of(world)->cut_point = point;
}

bool sim_world_is_off(const struct ring_world *world)
{
	return sim_world_of(world)->off;
}

void sim_world_power_on(struct ring_world *world)
{
	struct sim_world *self = sim_world_of(world);
	assert(self->off);
	const struct sim_inode *inode;
	LIST_FOREACH (inode, &self->inodes, link)
		assert(LIST_EMPTY(&inode->opens));
	self->off = false;
}

uint64_t sim_world_points(const struct ring_world *world)
{
	return sim_world_of(world)->points;
}

void sim_world_watch(struct ring_world *world,
	void (*look)(void *arg, uint64_t point), void *arg)
{
	struct sim_world *self = sim_world_of(world);
	self->look = look;
	self->look_arg = arg;
}

void sim_world_pass_point(struct sim_world *self)
{
	if (self->off)
		return;
	uint64_t point = ++self->points;
	if (self->look)
		self->look(self->look_arg, point);
	if (point == self->cut_point)
		sim_world_cut(&self->world);
}

/* -- errors ------------------------------------------------------------------- */

static void faults_replace(struct ring_world *world,
	const struct sim_fault *old, struct sim_fault *new)
{
	struct sim_world *self = sim_world_of(world);
	unsigned at = 0;
	while (at < SIM_FAULTS_MAX && self->faults[at] != old)
		at++;
	assert(at < SIM_FAULTS_MAX);
	self->faults[at] = new;
}

void sim_world_fail(struct ring_world *world, struct sim_fault *fault)
{
	assert(fault->error < 0);
	faults_replace(world, NULL, fault);
}

void sim_world_heal(struct ring_world *world, struct sim_fault *fault)
{
	faults_replace(world, fault, NULL);
}

/* -- files from outside ------------------------------------------------------- */

void sim_world_put(struct ring_world *world, const char *path,
	const void *content, uint64_t bytes)
{
	struct sim_world *self = sim_world_of(world);
	struct sim_inode *inode = sim_inode_find(self, path);
	if (inode)
		sim_inode_free(inode);
	struct sim_disk *disk = sim_disk_new(bytes);
	const uint8_t *from = content;
	for (uint64_t at = 0, part; at < bytes; at += part) {
		part = bytes - at;
		if (part > SIM_SECTOR_BYTES)
			part = SIM_SECTOR_BYTES;
		if (!bytes_are_zero(from + at, part))
			sim_disk_write(disk, 1, at, from + at, part);
	}
	sim_disk_settle(disk);
	sim_inode_make(self, path, disk);
}

bool sim_world_get(const struct ring_world *world, const char *path,
	uint64_t offset, void *to, uint64_t bytes)
{
	const struct sim_inode *inode =
		sim_inode_find(sim_world_of(world), path);
	if (inode)
		sim_disk_read(inode->disk, offset, to, bytes);
	return inode;
}

struct sim_traffic sim_world_traffic(
	const struct ring_world *world, const char *path)
{
	const struct sim_inode *inode;
	struct sim_traffic sum = {0};
	LIST_FOREACH (inode, &sim_world_of(world)->inodes, link) {
		if (path && strcmp(inode->path, path))
			continue;
		sum.read_bytes += inode->traffic.read_bytes;
		sum.written_bytes += inode->traffic.written_bytes;
	}
	return sum;
}

uint64_t sim_world_size_bytes(const struct ring_world *world, const char *path)
{
	const struct sim_inode *inode =
		sim_inode_find(sim_world_of(world), path);
	return inode ? sim_disk_size_bytes(inode->disk) : UINT64_MAX;
}

bool sim_world_is_durable(const struct ring_world *world, const char *path)
{
	const struct sim_inode *inode =
		sim_inode_find(sim_world_of(world), path);
	return inode && sim_disk_is_clean(inode->disk);
}

void sim_world_remove(struct ring_world *world, const char *path)
{
	struct sim_inode *inode = sim_inode_find(sim_world_of(world), path);
	if (inode)
		sim_inode_free(inode);
}

/* Extent by extent, so that holes stay holes. */
static int export_to(const struct sim_disk *disk, int fd)
{
	uint64_t size_bytes = sim_disk_size_bytes(disk), at = 0, length;
	if (ftruncate(fd, (off_t)size_bytes))
		return -errno;
	for (bool data; at < size_bytes; at += length) {
		length = sim_disk_extent(disk, at, &data);
		if (!data)
			continue;
		uint8_t *content = malloc(length);
		assert(content);
		sim_disk_read(disk, at, content, length);
		ssize_t wrote = pwrite(fd, content, length, (off_t)at);
		free(content);
		if (wrote < 0)
			return -errno;
		if ((uint64_t)wrote != length)
			return -ENOSPC;
	}
	return 0;
}

int sim_world_export(
	const struct ring_world *world, const char *path, const char *real_path)
{
	const struct sim_inode *inode =
		sim_inode_find(sim_world_of(world), path);
	if (!inode)
		return -ENOENT;
	int fd =
		open(real_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int failed = export_to(inode->disk, fd);
	close(fd);
	return failed;
}

static int import_from(struct ring_world *world, const char *path, int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return -errno;
	uint8_t *content = malloc((size_t)st.st_size + 1);
	assert(content);
	ssize_t got = read(fd, content, (size_t)st.st_size);
	int failed = got < 0 ? -errno : got != st.st_size ? -EIO : 0;
	if (!failed)
		sim_world_put(world, path, content, (uint64_t)got);
	free(content);
	return failed;
}

int sim_world_import(
	struct ring_world *world, const char *path, const char *real_path)
{
	int fd = open(real_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int failed = import_from(world, path, fd);
	close(fd);
	return failed;
}
