/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What framing calls for each PDU: one pair of functions for each opcode.
 *
 *	header	when BHS and AHS are here and their digest is right; says what to
 *		do with the data segment
 *	body	when the data segment is here, too (at once if there is none)
 *
 * The header function sets connection->receive.place (NULL: any place, shown to
 * `body` as `data`), .hold and .task before FRAMING_TAKE. Between the two the
 * task may end: then .task is NULL.
 */
#ifndef TARGET_ISCSI_HANDLERS_H
#define TARGET_ISCSI_HANDLERS_H

#include "target/iscsi/connection.h"

enum framing_plan {
	FRAMING_TAKE, /* receive the data, call `body` */
	FRAMING_DISCARD, /* done; throw the data away */
	FRAMING_STALL, /* not now: the stream is paused; the same again later */
};

/* `header`: BHS and AHS. */
enum framing_plan command_header(
	struct iscsi_connection *connection, const uint8_t *header);
enum framing_plan data_out_header(
	struct iscsi_connection *connection, const uint8_t *header);
enum framing_plan task_request_header(
	struct iscsi_connection *connection, const uint8_t *header);
enum framing_plan logout_header(
	struct iscsi_connection *connection, const uint8_t *header);
enum framing_plan nop_header(
	struct iscsi_connection *connection, const uint8_t *header);
enum framing_plan text_header(
	struct iscsi_connection *connection, const uint8_t *header);
enum framing_plan login_header(
	struct iscsi_connection *connection, const uint8_t *header);
/* `header`: BHS and AHS (of a login: BHS). `intact` is false if the data digest is
 * wrong. */
void command_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact);
void data_out_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact);
void nop_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact);
void text_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact);
void login_body(struct iscsi_connection *connection, const uint8_t *header,
	const uint8_t *data, bool intact);

/* nop.c: the connection's timer in full feature phase. */
void nop_start(struct iscsi_connection *connection);
/* async.c: RFC 7143 11.9. */
void async_send(struct iscsi_connection *connection, enum pdu_async event,
	uint16_t time_s);
/* Event 3: the session is about to be dropped; the host may come back after
 * `wait_s`. */
void async_send_drop(struct iscsi_connection *connection, uint16_t wait_s);
/* task_management.c: ends the session, for session.h; one that a cold reset ends
 * is told so first. */
extern const char task_cold_reset[];
void task_end_session(struct iscsi_connection *connection, const char *reason);
/* command.c: the connection's waiter; buffers may be there again. */
void command_resume(struct buf_waiter *waiter);

#endif
