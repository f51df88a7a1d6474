/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change of a volume's reservations from order to answer, as a coroutine on
 * the control lane: compute, make durable, publish, tell every lane, answer.
 *
 * Changes of a volume run one after the other (volume->changing). An order that
 * waits for that can be withdrawn, which PREEMPT AND ABORT does with those of its
 * victims: they neither take effect nor keep it waiting.
 *
 * Why PREEMPT AND ABORTs never wait for each other in a circle: each waits, without
 * the lock, for tasks that ran when it was told to their nexus. Those that waited
 * for their turn then were withdrawn; those of a nexus that is waited for start
 * later. So it waits only for orders that took effect before it did.
 */
#include "target/reservation/change.h"
#include "target/reservation/store.h"
#include "target/volume/drain.h"

#include <stdlib.h>
#include <string.h>

enum { ORDER_WAITS, ORDER_TAKEN, ORDER_WITHDRAWN }; /* order->stage */

struct change {
	struct reservation_order *order;
	struct reservation_table *old, *next;
	struct reservation_effects effects;
	struct volume_drain drain; /* of PREEMPT AND ABORT */
};

static unsigned change_index(
	const struct change *change, const struct volume_nexus *nexus)
{
	const struct reservation_registrant *entry =
		reservation_find(change->old, nexus->initiator);

	return entry ? (unsigned)(entry - change->old->registrant)
		     : RESERVATION_REGISTRANTS;
}

static bool change_is_own(
	const struct change *change, const struct volume_nexus *nexus)
{
	return volume_initiator_same(
		nexus->initiator, &change->order->initiator);
}

/* The nexus's place in the old table if the change concerns it; the task that asked
 * is not aborted by itself. */
static bool change_concerns(const struct change *change,
	const struct volume_nexus *nexus, unsigned *place)
{
	*place = change_index(change, nexus);
	return *place < RESERVATION_REGISTRANTS &&
		!change_is_own(change, nexus);
}

static void change_tell(struct volume_nexus *nexus, void *argument)
{
	const struct change *change = argument;
	unsigned i;

	if (change_concerns(change, nexus, &i) && change->effects.attention[i])
		volume_nexus_attend(nexus, change->effects.attention[i]);
}

static bool change_abort(struct volume_nexus *nexus, void *argument)
{
	const struct change *change = argument;
	unsigned i;
	bool aborts =
		change_concerns(change, nexus, &i) && change->effects.abort[i];

	if (aborts && nexus->abort_tasks)
		nexus->abort_tasks(nexus, true);
	change_tell(nexus, argument);
	return aborts;
}

static bool change_aborts(const struct change *change)
{
	return change->order->action == RESERVATION_PREEMPT_AND_ABORT;
}

/* Shrinks the draft to its size; it keeps its room if that fails. */
static void change_trim(struct change *change)
{
	struct reservation_table *trimmed = realloc(change->next,
		reservation_table_bytes(change->next->registrants));

	if (trimmed)
		change->next = trimmed;
}

static void change_publish_co(struct change *change)
{
	struct volume *volume = change->order->volume;

	change_trim(change);
	change->next->serial = ++volume->reservation_serial;
	atomic_store_explicit(
		&volume->reservations, change->next, memory_order_release);
	if (change_aborts(change))
		volume_drain_visit_co(&change->drain, change_abort, change);
	else
		volume_tell_co(volume, change_tell, change);
}

/* True if the table was published: `old` is to be freed later. */
static bool change_apply_co(struct change *change)
{
	struct reservation_order *order = change->order;
	struct volume *volume = order->volume;
	bool changed;

	change->old = atomic_load(&volume->reservations);
	change->next = malloc(reservation_table_bytes(RESERVATION_REGISTRANTS));
	if (!change->next) {
		order->answer = RESERVATION_NO_RESOURCES;
		return false;
	}
	order->answer = reservation_change(
		change->old, order, change->next, &change->effects, &changed);
	if (changed && reservation_save_co(volume, change->old, change->next)) {
		order->answer = RESERVATION_NOT_DURABLE;
		changed = false;
	}
	if (!changed) {
		free(change->next);
		return false;
	}
	change_publish_co(change);
	return true;
}

static void order_answer(struct loop_message *message)
{
	struct reservation_order *order =
		container_of(message, struct reservation_order, call.message);

	order->done(order);
}

/* True if it is carried out, which cannot be withdrawn any more. */
static bool order_take(struct reservation_order *order)
{
	unsigned stage = ORDER_WAITS;

	if (atomic_compare_exchange_strong(&order->stage, &stage, ORDER_TAKEN))
		return true;
	order->answer = RESERVATION_WITHDRAWN;
	return false;
}

/* True if the order's turn has come and can be used. */
static bool order_begin(struct change *change)
{
	struct reservation_order *order = change->order;

	if (!order_take(order))
		return false;
	if (!change_aborts(change) ||
		volume_drain_open(&change->drain, order->volume))
		return true;
	order->answer = RESERVATION_BUSY;
	return false;
}

static void order_run_co(struct volume_call *call)
{
	struct reservation_order *order =
		container_of(call, struct reservation_order, call);
	struct change change = {.order = order};
	bool begun, published;

	co_mutex_lock_co(&order->volume->changing);
	begun = order_begin(&change);
	published = begun && change_apply_co(&change);
	co_mutex_unlock(&order->volume->changing);
	if (begun && change_aborts(&change))
		volume_drain_close_co(&change.drain);
	if (published)
		free(change.old);
	call->message.run = order_answer;
	volume_answer(order->lane, &call->message);
}

void reservation_submit(struct reservation_order *order)
{
	atomic_init(&order->stage, ORDER_WAITS);
	order->call.entry_co = order_run_co;
	volume_on_control(order->volume, &order->call);
}

void reservation_withdraw(struct reservation_order *order)
{
	unsigned stage = ORDER_WAITS;

	atomic_compare_exchange_strong(&order->stage, &stage, ORDER_WITHDRAWN);
}
