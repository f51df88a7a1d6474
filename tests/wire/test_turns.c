/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target does in one turn of its loop is bounded, so that no host waits for
 * what another one asks. On the simulated loop, where turns can be counted.
 */
#include "tests/lib/sim_target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define HIDDEN 16000u

static struct wire_pdu pdu;
static uint8_t got[512];

static struct sim_target *target_with_hidden_targets(void)
{
	struct sim_target_setup setup;

	sim_target_defaults(&setup);
	setup.hidden = HIDDEN;
	return sim_target_new(&setup);
}

static void open_discovery(struct sim_target *target, struct wire *finder)
{
	finder->isid[0] = 0x40;
	finder->isid[1] = 9;
	sim_target_connect(target, finder);
	wire_login_discovery(finder);
}

static void ask_for_all(struct wire *finder)
{
	static const char all[] = "SendTargets=All";
	uint8_t bhs[48];

	wire_begin(finder, bhs, WIRE_TEXT | WIRE_IMMEDIATE);
	wire_put32(bhs + 20, 0xffffffff);
	wire_send(finder, bhs, all, sizeof all);
}

static void expect_nothing_yet(const struct wire *wire)
{
	uint8_t byte;

	assert_int_equal(recv(wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Another host reads ten times, one after the other, while the list is made. */
static void a_list_of_hidden_targets_holds_up_nobody(void **state)
{
	struct sim_target *target = target_with_hidden_targets();
	struct wire finder = {0}, good = {0};

	(void)state;
	sim_target_open(target, &good, "");
	open_discovery(target, &finder);
	ask_for_all(&finder);
	wire_expect_data(&good, wire_send_read(&good, 0, 1), got, &pdu);
	expect_nothing_yet(&finder);
	wire_expect(&finder, WIRE_TEXT_RESPONSE, &pdu);
	assert_int_equal(pdu.bhs[1], WIRE_F);
	assert_string_equal((char *)pdu.data, "TargetName=" WIRE_TARGET);
	wire_expect_quiet(&finder);
	wire_logout(&finder);
	wire_logout(&good);
	sim_target_free(target);
}

/* What the host sends meanwhile is taken up when its answer is made. */
static void requests_behind_a_list_wait(void **state)
{
	struct sim_target *target = target_with_hidden_targets();
	struct wire finder = {0};
	uint32_t tag;

	(void)state;
	open_discovery(target, &finder);
	ask_for_all(&finder);
	ask_for_all(&finder);
	tag = wire_send_nop(&finder, NULL, 0);
	wire_expect(&finder, WIRE_TEXT_RESPONSE, &pdu);
	wire_expect(&finder, WIRE_TEXT_RESPONSE, &pdu);
	wire_expect(&finder, WIRE_NOP_IN, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 16), tag);
	wire_logout(&finder);
	sim_target_free(target);
}

/* The host, or the session, goes while its list is made. */
static void a_session_may_end_while_its_list_is_made(void **state)
{
	struct sim_target *target = target_with_hidden_targets();
	struct iscsi_connection *connection;
	struct wire finder = {0};

	(void)state;
	open_discovery(target, &finder);
	ask_for_all(&finder);
	connection = TAILQ_FIRST(&target->server->lane[0]->connections);
	sim_target_poll(target);
	sim_step(target->sim);
	assert_non_null(connection->text_work);
	connection_drop(connection, "the test says so");
	sim_target_until_gone(target);
	wire_expect_closed(&finder);
	wire_close(&finder);
	assert_string_equal(target->reason, "the test says so");
	sim_target_free(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_hidden_targets_holds_up_nobody),
		cmocka_unit_test(requests_behind_a_list_wait),
		cmocka_unit_test(a_session_may_end_while_its_list_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
