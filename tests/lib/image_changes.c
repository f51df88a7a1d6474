/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/image_changes.h"
#include "tests/lib/image_life.h"

#include <stdlib.h>
#include <string.h>

#include "blockcore/kind.h"

#define SIZES 4u /* of a volume: IMAGE_LEAST times 1 to so many */

const char *const image_change_names[IMAGE_KINDS] = {
	[IMAGE_LISTEN] = "listen",
	[IMAGE_UNLISTEN] = "unlisten",
	[IMAGE_CONFIGURE] = "configure",
	[IMAGE_VERIFY] = "verify",
	[IMAGE_READONLY] = "readonly",
	[IMAGE_BACKUP] = "backup",
	[IMAGE_SNAPSHOT] = "snapshot",
	[IMAGE_GROUP] = "group",
	[IMAGE_DELETE] = "delete",
	[IMAGE_REVERT] = "revert",
	[IMAGE_CLONE] = "clone",
	[IMAGE_RESIZE] = "resize",
	[IMAGE_OVERLAY] = "overlay",
	[IMAGE_COMMIT] = "commit",
	[IMAGE_FLATTEN] = "flatten",
	[IMAGE_REBASE] = "rebase",
	[IMAGE_COPY] = "copy",
	[IMAGE_MIGRATE] = "migrate",
	[IMAGE_MIRROR] = "mirror",
	[IMAGE_CHECK] = "check",
	[IMAGE_SCRUB] = "scrub",
	[IMAGE_REOPEN] = "reopen",
};

/* -- external snapshots, sizes -------------------------------------------- */

/* A new image on top; what was there goes on showing the moment. */
static bool overlay_co(struct image_volume *volume)
{
	static const char *const shapes[] = {
		"cluster_size: 4K", "cluster_size: 64K", "cluster_size: 16K"};
	struct image_life *life = volume->life;
	const struct image_name path = image_name(life, "o");
	struct image_moment moment;
	char text[160];
	struct err err = {0};

	if (volume->images == IMAGE_CHAIN)
		return false;
	image_delete_all_co(volume);
	struct spec_overlay overlay = {
		.document = image_document(life,
			"{format: {type: qcow2, pool: 64K, %s, file: "
			"{protocol: {type: file, path: %s, size: 4K, locking: "
			"false}}}}",
			shapes[image_below(life, 3)], path.text),
		.placement = image_placement(volume),
		.deadline_ns = IMAGE_DEADLINE_NS};
	image_moment_begin_co(&moment, volume);
	if (image_settle(life, spec_overlay_co(volume->source, &overlay, &err),
		    &err)) {
		image_moment_forget_co(&moment);
		return false;
	}
	memmove(&volume->chain[1], &volume->chain[0],
		volume->images++ * sizeof volume->chain[0]);
	image_chain_set(volume, 0, path.text, true);
	snprintf(text, sizeof text, "{source: %s, view: {image: %s}}",
		block_source_name(volume->source), volume->chain[1].path);
	struct block_source *view = stack_rig_source_co(life->rig, text);
	uint8_t *content = image_moment_end_co(&moment, view);
	image_expect_co(life, view, content);
	free(content);
	block_source_put_co(view);
	return true;
}

