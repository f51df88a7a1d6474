/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files would go with a volume that is deleted with `purge`, as dry runs say it:
 * what goes and stays is found by target/control/appliance/volume_purge.h.
 */
#ifndef WEBUI_API_OBJECTS_PURGE_H
#define WEBUI_API_OBJECTS_PURGE_H

#include "webui/api/handler.h"

/* Says in the plan of a dry run, just answered, which files go and which stay, and
 * why. `volume` is the value of the volume `name`. */
void purge_explain(
	struct api_request *request, const char *name, const json_t *volume);

#endif
