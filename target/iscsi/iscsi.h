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
 *     before login, sessions of one initiator, text length, commands in the window,
 *     data in flight.
 *  3. A login that does not end in `login_timeout_s` is closed.
 */
#ifndef TARGET_ISCSI_ISCSI_H
#define TARGET_ISCSI_ISCSI_H

#include "target/iscsi/params.h"
#include "target/volume/access.h"

struct iscsi_server;

#define ISCSI_WINDOW_MAX 1024u /* a multiple of 64 */

struct iscsi_settings {
	uint32_t max_connections; /* in all; default 4096 */
	/* Of one initiator name, discovery included; default 512. */
	uint32_t max_host_sessions;
	/* Not yet in full feature; beyond it the oldest gives way; default 1024. */
	uint32_t max_logins;
	uint32_t login_timeout_s; /* default 15 */
	uint32_t ping_interval_s; /* NOP-In when idle; 0: never; default 15 */
	uint32_t ping_timeout_s; /* default 15 */
	/* For data that a host was asked for; 0: any time; default 60 (overdue.h) */
	uint32_t data_timeout_s;
	uint32_t command_window; /* of a session: 2 to the above; default 128 */
	uint32_t max_burst_bytes; /* offered; default 1 MiB */
	uint32_t first_burst_bytes; /* default 256 KiB */
	uint32_t
		max_receive_bytes; /* MaxRecvDataSegmentLength; default 256 KiB */
	uint32_t max_r2t; /* default 16 */
	bool immediate_data, initial_r2t; /* default yes, no */
	bool normal_send_targets_all; /* SendTargets=All in a Normal session */
};
void iscsi_settings_defaults(struct iscsi_settings *settings);

/* A session as people and scripts see it. Times are milliseconds since 1970. */
struct iscsi_session_info {
	uint64_t id; /* never used twice by a server */
	char initiator[224], target[224], host[BLOCK_NAME_BYTES];
	char alias[64]; /* InitiatorAlias; only for people */
	char peer[64], portal[64], portal_name[BLOCK_NAME_BYTES];
	unsigned lane;
	bool header_digest, data_digest, discovery, mutual;
	char chap[16]; /* "", "MD5", "SHA-256", with " mutual" */
	int64_t since_ms;
	uint8_t isid[6];
	uint16_t tsih, cid;
	struct iscsi_params params; /* all that was negotiated */
	uint32_t exp_cmd_sn, max_cmd_sn, window;
	uint32_t running; /* commands not answered yet */
	unsigned units; /* LUNs it sees */
	uint64_t commands, in_bytes, out_bytes; /* in: from the host */
	uint64_t errors; /* commands that failed; attentions are none */
	int64_t last_error_ms; /* 0: there was none */
	char last_error[64]; /* "LUN 0, opcode 28h: 03h/11h/00h" */
};

/* Why a login was refused. */
enum iscsi_refusal {
	ISCSI_REFUSED_PROTOCOL, /* what was sent is no login */
	ISCSI_REFUSED_NAME, /* no host has this name */
	ISCSI_REFUSED_ADDRESS, /* one has, but not from this address */
	ISCSI_REFUSED_EXPORT, /* the host sees nothing of this target */
	ISCSI_REFUSED_TARGET, /* there is no such target, or not here */
	ISCSI_REFUSED_METHOD, /* with or without CHAP: not as it is set up */
	ISCSI_REFUSED_HASH, /* only MD5 or SHA-1, or none that we know */
	ISCSI_REFUSED_USER,
	ISCSI_REFUSED_SECRET,
	ISCSI_REFUSED_MUTUAL, /* the host's challenge cannot be answered */
	ISCSI_REFUSED_TRIES, /* too many: see iscsi_watcher.may_try */
	ISCSI_REFUSED_BARRED, /* an administrator keeps the host out */
	ISCSI_REFUSED_RESOURCES,
	ISCSI_REFUSALS
};
/* "name", "secret" ...: as in metrics. */
const char *iscsi_refusal_name(enum iscsi_refusal refusal);

/* Names are folded and may hold any byte above ASCII; "" if not known (yet). */
struct iscsi_refused {
	uint64_t serial; /* 1.. */
	int64_t time_ms; /* since 1970 */
	enum iscsi_refusal refusal;
	bool discovery;
	char initiator[224], target[224], host[BLOCK_NAME_BYTES];
	char peer[64], portal[64];
	char reason[160]; /* for people */
};

/* A host is about to prove who it is with CHAP. */
struct iscsi_try {
	const struct sockaddr *peer;
	const char *host; /* of the access table: as many as there are hosts */
	const char *user; /* CHAP_N, as sent: anything */
};

