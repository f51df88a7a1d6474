/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a running stack as documents ask for them. Each takes the source's
 * turn, prepares all that is slow, and hands a new generation to change.c.
 */
#include "blockcore/core/driver.h"
#include "blockcore/core/point.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/kinds.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_plan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int spec_check_job(
	const struct block_source *source, const char *what, struct err *err)
{
	const struct block_stack *now = source->current;

	for (unsigned i = 0; i < now->count; i++) {
		if (now->driver[i]->kind->of_job)
			return err_set(err, EBUSY,
				"job '%s' is at work on it: %s when it has "
				"ended, or cancel it",
				now->driver[i]->name, what);
	}
	return 0;
}

int spec_check_stays(const struct block_driver *driver, struct err *err)
{
	if (!driver->job)
		return 0;
	return err_set(err, EBUSY,
		"job '%s' is at work through listener '%s': wait until it has "
		"ended, or cancel it",
		driver->job, driver->name);
}

void spec_plan_fill(struct spec_plan *plan, struct block_source *source)
{
	const struct block_stack *now = source->current;

	*plan = (struct spec_plan){.source = source, .count = now->count};
	memcpy(plan->driver, now->driver, now->count * sizeof(now->driver[0]));
	plan->change.source = source;
	plan->change.deadline_ns = SPEC_GATE_DEADLINE_NS;
}

static void spec_plan_begin_co(
	struct spec_plan *plan, struct block_source *source)
{
	co_mutex_lock_co(&source->change);
	spec_plan_fill(plan, source);
}

static int spec_plan_end_co(struct spec_plan *plan, int error, struct err *err)
{
	plan->source->coming = NULL;
	if (error && plan->fresh)
		block_driver_close_co(plan->fresh);
	co_mutex_unlock(&plan->source->change);
	return error ? err_wrap(err, "source '%s'", plan->source->name) : 0;
}

/* Checks and publishes the plan. */
static int spec_plan_apply_co(struct spec_plan *plan, struct err *err)
{
	int error = block_stack_check(plan->driver, plan->count, err);

	if (error)
		return error;
	plan->change.next = block_stack_new(plan->source, plan->driver,
		plan->count, plan->source->current->tracked, err);
	if (!plan->change.next)
		return -ENOMEM;
	plan->fresh = NULL; /* the generation's from here on */
	return block_change_co(&plan->change, err);
}

static void spec_plan_deadline(struct spec_plan *plan, uint64_t deadline_ns)
{
	if (deadline_ns)
		plan->change.deadline_ns = deadline_ns;
}

/* Index of a driver; count if there is none. */
static unsigned spec_plan_find(const struct spec_plan *plan, const char *name)
{
	unsigned i = 0;

	while (i < plan->count && strcmp(plan->driver[i]->name, name))
		i++;
	return i;
}

static int spec_find_listener(const struct spec_plan *plan, const char *name,
	unsigned *index, struct err *err)
{
	*index = spec_plan_find(plan, name);
	if (*index == plan->count)
		return err_set(err, ENOENT, "there is no listener '%s'", name);
	if (*index == plan->count - 1)
		return err_set(err, EINVAL,
			"'%s' is the bottom, not a listener", name);
	return 0;
}

/* Whether requests of the old generation may go on in it beside those of the
 * new one: those of the front do anyway. */
static bool spec_needs_gate(const struct block_kind *kind)
{
	return kind->part == BLOCK_BACK && !kind->observes;
}

/* -- attach, detach ------------------------------------------------------- */

/* The top of its band, or right below the listener `below`. */
static int spec_find_place(const struct spec_plan *plan,
	const struct block_kind *kind, const char *below, unsigned *place,
	struct err *err)
{
	unsigned i = 0;

	if (below) {
		int error = spec_find_listener(plan, below, place, err);

		++*place;
		return error;
	}
	while (i < plan->count - 1 && plan->driver[i]->kind->band < kind->band)
		i++;
	*place = i;
	return 0;
}

int spec_plan_place(const struct spec_plan *plan, const struct doc *listener,
	const char *below, struct spec_newcomer *newcomer, struct err *err)
{
	const char *given = NULL;
	int error = spec_kind(listener, BLOCK_LISTENER, &newcomer->kind, err);

	if (!error)
		error = spec_name_given(listener, &given, err);
	if (!error)
		error = spec_find_place(
			plan, newcomer->kind, below, &newcomer->place, err);
	if (error)
		return error;
	if (plan->count == BLOCK_MAX_DRIVERS)
		return err_set(err, ENOSPC, "there are %u drivers already",
			plan->count);
	if (given)
		snprintf(newcomer->name, sizeof(newcomer->name), "%s", given);
	else
		spec_name_free(plan->driver, plan->count, newcomer->kind->name,
			newcomer->name);
	return 0;
}

