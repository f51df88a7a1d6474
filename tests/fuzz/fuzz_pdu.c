/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz: a whole connection, from socket to volume, on the simulated loop. Every
 * input is a conversation of its own with a target that lives on; afterwards
 * nothing of it may be left.
 *
 * The input begins with a byte of modes
 *	bit 0	no login first: the records are all that the target sees
 *	bit 1	header digests, bit 2 data digests (agreed on in the login)
 *	bit 3	bytes arrive in pieces
 *	bit 4	R2T for everything
 * and goes on with records
 *	help	bit 0: put the CmdSN in that is due
 *		bit 1: the data segment is as long as the next byte * 16 says
 *		bit 2: a small task tag
 *		bit 3: answers first, then the tag of the last R2T
 *		bit 4: a wrong digest; bit 5: this record is raw bytes, 48 of them
 *		bit 6: the data segment follows in the input, as much as is left
 *	header	48 bytes
 * Other data segments are zeroes of our own, so that inputs stay short.
 */
#include "blockcore/base/crc32c.h"
#include "tests/lib/check.h"
#include "tests/lib/sim_target.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TARGET "iqn.t:1"
#define ROOM (64u << 10)

enum { RAW = 1, HEADER_DIGEST = 2, DATA_DIGEST = 4, PIECES = 8, SOLICIT = 16 };
enum { CMD_SN = 1, LENGTH = 2, SMALL_TAG = 4, R2T_TAG = 8, DAMAGE = 16 };
enum { BYTES = 32, GIVEN = 64 };

static struct world {
	struct sim_target *target;
	int peer;
	uint32_t last_r2t, cmd_sn;
	uint8_t out[ROOM];
	size_t out_bytes;
	uint8_t in[1u << 20];
	size_t in_bytes;
} world;

/* -- the target ------------------------------------------------------------- */

static void start(void)
{
	struct sim_target_setup setup;

	sim_target_defaults(&setup);
	setup.settings.command_window = 16;
	setup.iqn = TARGET;
	setup.source = "{protocol: {type: mem, size: 1M}}";
	log_set_level(LOG_ERROR);
	world.target = sim_target_new(&setup);
}

/* -- the host ---------------------------------------------------------------- */

static struct iscsi_connection *the_connection(void)
{
	return TAILQ_FIRST(&world.target->server->lane[0]->connections);
}

/* What the target may send; R2T tags are remembered. */
static void look_at(const uint8_t *bhs)
{
	uint8_t opcode = pdu_opcode(bhs);

	assert((opcode >= PDU_NOP_IN && opcode <= PDU_LOGOUT_RESPONSE) ||
		opcode == PDU_R2T || opcode == PDU_ASYNC ||
		opcode == PDU_REJECT);
	assert(pdu_get_data_bytes(bhs) <= 8192);
	if (opcode == PDU_R2T)
		world.last_r2t = pdu_get_transfer_tag(bhs);
}

/* The length of the PDU at `bhs` on the wire. */
static size_t wire_bytes(const uint8_t *bhs, const struct iscsi_params *digests)
{
	uint32_t bytes = pdu_get_data_bytes(bhs);

	return PDU_BHS_BYTES + bytes + pdu_pad_bytes(bytes) +
		(digests->header_digest ? PDU_DIGEST_BYTES : 0u) +
		(bytes && digests->data_digest ? PDU_DIGEST_BYTES : 0u);
}

/* Looks at the PDUs that the target has sent; a cut one waits for its rest. In
 * raw mode we do not know what was agreed on. */
static void take_answers(uint8_t mode, const struct iscsi_params *digests)
{
	ssize_t got = recv(world.peer, world.in + world.in_bytes,
		sizeof world.in - world.in_bytes, MSG_DONTWAIT);
	size_t at = 0, bytes;

	if (got <= 0 || mode & RAW)
		return;
	world.in_bytes += (size_t)got;
	while (world.in_bytes - at >= PDU_BHS_BYTES) {
		bytes = wire_bytes(world.in + at, digests);
		if (world.in_bytes - at < bytes)
			break;
		look_at(world.in + at);
		at += bytes;
	}
	world.in_bytes -= at;
	memmove(world.in, world.in + at, world.in_bytes);
}

/* The target reads what is in its socket, and everything happens. */
static void turn(void)
{
	sim_target_poll(world.target);
	sim_run(world.target->sim);
}