/* What is new reads as zeroes, although something was there before. */
static bool resize_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	struct block_lane *lane = block_core_lane(life->rig->core, 0);
	uint64_t old = image_size(volume);
	uint64_t new = IMAGE_LEAST *(1 + image_below(life, SIZES));
	struct err err = {0};

	/* A commit would have to shrink what is below. */
	if (new == old || (new < old && volume->images > 1))
		return false;
	if (new < old)
		image_delete_all_co(volume); /* they may be larger */
	if (spec_resize_co(volume->source, new, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	CHECK_INT(image_size(volume), new);
	if (new > old)
		stack_rig_expect_co(
			life->rig, volume->source, old, new - old, NULL);
	uint8_t *data = stack_rig_pattern(4096, 1);
	CHECK_INT(block_transfer_co(volume->source, lane, BLOCK_WRITE, 0,
			  new - 4096, 4096, data),
		0);
	stack_rig_expect_co(life->rig, volume->source, new - 4096, 4096, data);
	CHECK_INT(block_transfer_co(volume->source, lane, BLOCK_WRITE_ZEROES, 0,
			  new - 4096, 4096, NULL),
		0);
	free(data);
	return true;
}

/* -- the run -------------------------------------------------------------- */

/* IMAGE_REOPEN is at the end, when nobody is there. */
static const struct {
	bool (*make_co)(struct image_volume *volume);
	unsigned weight;
} changes[IMAGE_REOPEN] = {
	[IMAGE_LISTEN] = {image_listen_co, 3},
	[IMAGE_UNLISTEN] = {image_unlisten_co, 2},
	[IMAGE_CONFIGURE] = {image_configure_co, 4},
	[IMAGE_VERIFY] = {image_verify_co, 1},
	[IMAGE_READONLY] = {image_readonly_co, 1},
	[IMAGE_BACKUP] = {image_backup_co, 1},
	[IMAGE_SNAPSHOT] = {image_snapshot_co, 4},
	[IMAGE_GROUP] = {image_group_co, 2},
	[IMAGE_DELETE] = {image_delete_co, 2},
	[IMAGE_REVERT] = {image_revert_co, 4},
	[IMAGE_CLONE] = {image_clone_co, 2},
	[IMAGE_RESIZE] = {resize_co, 1},
	[IMAGE_OVERLAY] = {overlay_co, 6},
	[IMAGE_COMMIT] = {image_commit_co, 2},
	[IMAGE_FLATTEN] = {image_flatten_co, 2},
	[IMAGE_REBASE] = {image_rebase_co, 2},
	[IMAGE_COPY] = {image_copy_co, 1},
	[IMAGE_MIGRATE] = {image_migrate_co, 1},
	[IMAGE_MIRROR] = {image_mirror_co, 1},
	[IMAGE_CHECK] = {image_check_co, 1},
	[IMAGE_SCRUB] = {image_scrub_co, 1},
};

static unsigned choose(struct image_life *life)
{
	unsigned sum = 0, kind = 0;

	for (unsigned i = 0; i < IMAGE_REOPEN; i++)
		sum += changes[i].weight;
	unsigned at = (unsigned)image_below(life, sum);
	while (at >= changes[kind].weight)
		at -= changes[kind++].weight;
	return kind;
}

static void volume_open_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	char text[240];

	volume->images = 1;
	image_chain_set(volume, 0, image_name(life, "i").text, true);
	snprintf(text, sizeof text,
		"{format: {type: qcow2, pool: 64K, cluster_size: 4K, size: 1M, "
		"file: {protocol: {type: file, path: %s, size: 4K, locking: "
		"false}}}}",
		volume->chain[0].path);
	volume->source = stack_rig_source_co(life->rig, text);
	image_workers_start(volume);
}

/* Its image is sound; opened again by what it says of itself it shows the same. */
static void volume_end_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	struct block_check check = {0};
	char *text = NULL;
	size_t bytes;
	struct err err = {0};

	if (volume->chain[0].qcow2)
		CHECK_INT(spec_check_image_co(volume->source, &check, &err), 0);
	CHECK_INT(check.errors, 0);
	CHECK_INT(check.leaks, 0);
	FILE *out = open_memstream(&text, &bytes);
	CHECK(out != NULL);
	spec_print(volume->source, false, out);
	fclose(out);
	uint8_t *content = image_read_co(life, volume->source);
	block_source_put_co(volume->source);
	volume->source = stack_rig_source_co(life->rig, text);
	image_expect_co(life, volume->source, content);
	image_shots_expect_co(volume);
	image_delete_all_co(volume);
	block_source_put_co(volume->source);
	free(content);
	free(text);
}

struct run {
	struct image_life life;
	struct image_changes *public;
};

static void body_co(struct stack_rig *rig, void *argument)
{
	struct run *run = argument;
	struct image_life *life = &run->life;
	struct loop *loop = block_core_lane(rig->core, 0)->loop;

	life->rig = rig;
	life->sectors = IMAGE_REGION;
	for (unsigned i = 0; i < 2; i++) {
		life->volume[i].life = life;
		volume_open_co(&life->volume[i]);
	}
	for (unsigned made = 0; made < run->public->changes;) {
		unsigned kind = choose(life);
		bool done = changes[kind].make_co(
			&life->volume[image_below(life, 2)]);

		run->public->made[kind] += done;
		made += done;
		if (image_below(life, 4) == 0)
			loop_sleep_co(loop, image_below(life, 2000000));
	}
	atomic_store(&life->stop, true);
	for (unsigned i = 0; i < 2; i++)
		image_workers_end_co(&life->volume[i]);
	for (unsigned i = 0; i < 2; i++)
		volume_end_co(&life->volume[i]);
	run->public->made[IMAGE_REOPEN] += 2;
}

void image_changes_run(
	const struct stack_rig_setup *setup, struct image_changes *public)
{
	struct run run = {.public = public, .life.random = public->seed};

	stack_rig_test(setup, body_co, &run);
	public->below = run.life.below;
	public->beside = run.life.beside;
	public->late = run.life.late;
	public->requests = run.life.requests;
}
