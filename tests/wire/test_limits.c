/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host may not do to others: half-open logins by the thousand, silence,
 * not reading, taking all buffers. TSAN: yes
 */
#include "tests/lib/target_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#define HALF_OPEN 1000u

static struct wire_pdu pdu;
static uint8_t data[1u << 20], got[4u << 20];
static const struct wire_command ready = {.flags = 0};

/* -- I/O of a host that was there before ------------------------------------- */

#define IO_BLOCKS 256u
#define IO_BYTES (IO_BLOCKS * 512u)
#define BURST_BYTES 65536u /* FirstBurstLength by default */

static void fill(unsigned seed)
{
	for (unsigned i = 0; i < IO_BYTES; i++)
		data[i] = (uint8_t)(i * 7 + i / 512 + seed);
}

static void expect_read(struct wire *wire, uint32_t lba)
{
	uint32_t tag = wire_send_read(wire, lba, IO_BLOCKS);

	assert_int_equal(wire_expect_data(wire, tag, got, &pdu), IO_BYTES);
	assert_memory_equal(got, data, IO_BYTES);
}

/* Immediate data, then what an R2T asks for. */
static void expect_written(struct wire *wire, uint32_t lba)
{
	uint32_t tag = wire_send_write(wire, lba, IO_BLOCKS, data, BURST_BYTES);
	struct wire_data_out out = {.tag = tag,
		.offset = BURST_BYTES,
		.final = true,
		.data = data + BURST_BYTES,
		.bytes = IO_BYTES - BURST_BYTES};

	wire_expect_r2t(wire, tag, out.offset, out.bytes, &pdu);
	out.transfer_tag = wire_get32(pdu.bhs + 20);
	wire_send_data(wire, &out);
	wire_expect_status(wire, tag, 0, &pdu);
}

/* New data every time: what is read is what was just written. */
static void expect_io(struct wire *wire, unsigned round)
{
	fill(round);
	expect_written(wire, round % 8 * IO_BLOCKS);
	expect_read(wire, round % 8 * IO_BLOCKS);
}

static void expect_ready(struct wire *wire)
{
	uint32_t tag = wire_send_command(wire, &ready);

	wire_expect_status(wire, tag, 0, &pdu);
}

static struct target_rig *rig_with(void (*change)(struct target_rig_setup *))
{
	struct target_rig_setup setup;

	target_rig_defaults(&setup);
	change(&setup);
	return target_rig_new(&setup);
}

/* -- logins ------------------------------------------------------------------ */

static void more_descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= 3 * HALF_OPEN)
		return;
	limit.rlim_cur =
		limit.rlim_max < 3 * HALF_OPEN ? limit.rlim_max : 3 * HALF_OPEN;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void no_change(struct target_rig_setup *setup)
{
	(void)setup;
}

/* Some say nothing, some stop inside of a header, some after a login that asks
 * for more. */
static void open_half(struct wire *wire, uint16_t port, unsigned kind)
{
	uint8_t bhs[48];

	wire_connect(wire, port);
	wire_begin(wire, bhs, WIRE_LOGIN | WIRE_IMMEDIATE);
	if (kind == 1)
		wire_send_raw(wire, bhs, 20);
	if (kind == 2) {
		bhs[1] = 0x44; /* C: more text comes */
		wire_send(wire, bhs, "InitiatorName=", 14);
		wire_expect(wire, WIRE_LOGIN_RESPONSE, &pdu);
		assert_int_equal(pdu.bhs[36], 0);
	}
}

