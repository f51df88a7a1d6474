/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of reservations: who may do what under each type, what each service
 * action does to the table and to the others, and tables as blobs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "target/reservation/store.h"
#include "tests/lib/reservation_world.h"

#define KEY RESERVATION_WORLD_KEY
#define act reservation_world_act
#define holds reservation_world_holds

/* -- who may do what (SPC-4 table 65) -------------------------------------- */

enum who { HOLDER, REGISTRANT, STRANGER };

static const struct {
	enum reservation_type type;
	bool may_read[3], may_write[3]; /* by enum who */
} access_rows[] = {
	{RESERVATION_WRITE_EXCLUSIVE, {1, 1, 1}, {1, 0, 0}},
	{RESERVATION_EXCLUSIVE_ACCESS, {1, 0, 0}, {1, 0, 0}},
	{RESERVATION_WRITE_EXCLUSIVE_RO, {1, 1, 1}, {1, 1, 0}},
	{RESERVATION_EXCLUSIVE_ACCESS_RO, {1, 1, 0}, {1, 1, 0}},
	{RESERVATION_WRITE_EXCLUSIVE_AR, {1, 1, 1}, {1, 1, 0}},
	{RESERVATION_EXCLUSIVE_ACCESS_AR, {1, 1, 0}, {1, 1, 0}},
};

static void test_access(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 2);
	for (unsigned i = 0; i < sizeof access_rows / sizeof *access_rows;
		i++) {
		enum reservation_type type = access_rows[i].type;

		assert_int_equal(
			act(world, 0, RESERVATION_RESERVE, KEY(0), 0, type),
			RESERVATION_OK);
		for (unsigned who = HOLDER; who <= STRANGER; who++) {
			struct volume_initiator port =
				reservation_world_port(who);
			uint8_t rights =
				reservation_rights(world->table, &port);

			assert_int_equal(rights >> RESERVATION_READS & 1,
				access_rows[i].may_read[who]);
			assert_int_equal(rights >> RESERVATION_WRITES & 1,
				access_rows[i].may_write[who]);
			assert_true(rights >> RESERVATION_ALLOWED & 1);
			assert_true(rights >> RESERVATION_PR_OUT & 1);
		}
		assert_int_equal(
			act(world, 0, RESERVATION_RELEASE, KEY(0), 0, type),
			RESERVATION_OK);
	}
}

static void test_access_unreserved(void **state)
{
	struct reservation_world *world = *state;
	struct volume_initiator stranger = reservation_world_port(9);

	reservation_world_register(world, 2);
	assert_int_equal(reservation_rights(world->table, &stranger), 0xf);
}

static void test_legacy(void **state)
{
	struct reservation_world *world = *state;
	struct volume_initiator holder = reservation_world_port(0),
				other = reservation_world_port(1);
	uint8_t rights;

	assert_int_equal(act(world, 0, RESERVATION_LEGACY_RESERVE, 0, 0, 0),
		RESERVATION_OK);
	assert_int_equal(act(world, 1, RESERVATION_LEGACY_RESERVE, 0, 0, 0),
		RESERVATION_CONFLICT);
	rights = reservation_rights(world->table, &other);
	assert_int_equal(rights, 1u << RESERVATION_ALLOWED);
	rights = reservation_rights(world->table, &holder);
	assert_true(rights >> RESERVATION_WRITES & 1);
	assert_false(rights >> RESERVATION_PR_OUT & 1);
	/* Persistent ones cannot come while it lasts; others cannot end it. */
	assert_int_equal(act(world, 0, RESERVATION_REGISTER, 0, 1, 0),
		RESERVATION_CONFLICT);
	assert_int_equal(act(world, 1, RESERVATION_LEGACY_RELEASE, 0, 0, 0),
		RESERVATION_OK);
	assert_true(world->table->legacy);
	assert_int_equal(
		act(world, 1, RESERVATION_LUN_RESET, 0, 0, 0), RESERVATION_OK);
	assert_false(world->table->legacy);
}

static void test_legacy_among_registrants(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 2);
	assert_int_equal(act(world, 0, RESERVATION_LEGACY_RESERVE, 0, 0, 0),
		RESERVATION_OK);
	assert_false(world->table->legacy);
	assert_int_equal(act(world, 3, RESERVATION_LEGACY_RESERVE, 0, 0, 0),
		RESERVATION_CONFLICT);
	assert_int_equal(act(world, 3, RESERVATION_LEGACY_RELEASE, 0, 0, 0),
		RESERVATION_CONFLICT);
}

