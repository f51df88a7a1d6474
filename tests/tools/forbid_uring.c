/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program where the kernel forbids io_uring, as many containers do:
 *
 *   forbid_uring PROGRAM [ARGUMENT...]
 *
 * It becomes PROGRAM, whose status is the result; 125: the filter could not be set,
 * 127: PROGRAM could not be started.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/no_uring.h"

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: forbid_uring PROGRAM [ARGUMENT...]\n", stderr);
		return 125;
	}
	if (no_uring_forbid()) {
		perror("forbid_uring: seccomp");
		return 125;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
