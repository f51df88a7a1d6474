/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By which ways a volume is reached, and how good each is now: the one model that
 * SCSI shows as ALUA (SPC-4 5.15.2) and NVMe is to show as ANA (NVMe base 8.1).
 *
 * A way is a group of target ports: a portal group of iSCSI, a listener's port of
 * NVMe/TCP. Each volume has an access state for every group; a volume of which
 * nobody has said anything is optimized by all of them.
 *
 *	state           SCSI                        NVMe
 *	optimized       active/optimized            optimized
 *	non-optimized   active/non-optimized        non-optimized
 *	standby         standby, 02h/04h/0Bh        inaccessible
 *	unavailable     unavailable, 02h/04h/0Ch    inaccessible
 *	transitioning   transitioning, 02h/04h/0Ah  change
 *	changes         -                           change count of log page 0Ch
 *
 * An ANA group is a set of namespaces that change together: one for each volume does,
 * as states are kept for each.
 *
 * Invariants
 *  1. States change by the appliance only (implicit ALUA), in volume_path_set_co.
 *     Nothing in the daemon calls it yet: the failover of a mirror and the live
 *     upgrade will. They are not stored: who decides them does so anew at a start.
 *  2. A table of states never changes; it is published as a whole and the old one is
 *     freed when no lane can still be reading it.
 *  3. While no state forbids anything, a command pays a look at volume_flags, which
 *     it reads anyway.
 */
#ifndef TARGET_VOLUME_PATHS_H
#define TARGET_VOLUME_PATHS_H

#include "target/volume/access.h"
#include "target/volume/volume.h"

/* Groups of one target that hosts are told, and whose states a volume keeps. */
#define VOLUME_PATHS_MOST 256u

enum volume_path_state {
	VOLUME_PATH_OPTIMIZED,
	VOLUME_PATH_NON_OPTIMIZED,
	VOLUME_PATH_STANDBY, /* no commands for the medium */
	VOLUME_PATH_UNAVAILABLE, /* nothing but what finds the other ways */
	VOLUME_PATH_TRANSITIONING, /* soon another one: hosts try again */
};

struct volume_path {
	uint16_t group; /* target portal group tag, 1.. */
	uint8_t state; /* enum volume_path_state */
	bool changed; /* ever, since the daemon runs */
};

/* The way by `group`, now. Any lane. */
struct volume_path volume_path_get(const struct volume *volume, uint16_t group);
/* How often states of the volume have changed. Any lane. */
uint64_t volume_path_changes(const struct volume *volume);
/* The way by `group` is in `state` from now on; all hosts of the volume, by whatever
 * group, are told (06h/2Ah/06h), once the new state is what they find. Commands that
 * run already end as they would have. In a coroutine on the control lane, while the
 * volume lives. 0; -ENOMEM, or -ENOSPC for one group more than VOLUME_PATHS_MOST:
 * nothing has changed. */
int volume_path_set_co(
	struct volume *volume, uint16_t group, enum volume_path_state state);

/* The groups by which `target` of `table` is reached, `own` first, none twice;
 * returns how many (1..VOLUME_PATHS_MOST). Each has one port, whose relative
 * identifier is the group's number as well. */
unsigned volume_path_groups(const struct access_table *table,
	const struct access_target *target, uint16_t own,
	uint16_t group[VOLUME_PATHS_MOST]);

#endif
