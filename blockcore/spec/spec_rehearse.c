/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of a running stack as if they were made; see spec.h.
 *
 * Invariants
 *  1. Nothing is changed, made or written, no gate closes, no host waits.
 *  2. What is refused here is refused by the change, with the same words: both ask
 *     the same functions. The opposite does not hold: what only opening finds is
 *     found by the change.
 */
#include "blockcore/core/driver.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct spec_rehearsal {
	struct spec_plan plan;
	unsigned stand_ins; /* for drivers that are to come; never opened */
	struct block_driver *stand_in[BLOCK_MAX_DRIVERS];
};

struct spec_rehearsal *spec_rehearsal_begin(
	struct block_source *source, struct err *err)
{
	struct spec_rehearsal *self = calloc(1, sizeof *self);

	if (self)
		spec_plan_fill(&self->plan, source);
	else
		err_set(err, ENOMEM, "no memory for a rehearsal");
	return self;
}

void spec_rehearsal_end_co(struct spec_rehearsal *self)
{
	while (self->stand_ins > 0) {
		struct block_driver *driver = self->stand_in[--self->stand_ins];

		block_driver_others_put_co(driver);
		block_driver_free(driver);
	}
	free(self);
}

static int rehearse_told(
	const struct spec_rehearsal *self, int error, struct err *err)
{
	return error ? err_wrap(err, "source '%s'", self->plan.source->name)
		     : 0;
}

/* -- files ---------------------------------------------------------------- */

static int files_protocol_co(
	struct block_core *core, const struct doc *map, struct err *err)
{
	const struct block_kind *kind;
	struct doc *document = NULL;
	void *options = NULL;
	int error = spec_kind(map, BLOCK_PROTOCOL, &kind, err);

	if (error || !kind->look_co)
		return error;
	error = spec_options_kept(kind, map, &options, &document, err);
	if (error)
		return error;
	error = kind->look_co(core, options, err);
	opts_free(kind->options, options);
	free(options);
	doc_free(document);
	return error;
}

static int files_beside_co(
	struct block_core *core, const struct doc *listener, struct err *err)
{
	const struct block_kind *kind;
	int error = spec_kind(listener, BLOCK_LISTENER, &kind, err);

	if (error || !kind->others)
		return error;
	const struct doc *value = doc_find(listener, kind->others);
	if (kind->one_other)
		return spec_rehearse_files_co(core, value, err);
	for (const struct doc *n = value ? value->first : NULL; n && !error;
		n = n->next)
		error = spec_rehearse_files_co(core, n, err);
	return error;
}

int spec_rehearse_files_co(
	struct block_core *core, const struct doc *source, struct err *err)
{
	const struct doc *listeners, *format, *protocol;
	int error = 0;

	if (!source || source->kind != DOC_MAP)
		return 0;
	format = doc_find(source, "format");
	protocol = doc_find(source, "protocol");
	if (protocol)
		error = files_protocol_co(core, protocol, err);
	if (!error && format)
		error = spec_rehearse_files_co(
			core, doc_find(format, "file"), err);
	if (!error && format)
		error = spec_rehearse_files_co(
			core, doc_find(format, "backing"), err);
	if (!error)
		error = spec_rehearse_files_co(
			core, doc_find(source, "source"), err);
	listeners = doc_find(source, "listeners");
	for (const struct doc *n = listeners ? listeners->first : NULL;
		n && !error; n = n->next)
		error = files_beside_co(core, n, err);
	return error;
}

/* -- listeners ------------------------------------------------------------ */

/* The name of the source that is all there is to see; NULL: there is more. */
static const struct doc *named_source(const struct doc *node)
{
	while (node && node->kind == DOC_MAP && !doc_find(node, "view"))
		node = doc_find(node, "source");
	return node && node->kind == DOC_SCALAR ? node : NULL;
}

/* The sources beside it that have names; others cannot be looked at unopened. */
static int stand_in_beside_co(const struct spec_rehearsal *self,
	struct block_driver *driver, struct err *err)
{
	const struct block_kind *kind = driver->kind;
	const struct doc *value =
		kind->others ? doc_find(driver->document, kind->others) : NULL;
	const struct doc *node = value ? value->first : NULL;
	int error = 0;

