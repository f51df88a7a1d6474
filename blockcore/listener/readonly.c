/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener readonly: refuses every change, and says so to whoever looks at
 * the source. For an alias that one host may only read, for instance.
 *
 * Invariant: once attached, no request that changes content passes; those that
 * were below already run to their end.
 */
#include "blockcore/kinds.h"

#include <errno.h>

static const struct opt_spec options[] = {OPT_END};

static void readonly_submit(
	struct block_driver *driver, struct block_request *request)
{
	(void)driver;
	if (BLOCK_OP(request->op) & BLOCK_OPS_CHANGE)
		block_complete(request, -EROFS);
	else
		block_pass(request);
}

static void readonly_narrow(
	struct block_driver *driver, struct block_info *info)
{
	(void)driver;
	info->read_only = true;
}

const struct block_kind readonly_kind = {
	.name = "readonly",
	.help = "refuse every change",
	.role = BLOCK_LISTENER,
	.part = BLOCK_FRONT,
	.anchor = BLOCK_HEAD,
	.band = BAND_READONLY,
	.handles = BLOCK_OPS_CHANGE,
	.transparent = BLOCK_OPS_ALL & ~BLOCK_OPS_CHANGE,
	.options = options,
	.driver_bytes = sizeof(struct block_driver),
	.submit = readonly_submit,
	.narrow = readonly_narrow,
};
