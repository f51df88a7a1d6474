/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access table in force with a part of it changed: a new table that shares with
 * it every host, portal and target that the change does not touch.
 *
 * A target is made anew if it changes itself, gets or loses or changes an export, or
 * shows a volume or a host that was made anew; its other exports are copied. Hosts
 * keep their order, in which the first of equals counts; those of targets, and of
 * exports within one, have no meaning.
 */
#ifndef TARGET_CONTROL_APPLIANCE_TABLE_CHANGE_H
#define TARGET_CONTROL_APPLIANCE_TABLE_CHANGE_H

#include "target/control/document/document.h"

/* One that is replaced by another object of the same name. */
struct table_swap {
	const void *before, *after;
};

struct table_change {
	const struct access_table *table; /* in force */
	const struct document *document; /* a part */
	struct volume *const *volume; /* one per volume of the document */
	const struct table_swap *volumes; /* replaced ones */
	unsigned volume_swaps;
};
/* The caller's reference; NULL without memory. */
struct access_table *table_change(const struct table_change *change);

#endif
