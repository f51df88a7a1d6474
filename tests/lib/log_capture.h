/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was logged: standard error is a file between begin and end. One at a time.
 */
#ifndef TESTS_LIB_LOG_CAPTURE_H
#define TESTS_LIB_LOG_CAPTURE_H

struct log_capture {
	int saved, file;
};

struct log_capture log_capture_begin(void);
/* All that was logged since; freed by the caller. */
char *log_capture_end(struct log_capture capture);

#endif
