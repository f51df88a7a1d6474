/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what under a reservation: pure functions over a table.
 */
#include "target/reservation/reservation.h"

#include <string.h>

#define MAY_READ (1u << RESERVATION_READS)
#define MAY_WRITE (1u << RESERVATION_WRITES)
#define MAY_ALWAYS (1u << RESERVATION_ALLOWED)
#define MAY_PR_OUT (1u << RESERVATION_PR_OUT)

/* SPC-4 5.13.5 table 65, by who asks. The holder may do everything. */
static const struct {
	uint8_t known, registered, stranger;
} reservation_rows[16] = {
	[RESERVATION_NONE] = {0, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE},
	[RESERVATION_WRITE_EXCLUSIVE] = {1, MAY_READ, MAY_READ},
	[RESERVATION_EXCLUSIVE_ACCESS] = {1, 0, 0},
	[RESERVATION_WRITE_EXCLUSIVE_RO] = {1, MAY_READ | MAY_WRITE, MAY_READ},
	[RESERVATION_EXCLUSIVE_ACCESS_RO] = {1, MAY_READ | MAY_WRITE, 0},
	[RESERVATION_WRITE_EXCLUSIVE_AR] = {1, MAY_READ | MAY_WRITE, MAY_READ},
	[RESERVATION_EXCLUSIVE_ACCESS_AR] = {1, MAY_READ | MAY_WRITE, 0},
};

bool reservation_type_known(unsigned type)
{
	return type < 16 && reservation_rows[type].known;
}

bool reservation_all_registrants(enum reservation_type type)
{
	return type == RESERVATION_WRITE_EXCLUSIVE_AR ||
		type == RESERVATION_EXCLUSIVE_ACCESS_AR;
}

/* A registrant of all target ports stands for its initiator port on each. */
static bool reservation_matches(const struct reservation_registrant *registrant,
	const struct volume_initiator *initiator)
{
	if (registrant->all_target_ports)
		return !strcmp(registrant->initiator.port, initiator->port);
	return volume_initiator_same(&registrant->initiator, initiator);
}

const struct reservation_registrant *reservation_find(
	const struct reservation_table *table,
	const struct volume_initiator *initiator)
{
	for (unsigned i = 0; table && i < table->registrants; i++)
		if (reservation_matches(&table->registrant[i], initiator))
			return &table->registrant[i];
	return NULL;
}

uint8_t reservation_rights(const struct reservation_table *table,
	const struct volume_initiator *initiator)
{
	const struct reservation_registrant *found;

	if (table->legacy) /* PR commands conflict for all: SPC-2 5.5.1 */
		return volume_initiator_same(&table->legacy_holder, initiator)
			? MAY_READ | MAY_WRITE | MAY_ALWAYS
			: MAY_ALWAYS;
	found = reservation_find(table, initiator);
	if (found && found->holder)
		return MAY_READ | MAY_WRITE | MAY_ALWAYS | MAY_PR_OUT;
	return MAY_ALWAYS | MAY_PR_OUT |
		(found ? reservation_rows[table->type].registered
		       : reservation_rows[table->type].stranger);
}
