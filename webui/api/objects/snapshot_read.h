/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which snapshots a running image keeps, and which file that is. Nothing is answered
 * here, so that what has no request (the start) asks, too. Control thread.
 */
#ifndef WEBUI_API_OBJECTS_SNAPSHOT_READ_H
#define WEBUI_API_OBJECTS_SNAPSHOT_READ_H

#include "webui/api/objects/objects_source.h"

/* Only those that the image keeps, without members of the tree; a new list, or NULL
 * with *err. */
json_t *snapshot_read_co(struct block_source *source, struct err *err);
/* When it was made, as answers have it, of one as the image tells of it; new. */
json_t *snapshot_created(const json_t *kept);
/* Whether one of such a list is called so; ids do not count. */
bool snapshot_has_name(const json_t *items, const char *name);
/* The file that the bottom of a source is in, borrowed; NULL: it is in none. */
const char *snapshot_image(const json_t *source);

#endif
