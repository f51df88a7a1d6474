/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs on volumes in use, with other changes beside them; mirrors to their pivot,
 * backups to their whole copy, copies that are compared while hosts write. See
 * image_life.h.
 */
#include "tests/lib/image_life.h"

#include "blockcore/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_BYTES_S (8u << 20) /* so that something happens beside it */

#define FILE_OF "{protocol: {type: file, path: %s, size: %llu, locking: false}}"
#define IMAGE_OF \
	"{format: {type: qcow2, pool: 64K, cluster_size: 4K, size: %llu, " \
	"file: {protocol: {type: file, path: %s, size: 4K, locking: false}}}}"

/* -- jobs ----------------------------------------------------------------- */

/* What may be while a job is at work on the volume. */
static void beside_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	struct image_volume *other = &life->volume[volume == life->volume];
	bool done = false;

	switch (image_below(life, 4)) {
	case 0: done = image_listen_co(volume); break;
	case 1: done = image_unlisten_co(volume); break;
	case 2: done = image_snapshot_co(other); break;
	default: done = image_delete_co(other);
	}
	life->beside += done;
}

static bool at_work(const struct job *job, struct job_progress *progress)
{
	job_get_progress(job, progress);
	return progress->state < JOB_DONE;
}

static void job_co(struct image_volume *volume, const char *kind,
	const struct doc *options)
{
	struct image_life *life = volume->life;
	struct loop *loop = block_core_lane(life->rig->core, 0)->loop;
	struct job_progress progress;
	struct job *job;
	struct err err = {0};

	if (job_start_co(life->rig->core, volume->source, kind, options, 0,
		    &job, &err))
		check_fail(__FILE__, __LINE__, "%s: %s", kind, err.text);
	if (image_below(life, 2)) {
		job_set_rate(job, SLOW_BYTES_S);
		for (unsigned i = 0; i < 4 && at_work(job, &progress); i++) {
			beside_co(volume);
			loop_sleep_co(loop, image_below(life, 2000000));
		}
		job_set_rate(job, 0);
	}
	job_wait_co(job);
	job_get_progress(job, &progress);
	if (progress.state != JOB_DONE)
		check_fail(__FILE__, __LINE__, "%s: %s", kind,
			progress.error.text);
	job_free(job);
}

/* An image of the chain below the one on top, which itself stands on one; 0: none. */
static unsigned lower(struct image_volume *volume)
{
	struct image_life *life = volume->life;

	if (volume->images < 3 || image_below(life, 2))
		return 0;
	unsigned at = 1 + (unsigned)image_below(life, volume->images - 2);
	return volume->chain[at].qcow2 ? at : 0;
}

static bool move_co(struct image_volume *volume, const char *kind, unsigned at)
{
	if (at) {
		job_co(volume, kind,
			image_document(volume->life, "{image: %s}",
				volume->chain[at].path));
		volume->life->below++;
	} else {
		image_delete_all_co(volume); /* they hold what is below */
		job_co(volume, kind, NULL);
	}
	return true;
}

bool image_commit_co(struct image_volume *volume)
{
	unsigned at = lower(volume);

	if (volume->images < 2)
		return false;
	move_co(volume, "commit", at);
	memmove(&volume->chain[at], &volume->chain[at + 1],
		(volume->images - at - 1) * sizeof volume->chain[0]);
	volume->images--;
	return true;
}

bool image_flatten_co(struct image_volume *volume)
{
	unsigned at = lower(volume);

	if (volume->images < 2)
		return false;
	move_co(volume, "flatten", at);
	volume->images = at + 1;
	return true;
}

/* On a file that shows zeroes: all that was read from the old one is copied up. */
bool image_rebase_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name path = image_name(life, "base");

	if (volume->images < 2)
		return false;
	image_delete_all_co(volume);
	job_co(volume, "rebase",
		image_document(life, "{to: " FILE_OF "}", path.text,
			(unsigned long long)IMAGE_LEAST));
	volume->images = 2;
	image_chain_set(volume, 1, path.text, false);
	return true;
}

