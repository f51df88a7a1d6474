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
 *	header	48 bytes
 * Data segments are of our own making, so that inputs stay short.
 */
#include "blockcore/base/crc32c.h"
#include "target/iscsi/connection.h"
#include "target/iscsi/framing.h"
#include "target/iscsi/lifecycle.h"
#include "tests/lib/check.h"
#include "tests/lib/sim_loop.h"
#include "tests/lib/stack_rig.h"
#include "tests/lib/stack_sim.h"
#include "tests/lib/tables.h"

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
enum { BYTES = 32 };

static struct world {
	struct stack_rig *rig;
	struct sim *sim;
	struct iscsi_server *server;
	struct block_lane *lane;
	struct access_table *table;
	struct access_portal portal;
	struct loop_ops ops;
	int peer;
	uint32_t last_r2t, cmd_sn;
	uint8_t out[ROOM];
	size_t out_bytes;
	uint8_t in[1u << 20];
	size_t in_bytes;
} world;

/* -- the target ------------------------------------------------------------- */

static int no_watch(struct loop *loop, struct loop_watch *watch)
{
	(void)loop;
	(void)watch;
	return 0;
}

static struct volume *make_volume_co(struct stack_rig *rig)
{
	struct volume_settings settings = {
		.name = "v", .block_bytes = 512, .uuid = {1}, .thin = true};
	struct err err;
	struct volume *volume = volume_new(rig->core, &settings, NULL, &err);

	volume_online(volume,
		stack_rig_source_co(rig, "{protocol: {type: mem, size: 1M}}"));
	return volume;
}

static void make_table(struct volume *volume)
{
	static const struct tables_host hosts[] = {
		{.name = "h", .iqns = "*"}, {.name = NULL}};
	static const struct tables_portal portals[] = {
		{.name = "main", .address = "0.0.0.0", .group = 1},
		{.name = NULL}};
	static const struct tables_target targets[] = {
		{.iqn = TARGET, .hosts = "h"}, {.iqn = NULL}};

	world.table = tables_build(hosts, portals, targets);
	world.table->target[0]->export[0].volume = volume;
	world.portal = (struct access_portal){
		.name = "main", .address = "0.0.0.0", .group = 1};
}

static void start_co(struct stack_rig *rig, void *argument)
{
	struct iscsi_settings settings;
	struct err err;

	(void)argument;
	iscsi_settings_defaults(&settings);
	settings.ping_interval_s = 0;
	settings.command_window = 16;
	world.server = iscsi_server_new(rig->core, &settings, NULL, &err);
	make_table(make_volume_co(rig));
	iscsi_server_publish(world.server, world.table);
	CHECK_INT(iscsi_lane_start(world.server, world.lane, &err), 0);
}

static void start(void)
{
	const struct stack_rig_setup setup = {
		.world = "simulated", .lanes = 1, .pool_bytes = 16u << 20};

	log_set_level(LOG_ERROR);
	world.rig = stack_rig_new(&setup);
	world.sim = stack_sim(world.rig);
	world.lane = block_core_lane(world.rig->core, 0);
	/* There are no descriptors in the simulation: we are the loop. */
	world.ops = *world.lane->loop->ops;
	world.ops.watch = no_watch;
	world.lane->loop->ops = &world.ops;
	stack_rig_run(world.rig, start_co, NULL);
}

/* -- the host ---------------------------------------------------------------- */

static struct iscsi_connection *the_connection(void)
{
	return TAILQ_FIRST(&world.server->lane[0]->connections);
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
	struct iscsi_connection *connection = the_connection();

	if (connection && !connection->stream.closing)
		connection->stream.watch.ready(&connection->stream.watch,
			LOOP_READABLE | LOOP_WRITABLE);
	sim_loop_wake(world.lane->loop);
	sim_run(world.sim);
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

static void put_pdu(const uint8_t *header, uint32_t bytes,
	const struct iscsi_params *digests, bool damage)
{
	static uint8_t data[255 * 16];
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
	uint8_t help = data[0], header[PDU_BHS_BYTES] = {0};
	size_t bytes = size - 1 < sizeof header ? size - 1 : sizeof header;

	if (help & R2T_TAG || world.out_bytes > ROOM / 2)
		exchange(mode, digests);
	if (help & BYTES) {
		put(data + 1, bytes);
		return 1 + bytes;
	}
	memcpy(header, data + 1, bytes);
	help_header(header, help);
	put_pdu(header, help & LENGTH ? pdu_get_data_bytes(header) : 0, digests,
		help & DAMAGE);
	return 1 + bytes;
}

/* -- one conversation --------------------------------------------------------- */

static void begin(void)
{
	struct connection_arrival arrival = {.portal = &world.portal};
	int pair[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	arrival.fd = pair[0];
	arrival.peer.ss_family = AF_UNIX;
	world.peer = pair[1];
	world.last_r2t = world.cmd_sn = 0;
	world.out_bytes = world.in_bytes = 0;
	atomic_fetch_add(&world.server->connections, 1);
	atomic_fetch_add(&world.server->logins, 1);
	lifecycle_open(world.server->lane[0], &arrival, &framing_events);
}

/* The host goes: nothing may be left of it. */
static void end(void)
{
	const struct iscsi_lane *lane = world.server->lane[0];

	close(world.peer);
	while (the_connection())
		turn();
	assert(atomic_load(&world.server->connections) == 0);
	assert(atomic_load(&world.server->logins) == 0);
	assert(buf_pool_used_bytes(world.lane->pool) == 0);
	assert(lane->tasks.out == 0 && lane->pieces.out == 0 &&
		lane->controls.out == 0 && lane->managements.out == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iscsi_params digests = {0};
	size_t at = 1;

	if (!world.rig)
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
