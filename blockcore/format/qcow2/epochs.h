/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: group commit (epoch.c): what makes changes of the map durable. At home.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_EPOCHS_H
#define BLOCKCORE_FORMAT_QCOW2_EPOCHS_H

#include "blockcore/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct co;
struct qcow2;
struct qcow2_slice;
TAILQ_HEAD(qcow2_slice_list, qcow2_slice);

/* References to give up: a run of clusters, each by one. */
struct qcow2_freed {
	uint64_t offset_bytes, clusters;
	TAILQ_ENTRY(qcow2_freed) link;
};
TAILQ_HEAD(qcow2_freed_list, qcow2_freed);

struct qcow2_waiter {
	struct co *co;
	STAILQ_ENTRY(qcow2_waiter) link;
};
STAILQ_HEAD(qcow2_waiter_list, qcow2_waiter);

struct qcow2_epochs {
	uint64_t asked, done; /* commits */
	bool running, reclaiming; /* running: tables are being written */
	struct qcow2_waiter_list waiters;
	struct qcow2_slice_list dirty;
	uint32_t dirty_count;
	bool l1_dirty;
	bool ordered; /* a change needs the fdatasync of step 4 */
	struct qcow2_freed_list freed; /* since the last commit */
	struct qcow2_freed_list unnamed; /* durably; may be in use */
	struct qcow2_freed_list
		drained; /* the same; counted down now or soon */
	struct loop_timer timer;
	/* Writing ahead: entries of this epoch; whether the last one was short. */
	uint32_t changes;
	bool brief, ahead_posted;
	struct loop_message ahead;
	uint64_t commits;
};

void qcow2_epoch_init(struct qcow2 *image);
/* Everything that has been written before is durable. */
int qcow2_epoch_commit_co(struct qcow2 *image);
/* The map is about to be changed. */
void qcow2_epoch_touch(struct qcow2 *image);
/* A reference less, once the map of now is durable. */
void qcow2_epoch_free(struct qcow2 *image, uint64_t offset, uint64_t clusters);
/* Of an L2 entry, whatever it is. */
void qcow2_epoch_free_entry(struct qcow2 *image, uint64_t word);
/* A commit, so that what was set free can be given out again; its end is waited for.
 * The caller is no request that a drain waits for. False: nothing has become free. */
bool qcow2_epoch_reclaim_co(struct qcow2 *image);
/* Nothing is at work any more; what is left is freed, for the last time. */
int qcow2_epoch_end_co(struct qcow2 *image);

#endif
