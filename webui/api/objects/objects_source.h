/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's source document, to be looked at and changed.
 */
#ifndef WEBUI_API_OBJECTS_OBJECTS_SOURCE_H
#define WEBUI_API_OBJECTS_OBJECTS_SOURCE_H

#include "target/control/config/volume_source.h"
#include "webui/api/objects/objects.h"

/* The volume that the path names; NULL: 404 is answered. */
const struct config_object *source_volume(struct api_request *request);
/* Changes the volume to this source, which is taken over. See object_change_co;
 * false: answered. */
bool source_change_co(struct api_request *request,
	const struct config_object *object, json_t *source, const char *verb,
	const char *prefix);

/* What runs, borrowed until the caller yields; NULL: offline. */
struct block_source *source_running(
	struct api_request *request, const char *volume);
/* The same as JSON (spec_print), with what drivers count; NULL: offline. */
json_t *source_running_json(
	struct appliance *appliance, const char *volume, bool status);

#endif
