/* SPDX-License-Identifier: Apache-2.0 */
#include "blockcore/core/driver_flush.h"

#include "blockcore/core/driver.h"
#include "blockcore/core/watch.h"

#include <errno.h>

int block_driver_flush_co(struct block_driver *driver)
{
	struct block_source *source = block_driver_source(driver);

	if (!source)
		return -ENODEV;
	block_source_help_begin(source);
	int error = block_transfer_co(source, block_core_lane(driver->core, 0),
		BLOCK_FLUSH, BLOCK_INTERNAL, 0, 0, NULL);
	block_source_help_end(source);
	return driver->detached ? -ENODEV : error;
}
