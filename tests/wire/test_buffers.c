/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers, which all hosts of a lane share: who waits for them, who keeps them. Floods
 * of answers that nobody takes: test_floods.c.
 * TSAN: yes
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct wire_pdu pdu;
static uint8_t data[256u << 10], got[4u << 20];

static struct target_rig *rig_with(void (*change)(struct target_rig_setup *))
{
	struct target_rig_setup setup;

	target_rig_defaults(&setup);
	change(&setup);
	return target_rig_new(&setup);
}

static void answer_ping(struct wire *wire)
{
	uint8_t bhs[48];

	wire_begin(wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);
	memset(bhs + 16, 0xff, 4);
	memcpy(bhs + 20, pdu.bhs + 20, 4);
	wire_send(wire, bhs, NULL, 0);
}

static void impatient(struct target_rig_setup *setup)
{
	setup->settings.ping_interval_s = 1;
	setup->settings.ping_timeout_s = 1;
}

static void small_pool(struct target_rig_setup *setup)
{
	impatient(setup);
	setup->lanes = 2; /* both hosts on one lane */
	setup->pool_bytes = 16u << 20;
}

/* 64 reads of 1 MiB that nobody takes: the host that was there before, on the same
 * lane, goes on writing and reading, and the deaf one is dropped when nothing has
 * moved for long. */
static void a_host_that_stops_reading_costs_only_itself(void **state)
{
	struct target_rig *rig = rig_with(small_pool);
	struct wire deaf = {0}, good = {.isid = {0x40, 2}};
	const struct wire_command read = {.flags = WIRE_R,
		.lun = 1,
		.expected = 1u << 20,
		.cdb = {0x28, [7] = 8}};

	(void)state;
	wire_open(&good, rig->port, "");
	wire_open(&deaf, rig->port, "MaxRecvDataSegmentLength=262144\n");
	for (unsigned i = 0; i < 64; i++)
		wire_send_command(&deaf, &read);
	for (unsigned i = 0; i < 200; i++)
		host_io_expect(&good, i);
	/* The last of its data, then the end. */
	while (wire_receive(&good, &pdu) && rig->sessions_down == 0) {
		assert_int_equal(wire_opcode(&pdu), WIRE_NOP_IN);
		answer_ping(&good);
	}
	host_io_ready(&good);
	wire_close(&deaf);
	wire_logout(&good);
	target_rig_free(rig);
}

static void tiny_pool(struct target_rig_setup *setup)
{
	setup->lanes = 2;
	setup->pool_bytes = 4u << 20;
}

/* More is asked for than there are buffers: everything is done all the same, in
 * order. */
static void commands_wait_for_buffers(void **state)
{
	struct target_rig *rig = rig_with(tiny_pool);
	struct wire wire = {0};
	uint32_t first;

	(void)state;
	wire_open(&wire, rig->port, "MaxRecvDataSegmentLength=262144\n");
	first = wire.tag;
	for (unsigned i = 0; i < 32; i++)
		wire_send_read(&wire, i, 2048);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(wire_expect_data(&wire, first + i, got, &pdu),
			1u << 20);
	wire_logout(&wire);
	target_rig_free(rig);
}

/* The same with writes whose data is in the stream already. */
static void immediate_data_waits_for_buffers(void **state)
{
	struct target_rig *rig = rig_with(tiny_pool);
	struct wire wire = {0}, other = {.isid = {0x40, 2}};
	uint32_t first;

	(void)state;
	wire_open(&wire, rig->port, "FirstBurstLength=262144\n");
	wire_open(&other, rig->port, "");
	/* Tasks that keep three quarters of the pool until they are aborted. */
	for (unsigned i = 0; i < 3; i++)
		wire_send_read(&other, TARGET_RIG_HELD_LBA, 2048);
	wire_expect_quiet(&other);
	first = wire.tag;
	for (unsigned i = 0; i < 32; i++)
		wire_send_write(&wire, i * 512, 512, data, 262144);
	for (unsigned i = 0; i < 32; i++) {
		wire_expect(&wire, WIRE_RESPONSE, &pdu);
		assert_int_equal(pdu.bhs[3], 0);
		assert_int_equal(wire_get32(pdu.bhs + 16), first + i);
	}
	wire_logout(&wire);
	wire_logout(&other);
	target_rig_free(rig);
}

/* Small commands of another host take every buffer that comes back; the one of
 * 8 MiB is done all the same. */
static void two_large(struct target_rig_setup *setup)
{
	setup->lanes = 2;
	setup->pool_bytes = 16u << 20;
}

