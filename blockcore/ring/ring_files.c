/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real files; see the header. What a file can do is found out in ring_probe.c.
 */
#include "blockcore/ring/ring_files.h"
#include "blockcore/ring/ring_largest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blockcore/base/list.h"
#include "blockcore/ring/ring_probe.h"

/* -- the world's table of slots ----------------------------------------------- */

void ring_files_world_init(
	struct ring_files_world *world, const struct ring_world_ops *ops)
{
	memset(world, 0, sizeof *world);
	world->world.ops = ops;
	pthread_mutex_init(&world->lock, NULL);
}

void ring_files_world_fini(struct ring_files_world *world)
{
	for (unsigned i = 0; i < RING_FILES_SLOTS / 64; i++)
		assert(!world->slots_used[i]);
	pthread_mutex_destroy(&world->lock);
}

static void slot_take(
	struct ring_files_world *world, struct ring_files_file *self)
{
	self->slot = RING_FILES_NO_SLOT;
	pthread_mutex_lock(&world->lock);
	self->serial = ++world->last_serial;
	for (unsigned i = 0; i < RING_FILES_SLOTS / 64; i++) {
		uint64_t free_slots = ~world->slots_used[i];
		if (!free_slots)
			continue;
		unsigned bit = (unsigned)__builtin_ctzll(free_slots);
		world->slots_used[i] |= UINT64_C(1) << bit;
		self->slot = i * 64 + bit;
		break;
	}
	pthread_mutex_unlock(&world->lock);
}

static void slot_give_back(
	struct ring_files_world *world, struct ring_files_file *self)
{
	if (self->slot == RING_FILES_NO_SLOT)
		return;
	pthread_mutex_lock(&world->lock);
	world->slots_used[self->slot / 64] &= ~(UINT64_C(1) << self->slot % 64);
	pthread_mutex_unlock(&world->lock);
}

/* -- open and close ----------------------------------------------------------- */

static char *files_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, (size_t)(slash - path + 1)) : strdup(".");
}

/* A new file is there after a power cut only if its folder knows it. */
static int files_sync_folder(const char *path)
{
	char *folder = files_folder(path);
	if (!folder)
		return ENOMEM;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0)
		return errno;
	/* Some network file systems have no such thing: EINVAL. */
	int failed = fsync(fd) && errno != EINVAL ? errno : 0;
	close(fd);
	return failed;
}

/* Asked first: fallocate takes what is left before it finds that it is too little,
 * and all others on the file system see it full for that time. 0 or errno. */
static int files_allocate(int fd, uint64_t bytes)
{
	struct statvfs space;
	if (!fstatvfs(fd, &space) && space.f_frsize &&
		bytes / space.f_frsize > space.f_bavail)
		return ENOSPC;
	return fallocate(fd, 0, 0, (off_t)bytes) ? errno : 0;
}

/* 0 or errno. */
static int files_fill(int fd, uint64_t bytes, bool preallocate)
{
	if (ftruncate(fd, (off_t)bytes))
		return errno;
	int failed = preallocate ? files_allocate(fd, bytes) : 0;
	if (failed)
		return failed;
	return fsync(fd) ? errno : 0;
}

/* A file without a name that gets it when it is whole: who is killed meanwhile
 * leaves nothing behind. 0, or errno; ENOTSUP where that does not work. */
static int files_create_whole(
	const char *path, uint64_t bytes, bool preallocate)
{
	char *folder = files_folder(path), self[32];
	if (!folder)
		return ENOMEM;
	int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	free(folder);
	if (fd < 0)
		return ENOTSUP;
	int failed = files_fill(fd, bytes, preallocate);
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	if (!failed &&
		linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
		failed = errno == EEXIST ? EEXIST : ENOTSUP;
	close(fd);
	return failed;
}

/* The same where a file has a name from the start. */
static int files_create_named(
	const char *path, uint64_t bytes, bool preallocate)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	int failed = files_fill(fd, bytes, preallocate);
	close(fd);
	if (failed)
		unlink(path);
	return failed;
}

