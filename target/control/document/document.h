/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appliance document: what is exported to whom, in YAML or JSON.
 *
 *	volumes:  [{name, source: SOURCE (blockcore/spec.h), uuid, block_size,
 *		    physical_block_size, read_only, removable, thin, vendor,
 *		    product}]
 *	hosts:    [{name, addresses: [CIDR], iscsi: {iqn: [NAME or PREFIX*], chap:
 *		    {user, secret or secret_file, weak_hashes, mutual: {user, secret
 *		    or secret_file}}}}]
 *	portals:  [{name, address, port, advertised, group}]; none: they stay
 *	targets:  [{iqn or name, alias, portals: [PORTAL]}]
 *	exports:  [{volume, through, target, lun, hosts: [HOST], read_only}]
 *	schedules: [{name, volumes: [VOLUME], every, at, keep, ...}]: schedule.h
 *
 *	document_read		tree -> checked document, or one error with its place
 *	document_identify	every volume has its UUID
 *	document_find_secrets	every host has its secrets
 *	document_json		what is kept and shown: without secrets
 *	document_take_table	who may reach what, for the protocols
 *
 * Invariants
 *  1. A document is checked whole, references and all; nothing of a document with
 *     a mistake is ever used.
 *  2. Secrets leave the tree when it is read: they are wiped there and stand as
 *     `secret: null`, which says "the one that the daemon keeps".
 *  3. A document holds no pointer to anything that runs.
 */
#ifndef TARGET_CONTROL_DOCUMENT_DOCUMENT_H
#define TARGET_CONTROL_DOCUMENT_DOCUMENT_H

#include "blockcore/base/doc.h"
#include "blockcore/base/map.h"
#include "target/control/settings.h"
#include "target/control/state.h"
#include "target/volume/access.h"
#include "target/volume/volume.h"

#include <limits.h>

#define DOCUMENT_MAX_VOLUMES 4096u
#define DOCUMENT_NO_VOLUME UINT_MAX
#define DOCUMENT_MAX_HOSTS 4096u
#define DOCUMENT_MAX_TARGETS 1024u
#define DOCUMENT_MAX_SNAPSHOTS 256u /* of a volume */
#define DOCUMENT_MAX_EXPORTS 16384u
#define DOCUMENT_MAX_SCHEDULES 256u
#define DOCUMENT_MIN_SECRET_BYTES 12u /* 96 bits: RFC 7143 9.2.1 */
#define DOCUMENT_MAX_SECRET_BYTES 255u

struct document_volume {
	struct volume_settings settings;
	bool uuid_given; /* in the document */
	bool uuid_kept; /* in the state, for its name; neither: it is new */
	const struct doc *at, *source;
};

/* Where a host's secrets come from; index: enum state_secret. */
struct document_host {
	const struct doc *at[2]; /* chap, mutual; NULL: not asked for */
	const char *file[2]; /* secret_file, NULL: none */
	bool locked_out; /* by a secret of ours: none was found */
};

struct document_export {
	const struct doc *at;
	unsigned volume, target, slot; /* slot: in the target's exports */
	unsigned through; /* as `volume`; DOCUMENT_NO_VOLUME: none */
	uint32_t place[2]; /* target and LUN: a key */
	struct document_export *below; /* the next one at that place */
};

/* A document that holds only what a change touches: which of its objects are as they
 * are in force, and what goes. Volumes need no mark, as they are compared. */
struct document_part {
	bool *host_stays, *portal_stays, *target_stays,
		*export_stays; /* by index */
	const char **gone_volume, **gone_host, **gone_portal, **gone_target;
	uint64_t *gone_export; /* ids */
	unsigned gone_volumes, gone_hosts, gone_portals, gone_targets,
		gone_exports;
};

struct document {
	struct doc *root;
	const struct document_part *part; /* NULL: it is the whole */
	struct document_volume *volume;
	struct document_host *host; /* as many as table->host */
	struct document_export *export;
	const char **schedule; /* names, in the tree */
	unsigned volumes, hosts, exports, schedules;
	/* Names to volumes, volumes that were given a UUID, names to hosts,
	 * folded names to places in table->target, places to exports. */
	struct map volume_names, volume_uuids, host_names, target_names, places;
	/* Complete but for the volumes of exports; gone once it is taken. */
	struct access_table *table;
};

/* Takes `root` over. The settings give portals and naming authority. NULL with
 * *err. */
struct document *document_read(
	struct doc *root, const struct settings *settings, struct err *err);
/* The same; if it has no list of portals they are those of `portals` (borrowed, read
 * at once), or, if that is NULL, of the settings. */
struct document *document_read_over(struct doc *root, const struct doc *portals,
	const struct settings *settings, struct err *err);
/* The tree of a file, which must not be empty. NULL with *err. */
struct doc *document_load_tree(const char *path, struct err *err);
/* Both. */
struct document *document_load(
	const char *path, const struct settings *settings, struct err *err);
void document_free(struct document *document);

/* Volumes without a UUID get the one that `state` knows for their name, or a new
 * one. One that is given and that another volume has, which stays and is given none, is
 * refused (-EEXIST). 0 or -errno. */
int document_identify(
	struct document *document, struct state *state, struct err *err);

/* Of hosts that do not stay: reads secret files (from `directory` unless absolute;
 * they must be closed to others) and asks `state` for those it keeps. `state` NULL:
 * only files, for a check. */
int document_find_secrets(struct document *document, struct state *state,
	const char *directory, struct err *err);
/* For what was stored: hosts whose secret cannot be had stay locked out, one line
 * in the log each, and all others are served. */
void document_find_stored_secrets(
	struct document *document, struct state *state, const char *directory);

/* To be freed; NULL without memory. */
char *document_json(const struct document *document);

/* The volume of that name, NULL if there is none. */
const struct document_volume *document_find_volume(
	const struct document *document, const char *name);

/* The table with `volume[i]` for document->volume[i]; the caller's reference. */
struct access_table *document_take_table(
	struct document *document, struct volume *const *volume);

/* That a volume as it is written has no other keys than a document's, or those of
 * `more` (ends with NULL). 0, or -EINVAL. */
int document_check_volume_keys(
	const struct doc *volume, const char *const *more, struct err *err);

/* Every key of a document but those of sources (spec_print_help). */
void document_print_help(FILE *out);
/* JSON Schema of the document, made from the tables that read it. Sources are
 * those of /api/v1/schemas/source (spec_print_schema). */
void document_print_schema(FILE *out);

#endif
