/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One portal as settings and documents write it: {name, address, port, advertised,
 * group}.
 */
#ifndef TARGET_CONTROL_DOCUMENT_PORTALS_H
#define TARGET_CONTROL_DOCUMENT_PORTALS_H

#include "blockcore/base/doc.h"
#include "target/volume/access.h"

#include <stdio.h>

/* Fills in `portal`, whose strings are from malloc. 0, or -EINVAL with *err. */
int portals_read(
	const struct doc *node, struct access_portal *portal, struct err *err);
/* -EEXIST with *err: `portal`, read from `node`, has the name of `other`, or its
 * address and port. */
int portals_check(const struct doc *node, const struct access_portal *portal,
	const struct access_portal *other, struct err *err);

/* -EINVAL with *err: `address`, a member of `node`, is none. */
int portals_check_address(
	const struct doc *node, const char *address, struct err *err);

/* Frees the strings only. */
void portals_clear(struct access_portal *portal);

void portals_print_help(FILE *out);
/* A JSON Schema; names are "#/$defs/name". */
void portals_print_schema(FILE *out);

#endif
