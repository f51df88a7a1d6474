/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For benches: asks REST over a unix socket, one request at a time, and says how
 * long the answer took. Ends the program with a text where anything is wrong: no
 * connection, or an answer that is not a success.
 */
#ifndef TESTS_LIB_REST_ASKER_H
#define TESTS_LIB_REST_ASKER_H

#include <stddef.h>
#include <stdint.h>

/* "PROGRAM: text more" on standard error, status 1. */
_Noreturn void rest_asker_die(const char *text, const char *more);

/* A connected socket, the caller's. */
int rest_asker_connect(const char *path);

/* Sends it (`body`: JSON, NULL: none), reads the whole answer; from the one to the
 * other, in ns. */
uint64_t rest_asker_ask(
	int fd, const char *method, const char *url, const char *body);
/* The text (or number) after "KEY": in the last answer, cut to `bytes`; the program
 * ends if it is not there. */
void rest_asker_answer(const char *key, char *text, size_t bytes);

uint64_t rest_asker_now_ns(void); /* CLOCK_MONOTONIC */

#endif
