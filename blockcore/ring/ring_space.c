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

/* Without links and memory it is called by the file's own path. */
static void space_name(
	const char *path, dev_t device, char name[RING_SPACE_NAME_BYTES])
{
	char *real = realpath(path, NULL);

	if (real)
		space_cut(real, device);
	snprintf(name, RING_SPACE_NAME_BYTES, "%s", real ? real : path);
	free(real);
}

int ring_files_space(struct ring_file *file, struct ring_space *space)
{
	const struct ring_files_file *self = ring_files_file(file);
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
	space_name(self->path, facts.st_dev, space->name);
	return 0;
}
