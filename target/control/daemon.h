/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: threads, and the order in which everything starts and stops.
 *
 *	start	state (lock) -> world of files -> threads -> lanes -> iSCSI
 *		-> portals -> document -> face -> ready
 *	stop	face -> portals, sessions (1 s of grace) -> volumes (flushed, closed)
 *		-> lanes -> threads -> world -> state
 *
 * Invariants
 *  1. Whatever has started when something fails, or when a signal comes, is
 *     stopped in the same order as at a normal end.
 *  2. SIGINT, SIGTERM and SIGHUP stop it; a second one ends the process at once.
 */
#ifndef TARGET_CONTROL_DAEMON_H
#define TARGET_CONTROL_DAEMON_H

#include "blockcore/base/err.h"
#include "target/control/parts.h"
#include "target/control/settings.h"

#include <stdbool.h>

/* What manages the daemon from outside (REST). It lies above this floor, so the
 * roof hands it in. */
struct daemon_face {
	/* Opens its sockets; ports that were 0 are filled in. 0 or -errno. */
	int (*start_co)(
		const struct daemon_parts *parts, void **face, struct err *err);
	/* Finishes what it is doing and closes everything. */
	void (*stop_co)(void *face);
};

struct daemon_orders {
	struct settings *settings; /* ports that were 0 are filled in */
	const char *document; /* file to apply, NULL: what is stored */
	bool only_first; /* apply it only if nothing was ever kept */
	const char *port_file; /* gets NAME=ADDRESS:PORT lines, NULL: none */
	const struct daemon_face *face; /* NULL: none */
};

/* Checks what can be checked without starting: settings were read, this reads the
 * document and its secret files. */
int daemon_check(const struct daemon_orders *orders, struct err *err);

/* Runs until a signal. 0, or -errno with *err if it could not start. */
int daemon_run(const struct daemon_orders *orders, struct err *err);

#endif
