/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values as document trees, so that what came over the network is checked by
 * the very code that reads files.
 */
#ifndef TARGET_CONTROL_CONFIG_JSON_DOC_H
#define TARGET_CONTROL_CONFIG_JSON_DOC_H

#include "blockcore/base/doc.h"

#include <jansson.h>

/* A tree without file and places: errors have a JSON Pointer. NULL with *err. */
struct doc *json_to_doc(const json_t *json, struct err *err);
/* A new reference; NULL without memory. */
json_t *json_from_doc(const struct doc *doc);

#endif
