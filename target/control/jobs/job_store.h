/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of jobs in the daemon's state. Control thread.
 */
#ifndef TARGET_CONTROL_JOBS_JOB_STORE_H
#define TARGET_CONTROL_JOBS_JOB_STORE_H

#include "blockcore/base/err.h"

#include <stdint.h>

struct state;

enum kept_job_state {
	KEPT_JOB_QUEUED,
	KEPT_JOB_RUNNING,
	KEPT_JOB_PAUSED,
	KEPT_JOB_CANCELLING,
	KEPT_JOB_DONE, /* from here on: ended */
	KEPT_JOB_FAILED,
	KEPT_JOB_CANCELLED,
};

/* The cursor of one that has done its work, but for a file that is to go. */
#define KEPT_JOB_TIDIES ((uint64_t)INT64_MAX)

struct kept_job_record {
	uint64_t id, generation;
	char volume[64], kind[32], user[64];
	char *options; /* JSON; "" none. Owned by who holds the record */
	enum kept_job_state state;
	uint64_t cursor, done_bytes, total_bytes;
	uint32_t
		ground; /* what the volume stood on at its start: job_holds.c */
	uint64_t rate_bytes; /* how fast it may be; 0: no limit */
	int64_t created_ms, ended_ms;
	char error[ERR_TEXT_BYTES];
	char note[160]; /* what it has found */
};

/* Adds or replaces. 0 or -errno. */
int kept_job_store_save(struct state *state,
	const struct kept_job_record *record, struct err *err);
void kept_job_store_remove(struct state *state, uint64_t id);
/* Calls `found` for each, oldest first, which takes `options` over. */
int kept_job_store_load(struct state *state,
	int (*found)(struct kept_job_record *record, void *argument),
	void *argument, struct err *err);

#endif
