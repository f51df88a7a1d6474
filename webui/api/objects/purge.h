/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files go with a volume that is deleted with `purge`: those that its own
 * stack names.
 *
 *	stays	if it lies outside of the data directory, if another volume's stack
 *		names the same file, or if it is a backing without `size`, which
 *		was there before the volume (a template, say)
 *
 * Invariant: files are compared by what they are (device and inode), not by how
 * they are spelt.
 */
#ifndef WEBUI_API_OBJECTS_PURGE_H
#define WEBUI_API_OBJECTS_PURGE_H

#include "webui/api/handler.h"

/* Whether two paths, as stacks name them, are the same file. */
bool purge_is_same_file(
	const struct block_core *core, const char *one, const char *other);
/* Says in the plan of a dry run, just answered, which files go and which stay, and
 * why. `volume` is the value of the volume `name`. */
void purge_explain(
	struct api_request *request, const char *name, const json_t *volume);
/* Removes the file of an image of the volume `name` that nothing needs any more; what
 * uses it all the same keeps it, and that is logged. */
void purge_image_co(const struct daemon_parts *parts, struct loop *loop,
	const char *name, const char *path);
/* Removes them; the volume has gone. What stays is logged. */
void purge_files_co(
	struct api_request *request, const char *name, const json_t *volume);

#endif
