/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as YAML for people to edit: maps in blocks, short lists in one line, texts in
 * quotes only where YAML would take them for something else. Our own strict reader
 * reads the same back.
 */
#ifndef WEBUI_API_OBJECTS_YAML_PRINT_H
#define WEBUI_API_OBJECTS_YAML_PRINT_H

#include <jansson.h>
#include <stdio.h>

void yaml_print(const json_t *json, FILE *out);

#endif
