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

/* The i-th name of a table, NULL behind its last. */
typedef const char *err_name_at(const void *table, unsigned i);

struct err {
	int code; /* positive errno value; 0 while nothing was set */
	char text[ERR_TEXT_BYTES];
	/* What of a document is meant: a JSON Pointer (RFC 6901), "" if nothing
	 * is or the pointer is too long. Set by doc_error. */
	char pointer[ERR_POINTER_BYTES];
	/* What would do there, if that is a choice: err_allowed. */
	err_name_at *allowed_at;
	const void *allowed_table;
	const char *const *allowed_more;
};

/* Sets code and text (an earlier text is replaced, and what it pointed to
 * forgotten). Returns -code, so that a caller can write `return err_set(err, EINVAL, "...")`. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text, as in "volume db01: no such file".
 * Keeps the code. Returns -code; -EINVAL if err is NULL, as there is no code. */
int err_wrap(struct err *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Says what of a document is meant (a JSON Pointer). Returns as err_wrap does. */
int err_point(struct err *err, const char *pointer);
/* Says what would do in the place of what is refused: the names of a table (`name_at`
 * NULL: there is none), then those of `more` (ends with NULL; NULL: none). All of it
 * lives for ever. Returns as err_wrap does. */
int err_allow(struct err *err, err_name_at *name_at, const void *table,
	const char *const *more);
/* The i-th of these names, NULL behind the last. */
const char *err_allowed(const struct err *err, unsigned i);
/* Puts these names, or as many as fit, behind the text, which ends where they belong:
 * "there are: ". Returns as err_wrap does. */
int err_list_allowed(struct err *err);

#endif
