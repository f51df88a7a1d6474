/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function for each service action; see change.h.
 *
 * The draft `next` begins as a copy of the old table. Registrants are struck
 * out by index of the old table (`gone`) and squeezed at the end, so effects,
 * which are by old index, stay right throughout.
 */
#include "target/reservation/change.h"

#include <stdlib.h>
#include <string.h>

enum {
	ATTENTION_RESERVATIONS_PREEMPTED = 0x2a03,
	ATTENTION_RESERVATIONS_RELEASED = 0x2a04,
	ATTENTION_REGISTRATIONS_PREEMPTED = 0x2a05,
};

struct draft {
	const struct reservation_order *order;
	struct reservation_table *next;
	struct reservation_effects *effects;
	bool gone[RESERVATION_REGISTRANTS];
	unsigned old_registrants;
	struct reservation_registrant *self; /* NULL: not registered */
	bool changed;
};

/* -- pieces --------------------------------------------------------------- */

static bool draft_reserved(const struct draft *draft)
{
	return draft->next->type != RESERVATION_NONE;
}

static unsigned draft_index(
	const struct draft *draft, const struct reservation_registrant *entry)
{
	return (unsigned)(entry - draft->next->registrant);
}

/* All but the one who asks, of those registered before. */
static void draft_attend_others(struct draft *draft, uint16_t attention)
{
	for (unsigned i = 0; i < draft->old_registrants; i++)
		if (&draft->next->registrant[i] != draft->self &&
			!draft->effects->attention[i])
			draft->effects->attention[i] = attention;
}

static void draft_release(struct draft *draft)
{
	draft->next->type = RESERVATION_NONE;
	for (unsigned i = 0; i < draft->next->registrants; i++)
		draft->next->registrant[i].holder = false;
}

static void draft_hold(struct draft *draft,
	struct reservation_registrant *holder, enum reservation_type type)
{
	draft_release(draft);
	draft->next->type = type;
	for (unsigned i = 0; i < draft->next->registrants; i++)
		draft->next->registrant[i].holder =
			reservation_all_registrants(type);
	holder->holder = true;
}

static struct reservation_registrant *draft_add(struct draft *draft,
	const struct volume_initiator *initiator, uint64_t key)
{
	struct reservation_registrant *entry;

	if (draft->next->registrants == RESERVATION_REGISTRANTS)
		return NULL;
	entry = &draft->next->registrant[draft->next->registrants++];
	entry->key = key;
	entry->initiator = *initiator;
	entry->all_target_ports = draft->order->all_target_ports;
	entry->holder = reservation_all_registrants(draft->next->type);
	return entry;
}

static unsigned draft_remaining(const struct draft *draft)
{
	unsigned remaining = 0;

	for (unsigned i = 0; i < draft->next->registrants; i++)
		remaining += !draft->gone[i];
	return remaining;
}

/* Strikes an entry out; the reservation goes with its holder (5.13.11.2.3), with
 * all registrants holding only with the last of them. */
static void draft_unregister(
	struct draft *draft, struct reservation_registrant *entry)
{
	enum reservation_type type = draft->next->type;

	draft->gone[draft_index(draft, entry)] = true;
	if (!entry->holder ||
		(reservation_all_registrants(type) && draft_remaining(draft)))
		return;
	draft_release(draft);
	if (type == RESERVATION_WRITE_EXCLUSIVE_RO ||
		type == RESERVATION_EXCLUSIVE_ACCESS_RO)
		draft_attend_others(draft, ATTENTION_RESERVATIONS_RELEASED);
}

static void draft_squeeze(struct draft *draft)
{
	struct reservation_table *next = draft->next;
	unsigned kept = 0;

	for (unsigned i = 0; i < next->registrants; i++)
		if (!draft->gone[i] && kept++ != i)
			next->registrant[kept - 1] = next->registrant[i];
	next->registrants = kept;
}

/* RESERVATION_OK if the nexus is registered under the key it gives. */
static enum reservation_answer draft_need_key(const struct draft *draft)
{
	return draft->self && draft->self->key == draft->order->key
		? RESERVATION_OK
		: RESERVATION_CONFLICT;
}

/* -- service actions ------------------------------------------------------ */

/* 5.13.7: the nexus itself, or with SPEC_I_PT also the ports named. */
static enum reservation_answer draft_register_new(struct draft *draft)
{
	const struct reservation_order *order = draft->order;

	for (unsigned i = 0; i < order->others; i++) {
		if (volume_initiator_same(
			    &order->initiator, &order->other[i]) ||
			reservation_find(draft->next, &order->other[i]))
			return RESERVATION_INVALID_PARAMETER;
		if (!draft_add(draft, &order->other[i], order->service_key))
			return RESERVATION_NO_RESOURCES;
	}
	if (!draft_add(draft, &order->initiator, order->service_key))
		return RESERVATION_NO_RESOURCES;
	return RESERVATION_OK;
}

