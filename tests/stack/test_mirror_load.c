/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mirror's whole life under I/O that is verified, from several threads: legs fail and
 * come back, get what they lack, become what counts and what counts becomes the leg,
 * mirrors come and go. No host sees anything of it, every read shows what was written,
 * and in the end both are equal.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "tests/lib/mirror_pair.h"
#include "tests/lib/model_load.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 3u
#define WORKERS 6u
#define SECTORS (PAIR_BYTES / SECTOR_BYTES / WORKERS / 8 * 8) /* of each */
#define A_WHILE_NS (2ull * 1000 * 1000)

#define NAMED "{type: mirror, name: m, granularity: 64K, leg: source-1}"
#define INLINE \
	"{type: mirror, name: m, granularity: 64K, map: marks, leg: " \
	"{protocol: {type: file, path: copy, size: 1M}}}"

static const uint32_t sectors = SECTORS;
static _Atomic bool stopping;

static bool more(struct model_load *load)
{
	(void)load;
	return !atomic_load(&stopping);
}

static void load_start(struct mirror_pair *pair, struct model_load *load)
{
	atomic_store(&stopping, false);
	for (unsigned i = 0; i < WORKERS; i++) {
		load[i] = (struct model_load){.task.run_co = model_load_run_co,
			.source = pair->source,
			.model = sector_model_new(SECTORS),
			.random = i + 1,
			.weight = {[LOAD_READ] = 4,
				[LOAD_WRITE] = 6,
				[LOAD_ZERO] = 1,
				[LOAD_DISCARD] = 1,
				[LOAD_COMPARE] = 1,
				[LOAD_FLUSH] = 1},
			.first_sector = i * SECTORS,
			.sectors = &sectors,
			.unit_sectors = 1,
			.most_units = 24,
			.fua_percent = 20,
			.more = more};
		stack_rig_start(pair->rig, i % pair->rig->lanes, &load[i].task);
	}
}

static void load_end_co(struct mirror_pair *pair, struct model_load *load)
{
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < WORKERS; i++)
		stack_rig_join_co(&load[i].task);
	for (unsigned i = 0; i < WORKERS; i++) {
		model_load_verify_co(pair->rig, &load[i]);
		sector_model_free(load[i].model);
	}
}

static void until_degraded_co(struct mirror_pair *pair)
{
	struct loop *loop = block_core_lane(pair->rig->core, 0)->loop;
	bool degraded = false;

	while (!degraded) {
		char *status = stack_rig_status(pair->source);

		degraded = strstr(status, "\"state\": \"degraded\"") != NULL;
		free(status);
		loop_sleep_co(loop, A_WHILE_NS);
	}
}

static void pivot_co(struct mirror_pair *pair)
{
	struct job *job;
	struct err err = {0};

	if (job_start_co(pair->rig->core, pair->source, "pivot",
		    stack_rig_doc(pair->rig, "{}"), 0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	pair_job_end_co(job, JOB_DONE, NULL);
}

/* A leg that fails in use, and one that fails while it gets what it lacks. */
static void fail_and_mend_co(struct mirror_pair *pair)
{
	static const char once[] =
		"{op: change, error: EIO, after: 15, count: 1}";

	pair_attach_co(pair, NAMED);
	pair_resync_co(pair);
	pair_fault_co(pair, pair->leg, once);
	until_degraded_co(pair);
	pair_fault_co(pair, pair->leg, "{op: write, error: EIO, count: 1}");
	pair_job_end_co(pair_job_co(pair), JOB_FAILED, NULL);
	pair_resync_co(pair);
	pair_detach_co(pair);
}

static void exchange_co(struct mirror_pair *pair)
{
	pair_attach_co(pair, INLINE);
	pair_resync_co(pair);
	pivot_co(pair);
	pivot_co(pair);
	pivot_co(pair);
	pair_detach_co(pair);
}

static void test_life_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = {.rig = rig,
		.leg = stack_rig_source_co(rig,
			"{listeners: [{type: fault, name: f}], " PAIR_MEM "}"),
		.source = stack_rig_source_co(rig, argument)};
	struct model_load *load = calloc(WORKERS, sizeof *load);

	load_start(&pair, load);
	for (unsigned i = 0; i < ROUNDS; i++) {
		fail_and_mend_co(&pair);
		if (!i)
			exchange_co(&pair);
	}
	pair_attach_co(&pair, NAMED);
	pair_resync_co(&pair);
	load_end_co(&pair, load);
	pair_expect_state(&pair, "in sync");
	CHECK(pair_is_equal_co(&pair));
	free(load);
	mirror_pair_end_co(&pair);
}

#define RAW "{protocol: {type: file, path: disk, size: 1M}}"
#define QCOW2 \
	"{format: {type: qcow2, size: 1M, file: {protocol: {type: file, " \
	"path: disk.qcow2, size: 64K}}}}"

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE_WITH(test_life_co, RAW, "threads raw",
			.world = "threads", .lanes = 3),
		STACK_RIG_CASE_WITH(test_life_co, QCOW2, "threads qcow2",
			.world = "threads", .lanes = 3),
		STACK_RIG_CASE_WITH(test_life_co, RAW, "simulated raw",
			.world = "simulated", .lanes = 3, .seed = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
