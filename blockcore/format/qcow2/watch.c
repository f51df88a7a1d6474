/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See watch.h.
 */
#include "blockcore/format/qcow2/watch.h"

#include <errno.h>
#include <stdlib.h>

static void note_bytes(struct qcow2 *image, uint64_t offset, uint64_t bytes)
{
	unsigned bits = image->geometry.cluster_bits;

	qcow2_watch_note(image, offset >> bits, bytes >> bits);
}

static void note_freed(struct qcow2 *image, const struct qcow2_freed_list *list)
{
	const struct qcow2_freed *freed;

	TAILQ_FOREACH (freed, list, link)
		note_bytes(image, freed->offset_bytes,
			freed->clusters << image->geometry.cluster_bits);
}

/* What is counted and not named: not yet, or not any more. */
static void note_pending(struct qcow2 *image)
{
	note_bytes(image, image->pool.next, image->pool.end - image->pool.next);
	note_freed(image, &image->epochs.freed);
	note_freed(image, &image->epochs.unnamed);
	note_freed(image, &image->epochs.drained);
}

static int begin(struct qcow2 *image)
{
	uint64_t clusters = qcow2_clusters(&image->geometry, image->file_bytes);
	struct qcow2_watch *watch;

	if (image->watch)
		return -EBUSY;
	watch = calloc(1, sizeof *watch + (clusters / 64 + 1) * 8);
	if (!watch)
		return -ENOMEM;
	watch->clusters = clusters;
	image->watch = watch;
	note_pending(image);
	return 0;
}

/* The pool's turn: what is being reserved is counted before it is the pool's. */
int qcow2_watch_begin_co(struct qcow2 *image)
{
	co_mutex_lock_co(&image->pool.refill);
	int error = begin(image);
	co_mutex_unlock(&image->pool.refill);
	return error;
}

void qcow2_watch_end(struct qcow2 *image)
{
	free(image->watch);
	image->watch = NULL;
}

bool qcow2_watch_has(const struct qcow2_watch *watch, uint64_t cluster)
{
	return cluster >= watch->clusters ||
		(watch->changed[cluster / 64] >> cluster % 64 & 1);
}

void qcow2_watch_note(struct qcow2 *image, uint64_t first, uint64_t count)
{
	struct qcow2_watch *watch = image->watch;

	for (uint64_t i = first; watch && i < first + count; i++) {
		if (qcow2_watch_has(watch, i))
			continue;
		watch->changed[i / 64] |= 1ull << i % 64;
		watch->noted++;
	}
}

void qcow2_watch_note_entry(struct qcow2 *image, uint64_t word)
{
	struct qcow2_row row;

	if (!image->watch)
		return;
	row = qcow2_entry_row(&image->geometry, word);
	qcow2_watch_note(image, row.offset >> image->geometry.cluster_bits,
		row.clusters);
}

void qcow2_watch_disturb(struct qcow2 *image, const char *what)
{
	if (image->watch)
		image->watch->disturbed = what;
}
