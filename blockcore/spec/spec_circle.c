/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No source comes to stand on itself: what a new bottom leads to is looked at before it
 * is published, and while it is about to be; no image on itself, by the backing files
 * that images name.
 */
#include "blockcore/core/driver.h"
#include "blockcore/core/stack.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <string.h>

static bool spec_driver_leads_to(
	const struct block_driver *driver, const struct block_source *to)
{
	struct block_driver *asked = (struct block_driver *)driver;
	const struct block_source *below;

	for (unsigned n = 0;
		driver->kind->below && (below = driver->kind->below(asked, n));
		n++) {
		if (spec_leads_to(below, to))
			return true;
	}
	return false;
}

/* What it stands on, or is about to. */
bool spec_leads_to(
	const struct block_source *from, const struct block_source *to)
{
	if (from == to)
		return true;
	if (from->coming && spec_driver_leads_to(from->coming, to))
		return true;
	for (unsigned i = 0; from->current && i < from->current->count; i++) {
		if (spec_driver_leads_to(from->current->driver[i], to))
			return true;
	}
	return false;
}

int spec_announce(struct block_source *source,
	const struct block_driver *bottom, struct err *err)
{
	source->coming = bottom;
	if (!spec_driver_leads_to(bottom, source))
		return 0;
	return err_set(err, ELOOP,
		"the new bottom comes to stand on '%s' itself, by another "
		"change that is under way",
		source->name);
}

/* -- images that name each other ------------------------------------------ */

const struct block_source *spec_outermost(const struct block_source *source)
{
	while (source->within)
		source = source->within;
	return source;
}

void spec_opening(const struct block_source *source, const char *path)
{
	((struct block_source *)source)->opening = path;
}

int spec_check_circle(
	const struct block_source *source, const char *path, struct err *err)
{
	const struct block_source *above = source->within;

	for (; path && above; above = above->within) {
		if (above->opening && !strcmp(above->opening, path))
			return err_set(err, ELOOP,
				"the backing files of '%s' lead back to "
				"itself: '%s' names it; let that name another "
				"one (qemu-img rebase -u)",
				path, source->within->opening);
	}
	return 0;
}