static int files_refuse(const char *what, const char *path,
	const char *preposition, uint64_t bytes, int failed, struct err *err)
{
	char *folder = files_folder(path), largest[RING_LARGEST_BYTES];
	err_set(err, failed, "cannot %s '%s' %s %llu bytes: %s%s", what, path,
		preposition, (unsigned long long)bytes, strerror(failed),
		ring_largest_text(folder, failed, largest));
	free(folder);
	return -failed;
}

/* Makes the file, durably, if it is absent. 1 made, 0 was there, -errno. */
static int files_create(
	const char *path, uint64_t bytes, unsigned flags, struct err *err)
{
	bool preallocate = flags & RING_OPEN_PREALLOCATE;
	/* Most starts: nothing to make. */
	int failed = access(path, F_OK) == 0
		? EEXIST
		: files_create_whole(path, bytes, preallocate);
	if (failed == ENOTSUP)
		failed = files_create_named(path, bytes, preallocate);
	if (failed == EEXIST)
		return 0;
	if (!failed) {
		failed = files_sync_folder(path);
		if (!failed)
			return 1;
		unlink(path);
	}
	if (failed == EOPNOTSUPP && preallocate)
		return err_set(err, failed,
			"cannot create '%s': its file system cannot set space "
			"aside; leave preallocate out",
			path);
	return files_refuse("create", path, "of", bytes, failed, err);
}

/* Looks before opening: to open a pipe or a tape may wait, or do something. */
static int files_look(const char *path, struct stat *st, struct err *err)
{
	if (stat(path, st))
		return err_set(err, errno, "cannot open '%s': %s", path,
			strerror(errno));
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return err_set(err, EINVAL,
		"'%s' is neither a regular file nor a block device", path);
}

static int files_open_fd(const char *path, unsigned flags,
	const struct stat *st, bool *direct, struct err *err)
{
	int mode = flags & RING_OPEN_WRITABLE ? O_RDWR : O_RDONLY;
	/* Refuse a device that is mounted or part of a volume group or array. */
	if (S_ISBLK(st->st_mode) && flags & RING_OPEN_WRITABLE)
		mode |= O_EXCL;
	*direct = flags & (RING_OPEN_DIRECT | RING_OPEN_TRY_DIRECT);
	int fd = open(path, mode | O_CLOEXEC | (*direct ? O_DIRECT : 0));
	if (fd < 0 && errno == EINVAL && flags & RING_OPEN_TRY_DIRECT) {
		*direct = false;
		fd = open(path, mode | O_CLOEXEC);
	}
	if (fd >= 0)
		return fd;
	if (errno == EINVAL && *direct)
		return err_set(err, EINVAL,
			"'%s': its file system has no direct I/O; set 'direct' "
			"to auto or off",
			path);
	if (errno == EBUSY)
		return err_set(err, EBUSY,
			"'%s' is in use by the system: mounted, or part of a "
			"volume group or array; release it there first",
			path);
	return err_set(
		err, errno, "cannot open '%s': %s", path, strerror(errno));
}

/* What others have left in the page cache: beside it every direct write would have
 * to throw pages away, for which io_uring falls back to threads. They are written,
 * not flushed: nobody was told that they are durable. */
