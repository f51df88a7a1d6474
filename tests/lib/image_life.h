/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of image_changes:
 *
 *	image_changes.c		the run; external snapshots, sizes
 *	image_changes_jobs.c	jobs, mirrors, backups, copies kept beside
 *	image_changes_shots.c	internal snapshots, going back, clones
 *	image_changes_listeners.c
 *	image_moment.c		moments of a volume in use, and hosts that stand still
 *	image_life.c		names, documents, sizes
 *
 * Each calls only those below it.
 */
#ifndef TESTS_LIB_IMAGE_LIFE_H
#define TESTS_LIB_IMAGE_LIFE_H

#include "blockcore/base/prng.h"
#include "tests/lib/model_load.h"

#include <stdatomic.h>

#define IMAGE_WORKERS 4u /* of a volume */
#define IMAGE_REGION 64u /* sectors of a worker */
#define IMAGE_USED (IMAGE_WORKERS * IMAGE_REGION * SECTOR_BYTES)
#define IMAGE_LEAST (1u << 20)
#define IMAGE_DEADLINE_NS (10ull * 1000 * 1000 * 1000)
#define IMAGE_SHOTS 4u
#define IMAGE_CHAIN 4u

/* An internal snapshot of the image on top, and what it shows. */
struct image_shot {
	char name[24];
	uint8_t *content; /* IMAGE_USED bytes */
};

struct image_volume {
	struct image_life *life;
	struct block_source *source;
	struct model_load load[IMAGE_WORKERS];
	struct image_shot shot[IMAGE_SHOTS];
	unsigned shots;
	/* Files that it stands on, top first. */
	struct {
		char path[24];
		bool qcow2;
	} chain[IMAGE_CHAIN];
	unsigned images;
};

struct image_life {
	struct stack_rig *rig;
	uint64_t random;
	unsigned named; /* files, listeners, snapshots */
	unsigned below, beside, late; /* see image_changes.h */
	uint64_t requests;
	uint32_t sectors;
	struct image_volume volume[2];
	_Atomic bool stop;
	_Atomic bool still; /* workers begin nothing new */
	_Atomic unsigned resting; /* who has seen that */
};

static inline uint64_t image_below(struct image_life *life, uint64_t count)
{
	return prng_below(&life->random, count);
}
/* "PREFIXn", another one each time. */
struct image_name {
	char text[24];
};
struct image_name image_name(struct image_life *life, const char *prefix);
/* The document of printf's text; lives as long as the rig. */
const struct doc *image_document(struct image_life *life, const char *format,
	...) __attribute__((format(printf, 2, 3)));
uint64_t image_size(const struct image_volume *volume);
void image_chain_set(
	struct image_volume *volume, unsigned at, const char *path, bool qcow2);
/* 0; or a gate that did not close in time was counted. Fails for all else. */
int image_settle(struct image_life *life, int result, const struct err *err);

/* -- image_moment.c ------------------------------------------------------- */

struct image_moment {
	struct image_volume *volume;
	uint64_t stamp[IMAGE_WORKERS];
};

/* What is read of a moment after this shows every change that has ended. */
void image_moment_begin_co(
	struct image_moment *moment, struct image_volume *volume);
/* `shown` may show that; what it shows, to be freed. */
uint8_t *image_moment_end_co(
	struct image_moment *moment, struct block_source *shown);
/* There is nothing to be shown. */
void image_moment_forget_co(struct image_moment *moment);

/* IMAGE_USED bytes of it, to be freed. */
uint8_t *image_read_co(struct image_life *life, struct block_source *source);
/* It shows these, and nothing else. */
void image_expect_co(struct image_life *life, struct block_source *source,
	const uint8_t *content);

/* No request of any worker is under way until they go on. */
void image_rest_co(struct image_life *life);
void image_go_on(struct image_life *life);
/* While workers rest: the volume shows these from here on. */
void image_becomes(struct image_volume *volume, const uint8_t *content);

void image_workers_start(struct image_volume *volume);
/* They end, all is read once more. */
void image_workers_end_co(struct image_volume *volume);

/* -- image_changes_shots.c ------------------------------------------------ */

/* Each does nothing and returns false where it cannot be now. */
bool image_snapshot_co(struct image_volume *volume);
bool image_group_co(struct image_volume *volume);
bool image_delete_co(struct image_volume *volume);
bool image_revert_co(struct image_volume *volume);
bool image_clone_co(struct image_volume *volume);
/* All that are left. */
void image_delete_all_co(struct image_volume *volume);
/* Each still shows what it did. */
void image_shots_expect_co(struct image_volume *volume);

/* -- image_changes_jobs.c ------------------------------------------------- */

bool image_commit_co(struct image_volume *volume);
bool image_flatten_co(struct image_volume *volume);
bool image_rebase_co(struct image_volume *volume);
bool image_copy_co(struct image_volume *volume);
bool image_migrate_co(struct image_volume *volume);
bool image_mirror_co(struct image_volume *volume);
bool image_backup_co(struct image_volume *volume);
bool image_verify_co(struct image_volume *volume);
bool image_check_co(struct image_volume *volume);
bool image_scrub_co(struct image_volume *volume);

/* -- image_changes_listeners.c -------------------------------------------- */

bool image_listen_co(struct image_volume *volume);
bool image_unlisten_co(struct image_volume *volume);
bool image_configure_co(struct image_volume *volume);
bool image_readonly_co(struct image_volume *volume);
/* {LISTENER: PLACE ...} of those that are there, at random. */
const struct doc *image_placement(struct image_volume *volume);
void image_attach_co(struct image_volume *volume, const char *listener);
void image_detach_co(struct image_volume *volume, const char *name);

#endif
