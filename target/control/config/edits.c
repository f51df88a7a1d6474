/* SPDX-License-Identifier: Apache-2.0 */
/* See edits.h. */
#include "target/control/config/edits.h"

#include "blockcore/base/list.h"
#include "target/control/config/json_doc.h"
#include "target/control/config/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned limits[] = {
	[CONFIG_VOLUME] = DOCUMENT_MAX_VOLUMES,
	[CONFIG_HOST] = DOCUMENT_MAX_HOSTS,
	[CONFIG_TARGET] = DOCUMENT_MAX_TARGETS,
	[CONFIG_EXPORT] = DOCUMENT_MAX_EXPORTS,
	[CONFIG_PORTAL] = SETTINGS_MAX_PORTALS,
	[CONFIG_SCHEDULE] = DOCUMENT_MAX_SCHEDULES,
};

/* What has been found to belong to the document. */
struct gathering {
	struct key_visitor visitor;
	struct config_objects *objects;
	const struct appliance *appliance;
	const struct config_change *change;
	struct config_object **found;
	unsigned count, room;
	bool failed;
};

/* -- what the edits are about ------------------------------------------------- */

static int mark_edits(struct config_objects *objects,
	const struct config_change *change, struct err *err)
{
	for (unsigned i = 0; i < change->edits; i++) {
		const struct config_edit *edit = &change->edit[i];
		struct config_object *object = edit->id
			? objects_find(objects, edit->kind, edit->id)
			: NULL;
		if (edit->id && !object)
			return err_set(err, ENOENT, "there is no %s \"%s\"",
				config_kind_name(edit->kind), edit->id);
		if (object && edit->generation &&
			edit->generation != object->generation)
			return err_set(err, EBUSY,
				"%s \"%s\" is being changed by somebody else: "
				"try again",
				config_kind_name(edit->kind), edit->id);
		if (object && !object->edit)
			object->edit = edit;
	}
	return 0;
}

static void unmark_edits(
	struct config_objects *objects, const struct config_change *change)
{
	for (unsigned i = 0; i < change->edits; i++) {
		const struct config_edit *edit = &change->edit[i];
		struct config_object *object = edit->id
			? objects_find(objects, edit->kind, edit->id)
			: NULL;
		if (object)
			object->edit = NULL;
	}
}

/* What the value calls itself; NULL: nothing that can be told from here. */
static const char *own_id(const struct config_objects *objects,
	const struct config_edit *edit, char iqn[ACCESS_NAME_BYTES])
{
	const char *name =
		json_string_value(json_object_get(edit->value, "name"));
	const char *whole =
		json_string_value(json_object_get(edit->value, "iqn"));
	if (edit->kind != CONFIG_TARGET)
		return name;
	if (!whole == !name ||
		!key_target_iqn(
			whole ? whole : name, objects->authority, iqn, !whole))
		return NULL;
	return iqn;
}

/* Nor does a new one take the name, and another place, of one that goes. */
static bool keeps_name(
	const struct config_objects *objects, const struct config_edit *edit)
{
	char iqn[ACCESS_NAME_BYTES];
	if (!edit->value || edit->kind == CONFIG_EXPORT)
		return true;
	const char *id = own_id(objects, edit, iqn);
	if (edit->id)
		return id && !strcmp(id, edit->id);
	const struct config_object *present =
		id ? objects_find(objects, edit->kind, id) : NULL;
	return !present || !present->edit;
}

static bool all_keep_names(const struct config_objects *objects,
	const struct config_change *change)
{
	for (unsigned i = 0; i < change->edits; i++) {
		if (!keeps_name(objects, &change->edit[i]))
			return false;
	}
	return true;
}

/* -- gathering ---------------------------------------------------------------- */

static void gather(struct gathering *g, struct config_object *object)
{
	if (object->listed || g->failed)
		return;
	if (g->count == g->room) {
		unsigned room = g->room ? 2 * g->room : 16;
		struct config_object **found =
			realloc(g->found, room * sizeof *g->found);
		if (!found) {
			g->failed = true;
			return;
		}
		g->found = found;
		g->room = room;
	}
	object->listed = true;
	g->found[g->count++] = object;
}

/* One that is edited comes by itself, one that goes not at all. */
static void gather_all(struct gathering *g, const struct config_links *links)
{
	struct config_link *link;
	TAILQ_FOREACH (link, links, next) {
		if (!link->object->edit)
			gather(g, link->object);
	}
}

