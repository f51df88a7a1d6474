/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of jobs in the daemon's state.
 */
#ifndef WEBUI_API_JOBS_JOB_STORE_H
#define WEBUI_API_JOBS_JOB_STORE_H

#include "blockcore/base/err.h"

#include <stdint.h>

struct state;

enum api_job_state {
	API_JOB_QUEUED,
	API_JOB_RUNNING,
	API_JOB_PAUSED,
	API_JOB_CANCELLING,
	API_JOB_DONE, /* from here on: ended */
	API_JOB_FAILED,
	API_JOB_CANCELLED,
};

/* The cursor of one that has done its work, but for a file that is to go. */
#define API_JOB_TIDIES ((uint64_t)INT64_MAX)

struct api_job_record {
	uint64_t id, generation;
	char volume[64], kind[32], user[64];
	char *options; /* JSON; "" none. Owned by who holds the record */
	enum api_job_state state;
	uint64_t cursor, done_bytes, total_bytes;
	uint32_t
		ground; /* what the volume stood on at its start: job_holds.c */
	uint64_t rate_bytes; /* how fast it may be; 0: no limit */
	int64_t created_ms, ended_ms;
	char error[ERR_TEXT_BYTES];
	char note[160]; /* what it has found */
};

/* Adds or replaces. 0 or -errno. */
int api_job_store_save(struct state *state, const struct api_job_record *record,
	struct err *err);
void api_job_store_remove(struct state *state, uint64_t id);
/* Calls `found` for each, oldest first, which takes `options` over. */
int api_job_store_load(struct state *state,
	int (*found)(struct api_job_record *record, void *argument),
	void *argument, struct err *err);

#endif
