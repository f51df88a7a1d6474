/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of persistent reservations (SPC-4 5.13.7 to 5.13.11) as a pure
 * function: table and order in, table, answer and effects out. Nothing here
 * waits, publishes or knows of lanes.
 */
#ifndef TARGET_RESERVATION_CHANGE_H
#define TARGET_RESERVATION_CHANGE_H

#include "target/reservation/reservation.h"

/* What a change means for others: the attention for each registrant of the
 * *old* table (0: none), and whether its tasks are to be aborted. */
struct reservation_effects {
	uint16_t attention[RESERVATION_REGISTRANTS];
	bool abort[RESERVATION_REGISTRANTS];
};

/* `old` may be NULL. `next` has room for RESERVATION_REGISTRANTS and holds the
 * table that is to be published if *changed; `effects` is zeroed by the callee. */
enum reservation_answer reservation_change(const struct reservation_table *old,
	const struct reservation_order *order, struct reservation_table *next,
	struct reservation_effects *effects, bool *changed);

static inline size_t reservation_table_bytes(unsigned registrants)
{
	return sizeof(struct reservation_table) +
		registrants * sizeof(struct reservation_registrant);
}

#endif