/* The volume that has this UUID without having been given it. */
static void gather_owner(struct gathering *g, const char *digits)
{
	uint8_t uuid[16];
	for (int i = 0; i < 16; i++) {
		unsigned byte;
		if (sscanf(digits + 2 * i, "%2x", &byte) != 1)
			return;
		uuid[i] = (uint8_t)byte;
	}
	const char *name = appliance_name_of(g->appliance, uuid);
	struct config_object *owner =
		name ? objects_find(g->objects, CONFIG_VOLUME, name) : NULL;
	if (owner && !owner->edit)
		gather(g, owner);
}

static void visit_key(
	struct key_visitor *visitor, const char *text, bool defines)
{
	struct gathering *g = container_of(visitor, struct gathering, visitor);
	const struct config_key *key = objects_key(g->objects, text);
	if (key)
		gather_all(g, &key->definers);
	if (defines && *text == 'u')
		gather_owner(g, text + 2);
}

static void gather_users(
	struct gathering *g, const struct config_object *object)
{
	for (unsigned i = 0; i < object->links; i++) {
		if (object->link[i].defines)
			gather_all(g, &object->link[i].key->users);
	}
}

static void gather_below(
	struct gathering *g, const struct config_object *object)
{
	for (unsigned i = 0; i < object->links; i++) {
		if (!object->link[i].defines)
			gather_all(g, &object->link[i].key->definers);
	}
}

static void gather_edit(struct gathering *g, const struct config_edit *edit)
{
	struct config_object *object = edit->id
		? objects_find(g->objects, edit->kind, edit->id)
		: NULL;
	if (edit->value)
		keys_each(edit->kind, edit->value, g->objects->authority,
			&g->visitor);
	if (object && object->edit->value)
		gather(g, object);
	else if (object)
		gather_users(g, object);
}

static void gather_part(struct gathering *g)
{
	for (unsigned i = 0; i < g->change->edits; i++)
		gather_edit(g, &g->change->edit[i]);
	for (unsigned i = 0; i < g->count; i++) {
		if (!g->found[i]->edit)
			gather_below(g, g->found[i]);
	}
}

static void gather_whole(struct gathering *g)
{
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		const struct config_list *list = &g->objects->list[kind];
		for (unsigned i = 0; i < list->count; i++) {
			const struct config_edit *edit = list->item[i]->edit;
			if (!edit || edit->value)
				gather(g, list->item[i]);
		}
	}
}

static int compare(const void *one, const void *other)
{
	const struct config_object *a = *(struct config_object *const *)one;
	const struct config_object *b = *(struct config_object *const *)other;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->position < b->position ? -1 : a->position > b->position;
}

/* -- slots -------------------------------------------------------------------- */

static int list_gone(struct config_objects *objects,
	const struct config_change *change, struct config_slots *slots,
	struct err *err)
{
	slots->gone = calloc(change->edits + 1, sizeof *slots->gone);
	if (!slots->gone)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; i < change->edits; i++) {
		const struct config_edit *edit = &change->edit[i];
		struct config_object *object = edit->id
			? objects_find(objects, edit->kind, edit->id)
			: NULL;
		if (object && object->edit == edit && !edit->value)
			slots->gone[slots->gones++] = object;
	}
	qsort(slots->gone, slots->gones, sizeof *slots->gone, compare);
	return 0;
}

/* How many of the kind go that stand before this one. */
static unsigned gone_before(const struct config_slots *slots,
	enum config_kind kind, unsigned position)
{
	unsigned before = 0;
	for (unsigned i = 0; i < slots->gones; i++)
		before += slots->gone[i]->kind == kind &&
			slots->gone[i]->position < position;
	return before;
}

static void add_slot(struct config_slots *slots, struct config_object *object)
{
	const struct config_edit *edit = object->edit;
	slots->slot[slots->count++] = (struct config_slot){.kind = object->kind,
		.object = object,
		.value = edit ? edit->value : object->value,
		.position = object->position -
			gone_before(slots, object->kind, object->position),
		.edited = edit};
}

/* Counts the new ones too, and refuses too many. */
static int add_new(const struct config_objects *objects, enum config_kind kind,
	const struct config_change *change, struct config_slots *slots,
	struct err *err)
{
	unsigned all = objects->list[kind].count -
		gone_before(slots, kind, UINT32_MAX);
	for (unsigned i = 0; i < change->edits; i++) {
		const struct config_edit *edit = &change->edit[i];
		if (edit->id || edit->kind != kind)
			continue;
		slots->slot[slots->count++] = (struct config_slot){.kind = kind,
			.value = edit->value,
			.position = all++,
			.edited = true};
	}
	if (kind == CONFIG_PORTAL && !all)
		return err_set(err, EBUSY,
			"it is the last portal: no host could log in; make "
			"another one first");
	if (all <= limits[kind])
		return 0;
	const char *list = config_kind_list(kind);
	err_set(err, EINVAL, "%s: %u are too many: at most %u are allowed",
		list, all, limits[kind]);
	if (err)
		snprintf(err->pointer, sizeof err->pointer, "/%s", list);
	return -EINVAL;
}

