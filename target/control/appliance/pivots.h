/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what jobs make volumes stand on: the new document of the source is in the
 * configuration before the gate opens on it (job.h, job_keeper).
 *
 * Invariants
 *  1. A restart before the document is durable opens the old stack, one after it the
 *     new one; a document that cannot be kept leaves the old stack running.
 *  2. That the job is done is kept with the document, both or neither.
 *  3. Control lane only; one pivot at a time, and no other change of the
 *     configuration meanwhile.
 */
#ifndef TARGET_CONTROL_APPLIANCE_PIVOTS_H
#define TARGET_CONTROL_APPLIANCE_PIVOTS_H

#include "blockcore/job.h"
#include "target/control/config/config.h"

struct trust;

/* What an external snapshot was in, and is now, if a job has merged two images; NULL
 * where it is no file. */
struct pivots_merge {
	const char *from, *to; /* borrowed from: */
	json_t *was, *is;
};

/* Who keeps jobs. */
struct pivots_watcher {
	/* A restart finds where the job was: durable. */
	int (*begun)(struct pivots_watcher *watcher, struct job *job,
		uint64_t cursor, struct err *err);
	/* In the transaction that keeps the document: the job has done its work, so
	 * that a restart does not do it again. An error refuses the pivot. */
	int (*record)(struct pivots_watcher *watcher, struct job *job,
		const struct pivots_merge *merge, struct err *err);
	/* The gate is open on what was kept. */
	void (*moved)(struct pivots_watcher *watcher, const char *volume);
};

struct pivots {
	struct job_keeper keeper;
	struct block_core *core;
	struct appliance *appliance;
	struct config *config;
	struct trust *trust; /* NULL: no audit */
	struct state *state;
	struct pivots_watcher *watcher; /* NULL: nobody */
	bool kept; /* by the pivot under way */
};

/* Everything outlives it. */
void pivots_open(struct pivots *pivots, const struct appliance_world *world,
	struct appliance *appliance, struct config *config,
	struct trust *trust);
/* No job is left. One that was never opened may be closed. */
void pivots_close(struct pivots *pivots);

#endif