void spec_plan_insert(
	struct spec_plan *plan, struct block_driver *driver, unsigned place)
{
	memmove(&plan->driver[place + 1], &plan->driver[place],
		(plan->count - place) * sizeof(plan->driver[0]));
	plan->driver[place] = driver;
	plan->count++;
}

static int spec_attach_planned_co(struct spec_plan *plan,
	const struct doc *listener, const char *below, struct err *err)
{
	struct spec_newcomer newcomer;
	int error = spec_plan_place(plan, listener, below, &newcomer, err);

	if (!error)
		error = spec_open_listener_co(plan->source, listener,
			newcomer.name, &plan->fresh, err);
	if (!error)
		error = block_drivers_changing_co(&plan->fresh, 1, err);
	if (error)
		return error;
	if (newcomer.kind
			->content_changed) /* what was before, it has not seen */
		newcomer.kind->content_changed(
			plan->fresh, 0, plan->source->current->info.size_bytes);
	spec_plan_insert(plan, plan->fresh, newcomer.place);
	plan->change.gate = spec_needs_gate(newcomer.kind);
	return spec_plan_apply_co(plan, err);
}

int spec_attach_co(struct block_source *source, const struct doc *listener,
	const char *below, struct err *err)
{
	struct spec_plan plan;
	int error = spec_check_listener(listener, err);

	if (error)
		return error;
	spec_plan_begin_co(&plan, source);
	error = spec_attach_planned_co(&plan, listener, below, err);
	return spec_plan_end_co(&plan, error, err);
}

/* Who needs the content to stay as it is. */
static int spec_check_stable(const struct block_source *source, struct err *err)
{
	const struct block_claim *claim;

	LIST_FOREACH (claim, &source->claims, link) {
		if (claim->mode == BLOCK_CLAIM_STABLE)
			return err_set(err, EBUSY,
				"'%s': %s needs the content to stay as it is: "
				"take that away first",
				source->name, claim->holder);
	}
	return 0;
}

/* Without the listener readonly hosts could write to what an image stands on. */
static int spec_check_writable(const struct spec_plan *plan,
	const struct block_driver *goes, struct err *err)
{
	const struct block_driver *bottom = plan->driver[plan->count - 1];

	return goes->kind == &readonly_kind && plan->source->listed &&
			!bottom->info.read_only
		? spec_check_stable(plan->source, err)
		: 0;
}

int spec_plan_detach(struct spec_plan *plan, const char *name, struct err *err)
{
	unsigned index;
	int error = spec_find_listener(plan, name, &index, err);

	if (!error && plan->driver[index]->kind->of_job)
		error = spec_check_job(plan->source, "it goes by itself", err);
	if (!error)
		error = spec_check_stays(plan->driver[index], err);
	if (!error)
		error = spec_check_writable(plan, plan->driver[index], err);
	if (!error)
		error = block_point_check_unused(
			plan->source, plan->driver[index], err);
	if (error)
		return error;
	plan->change.gate = spec_needs_gate(plan->driver[index]->kind);
	plan->count--;
	memmove(&plan->driver[index], &plan->driver[index + 1],
		(plan->count - index) * sizeof(plan->driver[0]));
	return 0;
}

int spec_detach_co(struct block_source *source, const char *name,
	uint64_t deadline_ns, struct err *err)
{
	struct spec_plan plan;

	spec_plan_begin_co(&plan, source);
	spec_plan_deadline(&plan, deadline_ns);
	int error = spec_plan_detach(&plan, name, err);
	if (!error)
		error = spec_plan_apply_co(&plan, err);
	return spec_plan_end_co(&plan, error, err);
}

/* -- reorder -------------------------------------------------------------- */

static bool spec_back_moves(const struct spec_plan *plan)
{
	const struct block_stack *now = plan->source->current;

	for (unsigned i = now->front_count; i < now->count; i++) {
		if (plan->driver[i] != now->driver[i])
			return true;
	}
	return false;
}

int spec_plan_reorder(
	struct spec_plan *plan, const struct doc *names, struct err *err)
{
	struct block_driver *order[BLOCK_MAX_DRIVERS];
	unsigned count = 0, index;
	int error = spec_check_job(plan->source, "change the order", err);

	if (error)
		return error;
	if (names->kind != DOC_LIST || doc_count(names) != plan->count - 1)
		return doc_error(names, err, EINVAL,
			"expected a list of the names of all %u listeners",
			plan->count - 1);
	for (const struct doc *node = names->first; node; node = node->next) {
		const char *name;

		error = doc_text(node, &name, err);
		if (!error)
			error = spec_find_listener(plan, name, &index, err);
		if (error)
			return error;
		for (unsigned i = 0; i < count; i++) {
			if (order[i] == plan->driver[index])
				return doc_error(node, err, EINVAL,
					"listener '%s' is named twice", name);
		}
		order[count++] = plan->driver[index];
	}
	memcpy(plan->driver, order, count * sizeof(order[0]));
	plan->change.gate = spec_back_moves(plan);
	return 0;
}

