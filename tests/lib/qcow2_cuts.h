/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of the format qcow2: a script of steps runs on an image in the
 * simulator; before each submission and each completion of a disk operation the
 * power is cut. What is left is opened again: every sector holds what the model
 * allows (last flushed or later, nothing else), and the image's own check finds
 * leaks at worst. A share of the images goes to qemu-img check (0 or 3).
 *
 * QCOW2_SEEDS: runs of each script (default 1). QCOW2_LONG_SEEDS: besides, runs of each
 * of QCOW2_OPERATIONS requests (default 2000) with QCOW2_CUTS cuts (default 20), at
 * places that the seed chooses (default 0). QCOW2_FIRST_SEED: the first of both (default
 * 1): a seed that has failed is replayed alone, and bit by bit. QCOW2_QEMU: every n-th image is
 * shown to qemu-img (default 50, 0: none). QCOW2_SCRIPT: the only script to run
 * (a pattern).
 */
#ifndef TESTS_LIB_QCOW2_CUTS_H
#define TESTS_LIB_QCOW2_CUTS_H

#include "tests/lib/model_load.h"

#include <sys/queue.h>

#define QCOW2_CUTS_SECTORS_MOST 384u
#define QCOW2_CUTS_SECTORS 256u
#define QCOW2_CUTS_WORKERS 4u
#define QCOW2_CUTS_STEPS 6u

struct qcow2_run;
struct qcow2_cut;
typedef void qcow2_step_co(struct qcow2_run *run);

struct qcow2_script {
	const char *name, *options; /* of a new image, after a comma */
	uint8_t weight[LOAD_OPS];
	uint32_t unit_sectors, most_units, hot_units; /* of requests */
	uint32_t base_sectors; /* of a backing file; 0: none */
	qcow2_step_co *step_co[QCOW2_CUTS_STEPS]; /* NULL ends */
};

struct qcow2_run {
	const struct qcow2_script *script;
	struct stack_rig *rig;
	struct block_source *source;
	struct sector_model *model;
	uint64_t seed, random;
	unsigned requests; /* of each worker in each step of work */
	uint32_t print; /* of a long run: of all that it left in the file */
	uint64_t operations; /* that have been done */
	unsigned most_cuts; /* 0: one at each point */
	uint64_t passed,
		chosen; /* points; which of them are cut: state of prng.h */
	uint32_t sectors;
	/* The size is the first or the second. */
	uint64_t size_bytes, next_size_bytes;
	bool unmade; /* a cut may leave no image yet: it is made then */
	/* The snapshot "one": whole; deleted; what it has to show, NULL: not
	 * known. */
	bool shot, gone, reverting; /* while nobody writes */
	uint8_t *shot_content;
	/* As it was before the content went back to it; NULL: not yet. */
	uint8_t *safe_content;
	struct model_load load[QCOW2_CUTS_WORKERS];
	STAILQ_HEAD(, qcow2_cut) cuts;
	struct qcow2_cut *checking;
};

/* -- steps ---------------------------------------------------------------- */

/* The first step of a script: a new image, cut from then on ... */
qcow2_step_co qcow2_cuts_make_co;
/* ... the same in a file that held other things, as a disk does ... */
qcow2_step_co qcow2_cuts_make_on_garbage_co;
qcow2_step_co qcow2_cuts_make_on_zeroes_co;
/* ... or while it is made ... */
qcow2_step_co qcow2_cuts_make_cut_co;
/* ... or one whose clusters are compressed, by qemu-img; script->options are
 * qemu-img's. */
qcow2_step_co qcow2_cuts_pack_co;
/* ... or one with a snapshot, in the same way. */
qcow2_step_co qcow2_cuts_snapshot_co;

/* All workers, requests of the script's kinds. */
qcow2_step_co qcow2_cuts_work_co;
qcow2_step_co qcow2_cuts_reopen_co;
/* An internal snapshot: while nobody works ... */
qcow2_step_co qcow2_cuts_shot_co;
/* ... and while all do. */
qcow2_step_co qcow2_cuts_work_shot_co;
/* It is deleted: the same. */
qcow2_step_co qcow2_cuts_delete_co;
qcow2_step_co qcow2_cuts_work_delete_co;
/* Back to it; what was there becomes "safe". */
qcow2_step_co qcow2_cuts_revert_co;
qcow2_step_co qcow2_cuts_work_revert_co;
/* Another one, "two"; it is deleted while all work. */
qcow2_step_co qcow2_cuts_other_co;
qcow2_step_co qcow2_cuts_work_delete_other_co;
qcow2_step_co qcow2_cuts_grow_co;
/* To a little less than half, what is behind that half discarded. */
qcow2_step_co qcow2_cuts_shrink_co;
/* While it is closed, without cuts: some free clusters are called used. */
qcow2_step_co qcow2_cuts_leak_co;
/* The same: nearly all that the refcount table can count, so that it has to grow.
 * Clusters of 512 and refcounts of 64 bits only. */
qcow2_step_co qcow2_cuts_crowd_co;
/* The same: as after a crash of one that puts refcounts off: dirty, and some are
 * too low. Cut while it is opened. */
qcow2_step_co qcow2_cuts_soil_co;
qcow2_step_co qcow2_cuts_repair_co;

/* Whether workers work in it. */
bool qcow2_cuts_works(qcow2_step_co *step_co);

/* -- between the files ---------------------------------------------------- */

void qcow2_cuts_watch(struct qcow2_run *run, bool on);
void qcow2_cuts_describe(
	const struct qcow2_run *run, bool made, char *out, size_t size);
#define QCOW2_CUTS_PATH "data/disk"
#define QCOW2_CUTS_BASE "data/base"

/* A cmocka group of these, and figures; the exit status. */
int qcow2_cuts_main(const struct qcow2_script *scripts, size_t count);

#endif
