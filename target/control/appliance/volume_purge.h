/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files go with a volume that is deleted with its data, or with an image that
 * nothing needs any more: those that its own stack names, and those of snapshots that
 * it went back from.
 *
 *	stays	if it lies outside of the data directory, if another volume's stack
 *		names the same file, or if it is a backing without `size`, which
 *		was there before the volume (a template, say)
 *
 * Invariant: files are compared by what they are (device and inode), not by how
 * they are spelt.
 *
 * Control thread. Functions that end in _co wait for the worker pool.
 */
#ifndef TARGET_CONTROL_APPLIANCE_VOLUME_PURGE_H
#define TARGET_CONTROL_APPLIANCE_VOLUME_PURGE_H

#include "target/control/parts.h"

#include <jansson.h>
#include <stdbool.h>

struct loop;

/* Whether two paths, as stacks name them, are the same file. */
bool volume_purge_is_same(
	const struct block_core *core, const char *one, const char *other);
/* The files of a volume (its value): a new list of {path, made}. */
json_t *volume_purge_files(const json_t *volume);
/* Whether such a file stays once the volume `name` ("": none goes) is not there, and
 * why. */
#define VOLUME_PURGE_WHY_BYTES 128u
bool volume_purge_stays(const struct daemon_parts *parts, const char *name,
	const json_t *file, char why[VOLUME_PURGE_WHY_BYTES]);

/* Removes the files of the volume `name` (its value), which has gone already. What stays
 * is logged, and so is what cannot be removed. */
void volume_purge_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const json_t *volume);
/* Removes the file of an image of the volume `name` that nothing needs any more; what
 * uses it all the same keeps it, and that is logged. */
void volume_purge_image_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const char *path);

#endif
