/* SPDX-License-Identifier: Apache-2.0 */
/* See initiator.h. Field offsets are those of RFC 7143 section 11. */
#include "tests/lib/initiator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define IN_BYTES (4u << 20)
#define OUT_PDUS 1024u

struct out_pdu {
	uint8_t header[48];
	const uint8_t *data;
	uint32_t bytes;
};
struct initiator_out {
	struct out_pdu pdu[OUT_PDUS];
	unsigned first, count;
	size_t skip; /* bytes of the first that are sent */
};

static void put32(uint8_t *to, uint32_t v)
{
	to[0] = (uint8_t)(v >> 24);
	to[1] = (uint8_t)(v >> 16);
	to[2] = (uint8_t)(v >> 8);
	to[3] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		(uint32_t)p[2] << 8 | p[3];
}

uint64_t initiator_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(struct initiator *i, int error, const char *text)
{
	snprintf(i->error, sizeof i->error, "%s", text);
	return -error;
}

/* -- sending -------------------------------------------------------------- */

static bool out_room(const struct initiator *i)
{
	return i->out->count < OUT_PDUS;
}

static uint8_t *out_add(
	struct initiator *i, const uint8_t *data, uint32_t bytes)
{
	struct initiator_out *out = i->out;
	struct out_pdu *pdu = &out->pdu[(out->first + out->count++) % OUT_PDUS];

	memset(pdu->header, 0, sizeof pdu->header);
	pdu->data = data;
	pdu->bytes = bytes;
	pdu->header[5] = (uint8_t)(bytes >> 16);
	pdu->header[6] = (uint8_t)(bytes >> 8);
	pdu->header[7] = (uint8_t)bytes;
	return pdu->header;
}

static void out_sent(struct initiator_out *out, size_t bytes)
{
	bytes += out->skip;
	while (out->count) {
		size_t whole = 48 + out->pdu[out->first].bytes;
		if (bytes < whole)
			break;
		bytes -= whole;
		out->first = (out->first + 1) % OUT_PDUS;
		out->count--;
	}
	out->skip = bytes;
}

