/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A power cut at a chosen moment, for a program that knows nothing of it: loaded before
 * the C library (LD_PRELOAD), it ends the process (SIGKILL) right after its n-th fsync
 * or fdatasync since the file DIE_AT_SYNC, which has that number, was put there. Without
 * the file all goes on.
 *
 * Invariant: what was synchronised is on the medium, and nothing after it is begun by
 * the thread that did it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void count(void)
{
	char text[32];
	const char *path = getenv("DIE_AT_SYNC");
	int kept = errno, fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	ssize_t bytes = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	text[bytes > 0 ? bytes : 0] = '\0';
	long left = strtol(text, NULL, 10);
	if (left == 1)
		kill(getpid(), SIGKILL);
	if (left > 1) {
		int length = snprintf(text, sizeof text, "%-8ld\n", left - 1);
		if (pwrite(fd, text, (size_t)length, 0) != length)
			abort();
	}
	if (fd >= 0)
		close(fd);
	errno = kept;
}

int fsync(int fd)
{
	int result = (int)syscall(SYS_fsync, fd);
	count();
	return result;
}

int fdatasync(int fd)
{
	int result = (int)syscall(SYS_fdatasync, fd);
	count();
	return result;
}