/* Members may be NULL. */
struct iscsi_watcher {
	/* On the control lane, in order, for log lines and events. */
	void (*session_up)(struct iscsi_watcher *watcher,
		const struct iscsi_session_info *info);
	void (*session_down)(struct iscsi_watcher *watcher,
		const struct iscsi_session_info *info, const char *reason);
	void (*login_refused)(struct iscsi_watcher *watcher,
		const struct iscsi_refused *refused);
	/* On any lane, of several threads at a time, quick: may this try be
	 * made? If not, nothing is verified, the host is told that the service
	 * is not available now (0301) and is sent away. Every try that may be
	 * made is followed by `tried`. */
	bool (*may_try)(
		struct iscsi_watcher *watcher, const struct iscsi_try *try);
	void (*tried)(struct iscsi_watcher *watcher,
		const struct iscsi_try *try, bool passed);
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

/* A portal, at any time, in two steps: it is bound and listens, but nothing is accepted
 * until it is started. `takes`: an open one at the same address and port, whose socket
 * it takes over when it is started (that one is closed then); else NULL. 0, or -errno
 * with *err. What is prepared is started or abandoned; control lane. */
struct iscsi_portal;
int iscsi_portal_prepare(struct iscsi_server *server,
	const struct access_portal *portal, struct iscsi_portal *takes,
	struct iscsi_portal **prepared, struct err *err);
/* Whether one could be bound there now. 0, or -errno with *err. */
int iscsi_portal_try(const struct access_portal *portal, struct err *err);
/* The one that is bound, also where 0 was wanted. */
uint16_t iscsi_portal_port(const struct iscsi_portal *portal);
void iscsi_portal_start(struct iscsi_portal *portal);
void iscsi_portal_abandon(struct iscsi_portal *portal);
/* Stops listening; its sessions go on, who has not logged in is sent away. One that is
 * closed stays so. */
void iscsi_portal_close(struct iscsi_portal *portal);

/* Sockets that are open now, logged in or not; any thread. */
unsigned iscsi_server_connections(const struct iscsi_server *server);

/* -- sessions, looked at and ended: in coroutines on the control lane -------- */

struct iscsi_session_list {
	unsigned count;
	struct iscsi_session_info session[]; /* by rising id */
};
/* The sessions that are up now: all, or (if not NULL) those that see `volume`.
 * At most max_connections entries, of one moment on each lane up to 64 of them. NULL
 * without memory. Freed with free(). */
struct iscsi_session_list *iscsi_sessions_co(
	struct iscsi_server *server, const struct volume *volume);
/* One of them; -ENOENT. */
int iscsi_session_find_co(struct iscsi_server *server, uint64_t id,
	struct iscsi_session_info *info);

/* Ends a session as an administrator's act: the host is told (async event 3, RFC
 * 7143 11.9), its tasks are aborted. With `keep_out_s`, logins of that host from
 * that address are refused as long. -ENOENT: there is none with this id. */
struct iscsi_kick {
	const char *reason; /* for the log and session_down */
	uint32_t keep_out_s;
};
int iscsi_session_kick_co(struct iscsi_server *server, uint64_t id,
	const struct iscsi_kick *kick, struct err *err);

/* Hosts that are kept out now; at most ISCSI_BARS, beyond it the one that would
 * end first gives way. Any thread. */
#define ISCSI_BARS 64u
struct iscsi_bar {
	char host[BLOCK_NAME_BYTES], peer[64]; /* numeric, without port */
	uint32_t left_s;
};
unsigned iscsi_server_bars(
	struct iscsi_server *server, struct iscsi_bar bars[ISCSI_BARS]);
/* Lets a host in again; false: it was not kept out. */
bool iscsi_server_unbar(struct iscsi_server *server, const char *host);

/* -- logins that were refused: on the control lane --------------------------- */

#define ISCSI_REFUSED_KEPT 64u
/* The latest ones, 0 the newest; NULL: no more. Valid until the next login is
 * refused. */
const struct iscsi_refused *iscsi_server_refused(
	const struct iscsi_server *server, unsigned back);

/* Since the server was made; control lane. */
struct iscsi_figures {
	uint64_t logins, discoveries; /* that succeeded */
	uint64_t refused[ISCSI_REFUSALS];
	unsigned sessions, connections; /* now */
};
void iscsi_server_figures(
	const struct iscsi_server *server, struct iscsi_figures *figures);

/* Stops listening, asks hosts to log out (async event, RFC 7143 11.9), closes
 * all connections within `grace_ns`, ends the work on all lanes; in a coroutine
 * on the control lane. */
void iscsi_server_stop_co(struct iscsi_server *server, uint64_t grace_ns);
/* After iscsi_server_stop_co; control lane. */
void iscsi_server_free(struct iscsi_server *server);

#endif