static int out_flush(struct initiator *i)
{
	struct initiator_out *out = i->out;
	struct iovec iov[512];
	unsigned n = 0;
	size_t skip = out->skip;

	for (unsigned k = 0; k < out->count && n + 2 <= 512; k++) {
		struct out_pdu *pdu = &out->pdu[(out->first + k) % OUT_PDUS];
		if (skip < 48)
			iov[n++] =
				(struct iovec){pdu->header + skip, 48 - skip};
		skip = skip < 48 ? 0 : skip - 48;
		if (pdu->bytes > skip)
			iov[n++] = (struct iovec){
				(uint8_t *)pdu->data + skip, pdu->bytes - skip};
		skip = 0;
	}
	if (!n)
		return 0;
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent = sendmsg(i->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR
			? 0
			: fail(i, errno, "send failed");
	out_sent(out, (size_t)sent);
	return 0;
}

/* -- commands ------------------------------------------------------------- */

void initiator_io_read_write(struct initiator_io *io, bool write, uint64_t lba,
	uint32_t blocks, uint32_t block_bytes, uint8_t *data)
{
	memset(io->cdb, 0, sizeof io->cdb);
	io->write = write;
	io->cdb[0] = write ? 0x8a : 0x88; /* SBC-3 5.34, 5.14 */
	put32(io->cdb + 2, (uint32_t)(lba >> 32));
	put32(io->cdb + 6, (uint32_t)lba);
	put32(io->cdb + 10, blocks);
	io->data = data;
	io->length = blocks * block_bytes;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void out_data(struct initiator *i, struct initiator_io *io,
	uint32_t transfer_tag, uint32_t offset, uint32_t bytes)
{
	for (uint32_t sn = 0; bytes; sn++) {
		uint32_t part = smaller(bytes, i->target_segment);
		uint8_t *h = out_add(i, io->data + offset, part);
		h[0] = 0x05;
		h[1] = part == bytes ? 0x80 : 0;
		h[9] = i->lun;
		put32(h + 16, io->slot);
		put32(h + 20, transfer_tag);
		put32(h + 28, i->expected_status_sn);
		put32(h + 36, sn);
		put32(h + 40, offset);
		offset += part;
		bytes -= part;
	}
}

void initiator_io_plain(struct initiator_io *io, uint8_t opcode)
{
	memset(io, 0, sizeof *io);
	io->cdb[0] = opcode;
}

bool initiator_has_room(const struct initiator *i)
{
	return (int32_t)(i->max_command_sn - i->command_sn) >= 0 &&
		i->out->count + 64 <= OUT_PDUS;
}

bool initiator_queue(struct initiator *i, struct initiator_io *io)
{
	if (!initiator_has_room(i))
		return false;
	uint32_t now = 0, unsolicited = 0;
	if (io->write) {
		uint32_t burst = smaller(io->length, i->first_burst);
		if (i->immediate)
			now = smaller(burst, i->target_segment);
		if (!i->initial_r2t)
			unsolicited = burst - now;
	}
	uint8_t *h = out_add(i, io->data, now);
	h[0] = 0x01;
	h[1] = (uint8_t)((unsolicited ? 0 : 0x80) | (io->write ? 0x20 : 0x40) |
		1 /* SIMPLE */);
	h[9] = i->lun;
	put32(h + 16, io->slot);
	put32(h + 20, io->length);
	put32(h + 24, i->command_sn++);
	put32(h + 28, i->expected_status_sn);
	memcpy(h + 32, io->cdb, 16);
	if (unsolicited)
		out_data(i, io, 0xffffffff, now, unsolicited);
	i->slot[io->slot] = io;
	io->started_ns = initiator_now_ns();
	return true;
}

/* -- receiving ------------------------------------------------------------ */

static void note_numbers(struct initiator *i, const uint8_t *h)
{
	uint32_t max = get32(h + 32);

	if ((int32_t)(max - i->max_command_sn) > 0)
		i->max_command_sn = max;
}

static void end(struct initiator *i, struct initiator_io *io, uint8_t status)
{
	i->slot[io->slot] = NULL;
	io->status = status;
	io->ended_ns = initiator_now_ns();
	i->completed++;
	if (i->done)
		i->done(i, io, i->argument);
}

/* CHECK CONDITION with UNIT ATTENTION: RFC 7143 11.4.7, SPC-4 4.5.2, 4.5.3. */
static bool is_attention(const uint8_t *h, uint32_t bytes)
{
	const uint8_t *sense = h + 48 + h[4] * 4u + 2;

	if (h[3] != 2 || bytes < 2 + 4)
		return false;
	bool fixed = (sense[0] & 0x7f) < 0x72;
	return (sense[fixed ? 2 : 1] & 0xf) == 6;
}

static int take(struct initiator *i, const uint8_t *h, uint32_t bytes)
{
	uint32_t tag = get32(h + 16);
	struct initiator_io *io = tag < INITIATOR_DEPTH ? i->slot[tag] : NULL;
	uint8_t opcode = h[0] & 0x3f;

	if (opcode == 0x20) { /* NOP-In: a ping owes an answer */
		if (get32(h + 20) != 0xffffffff && out_room(i)) {
			uint8_t *nop = out_add(i, NULL, 0);
			nop[0] = 0x40;
			nop[1] = 0x80;
			memcpy(nop + 8, h + 8, 8);
			put32(nop + 16, 0xffffffff);
			memcpy(nop + 20, h + 20, 4);
			put32(nop + 24, i->command_sn);
			put32(nop + 28, i->expected_status_sn);
		}
		note_numbers(i, h);
		return 0;
	}
	if (!io)
		return fail(i, EPROTO, "answer to no command");
	switch (opcode) {
	case 0x25: { /* Data-In */
		uint32_t offset = get32(h + 40);
		if (offset > io->length || bytes > io->length - offset)
			return fail(i, EPROTO, "Data-In out of range");
		if (!i->discard_reads)
			memcpy(io->data + offset, h + 48, bytes);
		note_numbers(i, h);
		if (h[1] & 1) {
			i->expected_status_sn = get32(h + 24) + 1;
			end(i, io, h[3]);
		}
		return 0;
	}
	case 0x21: /* SCSI Response */
		note_numbers(i, h);
		i->expected_status_sn = get32(h + 24) + 1;
		io->attention = is_attention(h, bytes);
		end(i, io, h[2] ? 0xff : h[3]);
		return 0;
	case 0x31: { /* R2T */
		uint32_t offset = get32(h + 40), want = get32(h + 44);
		if (!io->write || offset > io->length ||
			want > io->length - offset)
			return fail(i, EPROTO, "R2T out of range");
		out_data(i, io, get32(h + 20), offset, want);
		return 0;
	}
	}
	return fail(i, EPROTO, "PDU of an unexpected kind");
}

static int take_all(struct initiator *i)
{
	size_t at = 0;
	int error = 0;

	while (!error && i->in_bytes - at >= 48) {
		const uint8_t *h = i->in + at;
		uint32_t bytes = get32(h + 4) & 0xffffff;
		size_t whole = 48 + h[4] * 4u + ((bytes + 3) & ~3u);
		if (whole > IN_BYTES)
			return fail(i, EPROTO, "PDU too large");
		if (i->in_bytes - at < whole)
			break;
		error = take(i, h, bytes);
		at += whole;
	}
	memmove(i->in, i->in + at, i->in_bytes - at);
	i->in_bytes -= at;
	return error;
}

int initiator_turn(struct initiator *i)
{
	int error = out_flush(i);

	if (error)
		return error;
	ssize_t got = recv(i->fd, i->in + i->in_bytes, IN_BYTES - i->in_bytes,
		MSG_DONTWAIT);
	if (got == 0)
		return fail(i, ECONNRESET, "target closed the connection");
	if (got < 0)
		return errno == EAGAIN || errno == EINTR
			? 0
			: fail(i, errno, "receive failed");
	i->in_bytes += (size_t)got;
	return take_all(i);
}

int initiator_execute(struct initiator *i, struct initiator_io *io)
{
	uint64_t limit = initiator_now_ns() + 30000000000u;

	if (!initiator_queue(i, io))
		return fail(i, EBUSY, "command window is closed");
	while (i->slot[io->slot] == io) {
		int error = initiator_turn(i);
		if (error)
			return error;
		if (initiator_now_ns() > limit)
			return fail(i, ETIMEDOUT, "no answer in 30 s");
	}
	return 0;
}

int initiator_ready(struct initiator *i)
{
	uint64_t limit = initiator_now_ns() + 30000000000u;
	struct initiator_io io;

	/* A daemon that was killed may hold the file until the kernel has ended
	 * its I/O: that long the volume of the next one is offline. */
	while (initiator_now_ns() < limit) {
		initiator_io_plain(&io, 0);
		int error = initiator_execute(i, &io);
		if (error || !io.status)
			return error;
	}
	return fail(i, EBUSY, "unit does not become ready");
}

/* -- login ---------------------------------------------------------------- */

static int receive_all(struct initiator *i, uint8_t *to, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t got = recv(i->fd, to + at, bytes - at, 0);
		if (got <= 0)
			return fail(i, got ? errno : ECONNRESET,
				"connection lost in login");
		at += (size_t)got;
	}
	return 0;
}

static void learn(struct initiator *i, const char *text, size_t bytes)
{
	for (const char *p = text; p < text + bytes; p += strlen(p) + 1) {
		unsigned v;
		if (sscanf(p, "MaxRecvDataSegmentLength=%u", &v) == 1)
			i->target_segment = v;
		else if (sscanf(p, "FirstBurstLength=%u", &v) == 1)
			i->first_burst = v;
		else if (sscanf(p, "MaxBurstLength=%u", &v) == 1)
			i->max_burst = v;
		else if (!strcmp(p, "ImmediateData=No"))
			i->immediate = false;
		else if (!strcmp(p, "InitialR2T=Yes"))
			i->initial_r2t = true;
	}
}

static int login_answer(struct initiator *i, bool *final)
{
	uint8_t h[48];
	char text[8200];
	int error = receive_all(i, h, 48);

	if (error)
		return error;
	uint32_t bytes = get32(h + 4) & 0xffffff, padded = (bytes + 3) & ~3u;
	if ((h[0] & 0x3f) != 0x23 || padded >= sizeof text)
		return fail(i, EPROTO, "no Login Response");
	error = receive_all(i, (uint8_t *)text, padded);
	if (error)
		return error;
	text[bytes] = 0;
	if (h[36]) {
		snprintf(i->error, sizeof i->error,
			"login refused: status %02x%02x", h[36], h[37]);
		return -EACCES;
	}
	learn(i, text, bytes);
	i->expected_status_sn = get32(h + 24) + 1;
	i->command_sn = get32(h + 28);
	i->max_command_sn = get32(h + 32);
	*final = (h[1] & 0x83) == 0x83;
	return 0;
}

static int login(struct initiator *i, const char *iqn, const char *target)
{
	char text[1024];
	int n = snprintf(text, sizeof text,
		"InitiatorName=%s%cTargetName=%s%cSessionType=Normal%c"
		"HeaderDigest=None%cDataDigest=None%cInitialR2T=No%c"
		"ImmediateData=Yes%cMaxRecvDataSegmentLength=262144%c"
		"MaxBurstLength=1048576%cFirstBurstLength=262144%c"
		"MaxOutstandingR2T=8%cErrorRecoveryLevel=0%c",
		iqn, 0, target, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	bool final = false;
	static uint32_t isid;

	isid += 1 + (uint32_t)getpid() * 64;
	for (int step = 0; !final && step < 4; step++) {
		uint8_t pdu[48 + sizeof text] = {0};
		uint32_t bytes = step ? 0 : (uint32_t)n;
		pdu[0] = 0x43;
		pdu[1] = 0x87; /* T, CSG 1, NSG 3 */
		put32(pdu + 4, bytes);
		pdu[8] = 0x80; /* ISID: random format */
		put32(pdu + 10, isid);
		put32(pdu + 24, 1);
		memcpy(pdu + 48, text, bytes);
		size_t whole = 48 + ((bytes + 3) & ~3u);
		if (send(i->fd, pdu, whole, MSG_NOSIGNAL) != (ssize_t)whole)
			return fail(i, EIO, "send failed in login");
		int error = login_answer(i, &final);
		if (error)
			return error;
	}
	return final ? 0 : fail(i, EPROTO, "login does not end");
}

static int connect_to(struct initiator *i, const char *address, uint16_t port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return fail(i, EINVAL, "not an IPv4 address");
	i->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (i->fd < 0)
		return fail(i, errno, "no socket");
	if (connect(i->fd, (struct sockaddr *)&to, sizeof to) < 0)
		return fail(i, errno, "cannot connect");
	setsockopt(i->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return 0;
}

int initiator_connect(struct initiator *i, const char *address, uint16_t port,
	const char *iqn, const char *target)
{
	memset(i, 0, sizeof *i);
	i->fd = -1;
	i->first_burst = 65536;
	i->max_burst = 262144;
	i->target_segment = 8192;
	i->immediate = true;
	i->in = malloc(IN_BYTES);
	i->out = calloc(1, sizeof *i->out);
	if (!i->in || !i->out)
		return fail(i, ENOMEM, "out of memory");
	int error = connect_to(i, address, port);
	return error ? error : login(i, iqn, target);
}

void initiator_close(struct initiator *i)
{
	if (i->fd >= 0)
		close(i->fd);
	i->fd = -1;
	free(i->in);
	free(i->out);
	i->in = NULL;
	i->out = NULL;
}
