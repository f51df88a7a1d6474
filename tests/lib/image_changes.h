/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The random life of two volumes under verified I/O: internal and external snapshots,
 * groups, going back, clones, every job, mirrors and backups, other sizes, listeners
 * that come and go, in any order. Whoever submits must not notice: each request
 * completes once, without an error, with the right data. Every snapshot, backup and
 * copy shows a moment that was, and goes on showing it.
 */
#ifndef TESTS_LIB_IMAGE_CHANGES_H
#define TESTS_LIB_IMAGE_CHANGES_H

#include "tests/lib/stack_rig.h"

enum {
	IMAGE_LISTEN, /* one comes */
	IMAGE_UNLISTEN, /* one goes */
	IMAGE_CONFIGURE,
	IMAGE_VERIFY, /* a copy is kept beside and compared */
	IMAGE_READONLY,
	IMAGE_BACKUP,
	IMAGE_SNAPSHOT,
	IMAGE_GROUP,
	IMAGE_DELETE,
	IMAGE_REVERT,
	IMAGE_CLONE,
	IMAGE_RESIZE,
	IMAGE_OVERLAY,
	IMAGE_COMMIT,
	IMAGE_FLATTEN,
	IMAGE_REBASE,
	IMAGE_COPY,
	IMAGE_MIGRATE,
	IMAGE_MIRROR, /* attached, in sync, pivot */
	IMAGE_CHECK,
	IMAGE_SCRUB,
	IMAGE_REOPEN, /* from its printed document */
	IMAGE_KINDS
};
extern const char *const image_change_names[IMAGE_KINDS];

struct image_changes {
	unsigned changes; /* to be made */
	uint64_t seed;
	/* out */
	unsigned made[IMAGE_KINDS];
	unsigned below; /* jobs of an image that others stand on */
	unsigned beside; /* changes made while a job was at work */
	unsigned late; /* gave up at a closed gate, as it may */
	uint64_t requests; /* verified meanwhile */
};

void image_changes_run(
	const struct stack_rig_setup *setup, struct image_changes *changes);

#endif