int spec_reorder_co(struct block_source *source, const struct doc *names,
	uint64_t deadline_ns, struct err *err)
{
	struct spec_plan plan;

	spec_plan_begin_co(&plan, source);
	spec_plan_deadline(&plan, deadline_ns);
	int error = spec_plan_reorder(&plan, names, err);
	if (!error)
		error = spec_plan_apply_co(&plan, err);
	return spec_plan_end_co(&plan, error, err);
}

/* -- another bottom ------------------------------------------------------- */

int spec_plan_check_swap(const struct spec_plan *plan,
	const struct spec_swap *swap, struct err *err)
{
	int error = spec_check_jobs(plan->source, "swap the bottom", err);

	if (!error && !swap->same_content)
		error = spec_check_stable(plan->source, err);
	return error ? error : spec_check_images(plan->source, NULL, err);
}

static int spec_swap_planned_co(
	struct spec_plan *plan, const struct spec_swap *swap, struct err *err)
{
	const struct doc *bottom = spec_bottom_doc(swap->document);
	char name[BLOCK_NAME_BYTES];
	const char *given = NULL;
	unsigned last = plan->count - 1;
	int error = spec_plan_check_swap(plan, swap, err);

	if (!error)
		error = spec_name_given(bottom, &given, err);
	if (error)
		return error;
	if (given)
		snprintf(name, sizeof(name), "%s", given);
	else
		spec_name_free(plan->driver, last, spec_type_of(bottom), name);
	error = spec_open_bottom_co(
		plan->source, swap->document, name, &plan->fresh, err);
	if (!error)
		error = spec_announce(plan->source, plan->fresh, err);
	if (error)
		return error;
	plan->driver[last] = plan->fresh;
	plan->change.gate = true;
	plan->change.content_changed = !swap->same_content;
	plan->change.durable_co = swap->durable_co;
	plan->change.argument = swap->argument;
	return spec_plan_apply_co(plan, err);
}

int spec_swap_bottom_co(struct block_source *source,
	const struct spec_swap *swap, struct err *err)
{
	const struct doc *listeners = doc_find(swap->document, "listeners");
	struct spec_plan plan;
	int error = spec_check_bottom(swap->document, err);

	if (!error && listeners)
		error = doc_error(listeners, err, EINVAL,
			"the listeners stay: name only a new bottom");
	if (error)
		return error;
	spec_plan_begin_co(&plan, source);
	spec_plan_deadline(&plan, swap->deadline_ns);
	error = spec_swap_planned_co(&plan, swap, err);
	return spec_plan_end_co(&plan, error, err);
}

/* Who has laid something out in it, which a smaller size would cut. */
static int spec_check_shrink(struct block_source *source, struct err *err)
{
	const struct block_claim *claim;

	LIST_FOREACH (claim, &source->claims, link) {
		if (claim->mode == BLOCK_CLAIM_STABLE ||
			claim->mode == BLOCK_CLAIM_WRITE)
			return err_set(err, EBUSY,
				"source '%s': %s uses it and would be cut: "
				"take that away first",
				source->name, claim->holder);
	}
	return 0;
}

/* What was told of the size is told of the new one, so that spec_print says what is.
 * Not of files below images: their size is what they began with. */
static void spec_tell_size(
	struct block_source *source, uint64_t before, uint64_t bytes)
{
	struct block_driver *bottom = block_stack_bottom(source->current);
	const struct opt_spec *spec = bottom->kind->options;
	char *options = bottom->options;

	if (bottom->kind->role == BLOCK_VIEW) {
		struct block_format *format =
			container_of(bottom, struct block_view, driver)->format;
		spec = format->kind->options;
		options = format->options;
	}
	for (; options && spec->name; spec++) {
		uint64_t *value = (uint64_t *)(options + spec->offset);
		if (!strcmp(spec->name, "size") && *value == before)
			*value = bytes;
	}
}

int spec_check_resize(
	struct block_source *source, uint64_t bytes, struct err *err)
{
	struct block_info now =
		block_source_info(source, block_core_lane(source->core, 0));
	int error = spec_check_job(source, "change the size", err);

	return error || bytes >= now.size_bytes
		? error
		: spec_check_shrink(source, err);
}

int spec_resize_co(struct block_source *source, uint64_t bytes, struct err *err)
{
	struct block_info now =
		block_source_info(source, block_core_lane(source->core, 0));
	int error = spec_check_resize(source, bytes, err);

	if (!error)
		error = block_source_resize_co(source, bytes, err);
	if (!error)
		spec_tell_size(source, now.size_bytes, bytes);
	return error;
}
