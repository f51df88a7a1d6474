/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: a stream, what was negotiated on it, its place in the PDU that
 * is coming in, its sequence numbers, its tasks. At ErrorRecoveryLevel 0 with
 * one connection it is the session, too, and holds the nexus.
 *
 *	LOGIN --> WAITING (for the session it takes the place of) --> FULL
 *	  FULL --> LOGOUT (the nexus ends, then the answer goes out)
 *	  any --> CLOSING (nothing is sent or taken any more) --> freed
 *
 * Invariants
 *  1. Everything here belongs to one lane.
 *  2. connection_drop only marks and posts: nothing is freed while a callback
 *     of the stream or of the device server may be above us on the stack.
 *  3. A connection is freed when its stream is closed, its nexus closed, and no
 *     task management, refresh or answer to text of it is under way.
 *  4. Bounded: tasks by the command window and CONNECTION_IMMEDIATE, data
 *     buffers by the lane's quota, other answers by CONNECTION_CONTROLS and
 *     CONNECTION_CONTROL_BYTES and one, unsent bytes by CONNECTION_UNSENT_BYTES
 *     (nothing is read above these).
 *  5. Every buffer is in held_bytes, control_bytes or receive.own_bytes, so that
 *     shortage.c knows who keeps it.
 */
#ifndef TARGET_ISCSI_CONNECTION_H
#define TARGET_ISCSI_CONNECTION_H

#include "blockcore/base/log.h"
#include "target/iscsi/login.h"
#include "target/iscsi/pdu.h"
#include "target/iscsi/server_state.h"
#include "target/scsi/scsi.h"
#include "target/stream/stream.h"

#define CONNECTION_IMMEDIATE 8u /* immediate commands at a time */
#define CONNECTION_CONTROLS 256u /* NOP-In, Reject ... not yet sent */
#define CONNECTION_CONTROL_BYTES (256u << 10) /* of buffers of those */
#define CONNECTION_UNSENT_BYTES (8u << 20)
#define CONNECTION_BUCKETS 256u
#define CONNECTION_REASON_BYTES 128u

struct iscsi_task;
struct iscsi_connection;

enum connection_state {
	CONNECTION_LOGIN,
	CONNECTION_WAITING,
	CONNECTION_FULL,
	CONNECTION_LOGOUT,
	CONNECTION_CLOSING,
};

/* The PDU whose data segment is on its way. */
struct connection_receive {
	enum {
		RECEIVE_HEADER,
		RECEIVE_DATA,
		RECEIVE_TAIL,
		RECEIVE_DISCARD
	} step;
	const struct framing_row *row;
	uint8_t header[PDU_BHS_BYTES + PDU_COMMAND_AHS_BYTES];
	uint8_t *place; /* where the data goes */
	struct buf *hold; /* the buffer around `place`: our reference */
	struct iscsi_task *task; /* whose data it is; NULL: gone meanwhile */
	size_t own_bytes; /* of `hold`, where no task counts it */
	uint32_t data_bytes, tail_bytes, discard_bytes;
};

/* For people who look at the session; plain values of the lane. */
struct connection_figures {
	uint64_t commands, in_bytes, out_bytes, errors;
	/* the last error, if there was one */
	uint64_t error_ns;
	uint32_t error_sense; /* key << 16 | ASC << 8 | ASCQ */
	uint16_t error_lun;
	uint8_t error_status, error_opcode;
};

/* See overdue.h. */
struct connection_overdue {
	struct loop_timer timer;
	uint32_t looks; /* so far; the numbers below are one of these */
	uint32_t moved_look; /* when data came last */
	uint32_t paused_look; /* when we did not read last */
	uint64_t in_bytes; /* data that came */
};

struct iscsi_connection {
	struct stream stream;
	struct iscsi_lane *lane;
	uint64_t serial; /* rises along the lane's list */
	enum connection_state state;
	bool header_digest, data_digest; /* in force now */
	bool discovery, stalled, nexus_open, nexus_closing;
	bool heard; /* something came or went since the timer last looked */
	bool starving; /* a command of it waits for a buffer that is not there */
	uint8_t stuck; /* looks in a row with data unsent and none moved */
	uint8_t shortage_looks; /* the same, of the lane's when buffers lack */
	bool pinged, counted_login, refreshing;
	bool up; /* the watcher knows of it */
	void (*quiet)(struct iscsi_connection *connection);
	struct iscsi_params params;
	struct connection_receive receive;
	struct connection_figures figures;

