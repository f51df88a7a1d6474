/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in the daemon, for those who keep its books (jobs, snapshots, schedules)
 * and for the face.
 *
 * Invariant: everything here is there from before the face's start_co until its
 * stop_co has returned (daemon.h), and is used on the control reactor only.
 */
#ifndef TARGET_CONTROL_PARTS_H
#define TARGET_CONTROL_PARTS_H

struct appliance;
struct block_core;
struct config;
struct iscsi_server;
struct pivots;
struct reactor;
struct settings;
struct state;
struct tries;
struct trust;

/* Borrowed, all of it. Tests of a face alone may leave members NULL. */
struct daemon_parts {
	struct settings *settings;
	struct reactor *control;
	struct block_core *core;
	struct iscsi_server *server;
	struct state *state;
	struct appliance *appliance;
	struct config *config;
	struct trust *trust;
	struct pivots *pivots;
	struct tries *tries; /* NULL: no hosts are watched */
};

#endif
