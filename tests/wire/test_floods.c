/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that send without end and never read, and hosts that stop in the middle of
 * what they send: each costs a bounded amount of memory and only its own session.
 * On the simulated loop, where it is certain that a target takes no more.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/sim_target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define MS_NS 1000000u
#define DEAF 8u
#define HALF 24u
#define POOL_BYTES (16u << 20)

static struct wire_pdu pdu;
static uint8_t data[262144];

struct world {
	struct sim_target *target;
	struct wire good, bad[HALF];
	struct iscsi_connection *connection[HALF]; /* of the bad ones */
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	struct sim_target_setup setup;

	sim_target_defaults(&setup);
	setup.pool_bytes = POOL_BYTES;
	setup.settings.data_timeout_s = 0;
	world->target = sim_target_new(&setup);
	world->good.isid[0] = 0x40;
	world->good.isid[1] = 99;
	sim_target_open(world->target, &world->good, "");
	for (unsigned i = 0; i < HALF; i++)
		world->bad[i].fd = -1;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < HALF; i++)
		if (world->bad[i].fd >= 0)
			wire_close(&world->bad[i]);
	wire_close(&world->good);
	sim_target_until_gone(world->target);
	assert_int_equal(buf_pool_used_bytes(world->target->lane->pool), 0);
	sim_target_free(world->target);
	free(world);
	return 0;
}

static struct wire *open_bad(
	struct world *world, unsigned number, const char *keys)
{
	struct wire *wire = &world->bad[number];

	*wire = (struct wire){.isid = {0x40, (uint8_t)(number + 1)}};
	sim_target_open(world->target, wire, keys);
	world->connection[number] =
		TAILQ_LAST(&world->target->server->lane[0]->connections,
			iscsi_connection_list);
	return wire;
}

/* Sends as much of it as the target takes. False: it takes no more, as nothing is
 * left to happen there. */
static bool pour(struct world *world, struct wire *wire, const uint8_t *from,
	size_t bytes)
{
	bool again = true;

	while (bytes) {
		ssize_t sent = send(
			wire->fd, from, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && !again)
			return false;
		again = sent > 0;
		if (sent > 0) {
			from += sent;
			bytes -= (size_t)sent;
		} else {
			assert_int_equal(errno, EAGAIN);
			sim_target_run_for(world->target, MS_NS);
		}
	}
	return true;
}

/* The same PDU until the target takes no more; how many it took whole. */
static unsigned pour_for_ever(struct world *world, struct wire *wire,
	const uint8_t *bytes, size_t count)
{
	unsigned times = 0;

	while (pour(world, wire, bytes, count))
		assert_true(++times < 100000);
	return times;
}

static void expect_bounded(const struct iscsi_connection *connection)
{
	assert_true(connection->stream.paused);
	assert_true(connection->controls <= CONNECTION_CONTROLS + 1);
	assert_true(connection->control_bytes <=
		CONNECTION_CONTROL_BYTES + (512u << 10));
	assert_true(stream_unsent_bytes(&connection->stream) <=
		CONNECTION_UNSENT_BYTES);
}

static void expect_io_goes_on(struct world *world)
{
	for (unsigned i = 0; i < 20; i++)
		host_io_expect(&world->good, i);
	assert_int_equal(world->target->sessions_down, 0);
}

/* It reads at last: every answer is there, in order. */
static void expect_answers(
	struct wire *wire, uint8_t opcode, unsigned count, uint32_t tag)
{
	for (unsigned i = 0; i < count; i++) {
		wire_expect(wire, opcode, &pdu);
		assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	}
}

/* -- answers that nobody takes --------------------------------------------------- */

static void pings_that_nobody_reads_starve_nobody(void **state)
{
	static uint8_t ping[48 + sizeof data];
	struct world *world = *state;
	unsigned taken[DEAF];
	uint32_t tag[DEAF];

	for (unsigned i = 0; i < DEAF; i++) {
		struct wire *deaf =
			open_bad(world, i, "MaxRecvDataSegmentLength=262144\n");

		tag[i] = wire_begin(deaf, ping, WIRE_NOP_OUT | WIRE_IMMEDIATE);
		ping[5] = 4; /* 262144 bytes */
		wire_put32(ping + 20, 0xffffffff);
		taken[i] = pour_for_ever(world, deaf, ping, sizeof ping);
		expect_bounded(world->connection[i]);
	}
	expect_io_goes_on(world);
	for (unsigned i = 0; i < DEAF; i++)
		expect_answers(&world->bad[i], WIRE_NOP_IN, taken[i], tag[i]);
}

