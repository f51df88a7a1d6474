/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moments of a volume in use, and hosts that stand still; see image_life.h. Models
 * belong to the lanes of their workers: what asks them while these work is sent there.
 */
#include "tests/lib/image_life.h"

#include "blockcore/base/list.h"

#include <stdlib.h>
#include <string.h>

#define REGION_BYTES (IMAGE_REGION * SECTOR_BYTES)
#define REST_NS 100000ull /* between two looks of one that stands still */

/* One worker's part of a moment, asked for on its lane. */
struct part {
	struct stack_rig_task task;
	struct model_load *load;
	uint64_t stamp;
	const uint8_t *data; /* NULL: nothing was shown */
	uint32_t wrong; /* the first sector that it may not show */
};

/* -- moments -------------------------------------------------------------- */

static void begin_co(struct stack_rig_task *task)
{
	struct part *part = container_of(task, struct part, task);

	part->stamp = sector_model_read(part->load->model);
}

static void end_co(struct stack_rig_task *task)
{
	struct part *part = container_of(task, struct part, task);
	struct sector_model *model = part->load->model;

	part->wrong = UINT32_MAX;
	if (!part->data)
		sector_model_read_failed(model);
	else
		part->wrong = sector_model_check_read(
			model, part->stamp, 0, IMAGE_REGION, part->data);
	if (part->wrong != UINT32_MAX)
		sector_model_explain(model, part->wrong,
			part->data + part->wrong * SECTOR_BYTES);
}

static void on_lane_co(struct image_volume *volume, unsigned worker,
	struct part *part, void (*run_co)(struct stack_rig_task *task))
{
	struct stack_rig *rig = volume->life->rig;

	part->load = &volume->load[worker];
	part->task = (struct stack_rig_task){.run_co = run_co};
	stack_rig_start(rig, part->load->task.lane->index, &part->task);
	stack_rig_join_co(&part->task);
}

void image_moment_begin_co(
	struct image_moment *moment, struct image_volume *volume)
{
	moment->volume = volume;
	for (unsigned i = 0; i < IMAGE_WORKERS; i++) {
		struct part part = {0};

		on_lane_co(volume, i, &part, begin_co);
		moment->stamp[i] = part.stamp;
	}
}

static void moment_end_co(struct image_moment *moment, const uint8_t *data)
{
	for (unsigned i = 0; i < IMAGE_WORKERS; i++) {
		struct part part = {.stamp = moment->stamp[i],
			.data = data ? data + i * REGION_BYTES : NULL};

		on_lane_co(moment->volume, i, &part, end_co);
		if (part.wrong != UINT32_MAX)
			check_fail(__FILE__, __LINE__,
				"%s: sector %u of worker %u is of no moment",
				block_source_name(moment->volume->source),
				part.wrong, i);
	}
}

uint8_t *image_moment_end_co(
	struct image_moment *moment, struct block_source *shown)
{
	uint8_t *data = image_read_co(moment->volume->life, shown);

	moment_end_co(moment, data);
	return data;
}

void image_moment_forget_co(struct image_moment *moment)
{
	moment_end_co(moment, NULL);
}

uint8_t *image_read_co(struct image_life *life, struct block_source *source)
{
	uint8_t *data = aligned_alloc(4096, IMAGE_USED);

	CHECK(data != NULL);
	CHECK_INT(block_transfer_co(source, block_core_lane(life->rig->core, 0),
			  BLOCK_READ, 0, 0, IMAGE_USED, data),
		0);
	return data;
}

void image_expect_co(struct image_life *life, struct block_source *source,
	const uint8_t *content)
{
	uint8_t *data = image_read_co(life, source);

	for (unsigned i = 0; i < IMAGE_USED / SECTOR_BYTES; i++) {
		if (memcmp(data + i * SECTOR_BYTES, content + i * SECTOR_BYTES,
			    SECTOR_BYTES))
			check_fail(__FILE__, __LINE__,
				"%s: sector %u is not what it was",
				block_source_name(source), i);
	}
	free(data);
}

/* -- workers -------------------------------------------------------------- */

static bool more(struct model_load *load)
{
	struct image_life *life = load->task.argument;

	if (atomic_load(&life->still) && !atomic_load(&life->stop)) {
		atomic_fetch_add(&life->resting, 1);
		while (atomic_load(&life->still) && !atomic_load(&life->stop))
			loop_sleep_co(load->task.lane->loop, REST_NS);
		atomic_fetch_sub(&life->resting, 1);
	}
	return !atomic_load(&life->stop);
}

void image_rest_co(struct image_life *life)
{
	struct loop *loop = block_core_lane(life->rig->core, 0)->loop;

	atomic_store(&life->still, true);
	while (atomic_load(&life->resting) < 2 * IMAGE_WORKERS)
		loop_sleep_co(loop, REST_NS);
}

void image_go_on(struct image_life *life)
{
	atomic_store(&life->still, false);
}

void image_becomes(struct image_volume *volume, const uint8_t *content)
{
	for (unsigned i = 0; i < IMAGE_WORKERS; i++) {
		struct sector_model *model = volume->load[i].model;
		uint32_t version = sector_model_submit_again(
			model, 0, IMAGE_REGION, content + i * REGION_BYTES);

		sector_model_complete(model, version, false);
	}
}

void image_workers_start(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct model_load like = {.task.argument = life,
		.source = volume->source,
		.weight = {[LOAD_READ] = 8,
			[LOAD_WRITE] = 8,
			[LOAD_FUA] = 1,
			[LOAD_ZERO] = 1,
			[LOAD_UNMAP] = 1,
			[LOAD_DISCARD] = 1,
			[LOAD_COMPARE] = 2,
			[LOAD_FLUSH] = 2},
		.sectors = &life->sectors,
		.unit_sectors = 1,
		.most_units = 12,
		.more = more};

	model_load_plan(volume->load, IMAGE_WORKERS, &like, &life->random);
	for (unsigned i = 0; i < IMAGE_WORKERS; i++) {
		volume->load[i].model = sector_model_new(IMAGE_REGION);
		volume->load[i].first_sector = i * IMAGE_REGION;
	}
	model_load_start_all(life->rig, volume->load, IMAGE_WORKERS);
}

void image_workers_end_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;

	for (unsigned i = 0; i < IMAGE_WORKERS; i++) {
		struct model_load *load = &volume->load[i];

		stack_rig_join_co(&load->task);
		life->requests += load->done;
		model_load_verify_co(life->rig, load);
		sector_model_free(load->model);
	}
}
