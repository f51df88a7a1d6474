/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias: a source as the bottom of another, which so shows the same content
 * under a name and with listeners of its own (ARCHITECTURE 1.9).
 *
 * Invariants
 *  1. COMPARE_AND_WRITE is handed on, so that the range locks taken are those of
 *     the shared source, whoever writes to it and by which way.
 *  2. It claims the source as SHARED, so nobody who writes alone (a format)
 *     and nobody who needs stable content can hold it at the same time.
 *     But what lies below another source is claimed as STABLE, and not written to:
 *     others stand on it.
 *  3. Listeners that must see every write are refused above a writable alias
 *     (stack.c): others write past them.
 */
#include "blockcore/core/alias.h"

#include "blockcore/figures.h"
#include "blockcore/kinds.h"

#include <stdio.h>
#include <stdlib.h>

static const struct opt_spec alias_option_specs[] = {OPT_END};

static struct block_alias *alias_of(struct block_driver *driver)
{
	return container_of(driver, struct block_alias, driver);
}

static void alias_show(struct block_alias *alias)
{
	alias->driver.info = block_source_info(
		alias->source, block_core_lane(alias->driver.core, 0));
	if (alias->of)
		alias->driver.info.read_only = true;
}

static void alias_changed(struct block_source_watch *watch)
{
	struct block_alias *alias =
		container_of(watch, struct block_alias, watch);

	alias_show(alias);
	block_driver_changed(&alias->driver);
}

static void alias_prepare_claim(
	const struct block_alias *alias, struct block_claim *claim)
{
	claim->mode = alias->driver.info.read_only ? BLOCK_CLAIM_READ
						   : BLOCK_CLAIM_SHARED;
	if (*alias->holder)
		snprintf(claim->holder, sizeof(claim->holder),
			"snapshot view '%s'", alias->holder);
	else
		snprintf(claim->holder, sizeof(claim->holder), "an alias");
}

/* The source above it is held as well: both can be built again from what is printed. */
static int alias_claim(struct block_alias *alias, struct err *err)
{
	alias_prepare_claim(alias, &alias->claim);
	alias_prepare_claim(alias, &alias->of_claim);
	if (!alias->of)
		return block_source_claim(alias->source, &alias->claim, err);
	alias->claim.mode = BLOCK_CLAIM_STABLE;
	int error = block_source_claim(alias->of, &alias->of_claim, err);
	if (error)
		return error;
	error = block_source_claim(alias->source, &alias->claim, err);
	if (error)
		block_source_unclaim(&alias->of_claim);
	else
		block_source_get(alias->of);
	return error;
}

static int alias_open_co(struct block_driver *driver, struct err *err)
{
	struct block_alias *alias = alias_of(driver);

	alias_show(alias);
	int error = alias_claim(alias, err);
	if (error)
		return error;
	block_source_get(alias->source);
	alias->watch.changed = alias_changed;
	block_source_watch(alias->source, &alias->watch);
	return 0;
}

static void alias_close_co(struct block_driver *driver)
{
	struct block_alias *alias = alias_of(driver);

	block_source_unwatch(&alias->watch);
	block_source_unclaim(&alias->claim);
	block_source_put_co(alias->source);
	if (alias->of) {
		block_source_unclaim(&alias->of_claim);
		block_source_put_co(alias->of);
	}
	free(alias->image);
}

static void alias_submit(
	struct block_driver *driver, struct block_request *request)
{
	block_redirect(request, alias_of(driver)->source, 0);
}

static int alias_resize_co(
	struct block_driver *driver, uint64_t bytes, struct err *err)
{
	int error =
		block_source_resize_co(alias_of(driver)->source, bytes, err);

	if (!error)
		alias_show(alias_of(driver));
	return error;
}

static int alias_space_co(struct block_driver *driver, struct ring_space *space)
{
	return block_source_space_co(alias_of(driver)->source, space);
}

static struct block_source *alias_below(
	struct block_driver *driver, unsigned index)
{
	const struct block_alias *alias = alias_of(driver);

	return index == 0 ? alias->source : index == 1 ? alias->of : NULL;
}

const struct block_kind alias_kind = {
	.name = "alias",
	.help = "another source, under a name and with listeners of its own",
	.role = BLOCK_ALIAS,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = BLOCK_OPS_ALL,
	.options = alias_option_specs,
	.driver_bytes = sizeof(struct block_alias),
	.open_co = alias_open_co,
	.close_co = alias_close_co,
	.submit = alias_submit,
	.resize_co = alias_resize_co,
	.space_co = alias_space_co,
	.below = alias_below,
};
