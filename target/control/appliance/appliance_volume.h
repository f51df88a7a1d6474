/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One volume of the appliance: what it should be, and its source if it could be
 * opened. Control lane only.
 */
#ifndef TARGET_CONTROL_APPLIANCE_APPLIANCE_VOLUME_H
#define TARGET_CONTROL_APPLIANCE_APPLIANCE_VOLUME_H

#include "target/control/document/document.h"
#include "target/control/state.h"

#define SIZE_BLOB_BYTES 1060u

struct live_change;
struct appliance_file_uses;

struct appliance_volume {
	struct volume *volume;
	struct state *state;
	char *made; /* files it made, as kept; NULL: none. See volume_files.h */
	size_t made_bytes;
	char kept_size[SIZE_BLOB_BYTES]; /* of its raw file, as kept; "": not */
	struct volume_settings settings;
	struct doc *source; /* a tree of its own */
	char *source_json; /* the same, to see whether it changes */
	struct block_source *prepared; /* opened, not yet online */
	bool hopeless; /* offline for good: see offline_reason */
	bool wanted; /* by the document that is being applied, as it runs */
	bool seen; /* it has been online, so what its files are is known */
	struct appliance_file_uses *uses; /* while it is listed */
	bool waiting; /* it is listed, offline, and tried again */
	TAILQ_ENTRY(appliance_volume) link;
};
TAILQ_HEAD(appliance_volume_list, appliance_volume);

/* Makes the volume (offline) with what hosts made durable. */
struct appliance_volume *appliance_volume_new_co(struct block_core *core,
	struct state *state, const struct document_volume *wanted,
	struct err *err);
/* No nexus is left. */
void appliance_volume_free_co(struct appliance_volume *self);

/* True if a document wants it just as it is. */
bool appliance_volume_equals(const struct appliance_volume *self,
	const struct document_volume *wanted);

/* True if what it keeps as long as it lives stays, and it is online: then it can change
 * as it runs. */
bool appliance_volume_may_run_on(const struct appliance_volume *self,
	const struct document_volume *wanted);
/* The steps of that. NULL without memory. */
struct live_change *appliance_volume_plan(const struct appliance_volume *self,
	const struct document_volume *wanted);
/* Which files it has made, once its source is `source` (NULL: the one that it has): the
 * list to be kept, to be freed; NULL if that is kept already. 0, or -ENOMEM. */
int appliance_volume_list_files(const struct appliance_volume *self,
	const struct doc *source, char **list, struct err *err);
/* That list is kept; takes it over. */
void appliance_volume_keeps_files(struct appliance_volume *self, char *list);
/* It runs as `wanted` says now: another source, other settings of those that change
 * live. */
void appliance_volume_take(
	struct appliance_volume *self, const struct document_volume *wanted);

/* Opens the source: `prepared`, or an error. A file that the volume made once is
 * not made again. `degraded`: a mirror may lack its leg (spec.h). */
int appliance_volume_prepare_co(
	struct appliance_volume *self, bool degraded, struct err *err);
/* What was prepared is closed again. */
void appliance_volume_abandon_co(struct appliance_volume *self);
/* Puts what was prepared online, and keeps which files it made. */
void appliance_volume_publish(struct appliance_volume *self);
/* Offline with that reason; true: that is news, and logged. */
bool appliance_volume_fail_co(
	struct appliance_volume *self, const char *reason);
bool appliance_volume_online(const struct appliance_volume *self);

/* A document node as JSON; to be freed, NULL without memory. */
char *appliance_json(const struct doc *node);

#endif