/* -- service actions ------------------------------------------------------- */

static void test_register(void **state)
{
	struct reservation_world *world = *state;

	assert_int_equal(act(world, 0, RESERVATION_REGISTER, 5, 6, 0),
		RESERVATION_CONFLICT);
	assert_int_equal(
		act(world, 0, RESERVATION_REGISTER, 0, 0, 0), RESERVATION_OK);
	assert_false(world->changed);
	reservation_world_register(world, 1);
	assert_int_equal(world->table->generation, 1);
	assert_int_equal(act(world, 0, RESERVATION_REGISTER, 0, 7, 0),
		RESERVATION_CONFLICT);
	assert_int_equal(act(world, 0, RESERVATION_REGISTER, KEY(0), 7, 0),
		RESERVATION_OK);
	assert_int_equal(world->table->registrant[0].key, 7);
	assert_int_equal(
		act(world, 0, RESERVATION_REGISTER_AND_IGNORE, 99, 8, 0),
		RESERVATION_OK);
	assert_int_equal(world->table->registrant[0].key, 8);
	assert_int_equal(world->table->generation, 3);
	assert_int_equal(
		act(world, 0, RESERVATION_REGISTER, 8, 0, 0), RESERVATION_OK);
	assert_int_equal(world->table->registrants, 0);
}

static void test_register_named_ports(void **state)
{
	struct reservation_world *world = *state;
	struct volume_initiator others[] = {
		reservation_world_port(1), reservation_world_port(2)};
	struct reservation_order order = {
		.action = RESERVATION_REGISTER,
		.initiator = reservation_world_port(0),
		.service_key = 3,
		.spec_initiator_ports = true,
		.other = others,
		.others = 2,
	};

	assert_int_equal(
		reservation_world_change(world, &order), RESERVATION_OK);
	assert_int_equal(world->table->registrants, 3);
	assert_true(reservation_world_registered(world, 2));
	order.key = 3;
	assert_int_equal(reservation_world_change(world, &order),
		RESERVATION_INVALID_CDB);
	/* One of them is registered already: nobody is. */
	order.key = 0;
	order.initiator = reservation_world_port(3);
	assert_int_equal(reservation_world_change(world, &order),
		RESERVATION_INVALID_PARAMETER);
	assert_int_equal(world->table->registrants, 3);
}

static void test_register_full(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, RESERVATION_REGISTRANTS);
	assert_int_equal(act(world, 999, RESERVATION_REGISTER, 0, 1, 0),
		RESERVATION_NO_RESOURCES);
	assert_int_equal(world->table->registrants, RESERVATION_REGISTRANTS);
}

static void test_all_target_ports(void **state)
{
	struct reservation_world *world = *state;
	struct reservation_order order = {
		.action = RESERVATION_REGISTER,
		.initiator = reservation_world_port(0),
		.service_key = 3,
		.all_target_ports = true,
	};
	struct volume_initiator elsewhere = reservation_world_port(0);

	elsewhere.relative_target_port = 2;
	assert_int_equal(
		reservation_world_change(world, &order), RESERVATION_OK);
	assert_non_null(reservation_find(world->table, &elsewhere));
}

static void test_reserve(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 2);
	assert_int_equal(act(world, 3, RESERVATION_RESERVE, 1, 0, 1),
		RESERVATION_CONFLICT);
	assert_int_equal(act(world, 0, RESERVATION_RESERVE, 1, 0, 1),
		RESERVATION_CONFLICT);
	for (unsigned type = 0; type < 16; type++)
		if (!reservation_type_known(type))
			assert_int_equal(act(world, 0, RESERVATION_RESERVE,
						 KEY(0), 0, type),
				RESERVATION_INVALID_CDB);
	assert_int_equal(act(world, 0, RESERVATION_RESERVE, KEY(0), 0, 1),
		RESERVATION_OK);
	assert_true(holds(world, 0));
	assert_int_equal(act(world, 0, RESERVATION_RESERVE, KEY(0), 0, 1),
		RESERVATION_OK);
	assert_int_equal(act(world, 0, RESERVATION_RESERVE, KEY(0), 0, 3),
		RESERVATION_CONFLICT);
	assert_int_equal(act(world, 1, RESERVATION_RESERVE, KEY(1), 0, 1),
		RESERVATION_CONFLICT);
}

