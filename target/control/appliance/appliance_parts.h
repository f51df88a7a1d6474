/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the appliance share.
 *
 *	appliance_life.c	its volumes: found, tried again, failed, closed
 *	appliance_apply.c	one document, or a part of one, is put in force
 *	appliance_rehearse.c	what would be refused
 *	appliance_files.c	who uses a file
 *	appliance_made.c	which files volumes have made
 *	appliance_repair.c	one that failed is used again
 *	appliance_flush.c	what hosts wrote is flushed at the end
 *	appliance_space.c	the file systems that they grow on
 */
#ifndef TARGET_CONTROL_APPLIANCE_APPLIANCE_PARTS_H
#define TARGET_CONTROL_APPLIANCE_APPLIANCE_PARTS_H

#include "blockcore/base/co.h"
#include "blockcore/base/map.h"
#include "target/control/appliance/appliance.h"
#include "target/control/appliance/appliance_portals.h"
#include "target/control/appliance/appliance_volume.h"
#include "target/control/appliance/live_change.h"

#define NS_PER_MS 1000000ull

struct appliance_file_system;
struct appliance_space_watcher;
struct appliance_notice_watcher;
TAILQ_HEAD(appliance_file_systems, appliance_file_system);

struct appliance_space {
	struct volume_space_watch watch; /* every volume's */
	struct appliance_file_systems file_systems;
	struct appliance_space_watcher *watcher;
	struct loop_timer timer; /* the next look */
	/* The last one's end, and that of the last one at all volumes; 0: never. */
	uint64_t looked_ns, looked_at_all_ns;
	bool looking, again; /* somebody asked meanwhile */
};

struct appliance {
	struct appliance_world world;
	struct appliance_volume_list volumes; /* in force */
	struct map names, uuids; /* to them */
	struct map files; /* appliance_files.c: what uses them */
	struct access_table *table;
	struct appliance_portals portals;
	TAILQ_HEAD(, burial) burials; /* the oldest first */
	struct co_mutex applying; /* all below and the list */
	struct loop_timer retry;
	uint32_t retry_ms; /* until the next time */
	unsigned waiting; /* volumes that are tried then */
	struct block_core_watcher watcher;
	struct appliance_notice_watcher *notices; /* NULL: nobody */
	struct appliance_space space;
	unsigned coroutines; /* retry, burials and looks under way */
	struct co *closer; /* waits for their end */
	bool closing;
};

static inline struct loop *appliance_loop(const struct appliance *appliance)
{
	return block_core_lane(appliance->world.core, 0)->loop;
}

/* Into the list and its maps, and out of them. */
void appliance_list_volume(
	struct appliance *appliance, struct appliance_volume *v);
void appliance_unlist_volume(
	struct appliance *appliance, struct appliance_volume *v);

/* Room for the files of `most` volumes; NULL without memory. */
struct appliance_made *appliance_made_new(unsigned most);
/* Adds those of `v` with that source, if they are not kept already. See
 * appliance_volume_list_files. */
int appliance_made_add(struct appliance_made *made,
	const struct appliance_volume *v, const struct doc *source,
	struct err *err);
/* They are kept now: `v` knows. */
void appliance_made_kept(
	struct appliance_made *made, struct appliance_volume *v);

/* A listed volume has come online or has got another source; it is to be unlisted. */
void appliance_note_files(
	struct appliance *appliance, struct appliance_volume *v);
void appliance_forget_files(
	struct appliance *appliance, struct appliance_volume *v);
/* The volume of that name and source could not open a file that somebody else has: adds
 * to *why which volume has it, if one of ours does. */
void appliance_name_holder(const struct appliance *appliance, const char *name,
	const char *source_json, struct err *why);
/* Another volume than `name` that has a file of that source; NULL: none of ours. */
const char *appliance_holder(const struct appliance *appliance,
	const char *name, const char *source_json);

/* -- appliance_rehearse.c ------------------------------------------------------ */

/* A mistake with its place: what finds it may not know the document. */
int appliance_refuse_volume(const struct document_volume *volume,
	const struct err *why, struct err *err);
/* Who is to be opened anew must let go of its source: others that stand on it would
 * hold that, and its name. `v` goes, or is given up for the one of its name. */
int appliance_check_free(const struct appliance *appliance,
	const struct document *document, const struct appliance_volume *v,
	struct err *err);
/* Snapshots in new images are made at one moment; nothing else of that kind is. */
struct appliance_swaps {
	unsigned all, overlays;
};
void appliance_count_swaps(
	struct appliance_swaps *swaps, const struct live_change *change);
int appliance_check_swaps(const struct appliance_swaps *swaps, struct err *err);

/* Opens one that is listed and offline, if it is there again; false: it is offline
 * still. */
bool appliance_retry_co(
	struct appliance *appliance, struct appliance_volume *v);
/* Tries those that are offline again, soon. */
void appliance_retry_soon(struct appliance *appliance);
/* The space of volumes that were not asked for it yet is asked for soon. */
void appliance_look_soon(struct appliance *appliance);
void appliance_space_open(struct appliance *appliance);
/* No look begins any more. */
void appliance_space_close(struct appliance *appliance);
/* All volumes are gone. */
void appliance_space_free(struct appliance *appliance);
/* One of `coroutines` has ended. */
void appliance_coroutine_ended(struct appliance *appliance);

#endif
