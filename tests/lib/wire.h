/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw initiator: sends any PDU, right or wrong, and says what came back. For
 * conversations with the target, one rule each. It fills in what a test does not
 * care about (tags, numbers, lengths, digests) and nothing it does.
 *
 * Invariants
 *  1. Nothing of Cairn's own PDU code is used.
 *  2. Nobody sleeps: to receive is to wait with a deadline; that something is
 *     ignored is shown by the answer to a ping sent after it.
 */
#ifndef TESTS_LIB_WIRE_H
#define TESTS_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_DATA_BYTES (4u << 20)

/* Opcodes: RFC 7143 11.2.1.2 */
enum {
	WIRE_NOP_OUT = 0x00,
	WIRE_COMMAND = 0x01,
	WIRE_TASK = 0x02,
	WIRE_LOGIN = 0x03,
	WIRE_TEXT = 0x04,
	WIRE_DATA_OUT = 0x05,
	WIRE_LOGOUT = 0x06,
	WIRE_SNACK = 0x10,
	WIRE_NOP_IN = 0x20,
	WIRE_RESPONSE = 0x21,
	WIRE_TASK_RESPONSE = 0x22,
	WIRE_LOGIN_RESPONSE = 0x23,
	WIRE_TEXT_RESPONSE = 0x24,
	WIRE_DATA_IN = 0x25,
	WIRE_LOGOUT_RESPONSE = 0x26,
	WIRE_R2T = 0x31,
	WIRE_ASYNC = 0x32,
	WIRE_REJECT = 0x3f,
	WIRE_IMMEDIATE = 0x40,
};
/* Byte 1 of a SCSI Command */
enum { WIRE_F = 0x80, WIRE_R = 0x40, WIRE_W = 0x20, WIRE_SIMPLE = 0x01 };

struct wire {
	int fd;
	uint16_t port;
	uint8_t isid[6];
	uint16_t tsih, cid;
	uint32_t tag, command_sn; /* next to be used */
	uint32_t expected_status_sn, expected_command_sn, max_command_sn;
	bool header_digest, data_digest; /* in force */
	/* With a simulated target: makes it go on until something has come. */
	void (*before_receive)(struct wire *wire);
	void *world; /* whose it is */
};

struct wire_pdu {
	uint8_t bhs[48];
	uint32_t bytes; /* data segment, without pad */
	bool header_intact, data_intact; /* digests, true without */
	uint8_t data[WIRE_DATA_BYTES];
};

/* Big-endian fields. */
uint32_t wire_get32(const uint8_t *at);
void wire_put32(uint8_t *at, uint32_t value);
static inline uint8_t wire_opcode(const struct wire_pdu *pdu)
{
	return pdu->bhs[0] & 0x3f;
}

/* -- a connection ---------------------------------------------------------- */

/* To 127.0.0.1; fails the test if it cannot. A fresh struct wire is all zero. */
void wire_connect(struct wire *wire, uint16_t port);
/* The same with a socket that is connected. */
void wire_attach(struct wire *wire, int fd);
void wire_close(struct wire *wire);

/* `keys`: text with '\n' for the zero bytes. */
#define WIRE_HOST "iqn.1994-05.com.redhat:web1"
#define WIRE_TARGET "iqn.2026-11.example.cairn:db01"
/* One Login Request straight into full feature phase (CSG 1, NSG 3) with names,
 * SessionType and `keys`; returns the status (class << 8 | detail). Follows the
 * digests agreed upon. */
unsigned wire_login(struct wire *wire, const char *target, const char *keys);
/* Connects and logs in to WIRE_TARGET; fails the test if it cannot. */
void wire_open(struct wire *wire, uint16_t port, const char *keys);
/* Logs in to a discovery session; connects before. */
void wire_login_discovery(struct wire *wire);
void wire_open_discovery(struct wire *wire, uint16_t port);
/* Logout, its answer, close. */
void wire_logout(struct wire *wire);

/* -- sending --------------------------------------------------------------- */

/* Bytes as they are. */
void wire_send_raw(struct wire *wire, const void *bytes, size_t count);
/* A PDU: length, pad and digests are put in. */
void wire_send(
	struct wire *wire, uint8_t *bhs, const void *data, uint32_t bytes);
/* An empty header with a new tag and the present numbers; a command number is
 * taken unless `opcode` has WIRE_IMMEDIATE or is Data-Out or SNACK. Returns the
 * tag. */
uint32_t wire_begin(struct wire *wire, uint8_t *bhs, uint8_t opcode);

/* A SCSI Command. `expected`: EDTL. Returns its tag. */
struct wire_command {
	uint8_t flags; /* WIRE_F is put in unless `more` */
	bool more, immediate;
	uint8_t lun;
	uint8_t cdb[16];
	uint32_t expected;
	const void *data; /* immediate */
	uint32_t bytes;
};
uint32_t wire_send_command(
	struct wire *wire, const struct wire_command *command);
/* READ(10), WRITE(10) of 512-byte blocks; for a write `bytes` of immediate
 * data. */
uint32_t wire_send_read(struct wire *wire, uint32_t lba, uint16_t blocks);
uint32_t wire_send_write(struct wire *wire, uint32_t lba, uint16_t blocks,
	const void *data, uint32_t bytes);

struct wire_data_out {
	uint32_t tag, transfer_tag, data_sn, offset;
	bool final;
	uint8_t lun;
	const void *data;
	uint32_t bytes;
};
void wire_send_data(struct wire *wire, const struct wire_data_out *out);
uint32_t wire_send_task(struct wire *wire, uint8_t function, uint8_t lun,
	uint32_t referenced_tag, uint32_t referenced_command_sn);
uint32_t wire_send_nop(struct wire *wire, const void *data, uint32_t bytes);

/* -- receiving: deadline 20 s ------------------------------------------------ */

/* The next PDU; false: the target has closed the connection. */
bool wire_receive(struct wire *wire, struct wire_pdu *pdu);
/* The next PDU is of that opcode, its digests are right. */
void wire_expect(struct wire *wire, uint8_t opcode, struct wire_pdu *pdu);
/* SCSI Response with that tag and status; its sense key, ASC and ASCQ as
 * 0xKKAAQQ, 0 without sense. */
uint32_t wire_expect_status(
	struct wire *wire, uint32_t tag, uint8_t status, struct wire_pdu *pdu);
/* Data-In until the status (which must be GOOD) has come; returns the bytes
 * gathered in `to`. */
uint32_t wire_expect_data(
	struct wire *wire, uint32_t tag, uint8_t *to, struct wire_pdu *pdu);
/* The next command has the number of the rejected one, if that was not received. */
void wire_expect_reject(struct wire *wire, uint8_t reason);
/* The same of a header with additions: it comes back whole (11.17). */
void wire_expect_reject_of(
	struct wire *wire, uint8_t reason, const void *header, uint32_t bytes);
/* R2T of that task. */
void wire_expect_r2t(struct wire *wire, uint32_t tag, uint32_t offset,
	uint32_t bytes, struct wire_pdu *pdu);
void wire_expect_closed(struct wire *wire);
/* A ping is answered, and nothing else comes before: what was sent until now has
 * been ignored or answered. */
void wire_expect_quiet(struct wire *wire);
/* Tests the unit until it is ready. */
void wire_clear_attentions(struct wire *wire);

#endif
