/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener mirror: how it stands; see mirror.h. Control lane.
 */
#include "blockcore/base/bits.h"
#include "blockcore/base/doc.h"
#include "blockcore/figures.h"
#include "blockcore/listener/mirror.h"

#include <inttypes.h>
#include <string.h>

uint64_t mirror_behind_bytes(struct mirror *mirror)
{
	struct mirror_marks *marks = &mirror->marks;
	/* What is kept while it has failed is what it will lack. */
	bool failed = mirror_error(mirror) != 0;
	_Atomic uint64_t *lacks = failed ? marks->kept : marks->dirty;
	uint64_t granules = failed ? bits_count(lacks, marks->count)
				   : atomic_load(&marks->dirty_count);
	uint64_t bytes = granules << marks->shift;
	uint64_t last = mirror->size_bytes >> marks->shift;
	uint64_t part = mirror->size_bytes & ((1ull << marks->shift) - 1);

	if (part && bits_any(lacks, last, last))
		bytes -= (1ull << marks->shift) - part;
	return bytes;
}

static uint64_t failovers_of(const struct mirror *mirror)
{
	struct block_driver *driver = (struct block_driver *)&mirror->driver;
	uint64_t sum = 0;

	for (unsigned i = 0; i < block_core_lanes(driver->core); i++) {
		struct mirror_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		sum += counter_get(&lane->failovers);
	}
	return sum;
}

void mirror_health(struct block_driver *driver, struct block_health *health)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);
	const struct mirror_options *o = driver->options;
	int failed = mirror_error(mirror);
	bool unkept = atomic_load(&mirror->map.error) != 0;

	health->behind_bytes = mirror_behind_bytes(mirror);
	health->failovers = failovers_of(mirror);
	if (failed || unkept)
		health->state = BLOCK_DEGRADED;
	else if (health->behind_bytes)
		health->state = BLOCK_BEHIND;
	if (failed)
		health->why = *mirror->why ? mirror->why : strerror(-failed);
	else if (unkept)
		health->why = "its map cannot be written: changes fail";
	health->mends = o->resync == MIRROR_AUTO;
	health->retry_most_ns = o->retry_s * 1000ull * 1000 * 1000;
}

void mirror_status(struct block_driver *driver, FILE *out)
{
	struct mirror *mirror = container_of(driver, struct mirror, driver);
	struct mirror_marks *marks = &mirror->marks;
	struct block_health health = {.why = ""};

	mirror_health(driver, &health);
	fprintf(out, "\"state\": \"%s\", ", block_health_name(health.state));
	if (*health.why) {
		fputs("\"error\": ", out);
		json_print_string(out, health.why);
		fputs(", ", out);
	}
	if (driver->job)
		fprintf(out, "\"job\": \"%s\", ", driver->job);
	fprintf(out,
		"\"behind_bytes\": %" PRIu64 ", \"kept_bytes\": %" PRIu64
		", \"settled\": %" PRIu64 ", \"failovers\": %" PRIu64,
		health.behind_bytes,
		bits_count(marks->kept, marks->count) << marks->shift,
		mirror->settled, health.failovers);
}