/* The copy is of the moment at which the job ends. */
bool image_copy_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name path = image_name(life, "copy");
	unsigned long long size = image_size(volume);
	struct image_moment moment;
	char text[200];

	image_moment_begin_co(&moment, volume);
	job_co(volume, "copy",
		image_document(life, "{to: " FILE_OF "}", path.text, size));
	snprintf(text, sizeof text, FILE_OF, path.text, size);
	struct block_source *copy = stack_rig_source_co(life->rig, text);
	free(image_moment_end_co(&moment, copy));
	block_source_put_co(copy);
	return true;
}

bool image_migrate_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name path = image_name(life, "m");
	unsigned long long size = image_size(volume);
	bool qcow2 = image_below(life, 3) > 0;

	image_delete_all_co(volume);
	if (qcow2)
		job_co(volume, "migrate",
			image_document(
				life, "{to: " IMAGE_OF "}", size, path.text));
	else
		job_co(volume, "migrate",
			image_document(
				life, "{to: " FILE_OF "}", path.text, size));
	volume->images = 1;
	image_chain_set(volume, 0, path.text, qcow2);
	return true;
}

bool image_check_co(struct image_volume *volume)
{
	if (!volume->chain[0].qcow2)
		return false;
	job_co(volume, "check", NULL);
	return true;
}

bool image_scrub_co(struct image_volume *volume)
{
	job_co(volume, "scrub", NULL);
	return true;
}

/* -- with a listener of their own ----------------------------------------- */

static const struct doc *listener_option(
	struct image_volume *volume, const char *name)
{
	return image_document(volume->life, "{listener: %s}", name);
}

/* A leg becomes the volume. */
bool image_mirror_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name path = image_name(life, "leg");
	const struct image_name name = image_name(life, "m");
	bool qcow2 = image_below(life, 2);
	unsigned long long size = image_size(volume);
	char leg[240], text[400];

	image_delete_all_co(volume);
	if (qcow2)
		snprintf(leg, sizeof leg, IMAGE_OF, size, path.text);
	else
		snprintf(leg, sizeof leg, FILE_OF, path.text, size);
	snprintf(text, sizeof text,
		"{type: mirror, name: %s, granularity: 64K, leg: %s}",
		name.text, leg);
	image_attach_co(volume, text);
	job_co(volume, "resync", listener_option(volume, name.text));
	job_co(volume, "pivot", listener_option(volume, name.text));
	volume->images = 1;
	image_chain_set(volume, 0, path.text, qcow2);
	return true;
}

/* The moment is read while hosts write, then copied whole, and what is left of it
 * without the volume is the same. */
bool image_backup_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	const struct image_name name = image_name(life, "b");
	struct image_moment moment;
	char text[240];

	snprintf(text, sizeof text, "{protocol: {type: mem, size: %llu}}",
		(unsigned long long)image_size(volume));
	struct block_source *target = stack_rig_source_co(life->rig, text);
	image_moment_begin_co(&moment, volume);
	snprintf(text, sizeof text,
		"{type: backup, name: %s, granularity: 4K, target: %s}",
		name.text, block_source_name(target));
	image_attach_co(volume, text);
	snprintf(text, sizeof text, "{source: %s, view: {backup: %s}}",
		block_source_name(volume->source), name.text);
	struct block_source *view = stack_rig_source_co(life->rig, text);
	uint8_t *content = image_moment_end_co(&moment, view);
	job_co(volume, "backup", listener_option(volume, name.text));
	image_expect_co(life, view, content);
	block_source_put_co(view);
	image_detach_co(volume, name.text);
	image_expect_co(life, target, content);
	block_source_put_co(target);
	free(content);
	return true;
}

/* Another source is equal at first, and goes on being so: what is read from the two
 * while hosts write is compared, and a difference would fail their requests. */
bool image_verify_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	struct loop *loop = block_core_lane(life->rig->core, 0)->loop;
	const struct image_name path = image_name(life, "v");
	const struct image_name name = image_name(life, "v");
	unsigned long long size = image_size(volume);
	char text[240];

	image_rest_co(life);
	job_co(volume, "copy",
		image_document(life, "{to: " FILE_OF "}", path.text, size));
	snprintf(text, sizeof text,
		"{type: verify, name: %s, action: fail, others: [" FILE_OF "]}",
		name.text, path.text, size);
	image_attach_co(volume, text);
	image_go_on(life);
	image_snapshot_co(volume);
	loop_sleep_co(loop, 2000000);
	CHECK_INT(stack_rig_figure(volume->source, "differences"), 0);
	image_detach_co(volume, name.text);
	return true;
}
