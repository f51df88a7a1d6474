/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener fault: requests that a rule delays or holds; see fault.h.
 *
 * Invariant: a held request carries its rule's number in a frame, not a pointer:
 * the rule may be gone before it.
 */
#include "blockcore/listener/fault.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <errno.h>

static void complete_as_it_is(struct block_request *request)
{
	block_complete(request, request->result);
}

/* frame.value of a held request: the rule's number and where it goes on. */
#define HELD_VALUE(number, after) ((uint64_t)(number) << 1 | (after))

static bool held_done(struct block_request *request, struct block_frame *frame)
{
	(void)request;
	(void)frame;
	return true;
}

static uint64_t held_value(const struct block_request *request)
{
	const struct block_frame *frame = &request->frame[request->frames - 1];

	assert(frame->fn == held_done);
	return frame->value;
}

static void let_go(struct fault_lane *lane, struct block_request *request)
{
	TAILQ_REMOVE(&lane->held, request, link);
	counter_add(&lane->held_count, -1ull);
	block_unhold(request);
}

static void cancel_held(struct block_request *request)
{
	let_go(request->held_by, request);
	block_complete(request, -ECANCELED);
}

void fault_held_keep(struct fault_lane *lane, struct block_request *request,
	const struct fault_rule *rule, bool after)
{
	if (lane->fault->driver.released) {
		if (after)
			complete_as_it_is(request);
		else
			block_pass(request);
		return;
	}
	if (!rule->options.hold) {
		hold_add(after ? &lane->after : &lane->before, request,
			rule->options.delay_us * 1000);
		return;
	}
	block_push(request, held_done, NULL, HELD_VALUE(rule->number, after));
	TAILQ_INSERT_TAIL(&lane->held, request, link);
	counter_add(&lane->held_count, 1);
	block_hold(request, cancel_held, lane);
}

/* They may come back at once, so all are taken out before the first goes on. */
static void go_on(struct block_request_list *list)
{
	struct block_request *request;

	while ((request = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, request, link);
		if (held_value(request) & 1)
			complete_as_it_is(request);
		else
			block_pass(request);
	}
}

void fault_held_release(struct fault_lane *lane, uint32_t number)
{
	struct block_request_list list = TAILQ_HEAD_INITIALIZER(list);
	struct block_request *request, *next;

	TAILQ_FOREACH_SAFE (request, &lane->held, link, next) {
		if (number && held_value(request) >> 1 != number)
			continue;
		let_go(lane, request);
		TAILQ_INSERT_TAIL(&list, request, link);
	}
	go_on(&list);
}

static bool has_rule(const struct fault_table *table, uint64_t number)
{
	for (unsigned i = 0; i < table->count; i++)
		if (table->rule[i]->number == number)
			return true;
	return false;
}

void fault_held_release_gone(struct fault_lane *lane)
{
	struct block_request_list list = TAILQ_HEAD_INITIALIZER(list);
	struct block_request *request, *next;

	TAILQ_FOREACH_SAFE (request, &lane->held, link, next) {
		if (has_rule(lane->table, held_value(request) >> 1))
			continue;
		let_go(lane, request);
		TAILQ_INSERT_TAIL(&list, request, link);
	}
	go_on(&list);
}

uint64_t fault_held_count(const struct fault_lane *lane)
{
	return counter_get(&lane->held_count) +
		counter_get(&lane->before.held) +
		counter_get(&lane->after.held);
}

void fault_held_init(struct fault_lane *lane, struct block_lane *on)
{
	TAILQ_INIT(&lane->held);
	hold_init(&lane->before, on, block_pass);
	hold_init(&lane->after, on, complete_as_it_is);
}

void fault_held_fini(struct fault_lane *lane)
{
	assert(TAILQ_EMPTY(&lane->held));
	hold_fini(&lane->before);
	hold_fini(&lane->after);
}
