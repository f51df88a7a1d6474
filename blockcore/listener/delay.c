/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener delay: makes a fast volume slow. Reads and changes wait a given
 * time, plus a random part between 0 and jitter_us, before they go on; other
 * operations pass. The random part comes from a seed, so a run can be repeated.
 *
 * Invariants
 *  1. A request waits in the front: it delays no swap below it.
 *  2. New values hold for requests that come after; who waits already goes on
 *     at the time it was given.
 */
#include "blockcore/base/prng.h"
#include "blockcore/core/hold.h"
#include "blockcore/kinds.h"

#define DELAY_MAX_US 60000000ull

struct delay_options {
	uint64_t read_us, write_us, jitter_us, seed;
};

struct delay_lane {
	struct hold_queue queue;
	struct delay_options now; /* this lane's copy */
	uint64_t random;
	struct counter delayed;
};

#define FIELD(name) offsetof(struct delay_options, name)
#define MICROSECONDS(field, text) \
	{ \
		.name = #field, .type = OPT_UINT, .flags = OPT_LIVE, \
		.offset = FIELD(field), .max = DELAY_MAX_US, .fallback = "0", \
		.help = text \
	}
static const struct opt_spec options[] = {
	MICROSECONDS(read_us, "how long a read waits"),
	MICROSECONDS(write_us,
		"how long a write, a discard or a write of zeroes waits"),
	MICROSECONDS(jitter_us, "up to this much longer, at random"),
	{.name = "seed",
		.type = OPT_UINT,
		.flags = OPT_LIVE,
		.offset = FIELD(seed),
		.max = UINT64_MAX,
		.fallback = "1",
		.help = "start of the random numbers"},
	OPT_END};

static void delay_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct delay_lane *lane = block_driver_lane(driver, request->lane);
	uint64_t wait_us = 0;

	if (request->op == BLOCK_READ)
		wait_us = lane->now.read_us;
	else if (BLOCK_OP(request->op) & BLOCK_OPS_CHANGE)
		wait_us = lane->now.write_us;
	if (wait_us && lane->now.jitter_us)
		wait_us += prng_below(&lane->random, lane->now.jitter_us + 1);
	if (!wait_us || driver->released) {
		block_pass(request);
		return;
	}
	counter_add(&lane->delayed, 1);
	hold_add(&lane->queue, request, wait_us * 1000);
}

static void take_options(struct delay_lane *lane,
	const struct delay_options *values, unsigned index)
{
	lane->now = *values;
	lane->random = values->seed + ((uint64_t)index << 32);
}

static int delay_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct delay_lane *l = block_driver_lane(driver, lane);

	hold_init(&l->queue, lane, block_pass);
	take_options(l, driver->options, lane->index);
	return 0;
}

static void delay_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct delay_lane *l = block_driver_lane(driver, lane);

	hold_fini(&l->queue);
}

static void delay_release(struct block_driver *driver, struct block_lane *lane)
{
	struct delay_lane *l = block_driver_lane(driver, lane);

	hold_release(&l->queue);
}

static void configure_lane(struct block_lane *lane, void *argument)
{
	struct block_driver *driver = argument;

	take_options(
		block_driver_lane(driver, lane), driver->options, lane->index);
}

static int delay_configure_co(
	struct block_driver *driver, void *values, struct err *err)
{
	struct delay_options *new = values, *now = driver->options;
	struct delay_options old = *now;

	(void)err;
	*now = *new;
	*new = old;
	block_broadcast_co(driver->core, configure_lane, driver);
	return 0;
}

static void delay_status(struct block_driver *driver, FILE *out)
{
	uint64_t held = 0, delayed = 0;
	unsigned i;

	for (i = 0; i < block_core_lanes(driver->core); i++) {
		struct delay_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		held += counter_get(&lane->queue.held);
		delayed += counter_get(&lane->delayed);
	}
	fprintf(out, "\"held\": %llu, \"delayed\": %llu",
		(unsigned long long)held, (unsigned long long)delayed);
}

const struct block_kind delay_kind = {
	.name = "delay",
	.help = "make requests wait",
	.role = BLOCK_LISTENER,
	.part = BLOCK_FRONT,
	.anchor = BLOCK_HEAD,
	.band = BAND_DELAY,
	.handles = BLOCK_OP(BLOCK_READ) | BLOCK_OPS_CHANGE,
	.transparent =
		BLOCK_OPS_ALL & ~(BLOCK_OP(BLOCK_READ) | BLOCK_OPS_CHANGE),
	.options = options,
	.options_bytes = sizeof(struct delay_options),
	.driver_bytes = sizeof(struct block_driver),
	.lane_bytes = sizeof(struct delay_lane),
	.lane_start = delay_lane_start,
	.lane_stop = delay_lane_stop,
	.submit = delay_submit,
	.release = delay_release,
	.configure_co = delay_configure_co,
	.status = delay_status,
};