static void flush(bool pieces)
{
	size_t cut = world.out_bytes / 3 + 1;

	for (size_t at = 0, bytes; at < world.out_bytes; at += bytes) {
		bytes = world.out_bytes - at;
		if (pieces && bytes > cut)
			bytes = cut;
		if (send(world.peer, world.out + at, bytes,
			    MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		turn();
	}
	world.out_bytes = 0;
}

static void put(const void *bytes, size_t count)
{
	assert(world.out_bytes + count <= ROOM);
	memcpy(world.out + world.out_bytes, bytes, count);
	world.out_bytes += count;
}

static void put_pdu(const uint8_t *header, const uint8_t *data, uint32_t bytes,
	const struct iscsi_params *digests, bool damage)
{
	uint8_t digest[4];

	put(header, PDU_BHS_BYTES);
	if (digests->header_digest) {
		pdu_put_digest(digest, header, PDU_BHS_BYTES, 0);
		put(digest, 4);
	}
	put(data, bytes);
	if (bytes && digests->data_digest) {
		pdu_put_digest(digest, data, bytes, 0);
		digest[0] ^= damage;
		put(digest, 4);
	}
}

static void log_in(uint8_t mode, struct iscsi_params *digests)
{
	static const char names[] =
		"InitiatorName=iqn.h:1\0TargetName=" TARGET
		"\0SessionType=Normal\0FirstBurstLength=8192";
	static const char header[] = "HeaderDigest=CRC32C";
	static const char data[] = "DataDigest=CRC32C";
	static const char no_r2t[] = "InitialR2T=No";
	uint8_t bhs[PDU_BHS_BYTES] = {PDU_LOGIN_REQUEST | PDU_IMMEDIATE, 0x87};
	uint8_t text[512];
	uint32_t bytes = sizeof names;

	memcpy(text, names, bytes);
	if (mode & HEADER_DIGEST) {
		memcpy(text + bytes, header, sizeof header);
		bytes += (uint32_t)sizeof header;
	}
	if (mode & DATA_DIGEST) {
		memcpy(text + bytes, data, sizeof data);
		bytes += (uint32_t)sizeof data;
	}
	if (!(mode & SOLICIT)) {
		memcpy(text + bytes, no_r2t, sizeof no_r2t);
		bytes += (uint32_t)sizeof no_r2t;
	}
	bhs[8] = 0x40;
	pdu_put_data_bytes(bhs, bytes);
	memset(text + bytes, 0, 4);
	put(bhs, sizeof bhs);
	put(text, bytes + pdu_pad_bytes(bytes));
	flush(false);
	take_answers(mode, digests);
	assert(the_connection()->state == CONNECTION_FULL);
	digests->header_digest = mode & HEADER_DIGEST;
	digests->data_digest = mode & DATA_DIGEST;
}

/* What was put so far is sent, and the answers are looked at. */
static void exchange(uint8_t mode, const struct iscsi_params *digests)
{
	flush(mode & PIECES);
	take_answers(mode, digests);
	if (the_connection())
		world.cmd_sn = the_connection()->exp_cmd_sn;
}

static void help_header(uint8_t *header, uint8_t help)
{
	uint8_t opcode = pdu_opcode(header);

	if (help & CMD_SN) {
		pdu_put_cmd_sn(header, world.cmd_sn);
		if (!pdu_is_immediate(header) && opcode != PDU_DATA_OUT)
			world.cmd_sn++;
	}
	if (help & LENGTH) {
		pdu_put_ahs_words(header, 0);
		pdu_put_data_bytes(header, header[7] * 16u);
	}
	if (help & SMALL_TAG)
		pdu_put_task_tag(header, pdu_get_task_tag(header) & 7);
	if (help & R2T_TAG)
		pdu_put_transfer_tag(header, world.last_r2t);
}

/* One record; returns the bytes of the input that it was. */
static size_t play(const uint8_t *data, size_t size, uint8_t mode,
	const struct iscsi_params *digests)
{
	static uint8_t segment[255 * 16];
	uint8_t help = data[0], header[PDU_BHS_BYTES] = {0};
	size_t bytes = size - 1 < sizeof header ? size - 1 : sizeof header;
	size_t given = 0, length;

	if (help & R2T_TAG || world.out_bytes > ROOM / 2)
		exchange(mode, digests);
	if (help & BYTES) {
		put(data + 1, bytes);
		return 1 + bytes;
	}
	memcpy(header, data + 1, bytes);
	help_header(header, help);
	length = help & LENGTH ? pdu_get_data_bytes(header) : 0;
	memset(segment, 0, length);
	if (help & GIVEN) {
		given = size - 1 - bytes < length ? size - 1 - bytes : length;
		memcpy(segment, data + 1 + bytes, given);
	}
	put_pdu(header, segment, (uint32_t)length, digests, help & DAMAGE);
	return 1 + bytes + given;
}

/* -- one conversation --------------------------------------------------------- */

static void begin(void)
{
	world.peer = sim_target_accept(world.target);
	world.last_r2t = world.cmd_sn = 0;
	world.out_bytes = world.in_bytes = 0;
}

/* The host goes: nothing may be left of it. */
static void end(void)
{
	const struct iscsi_lane *lane = world.target->server->lane[0];

	close(world.peer);
	while (the_connection())
		turn();
	assert(atomic_load(&world.target->server->connections) == 0);
	assert(atomic_load(&world.target->server->logins) == 0);
	assert(buf_pool_used_bytes(world.target->lane->pool) == 0);
	assert(lane->tasks.out == 0 && lane->pieces.out == 0 &&
		lane->controls.out == 0 && lane->managements.out == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iscsi_params digests = {0};
	size_t at = 1;

	if (!world.target)
		start();
	if (size < 2)
		return 0;
	begin();
	if (!(data[0] & RAW))
		log_in(data[0], &digests);
	while (at < size && the_connection())
		at += play(data + at, size - at, data[0], &digests);
	exchange(data[0], &digests);
	end();
	return 0;
}
