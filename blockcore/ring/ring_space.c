/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space that real files take up and have left; see ring.h. Asked on the worker
 * pool: a network file system may let us wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "blockcore/ring/ring_files.h"

static bool space_same_device(const char *path, dev_t device)
{
	struct stat facts;

	return !stat(path, &facts) && facts.st_dev == device;
}

/* Cuts a path without links to where its file system begins: the topmost folder
 * above it that lies on the same device. */
static void space_cut(char *path, dev_t device)
{
	char *slash;

	while ((slash = strrchr(path, '/')) && path[1]) {
		char kept = slash == path ? path[1] : *slash;
		char *end = slash == path ? path + 1 : slash;

		*end = '\0';
		if (space_same_device(path, device))
			continue;
		*end = kept;
		return;
	}
}

/* Works out where the file system of the open file begins: a walk up its path, done
 * once. NULL: it cannot be told (now). */
static const char *space_find_mounted(
	struct ring_files_file *self, dev_t device)
{
	char *real = realpath(self->path, NULL), *before = NULL;

	if (!real || !space_same_device(real, device)) {
		free(real); /* the path leads elsewhere by now */
		return NULL;
	}
	space_cut(real, device);
	if (atomic_compare_exchange_strong(&self->mounted, &before, real))
		return real;
	free(real); /* another thread was faster */
	return before;
}

/* Without a better name it is called by the file's own path. */
static void space_name(struct ring_files_file *self, dev_t device,
	char name[RING_SPACE_NAME_BYTES])
{
	const char *mounted = atomic_load(&self->mounted);

	if (!mounted)
		mounted = space_find_mounted(self, device);
	snprintf(name, RING_SPACE_NAME_BYTES, "%s",
		mounted ? mounted : self->path);
}

int ring_files_space(struct ring_file *file, struct ring_space *space)
{
	struct ring_files_file *self = ring_files_file(file);
	struct stat facts;
	struct statvfs all;

	memset(space, 0, sizeof *space);
	if (fstat(self->fd, &facts))
		return -errno;
	if (!S_ISREG(facts.st_mode))
		return -EOPNOTSUPP;
	/* Blocks of 512 bytes, whatever the file system. */
	space->used_bytes = (uint64_t)facts.st_blocks * 512;
	if (fstatvfs(self->fd, &all) || !all.f_frsize || !all.f_blocks)
		return 0;
	/* What is set aside for root is neither used nor left. */
	space->free_bytes = (uint64_t)all.f_bavail * all.f_frsize;
	space->total_bytes = space->free_bytes +
		(uint64_t)(all.f_blocks - all.f_bfree) * all.f_frsize;
	space->file_system = facts.st_dev;
	space_name(self, facts.st_dev, space->name);
	return 0;
}
