/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener throttle: at most so many requests and bytes per second, in all,
 * and of reads and of writes apart; alone or with other volumes of a group.
 *
 * Each lane keeps a queue; only its first request has a place on the group's
 * clocks (throttle_group.h). So lanes and volumes take turns however deep their
 * queues are, and one timer per lane is enough.
 *
 * Invariants
 *  1. First come, first served on each lane.
 *  2. A request waits in the front: it delays no swap below it, and no swap
 *     lets it go.
 *  3. Waits are cut into naps of at most NAP_NS, after which the limits are
 *     looked at again: another member may have changed them.
 *  4. FLUSH and EXTENTS pass: they move no data, and who waits for a flush
 *     should not wait for others' writes.
 *  5. WRITE_ZEROES costs its bytes: what cannot make zeroes otherwise writes them
 *     (QEMU and the kernel count so, too). A DISCARD is one request without bytes:
 *     it moves none, and to discard a large volume would else take its size in
 *     time (as in the kernel, which counts one sector; QEMU counts all, SPDK
 *     neither limits discards nor zeroes).
 */
#include "blockcore/base/counter.h"
#include "blockcore/base/list.h"
#include "blockcore/kinds.h"
#include "blockcore/listener/throttle_group.h"

#include <assert.h>
#include <errno.h>

#define NAP_NS (100ull * 1000 * 1000)

struct throttle_options {
	struct throttle_rates rates;
	char *group;
};

struct throttle_driver {
	struct block_driver driver;
	struct throttle_group *group;
	struct throttle_member member;
};

struct throttle_lane {
	struct throttle_driver *throttle;
	struct block_lane *lane;
	struct loop_timer timer;
	struct block_request_list list;
	bool reserved; /* the first one has its time ... */
	uint64_t go_ns, version; /* ... under these limits */
	struct counter held, waited;
};

#define RATE(limit) offsetof(struct throttle_options, rates.rate[limit])
#define LIMIT(key, kind, limit, text) \
	{ \
		.name = key, .type = kind, .flags = OPT_LIVE, \
		.offset = RATE(limit), .max = 1ull << 50, .fallback = "0", \
		.help = text " per second, 0 for no limit" \
	}
static const struct opt_spec options[] = {
	LIMIT("iops", OPT_UINT, THROTTLE_IOPS, "requests"),
	LIMIT("bytes_s", OPT_SIZE, THROTTLE_BYTES, "bytes"),
	LIMIT("iops_read", OPT_UINT, THROTTLE_IOPS_READ, "reads"),
	LIMIT("iops_write", OPT_UINT, THROTTLE_IOPS_WRITE, "changes"),
	LIMIT("bytes_read", OPT_SIZE, THROTTLE_BYTES_READ, "bytes read"),
	LIMIT("bytes_write", OPT_SIZE, THROTTLE_BYTES_WRITE, "bytes written"),
	{.name = "burst",
		.type = OPT_UINT,
		.flags = OPT_LIVE,
		.offset = offsetof(struct throttle_options, rates.burst),
		.min = 1,
		.max = 1000,
		.fallback = "1",
		.help = "after a rest, this many times the limits ..."},
	{.name = "burst_seconds",
		.type = OPT_UINT,
		.flags = OPT_LIVE,
		.offset =
			offsetof(struct throttle_options, rates.burst_seconds),
		.max = 3600,
		.fallback = "0",
		.help = "... for this many seconds"},
	{.name = "group",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = offsetof(struct throttle_options, group),
		.max = 63,
		.help = "share the limits with every throttle of this group"},
	OPT_END};

/* -- requests ------------------------------------------------------------- */

#define THROTTLED (BLOCK_OP(BLOCK_READ) | BLOCK_OPS_CHANGE)

static struct throttle_cost cost_of(const struct block_request *request)
{
	bool read = request->op == BLOCK_READ;
	uint64_t bytes =
		request->op == BLOCK_DISCARD ? 0 : request->length_bytes;
	struct throttle_cost cost = {
		.units = {[THROTTLE_IOPS] = 1,
			[THROTTLE_BYTES] = bytes,
			[THROTTLE_IOPS_READ] = read,
			[THROTTLE_BYTES_READ] = read ? bytes : 0,
			[THROTTLE_IOPS_WRITE] = !read,
			[THROTTLE_BYTES_WRITE] = read ? 0 : bytes}};

	return cost;
}

/* A place on the clocks for the next request of this lane, unless it has one
 * under the limits of now. True if its time has come. */
static bool may_go(
	struct throttle_lane *lane, const struct block_request *request)
{
	struct throttle_group *group = lane->throttle->group;
	uint64_t now_ns, version;
	struct throttle_cost cost;

	if (!throttle_group_limits(group))
		return true;
	now_ns = loop_now_ns(lane->lane->loop);
	version = throttle_group_version(group);
	if (!lane->reserved || lane->version != version) {
		cost = cost_of(request);
		lane->go_ns = throttle_group_reserve(group, &cost, now_ns);
		lane->version = version;
		lane->reserved = true;
	}
	return lane->go_ns <= now_ns;
}

static void take_out(struct throttle_lane *lane, struct block_request *request)
{
	TAILQ_REMOVE(&lane->list, request, link);
	counter_add(&lane->held, -1ull);
	block_unhold(request);
}

