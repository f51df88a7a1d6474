/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appliance: the volumes that run, and the way from a document to them.
 *
 *	document --plan--> keep | add | change | remove, for each volume
 *		 --prepare--> portals are bound (appliance_portals.h), sources are
 *		              opened, or changed while hosts go on
 *		 --keep--> the document is in the state
 *		 --publish--> volumes online, access table to the protocols
 *		 --bury--> what is gone is freed when its last host has let go
 *
 * Invariants
 *  1. Control lane only; one apply at a time. Until `keep` nothing has changed
 *     that hosts can see, but for two: listeners of a running source (taken back if
 *     all is refused), and volumes whose settings change, which are offline for the
 *     time (their files can be open once only) and come back.
 *     At most one bottom is swapped in an apply: its gate is open again only when
 *     the document is durable.
 *  2. A volume whose source cannot be opened is offline with its reason and tried
 *     again, soon at first, then every 5 seconds; all others run. A strict apply
 *     (an operator waits for the answer) is refused if it is new or changed.
 *  3. What hosts made durable is restored before a volume is seen; if that cannot
 *     be read the volume stays offline rather than forget a reservation.
 */
#ifndef TARGET_CONTROL_APPLIANCE_APPLIANCE_H
#define TARGET_CONTROL_APPLIANCE_APPLIANCE_H

#include "target/control/document/document.h"
#include "target/control/settings.h"
#include "target/control/state.h"
#include "target/iscsi/iscsi.h"

struct appliance;

struct appliance_world {
	struct block_core *core;
	struct state *state;
	struct trust *trust; /* for the audit; NULL: there is none */
	struct iscsi_server *server;
	const struct settings *settings;
	const char *secrets_directory;
};

/* What a layer of a volume's stack has to say, once: `kind` and `what` are words
 * ("verify", "difference"; of one that has failed, "failed"), `layer` its name. Or what
 * a volume itself has: "volume", "offline" or "online"; no layer, and what to do. */
struct appliance_notice {
	const char *volume, *layer, *kind, *what, *text, *cure; /* or NULL */
};
struct appliance_notice_watcher {
	void (*noticed)(struct appliance_notice_watcher *watcher,
		const struct appliance_notice *notice);
};
/* At most one; NULL: nobody any more. */
void appliance_watch_notices(
	struct appliance *appliance, struct appliance_notice_watcher *watcher);
/* Tells it of all volumes that are offline now, as at a start, and of what layers had to
 * say when nobody listened yet. */
void appliance_tell_now(struct appliance *appliance);

struct appliance *appliance_new(
	const struct appliance_world *world, struct err *err);

/* Which files volumes have made, to be kept with the change in which they did, as
 * their blobs "files" (volume_files.h). */
struct appliance_made {
	unsigned count;
	struct appliance_made_files {
		uint8_t uuid[16];
		char *list; /* malloced */
	} volume[];
};

void appliance_made_free(struct appliance_made *made); /* NULL is fine */

struct appliance_order {
	struct document *document; /* taken over; with identities and secrets */
	bool restores; /* what was kept: nothing is refused */
	bool strict; /* a volume that cannot be opened refuses the whole */
	/* Makes it durable, with what volumes have made: after everything was
	 * prepared, before hosts see any of it. Non-zero: all is as before.
	 * NULL: it is kept already. */
	int (*keep_co)(void *argument, const struct appliance_made *made,
		struct err *err);
	void *argument;
};
/* Puts a document, or a part of one (document_part), in force. 0, or -errno with *err
 * and everything as before. */
int appliance_apply_co(struct appliance *appliance,
	const struct appliance_order *order, struct err *err);

/* A running volume's source is what `wanted` says, by no doing of ours: first what
 * is to be kept with that (NULL with *err: no memory), then, once it is kept, that it
 * is so. `made` is taken over by the second. */
struct appliance_made *appliance_source_made(struct appliance *appliance,
	const struct document_volume *wanted, struct err *err);
void appliance_source_moved(struct appliance *appliance,
	const struct document_volume *wanted, struct appliance_made *made);

/* Since then that is what runs: which files it uses is looked at again. */
void appliance_source_settled(struct appliance *appliance, const char *name);

/* Whether it would be refused, as far as that can be known when nothing is touched:
 * portals that cannot be opened, files that are not there or that somebody has, what
 * stands, or is at work, on a source that would change. 0, or -errno with the *err that
 * the apply would have. The document keeps its owner. */
int appliance_rehearse_co(struct appliance *appliance,
	const struct document *document, bool strict, struct err *err);
/* Why nobody listens at the portal of that name; NULL: somebody does, or there is none.
 * Valid until the caller yields. */
const char *appliance_portal_why(
	const struct appliance *appliance, const char *name);
/* Opens a closed one, or (`looks`) only says whether it could be. 0: it is open (could
 * be); -EBUSY with *err; -ENOENT. */
int appliance_portal_open_co(struct appliance *appliance, const char *name,
	bool looks, struct err *err);

/* Who may reach what now; valid until the next apply. */
const struct access_table *appliance_table(const struct appliance *appliance);

/* The name of a volume but `name` whose stack has the file at `path` (as stacks say it)
 * under whatever name; NULL: none. */
const char *appliance_file_user(
	const struct appliance *appliance, const char *name, const char *path);

/* The name of the volume that has this UUID, NULL: none has. */
const char *appliance_name_of(
	const struct appliance *appliance, const uint8_t uuid[16]);
/* The volume of that name, NULL if there is none; valid until the caller yields. */
struct volume *appliance_find_volume(
	const struct appliance *appliance, const char *name);
/* Volume after volume, in no order: *cursor starts as NULL; NULL ends. The caller
 * does not yield meanwhile. */
struct volume *appliance_next_volume(
	const struct appliance *appliance, const void **cursor);

/* An operator has looked at a volume that has failed (VOLUME_FAILED) or whose format
 * did not come to its end: hosts may use it again. If a driver of its source has
 * failed, which serves nothing any more, the source is opened anew; meanwhile hosts
 * get NOT READY. As appliance_repair_check; else why it could not be opened: then it
 * is offline, and tried again. */
int appliance_repair_co(
	struct appliance *appliance, const char *name, struct err *err);
/* Whether that can be. -EALREADY: there is nothing to repair; -EBUSY: it must be
 * opened anew, and somebody else holds its source. */
int appliance_repair_check(const struct appliance *appliance, const char *name,
	bool *reopens, struct err *err);

/* Sessions are gone, and what they wrote is flushed (appliance_flush.h): takes all
 * volumes offline and frees everything. */
void appliance_close_co(struct appliance *appliance);

#endif
