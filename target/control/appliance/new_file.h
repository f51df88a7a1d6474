/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that volumes are given: what an image in a new one looks like in a source, and
 * whether a name is taken. Any thread; nothing is changed here.
 */
#ifndef TARGET_CONTROL_APPLIANCE_NEW_FILE_H
#define TARGET_CONTROL_APPLIANCE_NEW_FILE_H

#include <jansson.h>
#include <stdbool.h>

struct block_core;

/* What an image that is made in a new file at `path` has as its `file`; new. */
json_t *new_file_for_image(const char *path);
/* Whether there is anything at that path, as sources name it, be it a dangling link. */
bool new_file_exists(const struct block_core *core, const char *path);

#endif