	/* sequence numbers (RFC 7143 4.2.2) */
	uint32_t stat_sn, exp_cmd_sn;
	/* Bit CmdSN % ISCSI_WINDOW_MAX, of those after exp_cmd_sn: it counts as
	 * received. */
	uint64_t skipped[ISCSI_WINDOW_MAX / 64];
	/* exp_cmd_sn before the PDU in hand took its number, if it has one and may
	 * still be rejected. */
	bool number_taken;
	uint32_t exp_cmd_sn_before;
	uint32_t window; /* commands at a time */
	uint32_t running; /* of these: not yet answered */
	uint32_t immediate; /* immediate commands not yet answered */
	uint32_t incoming; /* tasks that wait for Data-Out */

	/* what is alive */
	uint32_t tasks, controls, managements;
	struct iscsi_task **bucket; /* CONNECTION_BUCKETS; by task tag */
	STAILQ_HEAD(, iscsi_task) waiting; /* for a buffer, in order */
	struct buf_waiter waiter;
	size_t held_bytes; /* data buffers of commands */
	size_t control_bytes; /* buffers of answers not yet sent */
	uint64_t other_moved_bytes, shortage_other_bytes; /* of no command */
	uint64_t moved_bytes; /* of data, both ways, for those who look: */
	uint64_t stuck_bytes, shortage_bytes; /* what there was when they did */
	uint32_t next_transfer_tag;

	struct connection_overdue overdue;
	struct loop_timer timer;
	struct loop_message teardown;
	bool teardown_posted;
	const char *reason; /* why it ended */
	char dropped_for[CONNECTION_REASON_BYTES]; /* an administrator's */
	int64_t since_ms; /* of the calendar: in full feature phase */
	char host[BLOCK_NAME_BYTES]; /* for the watcher; outlives tables */

	/* login and session */
	struct iscsi_login_world world;
	struct sockaddr_storage peer;
	const struct access_portal *portal; /* the server's */
	struct iscsi_login *login;
	struct iscsi_text *text;
	/* An answer that is being made, turn by turn (text_phase.c); else NULL. */
	struct connection_text_work *text_work;
	struct iscsi_login_result *result; /* from READY on */
	struct iscsi_session *session;
	struct iscsi_login_answer *login_answer;
	uint8_t login_header[PDU_BHS_BYTES]; /* while WAITING */
	struct scsi_nexus nexus;
	uint8_t logout_header[PDU_BHS_BYTES];
	TAILQ_ENTRY(iscsi_connection) link;
	TAILQ_ENTRY(iscsi_connection) login_link; /* while counted_login */
};

/* Ends the connection soon; `reason` is a text for the log that lives as long. Any number
 * of times; the first reason counts. */
void connection_drop(struct iscsi_connection *connection, const char *reason);
/* The same, after all that is queued has been sent. */
void connection_finish(struct iscsi_connection *connection, const char *reason);

/* It counts as half-open no more. */
void connection_leave_logins(struct iscsi_connection *connection);

/* Aborts what the host has under way; `quiet` runs when all is done and data has
 * come to rest (perhaps at once; the last one asked for, if asked twice). */
void connection_close_nexus(struct iscsi_connection *connection,
	void (*quiet)(struct iscsi_connection *connection));

/* Task managements call this when they end. */
void connection_management_ended(struct iscsi_connection *connection);
/* Something ended that the end of the connection may wait for. */
void connection_work_ended(struct iscsi_connection *connection);

/* It is not read from because of what we are about, not of what the host does. */
static inline bool connection_is_held(const struct iscsi_connection *connection)
{
	return connection->stalled || connection->text_work;
}

/* Stops reading while a bound is exceeded, goes on below half of it. */
void connection_check_pressure(struct iscsi_connection *connection);
void connection_relieve(struct iscsi_connection *connection);

/* The command exp_cmd_sn is here; so are those after it that were skipped. */
static inline void connection_advance(struct iscsi_connection *connection)
{
	for (;;) {
		uint32_t sn = ++connection->exp_cmd_sn % ISCSI_WINDOW_MAX;
		uint64_t *word = &connection->skipped[sn / 64];

		if (!(*word >> sn % 64 & 1))
			return;
		*word &= ~(1ull << sn % 64);
	}
}

/* The PDU in hand takes its number: exp_cmd_sn; ... gives it back, if it has taken one:
 * what is rejected was not received (RFC 7143 7.3). */
void connection_take_cmd_sn(struct iscsi_connection *connection);
void connection_give_cmd_sn_back(struct iscsi_connection *connection);

/* The command `sn`, which the window has room for, counts as received: the host
 * has aborted it. */
void connection_skip_cmd_sn(struct iscsi_connection *connection, uint32_t sn);

static inline uint32_t connection_max_cmd_sn(
	const struct iscsi_connection *connection)
{
	return connection->exp_cmd_sn + connection->window -
		connection->running - 1;
}

/* One log line about the connection; what all hosts of a lane provoke is rationed
 * together. */
void connection_log(struct iscsi_connection *connection, enum log_level level,
	const char *event, const char *text);

#endif
