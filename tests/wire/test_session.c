/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: reinstatement (RFC 7143 6.3.5) on one lane and across lanes, TSIHs,
 * logout (11.14), a host whose access is withdrawn, the end of the server. TSAN: yes
 */
#include "tests/lib/target_rig.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull
#define NO_SESSION 0x020a
#define TOO_MANY 0x0206

static struct wire_pdu pdu;
static const struct wire_command ready = {.flags = 0};

static void expect_ready(struct wire *wire)
{
	uint32_t tag = wire_send_command(wire, &ready);

	wire_expect_status(wire, tag, 0, &pdu);
}

/* -- reinstatement ---------------------------------------------------------- */

/* The rig deals connections to two lanes in turn, so that an even number between
 * two of them puts them on different lanes, an odd one on the same. */
static void reinstate(struct target_rig *rig, unsigned between)
{
	struct wire old = {0}, new = {0}, other[3] = {{0}};

	wire_open(&old, rig->port, "");
	/* Something runs that only an abort can end. */
	wire_send_read(&old, TARGET_RIG_HELD_LBA, 1);
	wire_expect_quiet(&old);
	for (unsigned i = 0; i < between; i++)
		wire_connect(&other[i], rig->port);
	wire_open(&new, rig->port, "");
	assert_int_not_equal(new.tsih, old.tsih);
	expect_ready(&new);
	/* It was gone before the new login was answered. */
	wire_expect_closed(&old);
	wire_close(&old);
	for (unsigned i = 0; i < between; i++)
		wire_close(&other[i]);
	wire_logout(&new);
}

static void a_session_is_reinstated_on_another_lane(void **state)
{
	reinstate(*state, 0);
}

static void a_session_is_reinstated_on_its_lane(void **state)
{
	reinstate(*state, 1);
}

static void sessions_with_other_isids_live_beside_each_other(void **state)
{
	struct target_rig *rig = *state;
	struct wire one = {0}, two = {.isid = {0x40, 0, 0, 2}};

	wire_open(&one, rig->port, "");
	wire_open(&two, rig->port, "");
	assert_int_not_equal(one.tsih, two.tsih);
	expect_ready(&one);
	expect_ready(&two);
	wire_logout(&one);
	wire_logout(&two);
}

static void other_targets_do_not_count(void **state)
{
	struct target_rig *rig = *state;
	struct wire one = {0}, two = {0};

	wire_open(&one, rig->port, "");
	wire_connect(&two, rig->port);
	assert_int_equal(
		wire_login(&two, "iqn.2026-11.example.cairn:other", ""), 0);
	wire_clear_attentions(&two);
	expect_ready(&one);
	wire_logout(&one);
	wire_logout(&two);
}

/* Each login ends the one before it; some wait for others that wait. */
static void a_storm_of_reinstatements_ends_with_one(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire[40] = {{0}}, last = {0};

	for (unsigned i = 0; i < 40; i++) {
		static const char keys[] =
			"InitiatorName=" WIRE_HOST "\0TargetName=" WIRE_TARGET
			"\0SessionType=Normal";
		uint8_t bhs[48];

		wire_connect(&wire[i], rig->port);
		wire_begin(&wire[i], bhs, WIRE_LOGIN | WIRE_IMMEDIATE);
		bhs[1] = 0x87;
		memcpy(bhs + 8, wire[i].isid, 6);
		wire_send(&wire[i], bhs, keys, sizeof keys);
	}
	for (unsigned i = 0; i < 40; i++) {
		shutdown(wire[i].fd, SHUT_WR);
		while (wire_receive(&wire[i], &pdu))
			assert_int_equal(
				wire_opcode(&pdu), WIRE_LOGIN_RESPONSE);
		wire_close(&wire[i]);
	}
	wire_open(&last, rig->port, "");
	expect_ready(&last);
	wire_logout(&last);
}

