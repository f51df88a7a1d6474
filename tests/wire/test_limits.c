/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host may not do to others: half-open logins by the thousand, silence.
 * Of buffers: test_buffers.c. TSAN: yes
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"
#include "tests/lib/wire_login.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define HALF_OPEN 1000u

static struct wire_pdu pdu;
static uint8_t data[4096];

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
			host_io_expect(&before, i / 20);
	}
	for (unsigned i = 0; i < 100; i++)
		host_io_expect(&before, i);
	wire_open(&after, rig->port, "");
	host_io_ready(&after);
	host_io_expect(&before, 1);
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
		host_io_ready(&good);
		wire_logout(&good);
	}
	assert_true(iscsi_server_connections(rig->server) <= 50 + 64);
	for (unsigned i = 0; i < HALF_OPEN; i++)
		wire_close(&half[i]);
	free(half);
	target_rig_free(rig);
}

/* From another address of loopback, on which Linux needs nothing set up. */
static int connect_from(const char *address, uint16_t port)
{
	struct sockaddr_in from = {.sin_family = AF_INET},
			   to = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

/* The good one's is the oldest login of all while the flood goes on. */
static void a_flood_pushes_out_its_own_address(void **state)
{
	struct target_rig *rig = rig_with(four_logins);
	struct wire good = {.isid = {0x40, 1}};
	int flood[20];

	(void)state;
	wire_connect(&good, rig->port);
	for (unsigned i = 0; i < 20; i++)
		flood[i] = connect_from("127.0.0.2", rig->port);
	for (unsigned i = 0; i < 17; i++) { /* all but three are gone */
		uint8_t byte;

		assert_true(recv(flood[i], &byte, 1, 0) <= 0);
	}
	assert_int_equal(wire_login(&good, WIRE_TARGET, ""), 0);
	wire_clear_attentions(&good);
	host_io_ready(&good);
	for (unsigned i = 0; i < 20; i++)
		close(flood[i]);
	wire_logout(&good);
	target_rig_free(rig);
}

/* -- sessions of one host ------------------------------------------------------ */

#define OUT_OF_RESOURCES 0x0302
#define STRAIGHT 0x87 /* T, CSG 1, NSG 3 */
#define OTHER_HOST \
	"InitiatorName=iqn.1994-05.com.redhat:web2\nTargetName=" WIRE_TARGET \
	"\nSessionType=Normal\n"

static char told[160]; /* why the last login was refused */
static _Atomic unsigned refusals;

static void hear_refused(
	struct iscsi_watcher *watcher, const struct iscsi_refused *refused)
{
	(void)watcher;
	if (refused->refusal == ISCSI_REFUSED_RESOURCES)
		memcpy(told, refused->reason, sizeof told);
	refusals++;
}

static void three_sessions(struct target_rig_setup *setup)
{
	setup->settings.max_host_sessions = 3;
}

static void expect_refused(struct target_rig *rig, const uint8_t isid[6])
{
	struct wire wire = {0};
	unsigned before = refusals;

	memcpy(wire.isid, isid, 6);
	wire_connect(&wire, rig->port);
	assert_int_equal(wire_login(&wire, WIRE_TARGET, ""), OUT_OF_RESOURCES);
	wire_expect_closed(&wire);
	wire_close(&wire);
	while (refusals == before)
		sched_yield();
	assert_non_null(strstr(told, "web1"));
	assert_non_null(strstr(told, "iscsi.max_host_sessions"));
}

/* The place of a session that ends is free when all of it is gone. */
static void open_when_free(struct wire *wire, uint16_t port)
{
	unsigned status;

	do {
		wire_renew(wire);
		wire_connect(wire, port);
		status = wire_login(wire, WIRE_TARGET, "");
		if (status)
			wire_close(wire);
	} while (status == OUT_OF_RESOURCES);
	assert_int_equal(status, 0);
	wire_clear_attentions(wire);
}

static void a_host_at_its_bound_is_refused(void **state)
{
	struct target_rig *rig = rig_with(three_sessions);
	struct wire own[3] = {{.isid = {0x40, 1}}, {.isid = {0x40, 2}}, {0}};
	struct wire again = {.isid = {0x40, 1}}, other = {.isid = {0x40, 1}};
	const uint8_t fresh[6] = {0x40, 9};

	(void)state;
	rig->watcher.login_refused = hear_refused;
	for (unsigned i = 0; i < 2; i++)
		wire_open(&own[i], rig->port, "");
	wire_open_discovery(&own[2], rig->port); /* counts, too */
	expect_refused(rig, fresh);
	/* Another host comes in, as does who takes a place of its own. */
	wire_connect(&other, rig->port);
	assert_int_equal(wire_say_login(&other, STRAIGHT, OTHER_HOST, &pdu), 0);
	wire_open(&again, rig->port, "");
	wire_expect_closed(&own[0]);
	host_io_ready(&again);
	expect_refused(rig, fresh);
	wire_logout(&own[2]);
	memcpy(own[2].isid, fresh, 6);
	open_when_free(&own[2], rig->port);
	host_io_ready(&own[2]);
	wire_close(&own[0]);
	wire_close(&other);
	wire_logout(&own[1]);
	wire_logout(&own[2]);
	wire_logout(&again);
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
	host_io_ready(&wire[0]);
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
	setup->settings.data_timeout_s = 1;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_open_logins_do_not_hurt),
		cmocka_unit_test(a_login_that_does_not_end_is_ended),
		cmocka_unit_test(the_oldest_login_gives_way),
		cmocka_unit_test(half_open_logins_lock_nobody_out),
		cmocka_unit_test(a_flood_pushes_out_its_own_address),
		cmocka_unit_test(a_host_at_its_bound_is_refused),
		cmocka_unit_test(the_third_connection_is_turned_away),
		cmocka_unit_test(a_silent_host_is_pinged_and_dropped),
		cmocka_unit_test(a_host_that_owes_data_is_dropped),
		cmocka_unit_test(a_host_that_sends_empty_data_is_dropped),
		cmocka_unit_test(pings_are_echoed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
