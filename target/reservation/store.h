/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reservation table as a blob, for APTPL (SPC-4 5.13.7, activate persist
 * through power loss).
 */
#ifndef TARGET_RESERVATION_STORE_H
#define TARGET_RESERVATION_STORE_H

#include "target/reservation/reservation.h"

/* Makes `next` durable if it asks for it, or the end of that durable; `old` may
 * be NULL. On the control lane; 0 or -errno. */
int reservation_save_co(struct volume *volume,
	const struct reservation_table *old,
	const struct reservation_table *next);

/* The blob of a table, malloc'd; NULL: out of memory. */
uint8_t *reservation_encode(
	const struct reservation_table *table, size_t *bytes);
/* The table of a blob, malloc'd; NULL: the blob is damaged. */
struct reservation_table *reservation_decode(const void *blob, size_t bytes);

#endif