static void a_tsih_of_nobody_is_refused(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {.tsih = 4711};

	wire_connect(&wire, rig->port);
	assert_int_equal(wire_login(&wire, WIRE_TARGET, ""), NO_SESSION);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

static void a_second_connection_is_one_too_many(void **state)
{
	struct target_rig *rig = *state;
	struct wire one = {0}, two = {.cid = 1};

	wire_open(&one, rig->port, "");
	two.tsih = one.tsih;
	wire_connect(&two, rig->port);
	assert_int_equal(wire_login(&two, WIRE_TARGET, ""), TOO_MANY);
	expect_ready(&one);
	wire_close(&two);
	wire_logout(&one);
}

/* The same TSIH and CID: the host has lost its connection (6.3.4). */
static void a_connection_is_reinstated(void **state)
{
	struct target_rig *rig = *state;
	struct wire one = {.cid = 3}, two = {.cid = 3};

	wire_open(&one, rig->port, "");
	two.tsih = one.tsih;
	wire_open(&two, rig->port, "");
	assert_int_equal(two.tsih, one.tsih);
	wire_expect_closed(&one);
	wire_close(&one);
	wire_logout(&two);
}

/* -- logout ------------------------------------------------------------------ */

static void expect_logout(
	struct wire *wire, uint8_t reason, uint8_t cid, uint8_t response)
{
	uint8_t bhs[48];

	wire_begin(wire, bhs, WIRE_LOGOUT | WIRE_IMMEDIATE);
	bhs[1] = WIRE_F | reason;
	bhs[21] = cid;
	wire_send(wire, bhs, NULL, 0);
	wire_expect(wire, WIRE_LOGOUT_RESPONSE, &pdu);
	assert_int_equal(pdu.bhs[2], response);
}

static void logout_reasons_are_told_apart(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {.cid = 5};
	uint8_t bhs[48];

	wire_open(&wire, rig->port, "");
	expect_logout(&wire, 1, 6, 1); /* no such CID */
	expect_logout(&wire, 2, 5, 2); /* no recovery at level 0 */
	wire_begin(&wire, bhs, WIRE_LOGOUT | WIRE_IMMEDIATE);
	bhs[1] = WIRE_F | 3;
	wire_send(&wire, bhs, NULL, 0);
	wire_expect_reject(&wire, 0x09);
	expect_ready(&wire);
	expect_logout(&wire, 1, 5, 0);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

static void logout_ends_what_runs_first(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};

	wire_open(&wire, rig->port, "ImmediateData=No\n");
	for (unsigned i = 0; i < 5; i++)
		wire_send_read(&wire, TARGET_RIG_HELD_LBA, 1);
	wire_send_write(&wire, 0, 8, NULL, 0);
	wire_expect(&wire, WIRE_R2T, &pdu);
	wire_logout(&wire);
}

/* What the host sends behind its logout is not looked at. */
static void nothing_counts_after_logout(void **state)
{
	struct target_rig *rig = *state;
	uint8_t bhs[2][48];
	struct wire wire = {0};

	wire_open(&wire, rig->port, "");
	wire_begin(&wire, bhs[0], WIRE_LOGOUT);
	wire_begin(&wire, bhs[1], WIRE_COMMAND);
	wire_send_raw(&wire, bhs, sizeof bhs);
	wire_expect(&wire, WIRE_LOGOUT_RESPONSE, &pdu);
	wire_expect_closed(&wire);
	wire_close(&wire);
}

/* -- access and the end ------------------------------------------------------ */

static void a_host_without_access_is_dropped(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0}, again = {0};

	wire_open(&wire, rig->port, "");
	target_rig_withdraw(rig);
	wire_expect_closed(&wire);
	wire_close(&wire);
	wire_connect(&again, rig->port);
	assert_int_not_equal(wire_login(&again, WIRE_TARGET, ""), 0);
	wire_close(&again);
	target_rig_restore(rig);
	wire_open(&again, rig->port, "");
	wire_logout(&again);
}

