/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which snapshots a running image keeps, and which file that is; one of a list of them
 * or of others. Control thread.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_READ_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_READ_H

#include "blockcore/block.h"

#include <jansson.h>
#include <stdbool.h>

/* Only those that the image keeps, without members of the tree; a new list, or NULL
 * with *err. */
json_t *snapshot_read_co(struct block_source *source, struct err *err);
/* When it was made, as answers have it, of one as the image tells of it; new. */
json_t *snapshot_created(const json_t *kept);
/* Whether a member of one, as a list has it, is that text. */
bool snapshot_is_called(
	const json_t *snapshot, const char *member, const char *name);
bool snapshot_is_external(const json_t *snapshot);
/* The one of that name in a list, else of that id; borrowed; NULL: there is none. */
json_t *snapshot_pick(const json_t *items, const char *name);
/* Whether one of such a list is called so; ids do not count. */
bool snapshot_has_name(const json_t *items, const char *name);
/* The file that the bottom of a source is in, borrowed; NULL: it is in none. */
const char *snapshot_image(const json_t *source);

#endif
