/* SPDX-License-Identifier: Apache-2.0 */
/*
 * null: takes every write, reads as zeroes, completes at once. For measuring
 * what is above it.
 *
 * Invariant: a read fills the reader's buffer with zeroes, so that no bytes of
 * an earlier user of that memory reach a host.
 */
#include "blockcore/base/iov.h"
#include "blockcore/kinds.h"
#include "blockcore/protocol/protocol.h"

struct null_options {
	uint64_t size_bytes;
};

static const struct opt_spec null_option_specs[] = {
	{.name = "size",
		.type = OPT_SIZE,
		.offset = offsetof(struct null_options, size_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = 1ull << 60,
		.fallback = "1G",
		.help = "size in bytes, a multiple of 512"},
	OPT_END,
};

static int null_check(
	const struct doc *map, const void *options, struct err *err)
{
	const struct null_options *o = options;

	return protocol_check_place(map, o->size_bytes, err);
}

static int null_open_co(struct block_driver *driver, struct err *err)
{
	const struct null_options *options = driver->options;

	driver->info = (struct block_info){
		.size_bytes = options->size_bytes,
		.physical_block_bytes = 4096,
		.discard_bytes = 4096,
		.ops = PROTOCOL_OPS,
	};
	return protocol_check_size(options->size_bytes, err);
}

static void null_submit(struct block_driver *driver, struct block_request *r)
{
	(void)driver;
	if (r->op == BLOCK_READ)
		iov_zero(r->iov, r->iov_count, 0, r->length_bytes);
	else if (r->op == BLOCK_EXTENTS)
		protocol_one_extent(r, BLOCK_EXTENT_ZERO);
	block_complete(r, 0);
}

static int null_resize_co(
	struct block_driver *driver, uint64_t bytes, struct err *err)
{
	int error = protocol_check_size(bytes, err);

	if (!error) {
		struct null_options *options = driver->options;

		options->size_bytes = driver->info.size_bytes = bytes;
	}
	return error;
}

const struct block_kind null_kind = {
	.name = "null",
	.help = "takes writes, reads as zeroes, keeps nothing",
	.role = BLOCK_PROTOCOL,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = PROTOCOL_OPS,
	.options = null_option_specs,
	.options_bytes = sizeof(struct null_options),
	.driver_bytes = sizeof(struct block_driver),
	.check = null_check,
	.open_co = null_open_co,
	.submit = null_submit,
	.resize_co = null_resize_co,
};
