/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that is killed at one change of one file, which knows nothing of it: loaded
 * before the C library (LD_PRELOAD), it ends the program by SIGKILL where it is about to
 * do change number DIE_AT (from 1) of the file whose path ends with DIE_FILE: a write
 * (pwritev2), a flush (fdatasync), or space (fallocate). What io_uring does is not seen.
 *
 * Invariant: changes are counted in the order in which they are asked for; the one that
 * it dies at is not made.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool is_the_file(int fd)
{
	const char *end = getenv("DIE_FILE");
	char link[64], path[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t bytes = readlink(link, path, sizeof path);
	size_t ends = end ? strlen(end) : 0;
	return ends && bytes >= (ssize_t)ends &&
		!memcmp(path + bytes - ends, end, ends);
}

static void changes(int fd)
{
	static _Atomic unsigned long count;
	const char *at = getenv("DIE_AT");
	if (at && is_the_file(fd) &&
		atomic_fetch_add(&count, 1) + 1 == strtoul(at, NULL, 10))
		kill(getpid(), SIGKILL);
}

ssize_t pwritev2(
	int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	changes(fd);
	return syscall(SYS_pwritev2, fd, iov, count, offset, 0, flags);
}

int fdatasync(int fd)
{
	changes(fd);
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
	changes(fd);
	return (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}
