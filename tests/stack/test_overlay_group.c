/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots of several sources under I/O: they show one moment, and all are
 * made or none. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/core/core.h"
#include "blockcore/format/format.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define LANES 3u
#define SOURCES 3u
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)
#define OVERLAY \
	"{format: {type: qcow2, cluster_size: 4K, file: {protocol: {type: " \
	"mem, size: 32M}}}}"

/* Writes a number to one source after the other, each when the one before has it. */
struct counter {
	struct stack_rig_task task;
	struct block_source *source[SOURCES];
	uint64_t offset;
	_Atomic bool *stop;
};

static void counter_co(struct stack_rig_task *task)
{
	struct counter *counter = container_of(task, struct counter, task);
	uint8_t data[512];
	uint32_t number = 0;

	do {
		number++;
		for (unsigned i = 0; i < SOURCES; i++) {
			memset(data, 0, sizeof data);
			memcpy(data, &number, sizeof number);
			CHECK_INT(block_transfer_co(counter->source[i],
					  task->lane, BLOCK_WRITE, 0,
					  counter->offset, sizeof data, data),
				0);
		}
	} while (!atomic_load(counter->stop));
}

static uint32_t number_co(
	struct stack_rig *rig, struct block_source *source, uint64_t offset)
{
	uint8_t data[512];
	uint32_t number;

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, offset, sizeof data, data),
		0);
	memcpy(&number, data, sizeof number);
	return number;
}

static void sources_co(
	struct stack_rig *rig, struct block_source *source[SOURCES])
{
	for (unsigned i = 0; i < SOURCES; i++)
		source[i] = stack_rig_source_co(
			rig, "protocol: {type: mem, size: 4M}");
}

static int group_co(struct stack_rig *rig, struct block_source *source[SOURCES],
	int (*durable_co)(void *argument, struct err *err), void *argument,
	struct err *err)
{
	struct spec_overlay overlay[SOURCES];
	const struct spec_overlays overlays = {.overlay = overlay,
		.count = SOURCES,
		.deadline_ns = PATIENCE_NS,
		.durable_co = durable_co,
		.argument = argument};

	for (unsigned i = 0; i < SOURCES; i++)
		overlay[i] = (struct spec_overlay){.source = source[i],
			.document = stack_rig_doc(rig, OVERLAY)};
	return spec_overlay_group_co(&overlays, err);
}

/* What was written later was not there before what was written earlier. */
static void moment_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source[SOURCES];
	struct counter counter[LANES];
	_Atomic bool stop = false;
	struct err err = {0};

	(void)argument;
	sources_co(rig, source);
	for (unsigned i = 0; i < LANES; i++) {
		counter[i] = (struct counter){.task.run_co = counter_co,
			.offset = 4096 * i,
			.stop = &stop};
		memcpy(counter[i].source, source, sizeof source);
		stack_rig_start(rig, i, &counter[i].task);
	}
	for (unsigned round = 0; round < 4; round++) {
		if (group_co(rig, source, NULL, NULL, &err))
			fail_msg("%s", err.text);
		for (unsigned i = 0; i < LANES; i++) {
			uint32_t before = number_co(
				rig, stack_rig_backing(source[0]), 4096 * i);
			uint32_t first = before;

			for (unsigned s = 1; s < SOURCES; s++) {
				uint32_t here = number_co(rig,
					stack_rig_backing(source[s]), 4096 * i);

				CHECK(here <= before && here + 1 >= first);
				before = here;
			}
		}
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < LANES; i++)
		stack_rig_join_co(&counter[i].task);
	for (unsigned i = 0; i < SOURCES; i++)
		block_source_put_co(source[i]);
}

static int abandon_co(void *argument, struct err *err)
{
	++*(unsigned *)argument;
	return err_set(err, ENOSPC, "no room for the note");
}

static void unchanged_co(struct stack_rig *rig,
	struct block_source *source[SOURCES], const uint64_t *generation)
{
	for (unsigned i = 0; i < SOURCES; i++) {
		CHECK_INT(source[i]->current->generation, generation[i]);
		CHECK_INT(number_co(rig, source[i], 0), 0);
	}
}

static void none_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source[SOURCES];
	uint64_t generation[SOURCES];
	struct err err = {0};
	unsigned calls = 0;

	(void)argument;
	sources_co(rig, source);
	for (unsigned i = 0; i < SOURCES; i++)
		generation[i] = source[i]->current->generation;
	CHECK_INT(group_co(rig, source, abandon_co, &calls, &err), -ENOSPC);
	CHECK_ERR(&err, "no room for the note");
	CHECK_INT(calls, 1);
	unchanged_co(rig, source, generation);
	CHECK_INT(group_co(rig, source, NULL, NULL, &err), 0);
	for (unsigned i = 0; i < SOURCES; i++)
		CHECK(source[i]->current->generation > generation[i]);
	/* The same twice. */
	struct block_source *third = source[2];
	source[2] = source[0];
	CHECK_INT(group_co(rig, source, NULL, NULL, &err), -EINVAL);
	CHECK_ERR(&err, "is named twice");
	source[2] = third;
	for (unsigned i = 0; i < SOURCES; i++)
		block_source_put_co(source[i]);
}

#define CASE(body) \
	STACK_RIG_CASE(body, simulated, .world = "simulated", .lanes = LANES), \
		STACK_RIG_CASE( \
			body, threads, .world = "threads", .lanes = LANES)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(moment_co),
		CASE(none_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
