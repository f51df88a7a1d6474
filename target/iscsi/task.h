/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SCSI command on the wire: the device server's task with what iSCSI adds
 * (tags, expected length, data sequences) and its answer, in one object.
 *
 *	WAITING (for a buffer) -> RECEIVING (Data-Out) -> EXECUTING
 *		-> SENDING (Data-In) -> ANSWERING
 *
 * Invariants
 *  1. A task is in its connection's table of tags from the command until its
 *     answer is queued; the tag is free for the host from then on.
 *  2. It counts in the command window as long; the object and its buffer live
 *     until the last PDU of it has left the stream.
 *  3. `held` of the connection is the sum of its tasks' buffers.
 */
#ifndef TARGET_ISCSI_TASK_H
#define TARGET_ISCSI_TASK_H

#include "target/iscsi/out.h"

enum task_state {
	TASK_NEW,
	TASK_WAITING,
	TASK_RECEIVING,
	TASK_EXECUTING,
	TASK_SENDING, /* Data-In; the device server is done with it */
	TASK_ANSWERING,
};

struct iscsi_task {
	struct scsi_task scsi; /* first: what a fast path touches, in order */
	struct iscsi_connection *connection;
	struct iscsi_task *next; /* in its bucket */
	STAILQ_ENTRY(iscsi_task) wait_link;
	uint32_t expected_bytes; /* EDTL */
	uint32_t
		read_bytes; /* the same of the way back of a bidirectional one */
	uint32_t buffer_bytes; /* to be taken before it can go on */
	uint8_t state;
	bool immediate, read, write;
	bool unsolicited; /* more Data-Out comes without R2T */
	bool failing; /* thrown away until all that was asked for has come */
	bool silenced; /* a task management ends it: no answer, whatever it did */

	/* data-out: RFC 7143 11.7, 11.8 */
	uint32_t wanted; /* bytes that we ask for in all */
	uint32_t received; /* next expected buffer offset */
	uint32_t burst_end; /* of the present sequence */
	uint32_t data_sn; /* next expected in it */
	uint32_t first_solicited; /* where what R2Ts ask for begins */
	uint32_t r2t_sn; /* R2Ts sent */
	uint32_t r2ts_answered;
	uint32_t first_transfer_tag;
	uint32_t due_look; /* when data came for it last: overdue.h */
	uint64_t due_bytes; /* what had come in all by then */

	/* data-in */
	uint32_t in_next, in_end, in_sn;
	uint32_t outs; /* PDUs with the stream */

	uint8_t sense[2 + SCSI_SENSE_BYTES]; /* length, sense: 11.4.7 */
	struct iscsi_out answer;
};

/* NULL: out of memory. `tag` is not in the table. */
struct iscsi_task *task_get(
	struct iscsi_connection *connection, uint32_t tag, bool immediate);
/* The task with that tag that is not yet answered; NULL: none. */
struct iscsi_task *task_find(
	const struct iscsi_connection *connection, uint32_t tag);
/* The answer is queued, or there is none: the tag is free again. */
void task_leave(struct iscsi_task *task);
/* Gives object and buffer back; after task_leave, outs is 0. */
void task_put(struct iscsi_task *task);

/* Takes `buffer_bytes` (none if 0) from the lane's pool within the connection's
 * quota; false: not now, and the connection's waiter is registered. */
bool task_take_buffer(struct iscsi_task *task);

/* All data is here. */
void task_execute(struct iscsi_task *task);

#endif