static int fill_slots(
	const struct gathering *g, struct config_slots *slots, struct err *err)
{
	unsigned i = 0;
	int failed = 0;
	slots->slot =
		calloc(g->count + g->change->edits + 1, sizeof *slots->slot);
	if (!slots->slot)
		return err_set(err, ENOMEM, "out of memory");
	for (int kind = 0; !failed && kind < CONFIG_KINDS; kind++) {
		for (; i < g->count && (int)g->found[i]->kind == kind; i++)
			add_slot(slots, g->found[i]);
		failed = add_new(g->objects, kind, g->change, slots, err);
	}
	return failed;
}

static int list_slots(
	struct gathering *g, struct config_slots *slots, struct err *err)
{
	int failed = list_gone(g->objects, g->change, slots, err);
	if (failed)
		return failed;
	slots->part =
		!g->change->whole && all_keep_names(g->objects, g->change);
	if (slots->part)
		gather_part(g);
	else
		gather_whole(g);
	if (g->count)
		qsort(g->found, g->count, sizeof *g->found, compare);
	failed = g->failed ? err_set(err, ENOMEM, "out of memory")
			   : fill_slots(g, slots, err);
	for (unsigned i = 0; i < g->count; i++)
		g->found[i]->listed = false;
	free(g->found);
	return failed;
}

int edits_list(struct config_objects *objects,
	const struct appliance *appliance, const struct config_change *change,
	struct config_slots *slots, struct err *err)
{
	struct gathering g = {.visitor.key = visit_key,
		.objects = objects,
		.appliance = appliance,
		.change = change};
	*slots = (struct config_slots){0};
	int failed = mark_edits(objects, change, err);
	if (!failed)
		failed = list_slots(&g, slots, err);
	unmark_edits(objects, change);
	return failed;
}

void edits_free(struct config_slots *slots)
{
	free(slots->slot);
	free(slots->gone);
}

/* -- the document ------------------------------------------------------------- */

struct doc *edits_document(const struct config_slots *slots, struct err *err)
{
	json_t *document = json_object();
	for (int kind = 0; kind < CONFIG_KINDS; kind++)
		json_object_set_new(
			document, config_kind_list(kind), json_array());
	for (unsigned i = 0; i < slots->count; i++)
		json_array_append(
			json_object_get(document,
				config_kind_list(slots->slot[i].kind)),
			slots->slot[i].value);
	struct doc *root = json_to_doc(document, err);
	json_decref(document);
	return root;
}

/* The slot that "/volumes/3..." names, NULL if none. */
static const struct config_slot *slot_at(
	const struct config_slots *slots, const char *pointer)
{
	char list[16];
	unsigned index;
	if (sscanf(pointer, "/%15[a-z]/%u", list, &index) != 2)
		return NULL;
	for (unsigned i = 0; i < slots->count; i++) {
		const struct config_slot *slot = &slots->slot[i];
		if (!strcmp(config_kind_list(slot->kind), list) && !index--)
			return slot;
	}
	return NULL;
}

/* Puts `after` where `before` stands first, if there is room. */
static void exchange(
	char *text, size_t room, const char *before, const char *after)
{
	size_t was = strlen(before), is = strlen(after);
	char *at = strstr(text, before);
	if (!at || strlen(text) - was + is >= room)
		return;
	memmove(at + is, at + was, strlen(at + was) + 1);
	memcpy(at, after, is);
}

void edits_relocate(const struct config_slots *slots, struct err *err)
{
	char before[48], after[48];
	unsigned index;
	const struct config_slot *slot =
		err ? slot_at(slots, err->pointer) : NULL;
	if (!slot)
		return;
	const char *list = config_kind_list(slot->kind);
	index = (unsigned)strtoul(err->pointer + strlen(list) + 2, NULL, 10);
	snprintf(before, sizeof before, "%s[%u]", list, index);
	snprintf(after, sizeof after, "%s[%u]", list, slot->position);
	exchange(err->text, sizeof err->text, before, after);
	snprintf(before, sizeof before, "/%s/%u", list, index);
	snprintf(after, sizeof after, "/%s/%u", list, slot->position);
	exchange(err->pointer, sizeof err->pointer, before, after);
}
