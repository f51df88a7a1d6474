/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts of a file: size, alignment of direct I/O, what fallocate can do.
 *
 * Alignment: the kernel tells since 6.1 for some file systems (statx,
 * STATX_DIOALIGN); otherwise reads of growing size are tried. fallocate: what a
 * file system can do is tried on a nameless file in the same directory
 * (O_TMPFILE), because no trial on the file itself is without trace. Giving the
 * blocks of a trial back may take many milliseconds, so a directory is tried once.
 */
#include "blockcore/ring/ring_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ALIGN_MAX_BYTES 4096u

/* -- facts from /sys ---------------------------------------------------------- */

/* A number from the queue of a device, of its disk if it is a partition. */
static bool probe_queue(dev_t device, const char *name, uint64_t *value)
{
	static const char *const places[] = {"queue", "../queue"};
	for (unsigned i = 0; i < 2; i++) {
		char path[128];
		snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s/%s",
			major(device), minor(device), places[i], name);
		FILE *file = fopen(path, "re");
		if (!file)
			continue;
		unsigned long long number;
		bool found = fscanf(file, "%llu", &number) == 1;
		fclose(file);
		if (found)
			*value = number;
		return found;
	}
	return false;
}

static bool probe_rotational(dev_t device)
{
	uint64_t rotational = 0;
	return probe_queue(device, "rotational", &rotational) && rotational;
}

/* -- direct I/O --------------------------------------------------------------- */

#ifdef STATX_DIOALIGN
/* True if the kernel knows. Offset alignment 0 says: no direct I/O here. */
static bool probe_align_statx(struct ring_file *file, int fd)
{
	struct statx sx;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) ||
		!(sx.stx_mask & STATX_DIOALIGN))
		return false;
	file->direct = sx.stx_dio_offset_align != 0;
	file->direct_align_bytes = sx.stx_dio_offset_align;
	file->memory_align_bytes = sx.stx_dio_mem_align;
	return true;
}
#else
static bool probe_align_statx(struct ring_file *file, int fd)
{
	(void)file;
	(void)fd;
	return false;
}
#endif

/* The smallest read that is not refused; its size and place in memory are the
 * alignment. An empty file says nothing: a page is always enough. */
static void probe_align_trial(struct ring_file *file, int fd)
{
	uint32_t align = file->logical_block_bytes;
	void *memory;
	if (posix_memalign(&memory, 2 * ALIGN_MAX_BYTES, 2 * ALIGN_MAX_BYTES))
		align = ALIGN_MAX_BYTES;
	else {
		for (; align < ALIGN_MAX_BYTES; align *= 2)
			if (pread(fd, (char *)memory + align, align, 0) > 0)
				break;
		free(memory);
	}
	file->direct_align_bytes = file->memory_align_bytes = align;
}

static int probe_align(
	struct ring_file *file, int fd, const char *path, struct err *err)
{
	if (file->direct && !probe_align_statx(file, fd))
		probe_align_trial(file, fd);
	if (file->direct)
		return 0;
	file->direct_align_bytes = file->memory_align_bytes = 1;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || !(flags & O_DIRECT))
		return 0;
	if (fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0)
		return 0;
	return err_set(err, errno, "'%s': cannot leave direct I/O: %s", path,
		strerror(errno));
}

/* -- fallocate ---------------------------------------------------------------- */

static bool probe_fallocate(int fd, int mode)
{
	/* Full, or over quota: it can, only not now. */
	return fallocate(fd, mode, 0, ALIGN_MAX_BYTES) == 0 ||
		errno == ENOSPC || errno == EDQUOT;
}

struct probe_folder {
	dev_t device;
	ino_t inode;
	bool can_punch, can_zero_range;
};
/* The directories of last; worker threads share them. */
#define PROBE_FOLDERS 8u
static struct {
	pthread_mutex_t mutex;
	unsigned count; /* all that were ever tried */
	struct probe_folder folder[PROBE_FOLDERS];
} probed = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool probe_recall(struct probe_folder *folder)
{
	bool found = false;
	pthread_mutex_lock(&probed.mutex);
	for (unsigned i = 0; i < PROBE_FOLDERS && i < probed.count; i++) {
		const struct probe_folder *one = &probed.folder[i];
		if (one->device != folder->device ||
			one->inode != folder->inode)
			continue;
		*folder = *one;
		found = true;
	}
	pthread_mutex_unlock(&probed.mutex);
	return found;
}

static void probe_remember(const struct probe_folder *folder)
{
	pthread_mutex_lock(&probed.mutex);
	probed.folder[probed.count++ % PROBE_FOLDERS] = *folder;
	pthread_mutex_unlock(&probed.mutex);
}

/* What it can stays false where nothing can be tried. */
static void probe_folder(const char *path, struct probe_folder *folder)
{
	char name[PATH_MAX];
	struct stat st;
	const char *slash = strrchr(path, '/');
	int length = slash ? (int)(slash - path) : 1;
	*folder = (struct probe_folder){0};
	if (length >= PATH_MAX - 1)
		return;
	snprintf(name, sizeof name, "%.*s/", length, slash ? path : ".");
	if (stat(name, &st))
		return;
	folder->device = st.st_dev;
	folder->inode = st.st_ino;
	if (probe_recall(folder))
		return;
	int fd = open(name, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	folder->can_punch =
		probe_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	folder->can_zero_range = probe_fallocate(fd, FALLOC_FL_ZERO_RANGE);
	close(fd);
	probe_remember(folder);
}

static void probe_regular(
	struct ring_file *file, const struct stat *st, const char *path)
{
	file->size_bytes = (uint64_t)st->st_size;
	file->logical_block_bytes = 512;
	file->rotational = probe_rotational(st->st_dev);
	if (!file->writable)
		return;
	struct probe_folder folder;
	probe_folder(path, &folder);
	file->can_punch = folder.can_punch;
	file->can_zero_range = folder.can_zero_range;
}

/* On a block device a punched hole is a "write zeroes" command that may unmap
 * and must not fall back to writing; zeroing always works. */
static int probe_device(struct ring_file *file, int fd, const struct stat *st,
	const char *path, struct err *err)
{
	int block_bytes;
	if (ioctl(fd, BLKGETSIZE64, &file->size_bytes) ||
		ioctl(fd, BLKSSZGET, &block_bytes))
		return err_set(err, errno, "'%s': cannot ask its size: %s",
			path, strerror(errno));
	uint64_t zeroes_bytes = 0;
	file->block_device = true;
	file->logical_block_bytes = (uint32_t)block_bytes;
	file->rotational = probe_rotational(st->st_rdev);
	file->can_zero_range = file->writable;
	file->can_punch = file->writable &&
		probe_queue(
			st->st_rdev, "write_zeroes_max_bytes", &zeroes_bytes) &&
		zeroes_bytes;
	return 0;
}

int ring_probe_file(struct ring_file *file, int fd, const struct stat *st,
	const char *path, struct err *err)
{
	if (S_ISBLK(st->st_mode)) {
		int failed = probe_device(file, fd, st, path, err);
		if (failed)
			return failed;
	} else
		probe_regular(file, st, path);
	return probe_align(file, fd, path, err);
}
