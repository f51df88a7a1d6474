/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change of a volume's reservations from order to answer, as a coroutine on
 * the control lane: compute, make durable, publish, tell every lane, answer.
 *
 * Changes of a volume run one after the other (volume->changing), but waiting
 * for aborted tasks is done outside of that lock: a task that is waited for may
 * itself wait to change reservations.
 */
#include "target/reservation/change.h"
#include "target/reservation/store.h"

#include <stdlib.h>
#include <string.h>

struct change {
	struct reservation_order *order;
	struct reservation_table *old, *next;
	struct reservation_effects effects;
	bool aborts;
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

/* On the nexus's lane; its task that asked is never aborted by itself. */
static bool change_tell(struct volume_nexus *nexus, void *argument)
{
	const struct change *change = argument;
	unsigned i = change_index(change, nexus);

	if (i == RESERVATION_REGISTRANTS || change_is_own(change, nexus))
		return false;
	if (change->effects.abort[i] && nexus->abort_tasks)
		nexus->abort_tasks(nexus, true);
	if (change->effects.attention[i])
		volume_nexus_attend(nexus, change->effects.attention[i]);
	return false;
}

static bool change_await(struct volume_nexus *nexus, void *argument)
{
	const struct change *change = argument;
	unsigned i = change_index(change, nexus);

	return i < RESERVATION_REGISTRANTS && !change_is_own(change, nexus) &&
		change->effects.abort[i];
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
	for (unsigned i = 0; i < RESERVATION_REGISTRANTS; i++)
		change->aborts = change->aborts || change->effects.abort[i];
	volume_visit_co(volume, change_tell, change);
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

static void order_run_co(struct volume_call *call)
{
	struct reservation_order *order =
		container_of(call, struct reservation_order, call);
	struct change change = {.order = order};
	bool published;

	co_mutex_lock_co(&order->volume->changing);
	published = change_apply_co(&change);
	co_mutex_unlock(&order->volume->changing);
	if (change.aborts)
		volume_visit_co(order->volume, change_await, &change);
	if (published)
		free(change.old);
	call->message.run = order_answer;
	volume_answer(order->lane, &call->message);
}

void reservation_submit(struct reservation_order *order)
{
	order->call.entry_co = order_run_co;
	volume_on_control(order->volume, &order->call);
}
