/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon tells people: what it exports and how to reach it, once, and
 * who comes and goes.
 */
#ifndef TARGET_CONTROL_REPORT_H
#define TARGET_CONTROL_REPORT_H

#include "target/control/appliance/appliance.h"
#include "target/control/settings.h"
#include "target/iscsi/iscsi.h"

#include <stdio.h>

/* The start text: targets, volumes, hosts, and the exact commands of three
 * clients. `lane` is the caller's; portals have the ports that are bound. */
void report_start(FILE *out, const struct settings *settings,
	struct block_lane *lane, const char *ring,
	const struct access_table *table);

/* How the first administrator comes in, if `token` is not NULL. */
void report_setup(
	FILE *out, const struct settings *settings, const char *token);

/* What the last line of the log says. */
struct report_end {
	unsigned connections; /* of hosts, when the end began */
	unsigned volumes; /* that were online and are closed */
	unsigned failed; /* of which a flush had failed */
	unsigned late; /* of which the last flush did not end in time */
	char names[256]; /* of `failed`, or if there are none of `late`; as many
			    as fit */
};
/* Of the last flush (appliance_flush.h): `end` is a struct report_end. */
void report_end_late(void *end, const struct volume *volume);
/* Sessions are gone, volumes still open: looks at those. */
void report_end_look(struct report_end *end, const struct appliance *appliance);
/* All is closed: logs the line. */
void report_end(const struct report_end *end);

/* Logs logins and logouts. */
extern struct iscsi_watcher report_watcher;

#endif