static enum reservation_answer change_register(struct draft *draft)
{
	const struct reservation_order *order = draft->order;
	bool ignore = order->action == RESERVATION_REGISTER_AND_IGNORE;
	enum reservation_answer answer = RESERVATION_OK;

	if (!ignore && (draft->self ? draft->self->key : 0) != order->key)
		return RESERVATION_CONFLICT;
	if (order->spec_initiator_ports && (ignore || draft->self))
		return RESERVATION_INVALID_CDB;
	if (!draft->self && !order->service_key)
		return RESERVATION_OK; /* 5.13.7.1: nothing to do */
	if (!draft->self)
		answer = draft_register_new(draft);
	else if (order->service_key)
		draft->self->key = order->service_key;
	else
		draft_unregister(draft, draft->self);
	draft->next->aptpl = order->aptpl;
	draft->next->generation++;
	draft->changed = true;
	return answer;
}

static enum reservation_answer change_reserve(struct draft *draft)
{
	enum reservation_answer answer = draft_need_key(draft);

	if (answer)
		return answer;
	if (!reservation_type_known(draft->order->type))
		return RESERVATION_INVALID_CDB;
	if (draft_reserved(draft))
		return draft->self->holder &&
				draft->next->type == draft->order->type
			? RESERVATION_OK
			: RESERVATION_CONFLICT;
	draft_hold(draft, draft->self, draft->order->type);
	draft->changed = true;
	return RESERVATION_OK;
}

static enum reservation_answer change_release(struct draft *draft)
{
	enum reservation_type type = draft->next->type;
	enum reservation_answer answer = draft_need_key(draft);

	if (answer)
		return answer;
	if (!draft_reserved(draft) || !draft->self->holder)
		return RESERVATION_OK;
	if (type != draft->order->type)
		return RESERVATION_INVALID_RELEASE;
	draft_release(draft);
	if (type >= RESERVATION_WRITE_EXCLUSIVE_RO)
		draft_attend_others(draft, ATTENTION_RESERVATIONS_RELEASED);
	draft->changed = true;
	return RESERVATION_OK;
}

static enum reservation_answer change_clear(struct draft *draft)
{
	enum reservation_answer answer = draft_need_key(draft);

	if (answer)
		return answer;
	draft_attend_others(draft, ATTENTION_RESERVATIONS_PREEMPTED);
	draft_release(draft);
	memset(draft->gone, true, sizeof draft->gone);
	draft->next->generation++;
	draft->changed = true;
	return RESERVATION_OK;
}

/* Removes the registrations under `key` (all others if `all`) but one's own. */
static unsigned preempt_registrations(
	struct draft *draft, uint64_t key, bool all, bool *own)
{
	bool abort = draft->order->action == RESERVATION_PREEMPT_AND_ABORT;
	unsigned removed = 0;

	for (unsigned i = 0; i < draft->next->registrants; i++) {
		struct reservation_registrant *entry =
			&draft->next->registrant[i];

		if (!all && entry->key != key)
			continue;
		if (entry == draft->self) {
			*own = true;
			continue;
		}
		draft->gone[i] = true;
		draft->effects->attention[i] =
			ATTENTION_REGISTRATIONS_PREEMPTED;
		draft->effects->abort[i] = abort;
		removed++;
	}
	return removed;
}

static bool preempt_hits_holder(const struct draft *draft)
{
	const struct reservation_order *order = draft->order;

	if (!draft_reserved(draft))
		return false;
	if (reservation_all_registrants(draft->next->type))
		return !order->service_key;
	for (unsigned i = 0; i < draft->next->registrants; i++)
		if (draft->next->registrant[i].holder)
			return draft->next->registrant[i].key ==
				order->service_key;
	return false;
}

/* 5.13.11.2.6, figure 7. */
static enum reservation_answer change_preempt(struct draft *draft)
{
	const struct reservation_order *order = draft->order;
	enum reservation_type type = draft->next->type;
	enum reservation_answer answer = draft_need_key(draft);
	bool take = preempt_hits_holder(draft), own = false;
	unsigned removed;

	if (answer)
		return answer;
	if (!order->service_key && !reservation_all_registrants(type))
		return RESERVATION_INVALID_PARAMETER;
	if (take && !reservation_type_known(order->type))
		return RESERVATION_INVALID_CDB;
	removed = preempt_registrations(
		draft, order->service_key, !order->service_key, &own);
	if (!take && !removed && !own)
		return RESERVATION_CONFLICT;
	if (take) {
		if (type != order->type)
			draft_attend_others(
				draft, ATTENTION_RESERVATIONS_RELEASED);
		draft_hold(draft, draft->self, order->type);
	}
	draft->next->generation++;
	draft->changed = true;
	return RESERVATION_OK;
}