static void expect_still_open(struct wire *wire)
{
	uint8_t byte;

	assert_int_equal(recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void half_open_logins_do_not_hurt(void **state)
{
	struct target_rig *rig = rig_with(no_change);
	struct wire *half = calloc(HALF_OPEN, sizeof *half);
	struct wire before = {.isid = {0x40, 2}}, after = {0};

	(void)state;
	more_descriptors();
	wire_open(&before, rig->port, "");
	for (unsigned i = 0; i < HALF_OPEN; i++) {
		open_half(&half[i], rig->port, i % 3);
		if (i % 20 == 0)
			expect_io(&before, i / 20);
	}
	for (unsigned i = 0; i < 100; i++)
		expect_io(&before, i);
	wire_open(&after, rig->port, "");
	expect_ready(&after);
	expect_io(&before, 1);
	for (unsigned i = 0; i < HALF_OPEN; i++)
		expect_still_open(&half[i]);
	wire_logout(&after);
	wire_logout(&before);
	for (unsigned i = 0; i < HALF_OPEN; i++)
		wire_close(&half[i]);
	free(half);
	target_rig_free(rig);
}

static void short_login(struct target_rig_setup *setup)
{
	setup->settings.login_timeout_s = 1;
}

static void a_login_that_does_not_end_is_ended(void **state)
{
	struct target_rig *rig = rig_with(short_login);
	struct wire wire = {0};

	(void)state;
	wire_connect(&wire, rig->port);
	wire_expect_closed(&wire);
	wire_close(&wire);
	target_rig_free(rig);
}

static void four_logins(struct target_rig_setup *setup)
{
	setup->settings.max_logins = 4;
	setup->lanes = 2; /* all on one lane, so in order */
}

static void the_oldest_login_gives_way(void **state)
{
	struct target_rig *rig = rig_with(four_logins);
	struct wire wire[5] = {{0}};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		wire[i].isid[0] = 0x40;
		wire[i].isid[5] = (uint8_t)i;
		wire_connect(&wire[i], rig->port);
	}
	wire_expect_closed(&wire[0]);
	/* Who is in does not count. */
	for (unsigned i = 1; i < 5; i++)
		assert_int_equal(wire_login(&wire[i], WIRE_TARGET, ""), 0);
	wire_close(&wire[0]);
	wire[0] = (struct wire){.isid = {0x40, 0, 0, 0, 0, 9}};
	wire_connect(&wire[0], rig->port);
	assert_int_equal(wire_login(&wire[0], WIRE_TARGET, ""), 0);
	for (unsigned i = 0; i < 5; i++)
		wire_close(&wire[i]);
	target_rig_free(rig);
}

/* Many times more half-open logins than there may be, and a limit of connections
 * that they reach, too: the host comes in. */
static void few_connections(struct target_rig_setup *setup)
{
	setup->settings.max_logins = 50;
	setup->settings.max_connections = 50;
}

static void half_open_logins_lock_nobody_out(void **state)
{
	struct target_rig *rig = rig_with(few_connections);
	struct wire *half = calloc(HALF_OPEN, sizeof *half);

	(void)state;
	more_descriptors();
	for (unsigned i = 0; i < HALF_OPEN; i++) {
		struct wire good = {.isid = {0x40, 1}};

		wire_connect(&half[i], rig->port);
		if (i % 100 != 99)
			continue;
		wire_open(&good, rig->port, "");
		expect_ready(&good);
		wire_logout(&good);
	}
	assert_true(iscsi_server_connections(rig->server) <= 50 + 64);
	for (unsigned i = 0; i < HALF_OPEN; i++)
		wire_close(&half[i]);
	free(half);
	target_rig_free(rig);
}

static void two_connections(struct target_rig_setup *setup)
{
	setup->settings.max_connections = 2;
}

static void the_third_connection_is_turned_away(void **state)
{
	struct target_rig *rig = rig_with(two_connections);
	struct wire wire[3] = {
		{.isid = {0x40, 1}}, {.isid = {0x40, 2}}, {.isid = {0x40, 3}}};

	(void)state;
	wire_open(&wire[0], rig->port, "");
	wire_open(&wire[1], rig->port, "");
	wire_connect(&wire[2], rig->port);
	wire_expect_closed(&wire[2]);
	expect_ready(&wire[0]);
	for (unsigned i = 0; i < 3; i++)
		wire_close(&wire[i]);
	target_rig_free(rig);
}

/* -- silence ------------------------------------------------------------------ */

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

static void a_silent_host_is_pinged_and_dropped(void **state)
{
	struct target_rig *rig = rig_with(impatient);
	struct wire wire = {0};

	(void)state;
	wire_open(&wire, rig->port, "");
	/* It answers twice ... */
	for (unsigned i = 0; i < 2; i++) {
		wire_expect(&wire, WIRE_NOP_IN, &pdu);
		assert_int_equal(wire_get32(pdu.bhs + 16), 0xffffffff);
		assert_int_not_equal(wire_get32(pdu.bhs + 20), 0xffffffff);
		assert_int_equal(wire_get32(pdu.bhs + 24),
			wire.expected_status_sn); /* takes no StatSN */
		answer_ping(&wire);
	}
	/* ... and then no more. */
	wire_expect(&wire, WIRE_NOP_IN, &pdu);
	wire_expect_closed(&wire);
	wire_close(&wire);
	target_rig_free(rig);
}

/* It pings all the time, but never sends what it is asked for. */
static void a_host_that_owes_data_is_dropped(void **state)
{
	struct target_rig *rig = rig_with(impatient);
	struct wire wire = {0};
	uint32_t tag;

	(void)state;
	wire_open(&wire, rig->port, "ImmediateData=No\n");
	tag = wire_send_write(&wire, 0, 8, NULL, 0);
	wire_expect_r2t(&wire, tag, 0, 4096, &pdu);
	do {
		wire_send_nop(&wire, NULL, 0);
	} while (wire_receive(&wire, &pdu));
	wire_close(&wire);
	target_rig_free(rig);
}

/* It sends Data-Out without data for ever. */
static void a_host_that_sends_empty_data_is_dropped(void **state)
{
	struct target_rig *rig = rig_with(impatient);
	struct wire_data_out out = {.data = data};
	struct wire wire = {0};

	(void)state;
	wire_open(&wire, rig->port, "ImmediateData=No\n");
	out.tag = wire_send_write(&wire, 0, 8, NULL, 0);
	wire_expect_r2t(&wire, out.tag, 0, 4096, &pdu);
	out.transfer_tag = wire_get32(pdu.bhs + 20);
	do {
		wire_send_data(&wire, &out);
		out.data_sn++;
		wire_send_nop(&wire, NULL, 0);
	} while (wire_receive(&wire, &pdu));
	wire_close(&wire);
	target_rig_free(rig);
}

static void pings_are_echoed(void **state)
{
	struct target_rig *rig = rig_with(no_change);
	struct wire wire = {0};
	uint8_t bhs[48];
	uint32_t tag;

	(void)state;
	wire_open(&wire, rig->port, "MaxRecvDataSegmentLength=512\n");
	memset(data, 'x', 1000);
	tag = wire_send_nop(&wire, data, 1000);
	wire_expect(&wire, WIRE_NOP_IN, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(wire_get32(pdu.bhs + 20), 0xffffffff);
	assert_int_equal(pdu.bytes, 512); /* cut to what the host takes */
	assert_memory_equal(pdu.data, data, 512);
	/* Not immediate: takes a number. */
	wire_begin(&wire, bhs, WIRE_NOP_OUT);
	wire_send(&wire, bhs, NULL, 0);
	wire_expect(&wire, WIRE_NOP_IN, &pdu);
	assert_int_equal(wire.expected_command_sn, wire.command_sn);
	wire_logout(&wire);
	target_rig_free(rig);
}

/* -- not reading, and buffers -------------------------------------------------- */

static void small_pool(struct target_rig_setup *setup)
{
	impatient(setup);
	setup->lanes = 2; /* both hosts on one lane */
	setup->pool_bytes = 16u << 20;
}

/* 64 reads of 1 MiB that nobody takes: the host that was there before, on the same
 * lane, goes on writing and reading, and the deaf one is dropped when nothing has moved for long. */
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
		expect_io(&good, i);
	/* The last of its data, then the end. */
	while (wire_receive(&good, &pdu) && rig->sessions_down == 0) {
		assert_int_equal(wire_opcode(&pdu), WIRE_NOP_IN);
		answer_ping(&good);
	}
	expect_ready(&good);
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
	fill(1);
	expect_written(&good, 0);
	expect_read(&good, 0);
	while (rig->sessions_down == 0)
		expect_ready(&good);
	for (unsigned i = 0; i < 2; i++)
		wire_close(&idle[i]);
	wire_logout(&good);
	target_rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_open_logins_do_not_hurt),
		cmocka_unit_test(a_login_that_does_not_end_is_ended),
		cmocka_unit_test(the_oldest_login_gives_way),
		cmocka_unit_test(half_open_logins_lock_nobody_out),
		cmocka_unit_test(the_third_connection_is_turned_away),
		cmocka_unit_test(a_silent_host_is_pinged_and_dropped),
		cmocka_unit_test(a_host_that_owes_data_is_dropped),
		cmocka_unit_test(a_host_that_sends_empty_data_is_dropped),
		cmocka_unit_test(pings_are_echoed),
		cmocka_unit_test(a_host_that_stops_reading_costs_only_itself),
		cmocka_unit_test(commands_wait_for_buffers),
		cmocka_unit_test(immediate_data_waits_for_buffers),
		cmocka_unit_test(a_large_command_does_not_starve),
		cmocka_unit_test(who_keeps_all_buffers_has_to_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
