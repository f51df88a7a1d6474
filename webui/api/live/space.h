/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space that volumes take up below. The file system is asked, which takes a trip to
 * the worker pool: at most once a second for each volume, however many look. And how
 * their file systems stand, as control/appliance/appliance_space.h has looked last.
 *
 * Invariants
 *  1. Nobody waits for a change of a volume's stack: what was last known stands in
 *     meanwhile.
 *  2. Bounded: one entry for each name that was a volume's, SPACE_MAX in all.
 */
#ifndef WEBUI_API_LIVE_SPACE_H
#define WEBUI_API_LIVE_SPACE_H

#include "webui/api/handler.h"
#include "webui/api/server/exposition.h"

#define SPACE_FRESH_NS (1000ull * 1000 * 1000)
#define SPACE_MAX 8192u

/* False: nobody knows (offline, a device, no such volume). In a coroutine on the
 * control lane. */
bool api_space_co(struct api *api, const char *volume, uint64_t *bytes);

/* The family of metrics: of every volume that it is known of. */
void api_space_print_co(struct exposition *exposition, struct api *api);

/* The file system that a volume lies on; NULL: nobody knows. */
struct volume;
json_t *api_space_json(const struct api *api, const struct volume *volume);

/* Events when a file system runs full and when it has room again: from now on, or no
 * more. */
void api_space_watch(struct api *api, bool on);

#endif
