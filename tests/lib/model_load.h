/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random requests on a source, checked against a sector_model: one worker, with
 * one request at a time. Workers may share a model (all on one thread), or have
 * one each for sectors of their own.
 */
#ifndef TESTS_LIB_MODEL_LOAD_H
#define TESTS_LIB_MODEL_LOAD_H

#include "tests/lib/sector_model.h"
#include "tests/lib/stack_rig.h"

enum model_load_op {
	LOAD_READ,
	LOAD_WRITE,
	LOAD_FUA, /* a write */
	LOAD_ZERO,
	LOAD_UNMAP, /* zeroes that may give up space */
	LOAD_DISCARD,
	LOAD_COMPARE,
	LOAD_FLUSH,
	LOAD_OPS
};

struct model_load {
	struct stack_rig_task task;
	struct block_source *source;
	struct sector_model *model;
	uint64_t random; /* state of prng.h */
	uint8_t weight[LOAD_OPS]; /* how often each, relative */
	/* Of the source: sector `n` of the model is first_sector + n of it.
	 * `sectors` may be changed while it runs. */
	uint32_t first_sector;
	const uint32_t *sectors;
	uint32_t unit_sectors, most_units; /* of a request */
	uint32_t hot_units; /* 0: all places alike; else only so many */
	unsigned fua_percent; /* of zeroes, discards and compares */
	bool write_through; /* every change is durable when it completes */
	bool (*more)(struct model_load *load); /* NULL: `requests` */
	unsigned requests;
	unsigned done;
};

/* As stack_rig_task.run_co. Ends the program at the first wrong thing. */
void model_load_run_co(struct stack_rig_task *task);

/* Workers like `like`, each with random numbers of its own, from *random. */
void model_load_plan(struct model_load *load, unsigned count,
	const struct model_load *like, uint64_t *random);
/* All of them, from their beginning, on the rig's lanes by turns; until all have ended. */
void model_load_start_all(
	struct stack_rig *rig, struct model_load *load, unsigned count);
void model_load_join_all_co(struct model_load *load, unsigned count);

/* What is read now, all of it, by one that has waited for everything. */
void model_load_verify_co(struct stack_rig *rig, struct model_load *load);

#endif