static void nap(struct throttle_lane *lane)
{
	uint64_t now_ns = loop_now_ns(lane->lane->loop);
	uint64_t left_ns = lane->go_ns > now_ns ? lane->go_ns - now_ns : 0;

	loop_timer_set(lane->lane->loop, &lane->timer,
		left_ns < NAP_NS ? left_ns : NAP_NS);
}

/* Lets go whose time has come. */
static void serve(struct throttle_lane *lane)
{
	struct block_request *request;

	while ((request = TAILQ_FIRST(&lane->list))) {
		if (!may_go(lane, request)) {
			nap(lane);
			return;
		}
		lane->reserved = false;
		take_out(lane, request);
		block_pass(request);
	}
}

static void expired(struct loop_timer *timer)
{
	serve(container_of(timer, struct throttle_lane, timer));
}

/* What the first one reserved serves the second. */
static void cancel(struct block_request *request)
{
	struct throttle_lane *lane = request->held_by;

	take_out(lane, request);
	if (TAILQ_EMPTY(&lane->list))
		loop_timer_clear(lane->lane->loop, &lane->timer);
	block_complete(request, -ECANCELED);
}

static void hold(struct throttle_lane *lane, struct block_request *request)
{
	bool first = TAILQ_EMPTY(&lane->list);

	TAILQ_INSERT_TAIL(&lane->list, request, link);
	counter_add(&lane->held, 1);
	counter_add(&lane->waited, 1);
	block_hold(request, cancel, lane);
	if (first)
		nap(lane);
}

static void throttle_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct throttle_lane *lane = block_driver_lane(driver, request->lane);

	if (!(BLOCK_OP(request->op) & THROTTLED) || driver->released) {
		block_pass(request);
	} else if (!TAILQ_EMPTY(&lane->list) || !may_go(lane, request)) {
		hold(lane, request);
	} else {
		lane->reserved = false;
		block_pass(request);
	}
}

/* -- opening, changing, closing ------------------------------------------- */

static int throttle_open_co(struct block_driver *driver, struct err *err)
{
	struct throttle_driver *throttle = (struct throttle_driver *)driver;
	struct throttle_options *o = driver->options;

	throttle->member.rates = &o->rates;
	throttle->group = throttle_group_join(
		driver->core, o->group, &throttle->member, err);
	return throttle->group ? 0 : err ? -err->code : -EINVAL;
}

static void throttle_close_co(struct block_driver *driver)
{
	struct throttle_driver *throttle = (struct throttle_driver *)driver;

	throttle_group_leave(throttle->group, &throttle->member);
}

static int throttle_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct throttle_lane *l = block_driver_lane(driver, lane);

	l->throttle = (struct throttle_driver *)driver;
	l->lane = lane;
	l->timer.expired = expired;
	TAILQ_INIT(&l->list);
	return 0;
}

static void throttle_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct throttle_lane *l = block_driver_lane(driver, lane);

	assert(TAILQ_EMPTY(&l->list));
	loop_timer_clear(lane->loop, &l->timer);
}

static void throttle_release(
	struct block_driver *driver, struct block_lane *lane)
{
	struct throttle_lane *l = block_driver_lane(driver, lane);
	struct block_request_list list = TAILQ_HEAD_INITIALIZER(list);
	struct block_request *request;

	loop_timer_clear(lane->loop, &l->timer);
	while ((request = TAILQ_FIRST(&l->list))) {
		take_out(l, request);
		TAILQ_INSERT_TAIL(&list, request, link);
	}
	while ((request = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, request, link);
		block_pass(request);
	}
}

static void serve_lane(struct block_lane *lane, void *argument)
{
	struct block_driver *driver = argument;

	serve(block_driver_lane(driver, lane));
}

static int throttle_configure_co(
	struct block_driver *driver, void *values, struct err *err)
{
	struct throttle_driver *throttle = (struct throttle_driver *)driver;
	struct throttle_options *new = values, *now = driver->options;
	struct throttle_options old = *now;

	(void)err;
	throttle_group_set(throttle->group, &new->rates);
	*now = *new;
	*new = old;
	block_broadcast_co(driver->core, serve_lane, driver);
	return 0;
}

static void throttle_status(struct block_driver *driver, FILE *out)
{
	uint64_t held = 0, waited = 0;
	unsigned i;

	for (i = 0; i < block_core_lanes(driver->core); i++) {
		struct throttle_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		held += counter_get(&lane->held);
		waited += counter_get(&lane->waited);
	}
	fprintf(out, "\"held\": %llu, \"waited\": %llu",
		(unsigned long long)held, (unsigned long long)waited);
}

const struct block_kind throttle_kind = {
	.name = "throttle",
	.help = "limit requests and bytes per second",
	.role = BLOCK_LISTENER,
	.part = BLOCK_FRONT,
	.anchor = BLOCK_HEAD,
	.band = BAND_THROTTLE,
	.handles = THROTTLED,
	.transparent = BLOCK_OPS_ALL & ~THROTTLED,
	.options = options,
	.options_bytes = sizeof(struct throttle_options),
	.driver_bytes = sizeof(struct throttle_driver),
	.lane_bytes = sizeof(struct throttle_lane),
	.open_co = throttle_open_co,
	.close_co = throttle_close_co,
	.lane_start = throttle_lane_start,
	.lane_stop = throttle_lane_stop,
	.submit = throttle_submit,
	.release = throttle_release,
	.configure_co = throttle_configure_co,
	.status = throttle_status,
};