static void test_release(void **state)
{
	struct reservation_world *world = *state;

	for (unsigned i = 0; i < sizeof access_rows / sizeof *access_rows;
		i++) {
		enum reservation_type type = access_rows[i].type;
		bool tells = type >= RESERVATION_WRITE_EXCLUSIVE_RO;

		if (!i)
			reservation_world_register(world, 3);
		act(world, 0, RESERVATION_RESERVE, KEY(0), 0, type);
		/* Not the holder: good, and nothing happens. */
		if (!reservation_all_registrants(type)) {
			assert_int_equal(act(world, 1, RESERVATION_RELEASE,
						 KEY(1), 0, type),
				RESERVATION_OK);
			assert_false(world->changed);
		}
		assert_int_equal(act(world, 0, RESERVATION_RELEASE, KEY(0), 0,
					 type == 1 ? 3 : 1),
			RESERVATION_INVALID_RELEASE);
		assert_int_equal(
			act(world, 0, RESERVATION_RELEASE, KEY(0), 0, type),
			RESERVATION_OK);
		assert_int_equal(world->effects.attention[0], 0);
		assert_int_equal(
			world->effects.attention[1], tells ? 0x2a04 : 0);
	}
}

static void test_unregister_holder(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 2);
	act(world, 0, RESERVATION_RESERVE, KEY(0), 0,
		RESERVATION_WRITE_EXCLUSIVE_RO);
	act(world, 0, RESERVATION_REGISTER, KEY(0), 0, 0);
	assert_int_equal(world->table->type, RESERVATION_NONE);
	assert_int_equal(world->effects.attention[1], 0x2a04);
	/* All registrants: only the last one takes it along. */
	reservation_world_register(world, 1);
	act(world, 0, RESERVATION_RESERVE, KEY(0), 0,
		RESERVATION_EXCLUSIVE_ACCESS_AR);
	act(world, 0, RESERVATION_REGISTER, KEY(0), 0, 0);
	assert_int_equal(world->table->type, RESERVATION_EXCLUSIVE_ACCESS_AR);
	assert_true(holds(world, 1));
	act(world, 1, RESERVATION_REGISTER, KEY(1), 0, 0);
	assert_int_equal(world->table->type, RESERVATION_NONE);
}

static void test_clear(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 3);
	act(world, 1, RESERVATION_RESERVE, KEY(1), 0, 1);
	assert_int_equal(act(world, 4, RESERVATION_CLEAR, 0, 0, 0),
		RESERVATION_CONFLICT);
	assert_int_equal(
		act(world, 0, RESERVATION_CLEAR, KEY(0), 0, 0), RESERVATION_OK);
	assert_int_equal(world->table->registrants, 0);
	assert_int_equal(world->table->type, RESERVATION_NONE);
	assert_int_equal(world->effects.attention[0], 0);
	assert_int_equal(world->effects.attention[1], 0x2a03);
	assert_int_equal(world->effects.attention[2], 0x2a03);
}

static void test_preempt_registration(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 3);
	act(world, 0, RESERVATION_RESERVE, KEY(0), 0, 1);
	assert_int_equal(act(world, 0, RESERVATION_PREEMPT, KEY(0), 77, 1),
		RESERVATION_CONFLICT);
	assert_int_equal(act(world, 0, RESERVATION_PREEMPT, KEY(0), 0, 1),
		RESERVATION_INVALID_PARAMETER);
	assert_int_equal(act(world, 0, RESERVATION_PREEMPT, KEY(0), KEY(2), 3),
		RESERVATION_OK);
	assert_false(reservation_world_registered(world, 2));
	assert_int_equal(world->table->type, 1);
	assert_true(holds(world, 0));
	assert_int_equal(world->effects.attention[2], 0x2a05);
	assert_false(world->effects.abort[2]);
}

static void test_preempt_holder(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 3);
	act(world, 0, RESERVATION_RESERVE, KEY(0), 0, 1);
	assert_int_equal(act(world, 1, RESERVATION_PREEMPT_AND_ABORT, KEY(1),
				 KEY(0), RESERVATION_EXCLUSIVE_ACCESS_RO),
		RESERVATION_OK);
	assert_false(reservation_world_registered(world, 0));
	assert_true(holds(world, 1));
	assert_int_equal(world->table->type, RESERVATION_EXCLUSIVE_ACCESS_RO);
	assert_int_equal(world->effects.attention[0], 0x2a05);
	assert_true(world->effects.abort[0]);
	assert_int_equal(world->effects.attention[1], 0);
	assert_int_equal(world->effects.attention[2], 0x2a04);
	assert_false(world->effects.abort[2]);
}

