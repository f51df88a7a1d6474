/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume that is wanted with a size instead of a source: a new file in the data
 * directory. One that is there is never taken over unasked: it may hold the data of
 * a volume that was deleted.
 */
#ifndef WEBUI_API_OBJECTS_NEW_FILE_H
#define WEBUI_API_OBJECTS_NEW_FILE_H

#include "webui/api/handler.h"

/* `size` and `format` of `value` become a source: the file NAME.raw, or NAME.qcow2
 * with an image of that size. False: answered. */
bool new_file_take_size(struct api_request *request, json_t *value);

/* Whether there is no file of that name in the data directory; false: answered. */
bool new_file_is_new(struct api_request *request, const char *path);

#endif
