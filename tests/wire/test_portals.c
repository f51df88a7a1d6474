/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portals that are opened and closed while hosts use them. TSAN: yes
 */
#include "tests/lib/target_rig.h"
#include "tests/lib/wire_login.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct portal_order {
	bool end_sessions;
	uint16_t port; /* in: wanted, out: bound */
	int result;
};

static void close_co(struct target_rig *rig, void *argument)
{
	struct portal_order *order = argument;
	struct err err = {0};

	order->result = iscsi_portal_close_co(
		rig->server, "main", order->end_sessions, &err);
	if (order->result)
		CHECK_ERR(&err, "no portal 'main' is open");
}

static void open_co(struct target_rig *rig, void *argument)
{
	struct portal_order *order = argument;
	struct access_portal portal = {.name = "main",
		.address = "127.0.0.1",
		.port = order->port,
		.group = 1};
	struct err err = {0};

	CHECK_INT(
		iscsi_portal_open(rig->server, &portal, &order->port, &err), 0);
}

static void a_portal_closes_and_its_sessions_go_on(void **state)
{
	struct target_rig *rig = *state;
	struct portal_order order = {.end_sessions = false};
	struct wire wire = {0}, new = {.isid = {0x40, 0, 0, 2}};

	wire_open(&wire, rig->port, "");
	target_rig_run(rig, close_co, &order);
	assert_int_equal(order.result, 0);
	wire_expect_quiet(&wire);
	target_rig_run(rig, close_co, &order);
	assert_int_equal(order.result, -ENOENT);
	/* Again under the same name; on the same port, too. */
	for (unsigned i = 0; i < 3; i++) {
		target_rig_run(rig, open_co, &order);
		wire_renew(&new);
		wire_open(&new, order.port, "");
		wire_expect_quiet(&wire);
		wire_logout(&new);
		target_rig_run(rig, close_co, &order);
	}
	wire_logout(&wire);
}

static void a_portal_closes_with_its_sessions(void **state)
{
	struct target_rig *rig = *state;
	struct portal_order order = {.end_sessions = true};
	struct wire wire = {0}, half = {0};

	wire_open(&wire, rig->port, "");
	wire_connect(&half, rig->port);
	target_rig_run(rig, close_co, &order);
	assert_int_equal(order.result, 0);
	wire_expect_dropped(&wire, 0);
	assert_int_equal(atomic_load(&rig->sessions_up), 1);
	wire_close(&half);
	target_rig_run(rig, open_co, &order);
	wire_open(&wire, order.port, "");
	wire_logout(&wire);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown( \
		name, target_rig_set_up, target_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_portal_closes_and_its_sessions_go_on),
		TEST(a_portal_closes_with_its_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
