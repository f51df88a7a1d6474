/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REST: the door for the roof, which hands it to the daemon. What it serves is
 * stated in openapi.yaml; how a resource is added stands in handler.h.
 */
#ifndef WEBUI_API_API_H
#define WEBUI_API_API_H

#include "target/control/daemon.h"

extern const struct daemon_face api_face;

#endif
