/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/stack_kinds.h"

#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/source.h"
#include "blockcore/core/stack.h"

#include <stdio.h>

struct block_source *stack_kinds_source_co(struct stack_rig *rig,
	const struct block_kind *const *kinds, unsigned count)
{
	struct block_driver *driver[BLOCK_MAX_DRIVERS];
	struct block_source *source;
	struct err err = {0};
	char name[BLOCK_NAME_BYTES];

	for (unsigned i = count; i-- > 0;) {
		snprintf(name, sizeof(name), "%s-%u", kinds[i]->name, i);
		driver[i] = block_driver_new(
			rig->core, kinds[i], name, NULL, NULL, &err);
		CHECK(driver[i]);
		CHECK_INT(block_driver_open_co(driver[i], &err), 0);
	}
	CHECK_INT(block_stack_check(driver, count, &err), 0);
	CHECK_INT(
		block_source_new(rig->core, "kinds", true, NULL, &source, &err),
		0);
	struct block_change change = {.source = source};
	change.next = block_stack_new(source, driver, count, false, &err);
	CHECK(change.next);
	co_mutex_lock_co(&source->change);
	CHECK_INT(block_change_co(&change, &err), 0);
	co_mutex_unlock(&source->change);
	return source;
}
