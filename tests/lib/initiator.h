/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small, fast iSCSI initiator for load and for crash tests: one connection,
 * many commands in flight, the caller's thread spins. It knows only what a load
 * needs (RFC 7143, ErrorRecoveryLevel 0, no digests, no CHAP); conversations
 * that break rules are tests/lib/wire's.
 *
 * Invariants
 *  1. Nothing of Cairn's own protocol code is used: a mistake there must not
 *     hide behind the same mistake here.
 *  2. One gathered send and one receive per turn, so that the client is not
 *     what is measured.
 */
#ifndef TESTS_LIB_INITIATOR_H
#define TESTS_LIB_INITIATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INITIATOR_DEPTH 256u

struct initiator_io {
	bool write;
	uint8_t cdb[16];
	uint8_t *data; /* of length bytes; stays until the end */
	uint32_t length;
	uint32_t slot; /* below the depth; free again when it is done */
	/* set at the end */
	uint8_t status;
	bool attention; /* not done: the unit had something to tell first */
	uint64_t started_ns, ended_ns;
};

struct initiator {
	int fd;
	uint32_t command_sn, expected_status_sn, max_command_sn;
	uint32_t first_burst, max_burst, target_segment;
	bool immediate, initial_r2t;
	bool discard_reads; /* do not copy what is read */
	uint8_t lun;
	struct initiator_io *slot[INITIATOR_DEPTH];
	uint8_t *in;
	size_t in_bytes;
	struct initiator_out *out;
	unsigned (*done)(struct initiator *, struct initiator_io *, void *);
	void *argument;
	uint64_t completed;
	char error[160];
};

/* Connects and logs in to a Normal session. 0 or -errno with `error` set. */
int initiator_connect(struct initiator *initiator, const char *address,
	uint16_t port, const char *iqn, const char *target);
void initiator_close(struct initiator *initiator);

/* READ(16) or WRITE(16) of `blocks` of `block_bytes`. */
void initiator_io_read_write(struct initiator_io *io, bool write, uint64_t lba,
	uint32_t blocks, uint32_t block_bytes, uint8_t *data);

/* A command without data (TEST UNIT READY when `opcode` is 0). */
void initiator_io_plain(struct initiator_io *io, uint8_t opcode);

/* Tests the unit until it is ready, which clears the attentions that a new
 * session is told of. 0 or -errno. */
int initiator_ready(struct initiator *initiator);

/* True if a command can be queued now. */
bool initiator_has_room(const struct initiator *initiator);
/* Queues a command; false if the window or the queue is full. */
bool initiator_queue(struct initiator *initiator, struct initiator_io *io);
/* Sends what is queued, receives what is there; `done` is called for each
 * command that ended. 0, or -errno when the connection is gone. */
int initiator_turn(struct initiator *initiator);
/* One command, spinning until its end or for 30 s. */
int initiator_execute(struct initiator *initiator, struct initiator_io *io);

uint64_t initiator_now_ns(void);

#endif
