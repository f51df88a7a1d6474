/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wall clock that a test moves, for a program that knows nothing of it: loaded before
 * the C library (LD_PRELOAD), it adds the seconds that stand in the file CLOCK_SHIFT to
 * CLOCK_REALTIME of clock_gettime. All other clocks are as they are, so timers run on.
 *
 * Invariant: the file is replaced as a whole (a new one, renamed), so what is read of
 * it is one number or another.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long shift_seconds(void)
{
	char text[32];
	const char *path = getenv("CLOCK_SHIFT");
	int kept = errno, fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t bytes = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[bytes > 0 ? bytes : 0] = '\0';
	errno = kept;
	return strtoll(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (syscall(SYS_clock_gettime, clock, now))
		return -1;
	if (clock == CLOCK_REALTIME)
		now->tv_sec += (time_t)shift_seconds();
	return 0;
}
