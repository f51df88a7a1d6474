/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a document would be refused for: asked by the apply as it goes, and by dry runs
 * as far as it can be known when nothing is opened.
 *
 * Invariant: what this refuses the apply refuses too, with the same words.
 */
#include "target/control/appliance/appliance_parts.h"

#include "blockcore/spec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- refusals that both know ------------------------------------------------- */

int appliance_refuse_volume(const struct document_volume *volume,
	const struct err *why, struct err *err)
{
	const struct doc *at = volume->source;
	const char *place = strstr(why->text, at->file);
	if (!place || place[strlen(at->file)] != ':')
		return doc_error(at, err, why->code, "volume %s: %s",
			volume->settings.name, why->text);
	if (err)
		*err = *why;
	return err_wrap(err, "volume %s", volume->settings.name);
}

static bool stands_on(const struct doc *source, const char *name)
{
	const struct doc *format = doc_find(source, "format");
	const struct doc *below[] = {doc_find(source, "source"),
		format ? doc_find(format, "file") : NULL,
		format ? doc_find(format, "backing") : NULL};
	for (int i = 0; i < 3; i++) {
		if (below[i] &&
			(below[i]->kind == DOC_SCALAR
					? !strcmp(below[i]->text, name)
					: stands_on(below[i], name)))
			return true;
	}
	return false;
}

/* Whether another may stand on its source: then it holds that. Asked first, as a change
 * of one volume is not to look at all others. */
static bool may_be_stood_on(const struct appliance_volume *v)
{
	const struct block_source *source = atomic_load(&v->volume->source);
	return !source || block_source_shared(source);
}

/* NULL: it says nothing of that volume. */
static const struct document_volume *wanted_of(
	const struct document *document, const struct appliance_volume *v)
{
	const struct document_volume *wanted =
		document_find_volume(document, v->settings.name);
	if (wanted && !memcmp(wanted->settings.uuid, v->settings.uuid, 16))
		return wanted;
	return map_find(&document->volume_uuids, v->settings.uuid, 16);
}

/* Whether it goes, or is opened anew. */
static bool is_given_up(
	const struct document *document, const struct appliance_volume *v)
{
	const struct document_part *part = document->part;
	const struct document_volume *wanted = wanted_of(document, v);
	if (wanted)
		return !appliance_volume_equals(v, wanted) &&
			!appliance_volume_may_run_on(v, wanted);
	if (!part || document_find_volume(document, v->settings.name))
		return true;
	for (unsigned i = 0; i < part->gone_volumes; i++) {
		if (!strcmp(part->gone_volume[i], v->settings.name))
			return true;
	}
	return false;
}

int appliance_check_free(const struct appliance *appliance,
	const struct document *document, const struct appliance_volume *v,
	struct err *err)
{
	const struct appliance_volume *other;
	if (!document_find_volume(document, v->settings.name) ||
		!may_be_stood_on(v))
		return 0;
	TAILQ_FOREACH (other, &appliance->volumes, link) {
		if (stands_on(other->source, v->settings.name) &&
			!is_given_up(document, other))
			return err_set(err, EBUSY,
				"volume %s would have to be opened anew, and "
				"volume %s stands on it: take that one away "
				"first",
				v->settings.name, other->settings.name);
	}
	return 0;
}

void appliance_count_swaps(
	struct appliance_swaps *swaps, const struct live_change *change)
{
	swaps->all += live_change_swaps(change);
	swaps->overlays += live_change_is_overlay(change);
}

int appliance_check_swaps(const struct appliance_swaps *swaps, struct err *err)
{
	return swaps->all <= 1 ||
			(swaps->all == swaps->overlays &&
				swaps->all <= SPEC_GROUP_MOST)
		? 0
		: err_set(err, EOPNOTSUPP,
			  "%u volumes would get other content or be cut in "
			  "one change: change one at a time",
			  swaps->all);
}

/* -- as if -------------------------------------------------------------------- */

struct rehearsal {
	struct appliance *appliance;
	const struct document *document;
	bool strict;
	struct appliance_swaps swaps;
};