/* The exports name a host that the session's is no longer. */
static void a_host_of_other_conditions_is_dropped(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0}, finder = {0};

	wire_open(&wire, rig->port, "");
	wire_open_discovery(&finder, rig->port);
	target_rig_rename_host(rig);
	wire_expect_closed(&wire);
	wire_expect_closed(&finder);
	wire_close(&wire);
	wire_close(&finder);
	target_rig_restore(rig);
}

static void a_new_table_is_told_to_hosts(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "");
	target_rig_narrow(rig);
	do {
		tag = wire_send_command(&wire, &ready);
		wire_expect(&wire, WIRE_RESPONSE, &pdu);
	} while (!pdu.bhs[3]);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	assert_int_equal(pdu.data[2 + 12], 0x3f);
	assert_int_equal(pdu.data[2 + 13], 0x0e);
	wire_logout(&wire);
	target_rig_restore(rig);
}

static void *log_out_when_asked(void *argument)
{
	struct wire *wire = argument;
	struct wire_pdu *asked = malloc(sizeof *asked);

	wire_expect(wire, WIRE_ASYNC, asked);
	assert_int_equal(asked->bhs[36], 1); /* the target asks for logout */
	assert_int_equal(asked->bhs[43], 20); /* within so many seconds */
	free(asked);
	wire_logout(wire);
	return NULL;
}

static void a_server_that_stops_asks_hosts_to_leave(void **state)
{
	struct target_rig *rig = *state;
	struct wire polite = {0}, half_open = {0};
	pthread_t host;

	wire_open(&polite, rig->port, "");
	wire_connect(&half_open, rig->port);
	pthread_create(&host, NULL, log_out_when_asked, &polite);
	target_rig_stop_server(rig, 20 * SECOND_NS);
	pthread_join(host, NULL);
	wire_expect_closed(&half_open);
	wire_close(&half_open);
	assert_int_equal(rig->sessions_up, 1);
	assert_int_equal(rig->sessions_down, 1);
}

static void a_server_that_stops_waits_no_longer_than_told(void **state)
{
	struct target_rig *rig = *state;
	struct wire deaf = {0};

	wire_open(&deaf, rig->port, "");
	wire_send_read(&deaf, TARGET_RIG_HELD_LBA, 1);
	target_rig_stop_server(rig, SECOND_NS / 100);
	wire_expect(&deaf, WIRE_ASYNC, &pdu);
	wire_expect_closed(&deaf);
	wire_close(&deaf);
}

int main(void)
{
#define OWN_TARGET(test) \
	cmocka_unit_test_setup_teardown( \
		test, target_rig_set_up, target_rig_tear_down)
	const struct CMUnitTest shared[] = {
		cmocka_unit_test(a_session_is_reinstated_on_another_lane),
		cmocka_unit_test(a_session_is_reinstated_on_its_lane),
		cmocka_unit_test(
			sessions_with_other_isids_live_beside_each_other),
		cmocka_unit_test(other_targets_do_not_count),
		cmocka_unit_test(a_storm_of_reinstatements_ends_with_one),
		cmocka_unit_test(a_tsih_of_nobody_is_refused),
		cmocka_unit_test(a_second_connection_is_one_too_many),
		cmocka_unit_test(a_connection_is_reinstated),
		cmocka_unit_test(logout_reasons_are_told_apart),
		cmocka_unit_test(logout_ends_what_runs_first),
		cmocka_unit_test(nothing_counts_after_logout),
		cmocka_unit_test(a_host_without_access_is_dropped),
		cmocka_unit_test(a_host_of_other_conditions_is_dropped),
		cmocka_unit_test(a_new_table_is_told_to_hosts),
	};
	const struct CMUnitTest own[] = {
		OWN_TARGET(a_server_that_stops_asks_hosts_to_leave),
		OWN_TARGET(a_server_that_stops_waits_no_longer_than_told),
	};

	return cmocka_run_group_tests(
		       shared, target_rig_set_up, target_rig_tear_down) +
		cmocka_run_group_tests(own, NULL, NULL);
}
