/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of REST (webui/api/openapi.yaml) as tests look into it. One at a time;
 * what is found is borrowed until contract_close.
 */
#ifndef TESTS_LIB_CONTRACT_H
#define TESTS_LIB_CONTRACT_H

#include "blockcore/base/doc.h"

/* Setup and teardown of a group of cmocka. */
int contract_open(void **state);
int contract_close(void **state);
const struct doc *contract_whole(void);

/* The text at `key`; "" if there is none. */
const char *contract_text(const struct doc *map, const char *key);
/* The operation with this id; *path its path, *method its method. NULL: none. */
const struct doc *contract_operation(
	const char *id, const char **path, const char **method);
/* A schema's own properties, through one reference; NULL: it has none of its
 * own (a driver's options, say). */
const struct doc *contract_properties(const struct doc *schema);
/* Properties of what the operation answers when it went well: of one object, for a
 * list of each of its items. NULL: nothing, or no object. */
const struct doc *contract_answer(const struct doc *operation);

#endif
