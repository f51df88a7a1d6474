/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a new image of what a source shows would become. Data count in the pieces
 * in which the format allocates; its tables as if all were allocated, so that it is
 * never too little (qemu-img measure says the same).
 */
#include "blockcore/core/core.h"
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <stdlib.h>

struct measuring {
	uint64_t unit_bytes;
	uint64_t counted; /* up to here units are counted */
	uint64_t data_bytes;
};

static int measure_extent(const struct block_extent *extent, void *argument)
{
	struct measuring *m = argument;
	uint64_t mask = m->unit_bytes - 1;
	uint64_t first = extent->offset_bytes & ~mask;
	uint64_t end =
		(extent->offset_bytes + extent->length_bytes + mask) & ~mask;

	if (!(extent->flags & BLOCK_EXTENT_DATA) ||
		(extent->flags & BLOCK_EXTENT_ZERO))
		return 0;
	if (first < m->counted)
		first = m->counted;
	if (end <= first)
		return 0;
	m->data_bytes += end - first;
	m->counted = end;
	return 0;
}

static int measure_kind_co(struct block_source *source,
	const struct block_format_kind *kind, const void *options,
	struct spec_measure *measure, struct err *err)
{
	struct block_lane *lane = block_core_lane(source->core, 0);
	uint64_t size = block_source_info(source, lane).size_bytes;
	struct format_measure image;

	*measure = (struct spec_measure){size, size};
	if (!kind->measure)
		return 0;
	int error = kind->measure(options, size, &image, err);
	if (error)
		return error;
	struct measuring m = {.unit_bytes = image.unit_bytes};
	error = spec_extents_co(source, lane, 0, 0, size, measure_extent, &m);
	if (error)
		return spec_extents_error(source, error, err);
	uint64_t mask = image.unit_bytes - 1;
	measure->full_bytes = image.full_bytes;
	measure->required_bytes = image.at_once
		? image.full_bytes
		: image.full_bytes - ((size + mask) & ~mask) + m.data_bytes;
	return 0;
}

int spec_measure_co(struct block_source *source, const struct doc *format,
	struct spec_measure *measure, struct err *err)
{
	const struct block_format_kind *kind = NULL;
	void *options = NULL;
	int error = spec_format_kind(format, &kind, err);

	if (!error)
		error = spec_options(kind->options, kind->options_bytes, format,
			spec_format_keys, &options, err);
	if (error)
		return error;
	error = measure_kind_co(source, kind, options, measure, err);
	if (options)
		opts_free(kind->options, options);
	free(options);
	return error;
}
