/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver opens with what it has beside what is below it: other sources, and the file
 * in which it keeps what it knows.
 */
#include "blockcore/core/driver.h"
#include "blockcore/core/stack.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <inttypes.h>

static int beside_others_co(const struct block_source *above,
	struct block_driver *driver, struct err *err)
{
	const struct block_kind *kind = driver->kind;
	const struct doc *value =
		kind->others ? doc_find(driver->document, kind->others) : NULL;
	const struct doc *node = value ? value->first : NULL;
	int error = 0;

	if (kind->one_other)
		node = value;
	for (; node && !error; node = kind->one_other ? NULL : node->next) {
		error = spec_open_below_co(above, driver->name, node,
			&driver->others[driver->others_count], err);
		driver->others_count += !error;
	}
	return error;
}

static int beside_open_co(const struct block_source *above,
	struct block_driver *driver, struct err *err)
{
	int error = spec_open_store_co(above, driver, err);

	if (!error)
		error = block_driver_open_co(driver, err);
	if (error)
		block_driver_sources_put_co(driver);
	return error;
}

/* As block_stack_check has it, before the driver takes them for what they were. */
static int beside_check_sizes(const struct block_source *above,
	const struct block_driver *driver, struct err *err)
{
	uint64_t bytes = above->coming ? above->coming->info.size_bytes : 0;

	for (unsigned i = 0; i < driver->others_count; i++) {
		struct block_info info = block_source_info(
			driver->others[i], block_core_lane(driver->core, 0));

		if (info.size_bytes < bytes)
			return err_set(err, EINVAL,
				"'%s' has %" PRIu64 " bytes, %" PRIu64
				" are needed",
				block_source_name(driver->others[i]),
				info.size_bytes, bytes);
	}
	return 0;
}

/* What is wrong with the others costs them, not the source, where that is asked. */
int spec_open_beside_co(const struct block_source *above,
	struct block_driver *driver, struct err *err)
{
	struct err why = {0};
	bool without = above->degraded && driver->kind->opens_without;
	int error = beside_others_co(above, driver, without ? &why : err);

	if (!error && without)
		error = beside_check_sizes(above, driver, &why);
	if (error) {
		block_driver_others_put_co(driver);
		if (!without)
			return error;
		driver->without = &why;
	}
	driver->may_do_without = without;
	error = beside_open_co(above, driver, err);
	driver->without = NULL;
	return error;
}
