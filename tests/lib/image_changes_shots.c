/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal snapshots of volumes in use, what they show, going back to them, clones; see
 * image_life.h.
 */
#include "tests/lib/image_life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GROUP 2u

static void expect_done(int result, const struct err *err)
{
	if (result)
		check_fail(__FILE__, __LINE__, "%s", err->text);
}

static bool can_shoot(const struct image_volume *volume)
{
	return volume->chain[0].qcow2 && volume->shots < IMAGE_SHOTS;
}

static struct block_source *view_co(
	struct image_volume *volume, const char *name)
{
	char text[160];

	snprintf(text, sizeof text, "{source: %s, view: {snapshot: %s}}",
		block_source_name(volume->source), name);
	return stack_rig_source_co(volume->life->rig, text);
}

static void add_shot(
	struct image_volume *volume, const char *name, uint8_t *content)
{
	struct image_shot *shot = &volume->shot[volume->shots++];

	snprintf(shot->name, sizeof shot->name, "%s", name);
	shot->content = content;
}

/* What the new snapshot shows is of the moment, and kept. */
static void keep_co(struct image_moment *moment, const char *name)
{
	struct block_source *view = view_co(moment->volume, name);

	add_shot(moment->volume, name, image_moment_end_co(moment, view));
	block_source_put_co(view);
}

bool image_snapshot_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name name = image_name(life, "s");
	struct image_moment moment;
	struct err err = {0};

	if (!can_shoot(volume))
		return false;
	image_moment_begin_co(&moment, volume);
	if (image_settle(life,
		    spec_snapshot_create_co(
			    volume->source, name.text, IMAGE_DEADLINE_NS, &err),
		    &err)) {
		image_moment_forget_co(&moment);
		return false;
	}
	keep_co(&moment, name.text);
	return true;
}

bool image_group_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name name = image_name(life, "g");
	struct block_source *sources[GROUP];
	struct image_moment moment[GROUP];
	struct err err = {0};

	for (unsigned i = 0; i < GROUP; i++) {
		if (!can_shoot(&life->volume[i]))
			return false;
		sources[i] = life->volume[i].source;
	}
	for (unsigned i = 0; i < GROUP; i++)
		image_moment_begin_co(&moment[i], &life->volume[i]);
	int result = image_settle(life,
		spec_snapshot_group_co(
			&(struct spec_moment){.source = sources,
				.count = GROUP,
				.name = name.text,
				.deadline_ns = IMAGE_DEADLINE_NS},
			&err),
		&err);
	for (unsigned i = 0; i < GROUP; i++) {
		if (result)
			image_moment_forget_co(&moment[i]);
		else
			keep_co(&moment[i], name.text);
	}
	return !result;
}

static void shot_expect_co(struct image_volume *volume, unsigned index)
{
	struct image_shot *shot = &volume->shot[index];
	struct block_source *view = view_co(volume, shot->name);

	image_expect_co(volume->life, view, shot->content);
	block_source_put_co(view);
}

void image_shots_expect_co(struct image_volume *volume)
{
	for (unsigned i = 0; i < volume->shots; i++)
		shot_expect_co(volume, i);
}

static void delete_co(struct image_volume *volume, unsigned index)
{
	struct image_shot *shot = &volume->shot[index];
	struct err err = {0};

	shot_expect_co(volume, index);
	expect_done(spec_snapshot_delete_co(volume->source, shot->name, &err),
		&err);
	free(shot->content);
	*shot = volume->shot[--volume->shots];
}

bool image_delete_co(struct image_volume *volume)
{
	if (!volume->shots)
		return false;
	delete_co(volume, (unsigned)image_below(volume->life, volume->shots));
	return true;
}

void image_delete_all_co(struct image_volume *volume)
{
	while (volume->shots)
		delete_co(volume, volume->shots - 1);
}

/* Hosts stand still: what they wrote is gone then. What was there is a snapshot. */
bool image_revert_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name safety = image_name(life, "b");
	struct err err = {0};

	if (!volume->shots || !can_shoot(volume))
		return false;
	struct image_shot *shot =
		&volume->shot[image_below(life, volume->shots)];
	image_rest_co(life);
	uint8_t *before = image_read_co(life, volume->source);
	int result = image_settle(life,
		spec_snapshot_revert_co(volume->source, shot->name, safety.text,
			IMAGE_DEADLINE_NS, &err),
		&err);
	if (result) {
		free(before);
	} else {
		add_shot(volume, safety.text, before);
		image_becomes(volume, shot->content);
		image_expect_co(life, volume->source, shot->content);
	}
	image_go_on(life);
	return !result;
}

/* A writable image over a snapshot: it shows that until it is written to, and the
 * snapshot stays. */
bool image_clone_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	struct block_lane *lane = block_core_lane(life->rig->core, 0);
	struct err err = {0};
	char text[400];

	if (!volume->shots)
		return false;
	unsigned index = (unsigned)image_below(life, volume->shots);
	struct image_shot *shot = &volume->shot[index];
	snprintf(text, sizeof text,
		"{format: {type: qcow2, pool: 64K, cluster_size: 4K, size: 1M, "
		"file: {protocol: {type: mem, size: 8M}}, backing: "
		"{source: %s, view: {snapshot: %s}}}}",
		block_source_name(volume->source), shot->name);
	struct block_source *clone = stack_rig_source_co(life->rig, text);
	image_expect_co(life, clone, shot->content);
	CHECK_INT(spec_snapshot_delete_co(volume->source, shot->name, &err),
		-EBUSY);
	uint8_t *data = aligned_alloc(4096, IMAGE_USED);
	CHECK(data != NULL);
	memcpy(data, shot->content, IMAGE_USED);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = image_below(life, IMAGE_USED / SECTOR_BYTES - 8) *
			SECTOR_BYTES;

		memset(data + at, (int)i + 1, 8 * SECTOR_BYTES);
		CHECK_INT(block_transfer_co(clone, lane, BLOCK_WRITE, 0, at,
				  8 * SECTOR_BYTES, data + at),
			0);
	}
	image_expect_co(life, clone, data);
	shot_expect_co(volume, index);
	free(data);
	block_source_put_co(clone);
	return true;
}
