/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of jobs that there are, for registry.c.
 */
#ifndef BLOCKCORE_JOBS_JOBS_H
#define BLOCKCORE_JOBS_JOBS_H

#include "blockcore/job.h"

extern const struct job_kind job_fill;
extern const struct job_kind job_copy, job_migrate; /* copy.c */
extern const struct job_kind job_commit, job_flatten, job_stream; /* commit.c */
extern const struct job_kind job_resync, job_pivot; /* resync.c */
/* The leg of that mirror (NULL: the only one) has everything when it returns 0. */
int resync_all_co(struct job *job, const char *listener, struct err *err);

extern const struct job_kind job_backup, job_scrub, job_check, job_rebase;

#endif
