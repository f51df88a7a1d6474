/* SPDX-License-Identifier: Apache-2.0 */
/* See reservation_world.h. */
#include "tests/lib/reservation_world.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct volume_initiator reservation_world_port(unsigned host)
{
	struct volume_initiator port = {
		.relative_target_port = 1, .target_portal_group = 1};

	snprintf(port.port, sizeof port.port, "iqn.host:%u,i,0x000000000000",
		host);
	snprintf(port.target_port, sizeof port.target_port, "iqn.t,t,0x0001");
	return port;
}

int reservation_world_set_up(void **state)
{
	struct reservation_world *world = calloc(1, sizeof *world);

	world->table = calloc(1, reservation_table_bytes(256));
	world->next = calloc(1, reservation_table_bytes(256));
	*state = world;
	return 0;
}

int reservation_world_tear_down(void **state)
{
	struct reservation_world *world = *state;

	free(world->table);
	free(world->next);
	free(world);
	return 0;
}

enum reservation_answer reservation_world_change(
	struct reservation_world *world, const struct reservation_order *order)
{
	enum reservation_answer answer = reservation_change(world->table, order,
		world->next, &world->effects, &world->changed);
	struct reservation_table *old = world->table;

	if (world->changed) {
		world->table = world->next;
		world->next = old;
	}
	return answer;
}

enum reservation_answer reservation_world_act(struct reservation_world *world,
	unsigned host, enum reservation_action action, uint64_t key,
	uint64_t service_key, enum reservation_type type)
{
	struct reservation_order order = {
		.action = action,
		.type = type,
		.initiator = reservation_world_port(host),
		.key = key,
		.service_key = service_key,
	};

	return reservation_world_change(world, &order);
}

void reservation_world_register(struct reservation_world *world, unsigned hosts)
{
	for (unsigned i = 0; i < hosts; i++)
		CHECK_INT(
			reservation_world_act(world, i, RESERVATION_REGISTER, 0,
				RESERVATION_WORLD_KEY(i), RESERVATION_NONE),
			RESERVATION_OK);
}

bool reservation_world_registered(
	const struct reservation_world *world, unsigned host)
{
	struct volume_initiator port = reservation_world_port(host);

	return reservation_find(world->table, &port);
}

bool reservation_world_holds(
	const struct reservation_world *world, unsigned host)
{
	struct volume_initiator port = reservation_world_port(host);
	const struct reservation_registrant *entry =
		reservation_find(world->table, &port);

	return entry && entry->holder;
}
