/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits that several throttles may share: on all lanes of one volume, and in a
 * named group also over volumes.
 *
 * Each limit is a virtual clock (the "generic cell rate algorithm"): an atomic
 * time at which the next unit is due. Taking a request of cost c moves it by
 * c / rate; the request may go at the time where it stood. A clock may lag
 * behind the real one by its depth, which is what can be saved up.
 *
 *	burst 1			rate R, depth 100 ms
 *	burst k for S seconds	rate R, depth (k - 1) * S, and at most k * R at
 *				any moment (a second clock, depth 100 ms)
 *
 * Invariants
 *  1. The fast path takes no lock: loads and one compare-and-swap per limit
 *     that is set.
 *  2. Over any time T at most R * (T + depth) units and one request go.
 *  3. Groups are found, made and freed on control lanes only (a mutex, since a
 *     process may have several cores); members by the control lane of one core.
 */
#ifndef BLOCKCORE_LISTENER_THROTTLE_GROUP_H
#define BLOCKCORE_LISTENER_THROTTLE_GROUP_H

#include "blockcore/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum throttle_limit {
	THROTTLE_IOPS,
	THROTTLE_BYTES,
	THROTTLE_IOPS_READ,
	THROTTLE_BYTES_READ,
	THROTTLE_IOPS_WRITE,
	THROTTLE_BYTES_WRITE,
	THROTTLE_LIMITS
};

/* Units per second; 0: no limit. */
struct throttle_rates {
	uint64_t rate[THROTTLE_LIMITS];
	uint64_t burst; /* 1 and more: times the rate ... */
	uint64_t burst_seconds; /* ... for this long */
};

/* What a request takes from each limit; 0: nothing. */
struct throttle_cost {
	uint64_t units[THROTTLE_LIMITS];
};

struct throttle_group;

struct throttle_member {
	struct throttle_rates *rates; /* kept equal to the group's */
	LIST_ENTRY(throttle_member) link;
};

bool throttle_rates_empty(const struct throttle_rates *rates);

/* Joins the group `name` of `core`, made if absent; NULL: a group of its own.
 * A member without limits gets the group's; others must be the same, or it is
 * refused with a text. */
struct throttle_group *throttle_group_join(const void *core, const char *name,
	struct throttle_member *member, struct err *err);
void throttle_group_leave(
	struct throttle_group *group, struct throttle_member *member);

/* New limits for all members; what was saved up or owed is forgotten. */
void throttle_group_set(
	struct throttle_group *group, const struct throttle_rates *rates);

/* Any thread. Whether there is a limit at all. */
bool throttle_group_limits(const struct throttle_group *group);

/* Any thread. Grows with every throttle_group_set: a time that was reserved
 * before holds no more. */
uint64_t throttle_group_version(const struct throttle_group *group);

/* Any thread. Takes the cost and returns the time (of `now_ns`'s clock) from
 * which on the request may go: not after `now_ns` for at once. */
uint64_t throttle_group_reserve(struct throttle_group *group,
	const struct throttle_cost *cost, uint64_t now_ns);

#endif