/* A key that several share, the preemptor among them: he stays. */
static void test_preempt_shared_key(void **state)
{
	struct reservation_world *world = *state;

	for (unsigned i = 0; i < 3; i++)
		act(world, i, RESERVATION_REGISTER, 0, 5, 0);
	act(world, 0, RESERVATION_RESERVE, 5, 0, 1);
	assert_int_equal(
		act(world, 0, RESERVATION_PREEMPT, 5, 5, 3), RESERVATION_OK);
	assert_int_equal(world->table->registrants, 1);
	assert_true(holds(world, 0));
	assert_int_equal(world->table->type, 3);
}

static void test_preempt_all_registrants(void **state)
{
	struct reservation_world *world = *state;

	reservation_world_register(world, 3);
	act(world, 0, RESERVATION_RESERVE, KEY(0), 0,
		RESERVATION_WRITE_EXCLUSIVE_AR);
	assert_true(holds(world, 2));
	assert_int_equal(act(world, 2, RESERVATION_PREEMPT, KEY(2), KEY(1), 1),
		RESERVATION_OK);
	assert_int_equal(world->table->type, RESERVATION_WRITE_EXCLUSIVE_AR);
	assert_false(reservation_world_registered(world, 1));
	assert_int_equal(act(world, 2, RESERVATION_PREEMPT, KEY(2), 0, 1),
		RESERVATION_OK);
	assert_int_equal(world->table->registrants, 1);
	assert_int_equal(world->table->type, 1);
	assert_true(holds(world, 2));
}

static void test_move(void **state)
{
	struct reservation_world *world = *state;
	struct volume_initiator to = reservation_world_port(3);
	struct reservation_order order = {
		.action = RESERVATION_REGISTER_AND_MOVE,
		.initiator = reservation_world_port(0),
		.key = KEY(0),
		.service_key = 9,
		.other = &to,
		.others = 1,
		.unregister_moved = true,
	};

	reservation_world_register(world, 2);
	assert_int_equal(
		reservation_world_change(world, &order), RESERVATION_CONFLICT);
	act(world, 0, RESERVATION_RESERVE, KEY(0), 0, 1);
	order.service_key = 0;
	assert_int_equal(reservation_world_change(world, &order),
		RESERVATION_INVALID_PARAMETER);
	order.service_key = 9;
	to = reservation_world_port(0);
	assert_int_equal(reservation_world_change(world, &order),
		RESERVATION_INVALID_PARAMETER);
	to = reservation_world_port(3);
	assert_int_equal(
		reservation_world_change(world, &order), RESERVATION_OK);
	assert_true(holds(world, 3));
	assert_false(reservation_world_registered(world, 0));
	assert_int_equal(world->table->type, 1);
}

/* -- blobs ----------------------------------------------------------------- */

static void test_blob(void **state)
{
	struct reservation_world *world = *state;
	struct reservation_table *again;
	size_t bytes;
	uint8_t *blob;

	reservation_world_register(world, 3);
	act(world, 1, RESERVATION_RESERVE, KEY(1), 0, 5);
	blob = reservation_encode(world->table, &bytes);
	again = reservation_decode(blob, bytes);
	assert_non_null(again);
	assert_int_equal(again->registrants, 3);
	assert_int_equal(again->type, 5);
	assert_true(again->aptpl);
	for (unsigned i = 0; i < 3; i++) {
		struct volume_initiator port = reservation_world_port(i);
		const struct reservation_registrant *entry =
			reservation_find(again, &port);

		assert_non_null(entry);
		assert_int_equal(entry->key, KEY(i));
		assert_int_equal(entry->holder, i == 1);
	}
	free(again);
	for (size_t cut = 0; cut < bytes; cut++)
		assert_null(reservation_decode(blob, cut));
	blob[1] = 2; /* no such type */
	assert_null(reservation_decode(blob, bytes));
	free(blob);
}

#define ROW(test) \
	cmocka_unit_test_setup_teardown( \
		test, reservation_world_set_up, reservation_world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_access),
		ROW(test_access_unreserved),
		ROW(test_legacy),
		ROW(test_legacy_among_registrants),
		ROW(test_register),
		ROW(test_register_named_ports),
		ROW(test_register_full),
		ROW(test_all_target_ports),
		ROW(test_reserve),
		ROW(test_release),
		ROW(test_unregister_holder),
		ROW(test_clear),
		ROW(test_preempt_registration),
		ROW(test_preempt_holder),
		ROW(test_preempt_shared_key),
		ROW(test_preempt_all_registrants),
		ROW(test_move),
		ROW(test_blob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
