/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an external snapshot goes, for whoever wants that: REST (snapshot_delete.c) or a
 * schedule whose retention does not want it any more.
 *
 *	merge	one that the volume stands on: by a job, which merges its image with the
 *		one over it
 *	branch	one that the volume went back from: with its files, at once
 *
 * Invariant: nothing here changes anything but snapshot_files_remove_co; what is in the
 * way (other volumes, locks, read-only files) is found here.
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_JOBS_SNAPSHOT_MERGE_H
#define TARGET_CONTROL_JOBS_SNAPSHOT_MERGE_H

#include "target/control/jobs/jobs.h"

struct snapshot_merge {
	const char *kind; /* of the job */
	json_t *options; /* its own, to be let go of */
};
/* The job that merges the snapshot whose image is in that file. 0, or -ENOENT (the volume
 * does not stand on it), -EBUSY with who is in the way. */
int snapshot_merge_find(const struct jobs *jobs, const char *volume,
	const char *image, struct snapshot_merge *merge, struct err *err);

/* The value of the volume without its branch `name`, whose image is in that file: a new
 * value, and the files that it does not need any more, a new list. NULL with *err:
 * -EBUSY, another one stands on it; -ENOENT. */
json_t *snapshot_without_branch(const json_t *volume, const char *image,
	const char *name, json_t **files, struct err *err);
/* Removes those that nobody else uses; the document does not name them any more. */
void snapshot_files_remove_co(const struct daemon_parts *parts,
	struct loop *loop, const char *volume, const json_t *files);

#endif
