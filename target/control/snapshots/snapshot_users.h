/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses a snapshot: volumes that show it or stand on it, online or not, by their
 * documents, and what hosts see of these. Nothing is changed here. Control thread.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_USERS_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_USERS_H

#include "target/control/config/config.h"

#include <jansson.h>

/* Volumes that show the snapshot of that volume or stand on it, online or not, each
 * followed by its exports: "volume x", "LUN 0 of iqn...". A new list. */
json_t *snapshot_users(const struct config *config, const char *volume,
	const json_t *snapshot);
/* Those of each of a list, as its member in_use_by. */
void snapshot_set_users(
	const struct config *config, const char *volume, json_t *items);

/* The name of a volume that shows an image which that volume stands on (NULL: any), or
 * stands on it itself, online or not; borrowed, NULL: there is none. */
const char *snapshot_image_holder(
	const struct config *config, const char *volume, const char *image);

#endif
