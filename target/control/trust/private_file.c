/* SPDX-License-Identifier: Apache-2.0 */
/* Private files; see private_file.h. */
#include "target/control/trust/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_error(const char *path, struct err *err)
{
	return err_set(err, errno, "%s: %s", path, strerror(errno));
}

static int write_all(int fd, const char *content, size_t bytes)
{
	while (bytes) {
		ssize_t got = write(fd, content, bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		content += got;
		bytes -= (size_t)got;
	}
	return fsync(fd);
}

/* The rename is durable once its directory is. */
static int sync_directory_of(const char *path)
{
	char directory[4096];
	snprintf(directory, sizeof directory, "%s", path);
	char *slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	int fd = open(
		slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int failed = fsync(fd);
	close(fd);
	return failed;
}

static int write_draft(
	const char *draft, const void *content, size_t bytes, struct err *err)
{
	if (unlink(draft) && errno != ENOENT)
		return file_error(draft, err);
	int fd = open(draft,
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return file_error(draft, err);
	int failed = write_all(fd, content, bytes) || fchmod(fd, 0600);
	if (failed)
		file_error(draft, err);
	close(fd);
	return failed ? -EIO : 0;
}

int private_file_write(
	const char *path, const void *content, size_t bytes, struct err *err)
{
	char draft[4096];
	if (snprintf(draft, sizeof draft, "%s.new", path) >= (int)sizeof draft)
		return err_set(err, ENAMETOOLONG, "%s: too long", path);
	int failed = write_draft(draft, content, bytes, err);
	if (!failed && (rename(draft, path) || sync_directory_of(path)))
		failed = file_error(path, err);
	if (failed)
		unlink(draft);
	return failed;
}

static char *read_whole(int fd, const char *path, size_t limit, struct err *err)
{
	struct stat found;
	if (fstat(fd, &found)) {
		file_error(path, err);
		return NULL;
	}
	if (!S_ISREG(found.st_mode) || (uint64_t)found.st_size > limit) {
		err_set(err, EINVAL,
			"%s: a file of at most %zu bytes is "
			"expected here",
			path, limit);
		return NULL;
	}
	size_t bytes = (size_t)found.st_size, have = 0;
	char *content = calloc(1, bytes + 1);
	if (!content) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	while (have < bytes) {
		ssize_t got = read(fd, content + have, bytes - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	return content;
}

char *private_file_read(const char *path, size_t limit, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		file_error(path, err);
		return NULL;
	}
	char *content = read_whole(fd, path, limit, err);
	close(fd);
	return content;
}

void private_file_free(char *content)
{
	if (content)
		explicit_bzero(content, strlen(content));
	free(content);
}
