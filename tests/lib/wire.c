/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See wire.h. The CRC here is bit by bit, on purpose not the product's.
 */
#include "tests/lib/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_S 20
#define NO_TAG 0xffffffffu

uint32_t wire_get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
		(uint32_t)at[2] << 8 | at[3];
}

void wire_put32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t crc_table[256];

/* CRC32C, reflected polynomial 82F63B78h. */
static uint32_t crc(uint32_t value, const uint8_t *data, size_t bytes)
{
	for (uint32_t i = 0; !crc_table[255] && i < 256; i++) {
		crc_table[i] = i;
		for (unsigned bit = 0; bit < 8; bit++)
			crc_table[i] = crc_table[i] >> 1 ^
				(crc_table[i] & 1 ? 0x82f63b78u : 0);
	}
	value = ~value;
	while (bytes--)
		value = value >> 8 ^ crc_table[(value ^ *data++) & 0xff];
	return ~value;
}

static void put_crc(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static bool crc_fits(const uint8_t *at, uint32_t value)
{
	uint8_t right[4];

	put_crc(right, value);
	return !memcmp(at, right, 4);
}

/* -- connecting ------------------------------------------------------------ */

void wire_attach(struct wire *wire, int fd)
{
	static const uint8_t isid[6] = {0x40, 0, 0, 1, 0, 0}; /* EN format */
	const struct timeval deadline = {.tv_sec = DEADLINE_S};

	wire->fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
	if (!memcmp(wire->isid, "\0\0\0\0\0", 6))
		memcpy(wire->isid, isid, sizeof isid);
	wire->header_digest = wire->data_digest = false;
}

void wire_connect(struct wire *wire, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	wire->port = port;
	wire_attach(wire, fd);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
}

void wire_close(struct wire *wire)
{
	close(wire->fd);
	wire->fd = -1;
}

/* -- sending --------------------------------------------------------------- */

void wire_send_raw(struct wire *wire, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	while (count) {
		ssize_t sent = send(wire->fd, at, count, MSG_NOSIGNAL);

		/* The target may close while we still talk. */
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		assert_true(sent > 0);
		at += sent;
		count -= (size_t)sent;
	}
}

void wire_send(
	struct wire *wire, uint8_t *bhs, const void *data, uint32_t bytes)
{
	uint32_t pad = -bytes & 3, at = 48;
	uint8_t *out = calloc(1, 48u + 4 + bytes + pad + 4);

	bhs[5] = (uint8_t)(bytes >> 16);
	bhs[6] = (uint8_t)(bytes >> 8);
	bhs[7] = (uint8_t)bytes;
	memcpy(out, bhs, 48);
	if (wire->header_digest) {
		put_crc(out + at, crc(0, out, 48));
		at += 4;
	}
	if (bytes) {
		memcpy(out + at, data, bytes);
		if (wire->data_digest)
			put_crc(out + at + bytes + pad,
				crc(0, out + at, bytes + pad));
		at += bytes + pad + (wire->data_digest ? 4 : 0);
	}
	wire_send_raw(wire, out, at);
	free(out);
}

static bool takes_number(uint8_t opcode)
{
	return !(opcode & WIRE_IMMEDIATE) && opcode != WIRE_DATA_OUT &&
		opcode != WIRE_SNACK;
}

uint32_t wire_begin(struct wire *wire, uint8_t *bhs, uint8_t opcode)
{
	memset(bhs, 0, 48);
	bhs[0] = opcode;
	bhs[1] = WIRE_F;
	wire_put32(bhs + 16, wire->tag);
	wire_put32(bhs + 24, wire->command_sn);
	wire_put32(bhs + 28, wire->expected_status_sn);
	if (takes_number(opcode))
		wire->command_sn++;
	return wire->tag++;
}

uint32_t wire_send_command(
	struct wire *wire, const struct wire_command *command)
{
	uint8_t bhs[48];
	uint32_t tag = wire_begin(wire, bhs,
		command->immediate ? WIRE_COMMAND | WIRE_IMMEDIATE
				   : WIRE_COMMAND);

	bhs[1] = (uint8_t)(command->flags | WIRE_SIMPLE |
		(command->more ? 0 : WIRE_F));
	bhs[9] = command->lun;
	wire_put32(bhs + 20, command->expected);
	memcpy(bhs + 32, command->cdb, 16);
	wire_send(wire, bhs, command->data, command->bytes);
	return tag;
}

static void put_transfer(struct wire_command *command, uint8_t opcode,
	uint32_t lba, uint16_t blocks)
{
	command->cdb[0] = opcode;
	wire_put32(command->cdb + 2, lba);
	command->cdb[7] = (uint8_t)(blocks >> 8);
	command->cdb[8] = (uint8_t)blocks;
	command->expected = blocks * 512u;
}

uint32_t wire_send_read(struct wire *wire, uint32_t lba, uint16_t blocks)
{
	struct wire_command command = {.flags = WIRE_R};

	put_transfer(&command, 0x28, lba, blocks);
	return wire_send_command(wire, &command);
}

uint32_t wire_send_write(struct wire *wire, uint32_t lba, uint16_t blocks,
	const void *data, uint32_t bytes)
{
	struct wire_command command = {
		.flags = WIRE_W, .data = data, .bytes = bytes};

	put_transfer(&command, 0x2a, lba, blocks);
	return wire_send_command(wire, &command);
}

void wire_send_data(struct wire *wire, const struct wire_data_out *out)
{
	uint8_t bhs[48];

	wire_begin(wire, bhs, WIRE_DATA_OUT);
	bhs[1] = out->final ? WIRE_F : 0;
	bhs[9] = out->lun;
	wire_put32(bhs + 16, out->tag);
	wire_put32(bhs + 20, out->transfer_tag);
	wire_put32(bhs + 24, 0);
	wire_put32(bhs + 36, out->data_sn);
	wire_put32(bhs + 40, out->offset);
	wire_send(wire, bhs, out->data, out->bytes);
}

uint32_t wire_send_task(struct wire *wire, uint8_t function, uint8_t lun,
	uint32_t referenced_tag, uint32_t referenced_command_sn)
{
	uint8_t bhs[48];
	uint32_t tag = wire_begin(wire, bhs, WIRE_TASK | WIRE_IMMEDIATE);

	bhs[1] = WIRE_F | function;
	bhs[9] = lun;
	wire_put32(bhs + 20, referenced_tag);
	wire_put32(bhs + 32, referenced_command_sn);
	wire_send(wire, bhs, NULL, 0);
	return tag;
}

uint32_t wire_send_nop(struct wire *wire, const void *data, uint32_t bytes)
{
	uint8_t bhs[48];
	uint32_t tag = wire_begin(wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);

	wire_put32(bhs + 20, NO_TAG);
	wire_send(wire, bhs, data, bytes);
	return tag;
}

/* -- receiving ------------------------------------------------------------- */

/* False: end of file. */
static bool receive_bytes(struct wire *wire, void *to, size_t bytes)
{
	uint8_t *at = to;

	while (bytes) {
		ssize_t got;

		if (wire->before_receive)
			wire->before_receive(wire);
		got = recv(wire->fd, at, bytes, 0);

		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return false;
		if (got < 0)
			fail_msg("no answer: %s", strerror(errno));
		at += got;
		bytes -= (size_t)got;
	}
	return true;
}

static bool receive_data(struct wire *wire, struct wire_pdu *pdu)
{
	uint32_t padded = (pdu->bytes + 3) & ~3u;
	uint8_t digest[4];

	assert_true(padded <= WIRE_DATA_BYTES);
	if (!receive_bytes(wire, pdu->data, padded))
		return false;
	if (!wire->data_digest)
		return true;
	if (!receive_bytes(wire, digest, 4))
		return false;
	pdu->data_intact = crc_fits(digest, crc(0, pdu->data, padded));
	return true;
}

/* Every PDU of a target tells these (RFC 7143 11.4.8 to 11.4.10). */
static void follow_numbers(struct wire *wire, const struct wire_pdu *pdu)
{
	uint8_t opcode = wire_opcode(pdu);
	bool status = opcode != WIRE_R2T &&
		(opcode != WIRE_DATA_IN || pdu->bhs[1] & 1) &&
		(opcode != WIRE_NOP_IN || wire_get32(pdu->bhs + 16) != NO_TAG);

	if (status)
		wire->expected_status_sn = wire_get32(pdu->bhs + 24) + 1;
	wire->expected_command_sn = wire_get32(pdu->bhs + 28);
	wire->max_command_sn = wire_get32(pdu->bhs + 32);
}

bool wire_receive(struct wire *wire, struct wire_pdu *pdu)
{
	uint8_t digest[4];

	pdu->header_intact = pdu->data_intact = true;
	if (!receive_bytes(wire, pdu->bhs, 48))
		return false;
	assert_int_equal(pdu->bhs[4], 0); /* we never send AHS */
	if (wire->header_digest) {
		if (!receive_bytes(wire, digest, 4))
			return false;
		pdu->header_intact = crc_fits(digest, crc(0, pdu->bhs, 48));
	}
	pdu->bytes = wire_get32(pdu->bhs + 4) & 0xffffff;
	follow_numbers(wire, pdu);
	return !pdu->bytes || receive_data(wire, pdu);
}

void wire_expect(struct wire *wire, uint8_t opcode, struct wire_pdu *pdu)
{
	if (!wire_receive(wire, pdu))
		fail_msg("closed, not opcode %02x", opcode);
	if (wire_opcode(pdu) != opcode)
		fail_msg("opcode %02x, not %02x (byte 1-3: %02x %02x %02x)",
			wire_opcode(pdu), opcode, pdu->bhs[1], pdu->bhs[2],
			pdu->bhs[3]);
	assert_true(pdu->header_intact && pdu->data_intact);
}

uint32_t wire_expect_status(
	struct wire *wire, uint32_t tag, uint8_t status, struct wire_pdu *pdu)
{
	const uint8_t *sense = pdu->data + 2;

	wire_expect(wire, WIRE_RESPONSE, pdu);
	assert_int_equal(wire_get32(pdu->bhs + 16), tag);
	assert_int_equal(pdu->bhs[2], 0); /* completed at the target */
	assert_int_equal(pdu->bhs[3], status);
	if (pdu->bytes < 2 + 14)
		return 0;
	return (uint32_t)((sense[2] & 0xf) << 16 | sense[12] << 8 | sense[13]);
}

uint32_t wire_expect_data(
	struct wire *wire, uint32_t tag, uint8_t *to, struct wire_pdu *pdu)
{
	uint32_t bytes = 0;

	for (uint32_t sn = 0;; sn++) {
		wire_expect(wire, WIRE_DATA_IN, pdu);
		assert_int_equal(wire_get32(pdu->bhs + 16), tag);
		assert_int_equal(wire_get32(pdu->bhs + 36), sn);
		assert_int_equal(wire_get32(pdu->bhs + 40), bytes);
		memcpy(to + bytes, pdu->data, pdu->bytes);
		bytes += pdu->bytes;
		if (pdu->bhs[1] & 1)
			break;
	}
	assert_int_equal(pdu->bhs[3], 0);
	return bytes;
}

/* A command that the target has not received leaves a gap, which the next one fills
 * (RFC 7143 7.3). */
static void fill_gap(struct wire *wire, const uint8_t *rejected)
{
	uint32_t number = wire_get32(rejected + 24);

	if (takes_number(rejected[0]) && number == wire->expected_command_sn)
		wire->command_sn = number;
}

static void expect_reject(
	struct wire *wire, uint8_t reason, const void *header, uint32_t bytes)
{
	struct wire_pdu *pdu = malloc(sizeof *pdu);

	wire_expect(wire, WIRE_REJECT, pdu);
	assert_int_equal(pdu->bhs[2], reason);
	assert_int_equal(wire_get32(pdu->bhs + 16), NO_TAG);
	assert_int_equal(pdu->bytes, bytes); /* the header that was refused */
	if (header)
		assert_memory_equal(pdu->data, header, bytes);
	fill_gap(wire, pdu->data);
	free(pdu);
}

void wire_expect_reject(struct wire *wire, uint8_t reason)
{
	expect_reject(wire, reason, NULL, 48);
}

void wire_expect_reject_of(
	struct wire *wire, uint8_t reason, const void *header, uint32_t bytes)
{
	expect_reject(wire, reason, header, bytes);
}

void wire_expect_r2t(struct wire *wire, uint32_t tag, uint32_t offset,
	uint32_t bytes, struct wire_pdu *pdu)
{
	wire_expect(wire, WIRE_R2T, pdu);
	assert_int_equal(wire_get32(pdu->bhs + 16), tag);
	assert_int_equal(wire_get32(pdu->bhs + 40), offset);
	assert_int_equal(wire_get32(pdu->bhs + 44), bytes);
	assert_int_not_equal(wire_get32(pdu->bhs + 20), NO_TAG);
}

void wire_expect_closed(struct wire *wire)
{
	struct wire_pdu *pdu = malloc(sizeof *pdu);

	if (wire_receive(wire, pdu))
		fail_msg("opcode %02x, not the end", wire_opcode(pdu));
	free(pdu);
}

void wire_expect_quiet(struct wire *wire)
{
	struct wire_pdu *pdu = malloc(sizeof *pdu);
	uint32_t tag = wire_send_nop(wire, NULL, 0);

	wire_expect(wire, WIRE_NOP_IN, pdu);
	assert_int_equal(wire_get32(pdu->bhs + 16), tag);
	free(pdu);
}

void wire_clear_attentions(struct wire *wire)
{
	struct wire_pdu *pdu = malloc(sizeof *pdu);
	const struct wire_command ready = {.flags = 0};
	unsigned tries = 0;

	do {
		wire_send_command(wire, &ready);
		wire_expect(wire, WIRE_RESPONSE, pdu);
		assert_true(++tries < 10);
	} while (pdu->bhs[3]);
	free(pdu);
}