/* Whether who has its file lets go of it with this change. */
static bool is_let_go(
	const struct rehearsal *self, const char *name, const char *source_json)
{
	const char *holder =
		appliance_holder(self->appliance, name, source_json);
	const struct appliance_volume *v = holder
		? map_find_text(&self->appliance->names, holder)
		: map_find_text(&self->appliance->names, name);
	return v && is_given_up(self->document, v);
}

static int rehearse_new_co(struct rehearsal *self,
	const struct document_volume *wanted, struct err *err)
{
	struct appliance *appliance = self->appliance;
	const char *name = wanted->settings.name;
	struct err why = {0};
	int failed = spec_rehearse_files_co(
		appliance->world.core, wanted->source, &why);
	if (!failed || !(self->strict || failed == -EINVAL))
		return 0;
	char *json = appliance_json(wanted->source);
	if (!json)
		return err_set(err, ENOMEM, "out of memory");
	if (failed == -EBUSY && is_let_go(self, name, json))
		failed = 0;
	else if (failed == -EBUSY)
		appliance_name_holder(appliance, name, json, &why);
	free(json);
	return failed ? appliance_refuse_volume(wanted, &why, err) : 0;
}

static int rehearse_running_co(struct appliance_volume *v,
	const struct live_change *change, const struct document_volume *wanted,
	struct err *err)
{
	struct block_source *source = atomic_load(&v->volume->source);
	block_source_get(source); /* the volume may let go of it meanwhile */
	int failed = live_change_rehearse_co(change, source, err);
	block_source_put_co(source);
	return failed ? err_wrap(err, "volume %s", wanted->settings.name) : 0;
}

/* Those that are opened anew first, as the apply does it. */
static int rehearse_volume_co(struct rehearsal *self,
	const struct document_volume *wanted, bool running, struct err *err)
{
	struct appliance_volume *v =
		map_find(&self->appliance->uuids, wanted->settings.uuid, 16);
	if (v && appliance_volume_equals(v, wanted))
		return 0;
	bool runs_on = v && appliance_volume_may_run_on(v, wanted);
	if (runs_on != running)
		return 0;
	if (!runs_on)
		return rehearse_new_co(self, wanted, err);
	struct live_change *change = appliance_volume_plan(v, wanted);
	if (!change)
		return err_set(err, ENOMEM, "out of memory");
	appliance_count_swaps(&self->swaps, change);
	int failed = rehearse_running_co(v, change, wanted, err);
	live_change_free(change);
	return failed;
}

static int rehearse_volumes_co(struct rehearsal *self, struct err *err)
{
	const struct document *document = self->document;
	int failed = 0;
	for (unsigned i = 0; i < 2 * document->volumes && !failed; i++)
		failed = rehearse_volume_co(self,
			&document->volume[i % document->volumes],
			i >= document->volumes, err);
	return failed ? failed : appliance_check_swaps(&self->swaps, err);
}

/* Only those that the document names need another one's leave. */
static int check_all_free(const struct rehearsal *self, struct err *err)
{
	const struct document *document = self->document;
	int failed = 0;
	for (unsigned i = 0; i < document->volumes && !failed; i++) {
		const struct appliance_volume *v =
			map_find_text(&self->appliance->names,
				document->volume[i].settings.name);
		if (v && is_given_up(document, v))
			failed = appliance_check_free(
				self->appliance, document, v, err);
	}
	return failed;
}

int appliance_rehearse_co(struct appliance *appliance,
	const struct document *document, bool strict, struct err *err)
{
	struct rehearsal self = {
		.appliance = appliance, .document = document, .strict = strict};
	co_mutex_lock_co(&appliance->applying);
	int failed =
		appliance_portals_check(&appliance->portals, document, err);
	if (!failed)
		failed = check_all_free(&self, err);
	if (!failed)
		failed = rehearse_volumes_co(&self, err);
	co_mutex_unlock(&appliance->applying);
	return failed;
}
