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

/* What is done on the control lane with the rig's portal. */
struct order {
	uint16_t port; /* wanted */
	struct iscsi_portal *portal; /* prepared */
	struct err err;
	int result;
};

static void prepare(
	struct target_rig *rig, struct order *order, struct iscsi_portal *takes)
{
	struct access_portal portal = {.name = "main",
		.address = "127.0.0.1",
		.port = order->port,
		.group = 1};

	order->result = iscsi_portal_prepare(
		rig->server, &portal, takes, &order->portal, &order->err);
}

static void prepare_co(struct target_rig *rig, void *argument)
{
	prepare(rig, argument, NULL);
}

static void take_over_co(struct target_rig *rig, void *argument)
{
	prepare(rig, argument, rig->portal);
}

static void start_co(struct target_rig *rig, void *argument)
{
	const struct order *order = argument;

	iscsi_portal_start(order->portal);
	rig->portal = order->portal;
}

static void abandon_co(struct target_rig *rig, void *argument)
{
	const struct order *order = argument;

	(void)rig;
	iscsi_portal_abandon(order->portal);
}

static void close_co(struct target_rig *rig, void *argument)
{
	(void)argument;
	iscsi_portal_close(rig->portal);
}

static void run(struct target_rig *rig, struct order *order,
	void (*body_co)(struct target_rig *rig, void *argument))
{
	target_rig_run(rig, body_co, order);
	assert_int_equal(order->result, 0);
}

static void use(struct wire *new, uint16_t port)
{
	wire_renew(new);
	wire_open(new, port, "");
	wire_expect_quiet(new);
	wire_logout(new);
}

static void a_portal_closes_and_its_sessions_go_on(void **state)
{
	struct target_rig *rig = *state;
	struct order order = {0};
	struct wire wire = {0}, new = {.isid = {0x40, 0, 0, 2}};

	wire_open(&wire, rig->port, "");
	run(rig, &order, close_co);
	wire_expect_quiet(&wire);
	run(rig, &order, close_co); /* it stays closed */
	/* Again under the same name; on the same port, too. */
	for (unsigned i = 0; i < 3; i++) {
		run(rig, &order, prepare_co);
		run(rig, &order, start_co);
		order.port = iscsi_portal_port(order.portal);
		use(&new, order.port);
		wire_expect_quiet(&wire);
		run(rig, &order, close_co);
	}
	wire_logout(&wire);
}

/* A change at the same address and port: nobody finds it closed. */
static void a_portal_takes_over_a_socket(void **state)
{
	struct target_rig *rig = *state;
	struct order order = {.port = rig->port};
	struct wire wire = {0}, new = {.isid = {0x40, 0, 0, 2}};
	struct iscsi_portal *old = rig->portal;

	wire_open(&wire, rig->port, "");
	run(rig, &order, take_over_co);
	use(&new, rig->port); /* the old one still accepts */
	run(rig, &order, abandon_co);
	use(&new, rig->port);
	run(rig, &order, take_over_co);
	assert_int_equal(iscsi_portal_port(order.portal), rig->port);
	run(rig, &order, start_co);
	iscsi_portal_close(old); /* has no socket any more */
	use(&new, rig->port);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

static void a_port_in_use_is_refused(void **state)
{
	struct target_rig *rig = *state;
	struct order order = {.port = rig->port};
	char place[64];

	target_rig_run(rig, prepare_co, &order);
	assert_int_equal(order.result, -EADDRINUSE);
	snprintf(place, sizeof place, "127.0.0.1 port %u", rig->port);
	CHECK_ERR(&order.err, place);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown( \
		name, target_rig_set_up, target_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_portal_closes_and_its_sessions_go_on),
		TEST(a_portal_takes_over_a_socket),
		TEST(a_port_in_use_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