	if (kind->one_other)
		node = value;
	for (; node && !error; node = kind->one_other ? NULL : node->next) {
		const struct doc *named = named_source(node);

		if (!named)
			continue;
		error = spec_open_below_co(self->plan.source, driver->name,
			named, &driver->others[driver->others_count], err);
		driver->others_count += !error;
	}
	return error;
}

static int stand_in_co(struct spec_rehearsal *self, const struct doc *listener,
	const struct spec_newcomer *newcomer, struct err *err)
{
	struct doc *document = NULL;
	void *options = NULL;
	int error = spec_options_kept(
		newcomer->kind, listener, &options, &document, err);

	if (error)
		return error;
	struct block_driver *driver = block_driver_new(self->plan.source->core,
		newcomer->kind, newcomer->name, options, document, err);
	if (!driver)
		return -ENOMEM;
	self->stand_in[self->stand_ins++] = driver;
	error = stand_in_beside_co(self, driver, err);
	if (!error)
		spec_plan_insert(&self->plan, driver, newcomer->place);
	return error;
}

static int rehearse_attach_co(struct spec_rehearsal *self,
	const struct doc *listener, const char *below, struct err *err)
{
	struct spec_plan *plan = &self->plan;
	struct spec_newcomer newcomer;
	int error = spec_plan_place(plan, listener, below, &newcomer, err);

	if (!error && self->stand_ins == BLOCK_MAX_DRIVERS)
		return 0; /* more than a stack has: the change will tell */
	if (!error)
		error = files_beside_co(plan->source->core, listener, err);
	if (!error)
		error = stand_in_co(self, listener, &newcomer, err);
	return error ? error
		     : block_stack_check(plan->driver, plan->count, err);
}

int spec_rehearse_attach_co(struct spec_rehearsal *self,
	const struct doc *listener, const char *below, struct err *err)
{
	int error = spec_check_listener(listener, err);

	return error
		? error
		: rehearse_told(self,
			  rehearse_attach_co(self, listener, below, err), err);
}

int spec_rehearse_detach(
	struct spec_rehearsal *self, const char *name, struct err *err)
{
	return rehearse_told(
		self, spec_plan_detach(&self->plan, name, err), err);
}

int spec_rehearse_reorder(
	struct spec_rehearsal *self, const struct doc *names, struct err *err)
{
	struct spec_plan *plan = &self->plan;
	int error = spec_plan_reorder(plan, names, err);

	if (!error)
		error = block_stack_check(plan->driver, plan->count, err);
	return rehearse_told(self, error, err);
}

/* -- what lies below ------------------------------------------------------ */

int spec_rehearse_resize(
	struct spec_rehearsal *self, uint64_t bytes, struct err *err)
{
	struct block_source *source = self->plan.source;
	int error = spec_check_resize(source, bytes, err);

	return error ? error : block_source_check_resize(source, bytes, err);
}

int spec_rehearse_swap_co(struct spec_rehearsal *self,
	const struct spec_swap *swap, struct err *err)
{
	struct block_core *core = self->plan.source->core;
	int error = spec_check_bottom(swap->document, err);

	if (error)
		return error;
	error = spec_plan_check_swap(&self->plan, swap, err);
	if (!error)
		error = spec_rehearse_files_co(core, swap->document, err);
	return rehearse_told(self, error, err);
}

int spec_rehearse_overlay_co(struct spec_rehearsal *self,
	const struct spec_overlay *overlay, struct err *err)
{
	struct block_source *source = self->plan.source;
	int error = spec_overlay_check(source, overlay, err);

	if (!error)
		error = spec_rehearse_files_co(
			source->core, overlay->document, err);
	return error ? err_wrap(err, "snapshot of '%s'", source->name) : 0;
}

int spec_rehearse_back_co(struct spec_rehearsal *self,
	const struct spec_back *back, struct err *err)
{
	struct block_source *source = self->plan.source;
	int error = spec_back_check(source, back, err);

	/* What it stands on may be open here already. */
	if (!error)
		error = spec_rehearse_files_co(source->core,
			doc_find(spec_bottom_doc(back->document), "file"), err);
	return error
		? err_wrap(err, "source '%s': back to a snapshot", source->name)
		: 0;
}
