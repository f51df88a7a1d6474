/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A schedule of snapshots as the appliance document writes it:
 *
 *	{name: nightly, volumes: [db01, db02], every: day, at: "02:30",
 *	 zone: Europe/Berlin, keep: {daily: 7, weekly: 4, monthly: 12}}
 *
 *	{name: hourly, volumes: [db01], every: hour, kind: external, directory: hourly,
 *	 file: "{volume}.{time}.qcow2", placement: {limit: head}, keep: {hourly: 12}}
 *
 *	every	"15m" to "24h", or hour, day, week, month
 *	at	"HH:MM" of the wall's clock; with every: hour "00:MM"
 *	weekday, day	with every: week and month only
 *
 *	kind	internal: the image keeps them; external: a new image over the old one
 *
 * Its snapshots are called NAME-YYYYMMDDTHHMMSSZ, by the time in UTC. The new image of an
 * external one lies in `directory`, below the data directory, in a file that `file` names:
 * each of {volume}, {schedule}, {snapshot} and {time} at most once.
 *
 * Invariants
 *  1. `keep` keeps at least one, so that what a schedule makes is bounded; and no more
 *     than SCHEDULE_MOST_KEPT in all, of external ones than SCHEDULE_MOST_EXTERNAL, as
 *     so many images may stand above each other.
 *  2. Whether tzdata has the zone is not asked here: a document is no worse for a
 *     machine without it. A schedule whose zone cannot be read does not run and says
 *     so.
 *  3. A file's name has the volume and the moment in it, so that no two snapshots want
 *     the same; and it leads nowhere out of the data directory.
 */
#ifndef TARGET_CONTROL_SCHEDULE_SCHEDULE_H
#define TARGET_CONTROL_SCHEDULE_SCHEDULE_H

#include "blockcore/base/doc.h"
#include "target/control/schedule/times.h"

#define SCHEDULE_NAME_BYTES 41u /* with its end; 16 more are the time */
#define SCHEDULE_VOLUMES 16u /* a group has no more */
#define SCHEDULE_VOLUME_BYTES 64u
#define SCHEDULE_MOST_KEPT 1000u
#define SCHEDULE_MOST_EXTERNAL \
	20u /* of spec_overlay.c's 24, some on their way */
#define SCHEDULE_STAMP_BYTES 72u
#define SCHEDULE_DIRECTORY_BYTES 128u
#define SCHEDULE_FILE_BYTES 65u
#define SCHEDULE_PATH_BYTES 512u

struct schedule {
	char name[SCHEDULE_NAME_BYTES];
	char volume[SCHEDULE_VOLUMES][SCHEDULE_VOLUME_BYTES];
	unsigned volumes;
	bool group; /* all at one moment, all or none */
	bool enabled;
	bool external;
	char directory[SCHEDULE_DIRECTORY_BYTES]; /* "": the data directory */
	char file[SCHEDULE_FILE_BYTES];
	struct schedule_times times;
	struct schedule_keep keep;
	char zone[ZONE_NAME_BYTES];
};

/* 0, or -EINVAL, -ENOMEM with *err. */
int schedule_read(
	const struct doc *node, struct schedule *schedule, struct err *err);
/* Whether it is one of its volumes. */
bool schedule_names(const struct schedule *schedule, const char *volume);
/* What its snapshot of that instant is called. */
void schedule_stamp(const struct schedule *schedule, int64_t instant,
	char name[SCHEDULE_STAMP_BYTES]);
/* The file of the new image of that volume; number 2 and up: should those before be
 * there. As sources name files. */
void schedule_path(const struct schedule *schedule, const char *volume,
	int64_t instant, unsigned number, char path[SCHEDULE_PATH_BYTES]);

void schedule_print_help(FILE *out);
/* A JSON Schema; names are "#/$defs/name". */
void schedule_print_schema(FILE *out);

#endif
