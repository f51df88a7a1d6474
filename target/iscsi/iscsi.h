/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The iSCSI target (RFC 7143), ErrorRecoveryLevel 0, one connection a session.
 * This is its door for target/control and cairnd; everything else in the folder
 * is its own.
 *
 *	server  ->  portal (a listening socket on the control thread)
 *		->  connection (a socket on a lane: login, then full feature)
 *		->  session (what was negotiated; a scsi_nexus)
 *
 * Invariants
 *  1. Connections are dealt out to the reactors in turn and stay there.
 *  2. Everything that a peer can make grow is bounded: connections in all and
 *     before login, text length, commands in the window, data in flight.
 *  3. A login that does not end in `login_timeout_s` is closed.
 */
#ifndef TARGET_ISCSI_ISCSI_H
#define TARGET_ISCSI_ISCSI_H

#include "target/volume/access.h"

struct iscsi_server;

struct iscsi_settings {
	uint32_t max_connections; /* in all; default 4096 */
	/* Not yet in full feature; beyond it the oldest gives way; default 1024. */
	uint32_t max_logins;
	uint32_t login_timeout_s; /* default 15 */
	uint32_t ping_interval_s; /* NOP-In when idle; 0: never; default 15 */
	uint32_t ping_timeout_s; /* default 15 */
	uint32_t command_window; /* commands per session; default 128 */
	uint32_t max_burst_bytes; /* offered; default 1 MiB */
	uint32_t first_burst_bytes; /* default 256 KiB */
	uint32_t
		max_receive_bytes; /* MaxRecvDataSegmentLength; default 256 KiB */
	uint32_t max_r2t; /* default 16 */
	bool immediate_data, initial_r2t; /* default yes, no */
	bool normal_send_targets_all; /* SendTargets=All in a Normal session */
};
void iscsi_settings_defaults(struct iscsi_settings *settings);

/* A session as people and scripts see it. */
struct iscsi_session_info {
	uint64_t id;
	char initiator[224], target[224], host[BLOCK_NAME_BYTES];
	char peer[64], portal[64];
	unsigned lane;
	bool header_digest, data_digest, discovery;
	char chap[16]; /* "", "MD5", "SHA-256", with " mutual" */
};

struct iscsi_watcher {
	/* On the control lane, in order, for log lines and events. */
	void (*session_up)(struct iscsi_watcher *watcher,
		const struct iscsi_session_info *info);
	void (*session_down)(struct iscsi_watcher *watcher,
		const struct iscsi_session_info *info, const char *reason);
};

/* Control lane. Nothing listens yet. */
struct iscsi_server *iscsi_server_new(struct block_core *core,
	const struct iscsi_settings *settings, struct iscsi_watcher *watcher,
	struct err *err);
/* On every lane that carries connections (all but 0, or 0 if it is the only
 * one), before the first portal and while the control lane waits. Ended by
 * iscsi_server_stop_co. */
int iscsi_lane_start(
	struct iscsi_server *server, struct block_lane *lane, struct err *err);

/* Publishes who may reach what; from now on for new logins. Sessions whose host
 * or target is gone are closed; others see new LUNs (06h/3Fh/0Eh). Takes
 * references of its own; control lane. */
void iscsi_server_publish(
	struct iscsi_server *server, struct access_table *table);

/* Listens on a portal. `bound_port` tells the port that 0 became. */
int iscsi_portal_open(struct iscsi_server *server,
	const struct access_portal *portal, uint16_t *bound_port,
	struct err *err);

/* Sockets that are open now, logged in or not; any thread. */
unsigned iscsi_server_connections(const struct iscsi_server *server);

/* Stops listening, asks hosts to log out (async event, RFC 7143 11.9), closes
 * all connections within `grace_ns`, ends the work on all lanes; in a coroutine
 * on the control lane. */
void iscsi_server_stop_co(struct iscsi_server *server, uint64_t grace_ns);
/* After iscsi_server_stop_co; control lane. */
void iscsi_server_free(struct iscsi_server *server);

#endif
