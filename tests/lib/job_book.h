/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who keeps documents, for tests of jobs over restarts: what it was told last is what a
 * power cut leaves of it.
 */
#ifndef TESTS_LIB_JOB_BOOK_H
#define TESTS_LIB_JOB_BOOK_H

#include "blockcore/job.h"

struct job_book {
	struct job_keeper keeper;
	uint64_t cursor; /* of a job that begins; 0: none has */
	char *carry; /* the listener without which the source must not open; NULL */
	char *kept; /* the document of a pivot; NULL: there was none */
	unsigned disowned; /* times */
};

/* Empty, and the core's. */
void job_book_open(struct job_book *book, struct block_core *core);
/* What `from` holds; `book` is empty. */
void job_book_copy(struct job_book *book, const struct job_book *from);
void job_book_close(struct job_book *book);

#endif
