/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of reading a document, in the order in which they run: each may refer
 * to what those before it have filled in.
 *
 *	document_read.c		the whole, identities, saving
 *	document_volumes.c	volumes
 *	document_hosts.c	hosts
 *	document_portals.c	portals
 *	document_targets.c	targets and exports
 *	document_schedules.c	schedules
 *	document_secrets.c	secrets
 */
#ifndef TARGET_CONTROL_DOCUMENT_DOCUMENT_PARTS_H
#define TARGET_CONTROL_DOCUMENT_DOCUMENT_PARTS_H

#include "target/control/document/document.h"

int document_read_volumes(
	struct document *document, const struct doc *list, struct err *err);
int document_read_hosts(
	struct document *document, const struct doc *list, struct err *err);
/* `list` NULL or null: those of the settings. */
int document_read_portals(struct document *document, const struct doc *list,
	const struct settings *settings, struct err *err);
int document_read_targets(struct document *document, const struct doc *list,
	const struct settings *settings, struct err *err);
int document_read_exports(struct document *document, const struct doc *list,
	const struct settings *settings, struct err *err);
int document_read_schedules(
	struct document *document, const struct doc *list, struct err *err);

void document_print_volumes_help(FILE *out);
void document_print_hosts_help(FILE *out);
void document_print_targets_help(FILE *out);

/* The same for programs: "volume": SCHEMA and the like, with commas between. */
void document_print_volume_schema(FILE *out);
void document_print_host_schema(FILE *out);
void document_print_portal_schema(FILE *out);
void document_print_target_schema(FILE *out);
void document_print_schedule_schema(FILE *out);
#define DOCUMENT_NAME_SCHEMA "\"$ref\": \"#/$defs/name\", "
/* Of names, at least one. */
#define DOCUMENT_NAMES_SCHEMA \
	"\"type\": \"array\", \"minItems\": 1, " \
	"\"items\": {\"$ref\": \"#/$defs/name\"}, "

/* The number of items of a list that may be absent; -EINVAL if it is no list or
 * longer than `max`. */
int document_count(
	const struct doc *list, uint32_t max, unsigned *count, struct err *err);

/* Takes the text of `node` (the value of `secret`) out of the tree: *secret is a
 * copy, or NULL if the node says null. Checks its length. */
int document_take_secret(
	const struct doc *node, char **secret, struct err *err);

#endif
