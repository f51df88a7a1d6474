/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that a host was asked for and does not send, in virtual time: it has
 * `data_timeout_s`, whatever else it does; a slow host has all the time it needs.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/sim_target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull
#define TIMEOUT_S 60u
#define REASON "does not send the data that it was asked for"

static struct wire_pdu pdu;
static uint8_t data[131072];

struct world {
	struct sim_target *target;
	struct wire host, good;
	uint64_t begun_ns;
};

static int set_up_with(void **state, uint32_t timeout_s)
{
	struct world *world = calloc(1, sizeof *world);
	struct sim_target_setup setup;

	sim_target_defaults(&setup);
	setup.settings.data_timeout_s = timeout_s;
	world->target = sim_target_new(&setup);
	world->good.isid[0] = 0x40;
	world->good.isid[1] = 7;
	sim_target_open(world->target, &world->good, "");
	sim_target_open(world->target, &world->host,
		"ImmediateData=No\nMaxBurstLength=131072\n");
	world->begun_ns = sim_now_ns(world->target->sim);
	*state = world;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, TIMEOUT_S);
}

static int set_up_without_limit(void **state)
{
	return set_up_with(state, 0);
}

static int tear_down(void **state)
{
	struct world *world = *state;

	wire_close(&world->host);
	wire_close(&world->good);
	sim_target_until_gone(world->target);
	assert_int_equal(buf_pool_used_bytes(world->target->lane->pool), 0);
	sim_target_free(world->target);
	free(world);
	return 0;
}

static unsigned seconds(const struct world *world)
{
	return (unsigned)((sim_now_ns(world->target->sim) - world->begun_ns) /
		SECOND_NS);
}

static bool is_open(const struct wire *wire)
{
	uint8_t byte;

	return recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		errno == EAGAIN;
}

/* A write of `blocks`; its R2T, to be answered or not. */
static struct wire_data_out ask(struct wire *wire, uint16_t blocks)
{
	struct wire_data_out out = {
		.final = true, .data = data, .bytes = blocks * 512u};

	out.tag = wire_send_write(wire, 0, blocks, NULL, 0);
	wire_expect_r2t(wire, out.tag, 0, out.bytes, &pdu);
	out.transfer_tag = wire_get32(pdu.bhs + 20);
	return out;
}

/* Dropped, not before the timeout and not long after it; others do not notice. */
static void expect_dropped(struct world *world, unsigned latest_s)
{
	wire_expect_closed(&world->host);
	assert_in_range(seconds(world), TIMEOUT_S, latest_s);
	while (!world->target->sessions_down)
		sim_target_run_for(world->target, 1000);
	assert_string_equal(world->target->reason, REASON);
	host_io_expect(&world->good, 1);
}

static void a_host_that_sends_nothing_is_dropped(void **state)
{
	struct world *world = *state;

	ask(&world->host, 8);
	expect_dropped(world, TIMEOUT_S * 3 / 2);
}

/* Pings, reads and empty Data-Out are no excuse. */
static void a_host_that_does_all_but_send_is_dropped(void **state)
{
	struct world *world = *state;
	struct wire_data_out out = ask(&world->host, 8);
	static uint8_t got[512];

	out.bytes = 0;
	out.final = false;
	while (is_open(&world->host)) {
		assert_true(seconds(world) <= TIMEOUT_S * 3 / 2);
		wire_expect_quiet(&world->host);
		wire_expect_data(&world->host,
			wire_send_read(&world->host, 0, 1), got, &pdu);
		wire_send_data(&world->host, &out);
		out.data_sn++;
		sim_target_run_for(world->target, 5 * SECOND_NS);
	}
	expect_dropped(world, TIMEOUT_S * 3 / 2);
}

/* It writes all the time, but never what it was asked for first. */
static void a_host_that_leaves_one_command_out_is_dropped(void **state)
{
	struct world *world = *state;
	uint64_t quota_bytes = world->target->server->lane[0]->quota_bytes;
	uint64_t sent = 0;

	ask(&world->host, 8);
	while (is_open(&world->host)) {
		struct wire_data_out out = ask(&world->host, 256);

		wire_send_data(&world->host, &out);
		wire_expect_status(&world->host, out.tag, 0, &pdu);
		sent += out.bytes;
		assert_true(sent < 2 * quota_bytes);
		sim_target_run_for(world->target, 2 * SECOND_NS);
	}
	assert_true(sent > quota_bytes);
	expect_dropped(world, TIMEOUT_S * 4);
}

/* Sixteen commands on a line so slow that one takes half of the timeout: the last
 * one waits many times as long as the timeout says. */
static void a_slow_host_is_not_dropped(void **state)
{
	struct world *world = *state;
	struct wire_data_out out[16];

	for (unsigned i = 0; i < 16; i++)
		out[i] = ask(&world->host, 256);
	for (unsigned i = 0; i < 16; i++) {
		sim_target_run_for(world->target, TIMEOUT_S / 2 * SECOND_NS);
		wire_send_data(&world->host, &out[i]);
		wire_expect_status(&world->host, out[i].tag, 0, &pdu);
	}
	assert_true(seconds(world) >= 8 * TIMEOUT_S);
	/* Nor one that has nothing to send, and then begins again. */
	sim_target_run_for(world->target, 10 * TIMEOUT_S * SECOND_NS);
	out[0] = ask(&world->host, 8);
	sim_target_run_for(world->target, (TIMEOUT_S - 1) * SECOND_NS);
	wire_send_data(&world->host, &out[0]);
	wire_expect_status(&world->host, out[0].tag, 0, &pdu);
}

static void without_a_limit_there_is_all_the_time(void **state)
{
	struct world *world = *state;
	struct wire_data_out out = ask(&world->host, 8);

	sim_target_run_for(world->target, 3600 * SECOND_NS);
	wire_send_data(&world->host, &out);
	wire_expect_status(&world->host, out.tag, 0, &pdu);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_host_that_sends_nothing_is_dropped),
		TEST(a_host_that_does_all_but_send_is_dropped),
		TEST(a_host_that_leaves_one_command_out_is_dropped),
		TEST(a_slow_host_is_not_dropped),
		cmocka_unit_test_setup_teardown(
			without_a_limit_there_is_all_the_time,
			set_up_without_limit, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
