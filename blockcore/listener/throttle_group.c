/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits that several throttles may share; see throttle_group.h.
 */
#include "blockcore/listener/throttle_group.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000ull
#define SLACK_NS (100ull * 1000 * 1000) /* what a clock may always lag */
/* Added to all times, so that none of them has to lie before 0. */
#define EPOCH_NS (1ull << 62)
/* No request costs more, half a year, so that the sum of what all lanes and members
 * have taken stays a time. */
#define COST_MAX_NS (1ull << 54)

struct throttle_clock {
	_Atomic uint64_t rate; /* units per second, 0: off */
	_Atomic uint64_t depth_ns;
	_Atomic uint64_t due_ns;
};

struct throttle_group {
	char *name; /* NULL: not shared */
	const void *core;
	struct throttle_clock steady[THROTTLE_LIMITS];
	struct throttle_clock peak[THROTTLE_LIMITS]; /* only with a burst */
	_Atomic uint64_t version;
	_Atomic bool limits; /* any */
	struct throttle_rates rates; /* control lane */
	unsigned members_count;
	LIST_HEAD(, throttle_member) members;
	LIST_ENTRY(throttle_group) link;
};

static pthread_mutex_t groups_mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, throttle_group) groups = LIST_HEAD_INITIALIZER(groups);

/* -- the clocks ----------------------------------------------------------- */

static uint64_t load(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void clock_set(
	struct throttle_clock *clock, uint64_t rate, uint64_t depth_ns)
{
	atomic_store_explicit(&clock->rate, rate, memory_order_relaxed);
	atomic_store_explicit(&clock->depth_ns, depth_ns, memory_order_relaxed);
	atomic_store_explicit(&clock->due_ns, 0, memory_order_relaxed);
}

static uint64_t cost_of(uint64_t units, uint64_t rate)
{
	__uint128_t ns = (__uint128_t)units * SECOND_NS / rate;

	return ns < COST_MAX_NS ? (uint64_t)ns : COST_MAX_NS;
}

/* Moves the clock by the cost; returns where it stood, below 0 for long ago. */
static int64_t clock_take(
	struct throttle_clock *clock, uint64_t units, uint64_t now_ns)
{
	uint64_t rate = load(&clock->rate), depth_ns = load(&clock->depth_ns);
	uint64_t due_ns, from_ns, cost_ns;

	if (!rate || !units)
		return 0;
	cost_ns = cost_of(units, rate);
	due_ns = load(&clock->due_ns);
	do {
		from_ns = EPOCH_NS + now_ns - depth_ns;
		if (from_ns < due_ns)
			from_ns = due_ns;
	} while (!atomic_compare_exchange_weak_explicit(&clock->due_ns, &due_ns,
		from_ns + cost_ns, memory_order_relaxed, memory_order_relaxed));
	return (int64_t)(from_ns - EPOCH_NS);
}

uint64_t throttle_group_reserve(struct throttle_group *group,
	const struct throttle_cost *cost, uint64_t now_ns)
{
	int64_t at_ns = 0, due_ns;
	unsigned i;

	for (i = 0; i < THROTTLE_LIMITS; i++) {
		due_ns = clock_take(&group->steady[i], cost->units[i], now_ns);
		at_ns = due_ns > at_ns ? due_ns : at_ns;
		due_ns = clock_take(&group->peak[i], cost->units[i], now_ns);
		at_ns = due_ns > at_ns ? due_ns : at_ns;
	}
	return (uint64_t)at_ns;
}

bool throttle_group_limits(const struct throttle_group *group)
{
	return atomic_load_explicit(&group->limits, memory_order_relaxed);
}

uint64_t throttle_group_version(const struct throttle_group *group)
{
	return atomic_load_explicit(&group->version, memory_order_acquire);
}

void throttle_group_set(
	struct throttle_group *group, const struct throttle_rates *rates)
{
	uint64_t extra = rates->burst - 1, depth_ns = SLACK_NS;
	struct throttle_member *member;
	unsigned i;

	if (extra && rates->burst_seconds)
		depth_ns = extra * rates->burst_seconds * SECOND_NS;
	for (i = 0; i < THROTTLE_LIMITS; i++) {
		clock_set(&group->steady[i], rates->rate[i], depth_ns);
		clock_set(&group->peak[i],
			depth_ns == SLACK_NS ? 0
					     : rates->rate[i] * rates->burst,
			SLACK_NS);
	}
	atomic_store_explicit(&group->limits, !throttle_rates_empty(rates),
		memory_order_relaxed);
	group->rates = *rates;
	LIST_FOREACH (member, &group->members, link)
		*member->rates = *rates;
	atomic_fetch_add_explicit(&group->version, 1, memory_order_release);
}

/* -- who shares them ------------------------------------------------------ */

bool throttle_rates_empty(const struct throttle_rates *rates)
{
	unsigned i;

	for (i = 0; i < THROTTLE_LIMITS; i++)
		if (rates->rate[i])
			return false;
	return true;
}

static bool rates_equal(
	const struct throttle_rates *a, const struct throttle_rates *b)
{
	return a->burst == b->burst && a->burst_seconds == b->burst_seconds &&
		!memcmp(a->rate, b->rate, sizeof a->rate);
}

static struct throttle_group *group_find(const void *core, const char *name)
{
	struct throttle_group *group;

	LIST_FOREACH (group, &groups, link)
		if (group->core == core && !strcmp(group->name, name))
			return group;
	return NULL;
}

static struct throttle_group *group_make(const void *core, const char *name)
{
	struct throttle_group *group = calloc(1, sizeof *group);

	if (!group)
		return NULL;
	if (name && !(group->name = strdup(name))) {
		free(group);
		return NULL;
	}
	group->core = core;
	LIST_INIT(&group->members);
	if (name)
		LIST_INSERT_HEAD(&groups, group, link);
	return group;
}

static struct throttle_group *join(const void *core, const char *name,
	struct throttle_member *member, struct err *err)
{
	struct throttle_group *group = name ? group_find(core, name) : NULL;

	if (!group && !(group = group_make(core, name))) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (group->members_count && !throttle_rates_empty(member->rates) &&
		!rates_equal(member->rates, &group->rates)) {
		err_set(err, EINVAL,
			"group %s: has other limits; give the same ones, or "
			"none to take the group's",
			name);
		return NULL;
	}
	LIST_INSERT_HEAD(&group->members, member, link);
	if (!group->members_count++)
		throttle_group_set(group, member->rates);
	else
		*member->rates = group->rates;
	return group;
}

struct throttle_group *throttle_group_join(const void *core, const char *name,
	struct throttle_member *member, struct err *err)
{
	struct throttle_group *group;

	pthread_mutex_lock(&groups_mutex);
	group = join(core, name, member, err);
	pthread_mutex_unlock(&groups_mutex);
	return group;
}

void throttle_group_leave(
	struct throttle_group *group, struct throttle_member *member)
{
	pthread_mutex_lock(&groups_mutex);
	LIST_REMOVE(member, link);
	if (!--group->members_count) {
		if (group->name)
			LIST_REMOVE(group, link);
		free(group->name);
		free(group);
	}
	pthread_mutex_unlock(&groups_mutex);
}
