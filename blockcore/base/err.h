/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the configuration path: a code and one line of text for the person
 * who must act on it, made where the error is found, wrapped with context on
 * the way up, printed once at the top.
 *
 * Invariants
 *  1. The data path never uses this: it has -errno only.
 *  2. A text says what is wrong, where, and what to do; no trailing newline.
 *  3. Every function that takes a `struct err *` accepts NULL.
 */
#ifndef BLOCKCORE_BASE_ERR_H
#define BLOCKCORE_BASE_ERR_H

#define ERR_TEXT_BYTES 512
#define ERR_POINTER_BYTES 256

struct err {
	int code; /* positive errno value; 0 while nothing was set */
	char text[ERR_TEXT_BYTES];
	/* What of a document is meant: a JSON Pointer (RFC 6901), "" if nothing
	 * is or the pointer is too long. Set by doc_error. */
	char pointer[ERR_POINTER_BYTES];
};

/* Sets code and text (an earlier text is replaced). Returns -code, so that a
 * caller can write `return err_set(err, EINVAL, "...")`. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text, as in "volume db01: no such file".
 * Keeps the code. Returns -code; -EINVAL if err is NULL, as there is no code. */
int err_wrap(struct err *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Says what of a document is meant (a JSON Pointer). Returns as err_wrap does. */
int err_point(struct err *err, const char *pointer);

#endif
