/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An external snapshot: a volume goes on in a new image, and what it was stays in the
 * old one. What its document becomes by that, and what must be so beforehand.
 *
 * Invariants
 *  1. Nothing is changed here: making one is the change of a document as any other,
 *     which the appliance takes as a snapshot by what differs (live_overlay.c).
 *  2. A name means one snapshot of a volume, of either kind.
 *  3. Each listener is placed, by what is said, else by its kind.
 *
 * Control thread. Texts of errors are for people.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_OVER_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_OVER_H

#include "blockcore/spec.h"
#include "target/control/config/config.h"
#include "target/control/config/object_edits.h"

#include <jansson.h>
#include <stdint.h>

/* 0, or -EEXIST: an external snapshot of the volume has that name. */
int snapshot_name_free(const struct config *config, const char *volume,
	const char *name, struct err *err);
/* The same of both kinds; `source` is what runs of the volume. An image may have none
 * that it keeps itself: then all are free there. */
int snapshot_names_free_co(const struct config *config, const char *volume,
	struct block_source *source, const char *name, struct err *err);
/* 0, or -EOPNOTSUPP: the volume is in no file of its own. */
int snapshot_in_file(const struct config_object *volume, struct err *err);
/* "head", "image", "both", "drop"; SPEC_PLACE_ANCHOR: it is none (also NULL). */
enum spec_placement snapshot_place_named(const char *text);

#define SNAPSHOT_NAME_BYTES 80u /* of one that is named here */
#define SNAPSHOT_PATH_BYTES (2 * OBJECT_ID_BYTES + SNAPSHOT_NAME_BYTES)
/* The file of the image that is put over a volume's at a snapshot of that name. */
void snapshot_path_over(const struct config_object *volume, const char *name,
	char path[SNAPSHOT_PATH_BYTES]);
/* The volume's value with a new image over it, in file `path`. */
struct snapshot_over {
	const char *name, *path;
	const json_t
		*placement; /* {listener: place}; NULL: all by their kinds */
	int64_t now_ms; /* since 1970 */
	uint64_t size_bytes;
};
/* A new value. */
json_t *snapshot_value_over(
	const struct config_object *volume, const struct snapshot_over *what);

#endif
