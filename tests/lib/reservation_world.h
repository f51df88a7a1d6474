/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the rules of reservations: a table of one's own, hosts by number,
 * and the result of the last change.
 */
#ifndef TESTS_LIB_RESERVATION_WORLD_H
#define TESTS_LIB_RESERVATION_WORLD_H

#include "target/reservation/change.h"

/* The key that reservation_world_register gives a host. */
#define RESERVATION_WORLD_KEY(host) (0xa0ull + (host))

/* Holds a table of its own and the result of the last change. */
struct reservation_world {
	struct reservation_table *table, *next;
	struct reservation_effects effects;
	bool changed;
};

/* Fixtures for cmocka: *state becomes a struct reservation_world. */
int reservation_world_set_up(void **state);
int reservation_world_tear_down(void **state);

struct volume_initiator reservation_world_port(unsigned host);
enum reservation_answer reservation_world_change(
	struct reservation_world *world, const struct reservation_order *order);
/* A service action with what most of them need. */
enum reservation_answer reservation_world_act(struct reservation_world *world,
	unsigned host, enum reservation_action action, uint64_t key,
	uint64_t service_key, enum reservation_type type);
/* Hosts 0 to hosts - 1, which are not registered. */
void reservation_world_register(
	struct reservation_world *world, unsigned hosts);
bool reservation_world_registered(
	const struct reservation_world *world, unsigned host);
bool reservation_world_holds(
	const struct reservation_world *world, unsigned host);

#endif
