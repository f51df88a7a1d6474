/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job of each kind, for tests of what holds of all: over files of the simulator, with
 * a host beside it.
 */
#ifndef TESTS_LIB_JOB_CASES_H
#define TESTS_LIB_JOB_CASES_H

#include "blockcore/job.h"
#include "tests/lib/job_book.h"
#include "tests/lib/sim_ring.h"
#include "tests/lib/stack_rig.h"

#define JOB_CASE_BYTES (4u << 20) /* of the source */
#define JOB_KIND_CASES 17u

struct job_kind_case {
	const char *kind, *options;
	const char *source; /* document; "disk" holds a pattern */
	const char *listener; /* attached; NULL: none */
	const char *image[2]; /* external snapshots, each then written over */
	const char
		*copy; /* the file that shows the same in the end; NULL: none */
	bool destroys; /* what the source shows: nothing is compared, no host */
	bool read_only; /* the source: no host */
	bool carried; /* who keeps documents keeps what it needs after a restart */
	const char *
		resumes; /* what it reads; a restart reads the rest. NULL: all */
};
extern const struct job_kind_case job_kind_cases[JOB_KIND_CASES];

#define JOB_FILES 5u
struct job_traffic {
	struct sim_traffic file[JOB_FILES];
};

struct job_host {
	struct stack_rig_task task;
	bool stop, stopped;
	unsigned requests;
	uint64_t slowest_ns;
};

struct job_trial {
	struct stack_rig *rig;
	const struct job_kind_case *kind;
	struct block_lane *lane;
	struct block_source *source;
	struct job *job;
	uint8_t *expected; /* JOB_CASE_BYTES */
	uint64_t unsure_at, unsure_bytes; /* of it: a write was under way */
	bool still; /* the host has stopped before the job's end */
	struct job_book book; /* of a kind that is carried */
	struct job_host host;
};

/* The source, and the job, which has begun. */
void job_trial_begin_co(struct job_trial *trial, struct stack_rig *rig,
	const struct job_kind_case *kind);
/* The same on what `before` has left when the power was cut, whose source was written
 * as `document`; `cursor` of the job that was there; and what is in its book. The host
 * goes on before the job does. */
void job_trial_resume_co(struct job_trial *trial, struct stack_rig *rig,
	const struct job_trial *before, const char *document, uint64_t cursor);
/* The job has ended, or there is none. */
void job_trial_end_co(struct job_trial *trial);
/* The source shows what it should, and so does the copy, if no host was there in the
 * end. */
void job_trial_expect_co(struct job_trial *trial);
struct job_traffic job_trial_traffic(const struct job_trial *trial);

/* A host that writes here and there, reads that back, and flushes when it stops; none
 * where the kind destroys. Each request ends in JOB_HOST_PATIENCE_NS. */
#define JOB_HOST_PATIENCE_NS (1000ull * 1000 * 1000)
void job_trial_host_start(struct job_trial *trial);
void job_trial_host_stop_co(struct job_trial *trial);

#endif
