/* SPDX-License-Identifier: Apache-2.0 */
/* Directories and their lock; see directory.h. */
#include "target/control/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_one(const char *path, mode_t mode, struct err *err)
{
	struct stat found;
	if (!mkdir(path, mode))
		return 0;
	if (errno != EEXIST)
		return err_set(err, errno, "directory %s cannot be made: %s",
			path, strerror(errno));
	if (!stat(path, &found) && S_ISDIR(found.st_mode))
		return 0;
	return err_set(err, ENOTDIR, "%s is there and no directory", path);
}

int directory_make(const char *path, mode_t mode, struct err *err)
{
	char part[4096];
	size_t length = strlen(path);
	if (!length || length >= sizeof part)
		return err_set(err, ENAMETOOLONG,
			"\"%s\" cannot be a directory's path", path);
	memcpy(part, path, length + 1);
	for (char *slash = strchr(part + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int failed = make_one(part, 0755, err);
		if (failed)
			return failed;
		*slash = '/';
	}
	return make_one(path, mode, err);
}

static int refuse_lock(
	int fd, const char *path, const char *setting, struct err *err)
{
	char holder[32] = "";
	ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
	if (got > 0)
		holder[strcspn(holder, "\n")] = '\0';
	return err_set(err, EBUSY,
		"another cairnd (process %s) is running on %s: stop it, or "
		"give this one a %s of its own",
		*holder ? holder : "unknown", path, setting);
}

static int write_holder(int fd, const char *path, struct err *err)
{
	char text[32];
	int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (!ftruncate(fd, 0) && pwrite(fd, text, (size_t)length, 0) == length)
		return 0;
	return err_set(err, errno, "%s/lock: %s", path, strerror(errno));
}

bool directory_is_same(const char *one, const char *other)
{
	struct stat a, b;
	return !stat(one, &a) && !stat(other, &b) && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino;
}

int directory_lock(const char *path, const char *setting, struct err *err)
{
	char name[4096];
	snprintf(name, sizeof name, "%s/lock", path);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", name, strerror(errno));
	int failed = 0;
	if (flock(fd, LOCK_EX | LOCK_NB))
		failed = errno == EWOULDBLOCK
			? refuse_lock(fd, path, setting, err)
			: err_set(err, errno, "%s: %s", name, strerror(errno));
	else
		failed = write_holder(fd, path, err);
	if (!failed)
		return fd;
	close(fd);
	return failed;
}