static bool has_come(struct wire *wire)
{
	uint8_t byte;

	return recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void a_large_command_does_not_starve(void **state)
{
	static uint8_t all[8u << 20];
	struct target_rig *rig = rig_with(two_large);
	struct wire small = {.isid = {0x40, 2}}, large = {0};
	const struct wire_command read = {.flags = WIRE_R,
		.expected = 256u << 10,
		.cdb = {0x28, [7] = 2}};
	const struct wire_command whole = {
		.flags = WIRE_R, .expected = 8u << 20, .cdb = {0x28, [7] = 64}};
	uint32_t next, tag;

	(void)state;
	wire_open(&small, rig->port, "MaxRecvDataSegmentLength=262144\n");
	wire_open(&large, rig->port, "MaxRecvDataSegmentLength=262144\n");
	next = small.tag;
	for (unsigned i = 0; i < 100; i++)
		wire_send_command(&small, &read);
	tag = wire_send_command(&large, &whole);
	for (; !has_come(&large); next++) {
		wire_send_command(&small, &read);
		wire_expect_data(&small, next, got, &pdu);
	}
	assert_int_equal(wire_expect_data(&large, tag, all, &pdu), 8u << 20);
	for (unsigned i = 0; i < 100; i++)
		wire_expect_data(&small, next + i, got, &pdu);
	wire_logout(&large);
	wire_logout(&small);
	target_rig_free(rig);
}

/* It has been asked for 16 MiB, pings, and sends nothing: as soon as another needs
 * buffers it has to go, long before the ping timer would say so. */
static void slow_pings(struct target_rig_setup *setup)
{
	two_large(setup);
	setup->settings.ping_interval_s = 3600;
}

static void who_keeps_all_buffers_has_to_go(void **state)
{
	struct target_rig *rig = rig_with(slow_pings);
	struct wire idle[2] = {{.isid = {0x40, 2}}, {.isid = {0x40, 3}}};
	struct wire good = {0};

	(void)state;
	wire_open(&good, rig->port, "");
	for (unsigned i = 0; i < 2; i++) {
		wire_open(&idle[i], rig->port,
			"ImmediateData=No\nMaxBurstLength=1048576\n");
		for (unsigned k = 0; k < 8; k++)
			wire_send_write(&idle[i], 0, 2048, NULL, 0);
		for (unsigned k = 0; k < 8; k++)
			wire_expect(&idle[i], WIRE_R2T, &pdu);
	}
	host_io_fill(1);
	host_io_write(&good, 0);
	host_io_read(&good, 0);
	while (rig->sessions_down == 0)
		host_io_ready(&good);
	for (unsigned i = 0; i < 2; i++)
		wire_close(&idle[i]);
	wire_logout(&good);
	target_rig_free(rig);
}

/* -- buffers of no command -------------------------------------------------------- */

#define GREEDY 24u

static void tiny_and_patient(struct target_rig_setup *setup)
{
	tiny_pool(setup);
	setup->settings.ping_interval_s = 3600;
}

/* Begins a PDU of 256 KiB and never ends it. */
static void send_half(struct wire *wire)
{
	uint8_t bhs[48];

	wire_begin(wire, bhs, WIRE_NOP_OUT | WIRE_IMMEDIATE);
	bhs[5] = 4; /* 262144 */
	wire_put32(bhs + 20, 0xffffffff);
	wire_send_raw(wire, bhs, sizeof bhs);
}

/* Who comes when there is no buffer left comes in all the same, and finds targets. */
static void an_empty_pool_keeps_nobody_out(void **state)
{
	struct target_rig *rig = rig_with(tiny_and_patient);
	struct wire half[GREEDY] = {{0}}, found = {.isid = {0x40, 98}};
	struct wire good = {.isid = {0x40, 99}};

	(void)state;
	for (unsigned i = 0; i < GREEDY; i++) {
		half[i].isid[0] = 0x40;
		half[i].isid[1] = (uint8_t)(i + 1);
		wire_open(&half[i], rig->port, "");
		send_half(&half[i]);
	}
	wire_open_discovery(&found, rig->port);
	wire_logout(&found);
	wire_connect(&good, rig->port);
	assert_int_equal(wire_login(&good, WIRE_TARGET, ""), 0);
	for (unsigned i = 0; i < GREEDY; i++)
		wire_close(&half[i]);
	wire_clear_attentions(&good);
	host_io_ready(&good);
	wire_logout(&good);
	target_rig_free(rig);
}

static void who_never_ends_a_pdu_has_to_go(void **state)
{
	struct target_rig *rig = rig_with(tiny_and_patient);
	struct wire half[GREEDY] = {{0}}, good = {.isid = {0x40, 99}};

	(void)state;
	wire_open(&good, rig->port, "");
	for (unsigned i = 0; i < GREEDY; i++) {
		half[i].isid[0] = 0x40;
		half[i].isid[1] = (uint8_t)(i + 1);
		wire_open(&half[i], rig->port, "");
		wire_expect_quiet(&half[i]);
	}
	for (unsigned i = 0; i < GREEDY; i++)
		send_half(&half[i]);
	for (unsigned i = 0; i < 100; i++)
		host_io_expect(&good, i);
	while (rig->sessions_down == 0)
		host_io_ready(&good);
	for (unsigned i = 0; i < GREEDY; i++)
		wire_close(&half[i]);
	wire_logout(&good);
	target_rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_that_stops_reading_costs_only_itself),
		cmocka_unit_test(commands_wait_for_buffers),
		cmocka_unit_test(immediate_data_waits_for_buffers),
		cmocka_unit_test(a_large_command_does_not_starve),
		cmocka_unit_test(who_keeps_all_buffers_has_to_go),
		cmocka_unit_test(who_never_ends_a_pdu_has_to_go),
		cmocka_unit_test(an_empty_pool_keeps_nobody_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
