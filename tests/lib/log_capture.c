/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/log_capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct log_capture log_capture_begin(void)
{
	struct log_capture c = {.saved = dup(STDERR_FILENO)};
	fflush(stderr);
	c.file = memfd_create("log", MFD_CLOEXEC);
	assert_true(c.saved >= 0 && c.file >= 0);
	/* A memfd's position is not locked: writers would overwrite lines. */
	assert_int_equal(fcntl(c.file, F_SETFL, O_APPEND), 0);
	dup2(c.file, STDERR_FILENO);
	return c;
}

char *log_capture_end(struct log_capture c)
{
	off_t bytes = lseek(c.file, 0, SEEK_END);
	char *text = calloc(1, (size_t)bytes + 1);
	dup2(c.saved, STDERR_FILENO);
	assert_non_null(text);
	assert_int_equal(pread(c.file, text, (size_t)bytes, 0), bytes);
	close(c.saved);
	close(c.file);
	return text;
}
