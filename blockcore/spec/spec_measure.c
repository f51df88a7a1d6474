/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a new image of what a source shows would become. Data count in the pieces
 * in which the format allocates; its tables as if all were allocated, so that it is
 * never too little (qemu-img measure says the same).
 */
#include "blockcore/core/core.h"
#include "blockcore/figures.h"
#include "blockcore/format/format.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEASURE_EXTENTS 64u

struct measuring {
	struct block_source *source;
	struct block_lane *lane;
	uint64_t unit_bytes, at, end;
	uint64_t counted; /* up to here units are counted */
	uint64_t data_bytes;
};

static void measure_extent(
	struct measuring *m, const struct block_extent *extent)
{
	uint64_t mask = m->unit_bytes - 1;
	uint64_t first = m->at & ~mask;
	uint64_t end = (m->at + extent->length_bytes + mask) & ~mask;

	m->at += extent->length_bytes;
	if (!(extent->flags & BLOCK_EXTENT_DATA) ||
		(extent->flags & BLOCK_EXTENT_ZERO))
		return;
	if (first < m->counted)
		first = m->counted;
	if (end <= first)
		return;
	m->data_bytes += end - first;
	m->counted = end;
}

static int measure_data_co(struct measuring *m)
{
	struct block_extent extent[MEASURE_EXTENTS] = {0};
	int error = 0;

	while (m->at < m->end && !error) {
		struct block_extents answer = {
			.extent = extent, .room = MEASURE_EXTENTS};
		uint64_t before = m->at;

		error = block_extents_co(m->source, m->lane, BLOCK_INTERNAL,
			m->at, m->end - m->at, &answer);
		if (error == -EOPNOTSUPP) { /* for all one knows */
			extent[0] = (struct block_extent){
				m->at, m->end - m->at, BLOCK_EXTENT_DATA};
			answer.count = 1;
			error = 0;
		}
		for (uint32_t i = 0; !error && i < answer.count; i++)
			measure_extent(m, &extent[i]);
		if (!error && m->at == before)
			error = -EIO;
	}
	return error;
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
	struct measuring m = {.source = source,
		.lane = lane,
		.unit_bytes = image.unit_bytes,
		.end = size};
	error = measure_data_co(&m);
	if (error)
		return err_set(err, -error,
			"what is allocated cannot be read: %s",
			strerror(-error));
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