/* 5.13.8. */
static enum reservation_answer change_move(struct draft *draft)
{
	const struct reservation_order *order = draft->order;
	enum reservation_answer answer = draft_need_key(draft);
	enum reservation_type type = draft->next->type;
	struct reservation_registrant *to;

	if (answer)
		return answer;
	if (!draft_reserved(draft) || !draft->self->holder ||
		reservation_all_registrants(type))
		return RESERVATION_CONFLICT;
	if (!order->service_key || order->others != 1 ||
		volume_initiator_same(&order->initiator, &order->other[0]))
		return RESERVATION_INVALID_PARAMETER;
	to = (struct reservation_registrant *)reservation_find(
		draft->next, &order->other[0]);
	if (to == draft->self)
		return RESERVATION_INVALID_PARAMETER;
	if (!to)
		to = draft_add(draft, &order->other[0], order->service_key);
	if (!to)
		return RESERVATION_NO_RESOURCES;
	to->key = order->service_key;
	draft_hold(draft, to, type);
	if (order->unregister_moved)
		draft->gone[draft_index(draft, draft->self)] = true;
	draft->next->aptpl = order->aptpl;
	draft->next->generation++;
	draft->changed = true;
	return RESERVATION_OK;
}

/* SPC-2 5.5.1, and with persistent registrations SPC-4 5.13.3 exceptions: a
 * registrant gets GOOD and nothing is reserved. */
static enum reservation_answer change_legacy_reserve(struct draft *draft)
{
	struct reservation_table *next = draft->next;

	if (next->registrants) {
		if (!draft->self)
			return RESERVATION_CONFLICT;
		return !draft_reserved(draft) || draft->self->holder ||
				next->type >= RESERVATION_WRITE_EXCLUSIVE_RO
			? RESERVATION_OK
			: RESERVATION_CONFLICT;
	}
	if (next->legacy)
		return volume_initiator_same(
			       &next->legacy_holder, &draft->order->initiator)
			? RESERVATION_OK
			: RESERVATION_CONFLICT;
	next->legacy = true;
	next->legacy_holder = draft->order->initiator;
	draft->changed = true;
	return RESERVATION_OK;
}

static enum reservation_answer change_legacy_release(struct draft *draft)
{
	struct reservation_table *next = draft->next;

	if (next->registrants && !draft->self)
		return RESERVATION_CONFLICT;
	if (next->legacy &&
		(draft->order->action == RESERVATION_LUN_RESET ||
			volume_initiator_same(&next->legacy_holder,
				&draft->order->initiator))) {
		next->legacy = false;
		draft->changed = true;
	}
	return RESERVATION_OK;
}

/* ------------------------------------------------------------------------- */

static const struct {
	enum reservation_answer (*change)(struct draft *draft);
	bool persistent;
} change_rows[] = {
	[RESERVATION_REGISTER] = {change_register, true},
	[RESERVATION_RESERVE] = {change_reserve, true},
	[RESERVATION_RELEASE] = {change_release, true},
	[RESERVATION_CLEAR] = {change_clear, true},
	[RESERVATION_PREEMPT] = {change_preempt, true},
	[RESERVATION_PREEMPT_AND_ABORT] = {change_preempt, true},
	[RESERVATION_REGISTER_AND_IGNORE] = {change_register, true},
	[RESERVATION_REGISTER_AND_MOVE] = {change_move, true},
	[RESERVATION_LEGACY_RESERVE] = {change_legacy_reserve, false},
	[RESERVATION_LEGACY_RELEASE] = {change_legacy_release, false},
	[RESERVATION_NEXUS_LOST] = {change_legacy_release, false},
	[RESERVATION_LUN_RESET] = {change_legacy_release, false},
};

enum reservation_answer reservation_change(const struct reservation_table *old,
	const struct reservation_order *order, struct reservation_table *next,
	struct reservation_effects *effects, bool *changed)
{
	struct draft draft = {.order = order, .next = next, .effects = effects};
	enum reservation_answer answer;

	memset(effects, 0, sizeof *effects);
	memset(next, 0, sizeof *next);
	if (old)
		memcpy(next, old, reservation_table_bytes(old->registrants));
	draft.old_registrants = next->registrants;
	draft.self = (struct reservation_registrant *)reservation_find(
		next, &order->initiator);
	if (next->legacy && change_rows[order->action].persistent)
		answer = RESERVATION_CONFLICT;
	else
		answer = change_rows[order->action].change(&draft);
	*changed = !answer && draft.changed;
	if (*changed)
		draft_squeeze(&draft);
	return answer;
}
