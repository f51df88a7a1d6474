/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: what an image in a file calls its backing file, as a document
 * that opens it.
 *
 *	x, dir/x, ../x	from the folder of the image
 *	/DATA/x		in the data directory, or a device in /dev
 *
 * Invariants
 *  1. A way up ("..") becomes the path that the kernel would find: of no folder that
 *     is a symbolic link, and never above the data directory.
 *  2. What is behind a name is only read.
 */
#include "blockcore/protocol/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Where the name starts: below the data directory, if it says that from the root. */
static const char *below_data(const struct block_driver *driver,
	const char *name, const char **folder, int *folder_bytes)
{
	const struct file_options *o = driver->options;
	const char *data = block_core_data_directory(driver->core);
	const char *slash = strrchr(o->path, '/');

	*folder = o->path;
	*folder_bytes =
		name[0] != '/' && slash ? (int)(slash + 1 - o->path) : 0;
	if (name[0] == '/' && !strncmp(name, data, strlen(data)) &&
		name[strlen(data)] == '/')
		name += strlen(data);
	else if (name[0] == '/')
		return name;
	return name + strspn(name, "/");
}

/* The folder that "..", which follows it, leads out of. */
static int check_folder(const struct block_driver *driver, const char *path,
	int bytes, struct err *err)
{
	struct stat found;
	char *folder;

	if (asprintf(&folder, "%s/%.*s",
		    block_core_data_directory(driver->core), bytes, path) < 0)
		return err_set(err, ENOMEM, "out of memory");
	int failed = lstat(folder, &found);
	free(folder);
	if (!failed && !S_ISLNK(found.st_mode))
		return 0;
	return err_set(err, failed ? ENOENT : EINVAL,
		"the way to the backing file leads up ('..') from %.*s, which "
		"is %s: say in the document (backing:) where it is",
		bytes, path, failed ? "not there" : "a symbolic link");
}

/* Takes "a/../" and "./" out, in place. */
static int walk(const struct block_driver *driver, char *path, struct err *err)
{
	const char *from = path;
	size_t used = 0;
	int error = 0;

	while (*from && !error) {
		size_t bytes = strcspn(from, "/");
		const char *next = from + bytes + strspn(from + bytes, "/");

		if (bytes == 2 && !memcmp(from, "..", 2)) {
			if (!used)
				return err_set(err, EINVAL,
					"the backing file lies outside of the "
					"data directory: bring it there, or "
					"say in the document (backing:) where "
					"it is");
			error = check_folder(driver, path, (int)used - 1, err);
			for (used--; used && path[used - 1] != '/'; used--)
				continue;
		} else if (bytes != 1 || *from != '.') {
			memmove(path + used, from, bytes + (*next != 0));
			used += bytes + (*next != 0);
		}
		from = next;
	}
	path[used] = 0;
	return error;
}

int file_beside(struct block_driver *driver, const char *name, FILE *out,
	struct err *err)
{
	const struct file_options *o = driver->options;
	const char *folder;
	int folder_bytes;
	char *path;

	if (name[0] != '/' && o->path[0] == '/')
		return err_set(err, EINVAL,
			"%s: nothing lies beside a device: say in the document "
			"what '%s' is",
			o->path, name);
	name = below_data(driver, name, &folder, &folder_bytes);
	if (asprintf(&path, "%.*s%s", folder_bytes, folder, name) < 0)
		return err_set(err, ENOMEM, "out of memory");
	/* From the root: the protocol's check says what is wrong with it. */
	int error = *path == '/' ? 0 : walk(driver, path, err);
	if (error)
		err_wrap(err, "'%s'", name);
	fputs("{\"type\": \"file\", \"path\": ", out);
	json_print_string(out, path);
	fputs(", \"read_only\": true}", out);
	free(path);
	return error;
}