/* Text Requests of one and of many keys: short answers, and long ones. */
static size_t make_text(struct wire *wire, uint8_t *request, unsigned keys)
{
	uint32_t bytes = 0;

	wire_begin(wire, request, WIRE_TEXT | WIRE_IMMEDIATE);
	wire_put32(request + 20, 0xffffffff);
	for (unsigned i = 0; i < keys; i++)
		bytes += 1u +
			(uint32_t)sprintf(
				(char *)request + 48 + bytes, "X-%03u=1", i);
	request[6] = (uint8_t)(bytes >> 8);
	request[7] = (uint8_t)bytes;
	return 48 + ((bytes + 3) & ~3u);
}

static void texts_that_nobody_reads_starve_nobody(void **state)
{
	static uint8_t request[8192];
	struct world *world = *state;
	unsigned taken[DEAF];
	uint32_t tag[DEAF];

	for (unsigned i = 0; i < DEAF; i++) {
		struct wire *deaf = open_bad(world, i, "");
		size_t bytes;

		tag[i] = deaf->tag;
		memset(request, 0, sizeof request);
		bytes = make_text(deaf, request, i % 2 ? 1 : 300);
		taken[i] = pour_for_ever(world, deaf, request, bytes);
		expect_bounded(world->connection[i]);
	}
	expect_io_goes_on(world);
	for (unsigned i = 0; i < DEAF; i++)
		expect_answers(
			&world->bad[i], WIRE_TEXT_RESPONSE, taken[i], tag[i]);
}

/* -- data that stops in the middle ------------------------------------------------- */

/* A write of 1 MiB whose R2T is answered with a PDU that never ends. */
static void stop_inside_data(struct wire *wire)
{
	const uint32_t bytes = 65536;
	uint8_t bhs[48];
	uint32_t tag = wire_send_write(wire, 0, 2048, NULL, 0);

	wire_expect_r2t(wire, tag, 0, 1u << 20, &pdu);
	wire_begin(wire, bhs, WIRE_DATA_OUT);
	bhs[1] = 0;
	wire_put32(bhs + 4, bytes);
	wire_put32(bhs + 16, tag);
	memcpy(bhs + 20, pdu.bhs + 20, 4);
	wire_send_raw(wire, bhs, sizeof bhs);
	wire_send_raw(wire, data, bytes / 2);
}

static size_t used_bytes(const struct world *world)
{
	return buf_pool_used_bytes(world->target->lane->pool);
}

/* They keep the pool, until there is no room for one more. */
static unsigned fill_the_pool(struct world *world)
{
	unsigned hosts = 0;

	while (used_bytes(world) + (1u << 20) <= POOL_BYTES)
		stop_inside_data(open_bad(world, hosts++,
			"ImmediateData=No\nMaxBurstLength=1048576\n"));
	return hosts;
}

/* It waits until some of them have gone. */
static void expect_large_read(struct wire *wire)
{
	static uint8_t got[1u << 20];
	uint32_t tag = wire_send_read(wire, 0, 2048);

	assert_int_equal(wire_expect_data(wire, tag, got, &pdu), sizeof got);
}

static void half_a_data_out_gives_way_to_others(void **state)
{
	struct world *world = *state;
	unsigned hosts = fill_the_pool(world);

	expect_large_read(&world->good);
	assert_in_range(world->target->sessions_down, 1, hosts);
	assert_string_equal(
		world->target->reason, "keeps buffers that others wait for");
	host_io_expect(&world->good, 1);
}

/* Their commands are aborted by another host's reset: what is still to come for them
 * keeps its buffer until it has come, and no longer. */
static void half_a_data_out_of_an_aborted_command_gives_way(void **state)
{
	struct world *world = *state;
	unsigned hosts = fill_the_pool(world);
	size_t used = used_bytes(world);
	uint32_t tag = wire_send_task(&world->good, 5, 0, 0, 0);

	wire_expect(&world->good, WIRE_TASK_RESPONSE, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(pdu.bhs[2], 0);
	assert_true(used_bytes(world) <= used);
	for (unsigned i = 0; i < hosts; i++) {
		assert_int_equal(world->connection[i]->held_bytes, 0);
		assert_true(
			world->connection[i]->receive.own_bytes >= 1u << 20);
	}
	/* One of them goes on: nothing is stored, the session is well. */
	wire_send_raw(&world->bad[0], data, 32768);
	wire_clear_attentions(&world->bad[0]);
	assert_int_equal(world->target->sessions_down, 0);
	wire_clear_attentions(&world->good);
	stop_inside_data(open_bad(
		world, hosts++, "ImmediateData=No\nMaxBurstLength=1048576\n"));
	expect_large_read(&world->good);
	assert_in_range(world->target->sessions_down, 1, hosts - 1);
	host_io_expect(&world->good, 1);
	wire_clear_attentions(&world->bad[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(pings_that_nobody_reads_starve_nobody),
		TEST(texts_that_nobody_reads_starve_nobody),
		TEST(half_a_data_out_gives_way_to_others),
		TEST(half_a_data_out_of_an_aborted_command_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