static int files_drop_cache(const struct ring_files_file *self, struct err *err)
{
	if (!self->file.direct || !self->file.writable)
		return 0;
	if (sync_file_range(self->fd, 0, 0,
		    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			    SYNC_FILE_RANGE_WAIT_AFTER) &&
		errno != ENOSYS)
		return err_set(err, errno,
			"'%s': what the system had still to write to it could "
			"not be written: %s",
			self->path, strerror(errno));
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* `self` has its path; opens the rest. On failure files_free takes it back. */
static int files_open_into(
	struct ring_files_file *self, unsigned flags, struct err *err)
{
	struct stat st;
	int failed = files_look(self->path, &st, err);
	if (failed)
		return failed;
	struct ring_file *file = &self->file;
	file->writable = flags & RING_OPEN_WRITABLE;
	self->fd = files_open_fd(self->path, flags, &st, &file->direct, err);
	if (self->fd < 0)
		return self->fd;
	if (fstat(self->fd, &st))
		return err_set(err, errno, "cannot open '%s': %s", self->path,
			strerror(errno));
	failed = ring_probe_file(file, self->fd, &st, self->path, err);
	if (failed)
		return failed;
	if (flags & RING_OPEN_DIRECT && !file->direct)
		return err_set(err, EINVAL,
			"'%s' cannot do direct I/O (encrypted, or data is "
			"journalled); set 'direct' to auto or off",
			self->path);
	return files_drop_cache(self, err);
}

static void files_free(struct ring_files_file *self)
{
	if (self->fd >= 0)
		close(self->fd);
	free(atomic_load(&self->mounted));
	free(self->path);
	free(self);
}

int ring_files_open(struct ring_world *world, const char *path, unsigned flags,
	uint64_t create_bytes, struct ring_file **file, struct err *err)
{
	struct ring_files_file *self = calloc(1, sizeof *self);
	char *copy = strdup(path);
	if (!self || !copy) {
		free(self);
		free(copy);
		return err_set(err, ENOMEM, "no memory to open '%s'", path);
	}
	self->path = copy;
	self->fd = -1;
	self->file.world = world;
	int made = 0;
	if (flags & RING_OPEN_CREATE)
		made = files_create(path, create_bytes, flags, err);
	int failed = made < 0 ? made : files_open_into(self, flags, err);
	if (failed) {
		if (made > 0)
			unlink(path);
		files_free(self);
		return failed;
	}
	self->file.made = made > 0;
	slot_take((struct ring_files_world *)world, self);
	*file = &self->file;
	return 0;
}

/* Unless the name is that of another file by now. */
static void files_unmake(const struct ring_files_file *self)
{
	struct stat named, ours;
	if (!fstat(self->fd, &ours) && !lstat(self->path, &named) &&
		named.st_dev == ours.st_dev && named.st_ino == ours.st_ino &&
		S_ISREG(named.st_mode))
		unlink(self->path);
}

void ring_files_close(struct ring_file *file)
{
	struct ring_files_file *self = ring_files_file(file);
	if (file->unmake)
		files_unmake(self);
	ring_files_lock(file, 0, 0, NULL);
	slot_give_back((struct ring_files_world *)file->world, self);
	files_free(self);
}

/* -- size and extents --------------------------------------------------------- */

static void files_set_size(struct ring_file *file, uint64_t bytes)
{
	__atomic_store_n(&file->size_bytes, bytes, __ATOMIC_RELAXED);
}

static int files_device_size(
	struct ring_files_file *self, uint64_t bytes, struct err *err)
{
	uint64_t now_bytes;
	if (ioctl(self->fd, BLKGETSIZE64, &now_bytes))
		return err_set(err, errno, "'%s': cannot ask its size: %s",
			self->path, strerror(errno));
	if (bytes > now_bytes)
		return err_set(err, ENOSPC,
			"block device '%s' has %llu bytes, not %llu: grow it "
			"first",
			self->path, (unsigned long long)now_bytes,
			(unsigned long long)bytes);
	files_set_size(&self->file, now_bytes);
	return 0;
}

int ring_files_resize(struct ring_file *file, uint64_t bytes, struct err *err)
{
	struct ring_files_file *self = ring_files_file(file);
	if (file->block_device)
		return files_device_size(self, bytes, err);
	if (bytes > INT64_MAX)
		return files_refuse(
			"resize", self->path, "to", bytes, EFBIG, err);
	if (ftruncate(self->fd, (off_t)bytes))
		return files_refuse(
			"resize", self->path, "to", bytes, errno, err);
	files_set_size(file, bytes);
	return 0;
}

/* lseek moves the offset that all users of the descriptor share, and nobody
 * uses: its answer alone counts. */
int ring_files_extent(
	struct ring_file *file, uint64_t offset, uint64_t *length, bool *data)
{
	struct ring_files_file *self = ring_files_file(file);
	off_t end = lseek(self->fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	*data = false;
	*length = 0;
	if (offset >= (uint64_t)end)
		return 0;
	off_t from = (off_t)offset, next = lseek(self->fd, from, SEEK_DATA);
	if (next < 0 && errno == ENXIO)
		next = end;
	else if (next < 0 || next == from) {
		*data = true;
		next = lseek(self->fd, from, SEEK_HOLE);
	}
	if (next <= from || next > end)
		next = end;
	*length = (uint64_t)(next - from);
	return 0;
}
