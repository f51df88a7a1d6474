/* SPDX-License-Identifier: Apache-2.0 */
/* See proposal.h. */
#include "target/control/config/proposal.h"

#include "target/control/config/json_doc.h"
#include "target/control/config/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- the document that is --------------------------------------------------- */

json_t *proposal_document(const struct config_objects *objects)
{
	json_t *document = json_object();
	for (int kind = 0; document && kind < CONFIG_KINDS; kind++) {
		const struct config_list *list = &objects->list[kind];
		/* None would be a wish to have none. */
		if (kind == CONFIG_PORTAL && !list->count)
			continue;
		json_t *array = json_array();
		for (unsigned i = 0; i < list->count; i++)
			json_array_append(array, list->item[i]->value);
		json_object_set_new(document, config_kind_list(kind), array);
	}
	return document;
}

/* -- its objects ------------------------------------------------------------ */

#define ID_BYTES 32u /* of a number */

static struct access_export *export_at(
	const struct config_proposal *proposal, unsigned i)
{
	const struct document_export *e = &proposal->document->export[i];
	return &proposal->document->table->target[e->target]->export[e->slot];
}

static bool has_host(
	const struct access_export *export, const struct config_object *object)
{
	const json_t *host;
	size_t i;
	json_array_foreach(json_object_get(object->value, "hosts"), i, host)
	{
		const char *name = json_string_value(host);
		for (unsigned h = 0; name && h < export->hosts; h++) {
			if (!strcmp(export->host[h]->name, name))
				return true;
		}
	}
	return false;
}

/* The present export that item `i` of a whole document is. */
static struct config_object *match_export(
	const struct config_proposal *proposal,
	const struct config_objects *objects, unsigned i)
{
	char text[CONFIG_KEY_BYTES];
	const struct document_export *e = &proposal->document->export[i];
	const struct access_export *export = export_at(proposal, i);
	const struct config_link *link;
	snprintf(text, sizeof text, "l:%s,%u",
		proposal->document->table->target[e->target]->iqn,
		(unsigned)export->lun);
	const struct config_key *key = objects_key(objects, text);
	if (!key)
		return NULL;
	TAILQ_FOREACH (link, &key->definers, next) {
		if (!json_object_get(
			    proposal->ids[CONFIG_EXPORT], link->object->id) &&
			has_host(export, link->object))
			return link->object;
	}
	return NULL;
}

static const char *export_id(struct config_proposal *proposal,
	const struct config_objects *objects, const struct config_slot *slot,
	unsigned i, char out[ID_BYTES])
{
	const struct config_object *present =
		slot ? slot->object : match_export(proposal, objects, i);
	if (present)
		snprintf(out, ID_BYTES, "%s", present->id);
	else
		snprintf(out, ID_BYTES, "%" PRIu64, proposal->next_export++);
	export_at(proposal, i)->id = strtoull(out, NULL, 10);
	return out;
}

/* The id of item `i` of a list, as the document was understood. */
static const char *item_id(struct config_proposal *proposal,
	const struct config_objects *objects, enum config_kind kind,
	const struct config_slot *slot, unsigned i, char out[ID_BYTES])
{
	const struct document *document = proposal->document;
	switch (kind) {
	case CONFIG_VOLUME: return document->volume[i].settings.name;
	case CONFIG_HOST: return document->table->host[i]->name;
	case CONFIG_TARGET: return document->table->target[i]->iqn;
	case CONFIG_PORTAL: return document->table->portal[i]->name;
	case CONFIG_SCHEDULE: return document->schedule[i];
	default: return export_id(proposal, objects, slot, i, out);
	}
}

/* A secret that was given is a change that the values do not show. */
static bool secret_given(const struct document *document, unsigned host)
{
	const struct access_chap *chap = &document->table->host[host]->chap;
	return chap->secret || chap->mutual_secret;
}

/* As it is if it stands behind the one before it, else right behind that. */
static uint64_t item_order(const struct config_proposal *proposal,
	const struct config_objects *objects, const struct config_item *item,
	bool part)
{
	const struct config_item *before = proposal->items ? item - 1 : NULL;
	uint64_t least =
		before && before->kind == item->kind ? before->order + 1 : 0;
	uint64_t order = item->present ? item->present->order : 0;
	if (part && !item->present)
		order = objects_next_order(objects, item->kind);
	return order > least ? order : least;
}

static int add_item(struct config_proposal *proposal,
	const struct config_objects *objects, const struct config_slots *slots,
	enum config_kind kind, unsigned i, json_t *value, struct err *err)
{
	char room[ID_BYTES];
	const struct config_slot *slot =
		slots ? &slots->slot[proposal->items] : NULL;
	const char *id = item_id(proposal, objects, kind, slot, i, room);
	struct config_item *item = &proposal->item[proposal->items];
	item->kind = kind;
	item->id = strdup(id);
	if (!item->id)
		return err_set(err, ENOMEM, "out of memory");
	item->value = value;
	item->present = objects_find(objects, kind, id);
	item->changes = !item->present ||
		!json_equal(item->present->value, value) ||
		(kind == CONFIG_HOST && secret_given(proposal->document, i));
	item->order = item_order(proposal, objects, item, slots && slots->part);
	json_object_set_new(proposal->ids[kind], id, json_true());
	proposal->items++;
	return 0;
}

static int add_items(struct config_proposal *proposal,
	const struct config_objects *objects, const struct config_slots *slots,
	struct err *err)
{
	size_t all = 0, i;
	json_t *value;
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		all += json_array_size(json_object_get(
			proposal->json, config_kind_list(kind)));
		proposal->ids[kind] = json_object();
	}
	proposal->item = calloc(all + 1, sizeof *proposal->item);
	if (!proposal->item)
		return err_set(err, ENOMEM, "out of memory");
	for (int kind = 0; kind < CONFIG_KINDS; kind++) {
		const json_t *list =
			json_object_get(proposal->json, config_kind_list(kind));
		json_array_foreach(list, i, value)
		{
			int failed = add_item(proposal, objects, slots, kind,
				(unsigned)i, value, err);
			if (failed)
				return failed;
		}
	}
	return 0;
}

static int find_gone(struct config_proposal *proposal,
	const struct config_objects *objects, struct err *err)
{
	unsigned all = 0;
	for (int kind = 0; kind < CONFIG_KINDS; kind++)
		all += objects->list[kind].count;
	proposal->gone = calloc(all + 1, sizeof *proposal->gone);
	for (int kind = 0; proposal->gone && kind < CONFIG_KINDS; kind++) {
		const struct config_list *list = &objects->list[kind];
		for (unsigned i = 0; i < list->count; i++) {
			if (!json_object_get(
				    proposal->ids[kind], list->item[i]->id))
				proposal->gone[proposal->gones++] =
					list->item[i];
		}
	}
	return proposal->gone ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* -- a part of the whole ------------------------------------------------------ */

static int allocate_part(struct config_proposal *proposal, struct err *err)
{
	struct document_part *part = &proposal->part;
	unsigned items = proposal->items + 1, gones = proposal->gones + 1;
	part->host_stays = calloc(items, sizeof *part->host_stays);
	part->portal_stays = calloc(items, sizeof *part->portal_stays);
	part->target_stays = calloc(items, sizeof *part->target_stays);
	part->export_stays = calloc(items, sizeof *part->export_stays);
	part->gone_volume = calloc(gones, sizeof *part->gone_volume);
	part->gone_host = calloc(gones, sizeof *part->gone_host);
	part->gone_portal = calloc(gones, sizeof *part->gone_portal);
	part->gone_target = calloc(gones, sizeof *part->gone_target);
	part->gone_export = calloc(gones, sizeof *part->gone_export);
	if (part->host_stays && part->portal_stays && part->target_stays &&
		part->export_stays && part->gone_volume && part->gone_host &&
		part->gone_portal && part->gone_target && part->gone_export)
		return 0;
	return err_set(err, ENOMEM, "out of memory");
}

static void say_what_stays(struct config_proposal *proposal)
{
	struct document_part *part = &proposal->part;
	bool *stays[CONFIG_KINDS] = {[CONFIG_HOST] = part->host_stays,
		[CONFIG_PORTAL] = part->portal_stays,
		[CONFIG_TARGET] = part->target_stays,
		[CONFIG_EXPORT] = part->export_stays};
	for (unsigned i = 0; i < proposal->items; i++) {
		const struct config_item *item = &proposal->item[i];
		if (stays[item->kind])
			*stays[item->kind]++ = !item->changes;
	}
}

static void say_what_goes(struct config_proposal *proposal)
{
	struct document_part *part = &proposal->part;
	for (unsigned i = 0; i < proposal->gones; i++) {
		const char *id = proposal->gone[i]->id;
		switch (proposal->gone[i]->kind) {
		case CONFIG_VOLUME:
			part->gone_volume[part->gone_volumes++] = id;
			break;
		case CONFIG_HOST:
			part->gone_host[part->gone_hosts++] = id;
			break;
		case CONFIG_PORTAL:
			part->gone_portal[part->gone_portals++] = id;
			break;
		case CONFIG_TARGET:
			part->gone_target[part->gone_targets++] = id;
			break;
		case CONFIG_SCHEDULE: break; /* nothing runs of it below */
		default:
			part->gone_export[part->gone_exports++] =
				strtoull(id, NULL, 10);
		}
	}
}

/* What goes was said by the edits. */
static int read_part(struct config_proposal *proposal,
	const struct config_slots *slots, struct err *err)
{
	proposal->gone = calloc(slots->gones + 1, sizeof *proposal->gone);
	if (!proposal->gone)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; i < slots->gones; i++)
		proposal->gone[proposal->gones++] = slots->gone[i];
	if (allocate_part(proposal, err))
		return -ENOMEM;
	say_what_stays(proposal);
	say_what_goes(proposal);
	proposal->document->part = &proposal->part;
	return 0;
}

static void free_part(struct document_part *part)
{
	free(part->host_stays);
	free(part->portal_stays);
	free(part->target_stays);
	free(part->export_stays);
	free(part->gone_volume);
	free(part->gone_host);
	free(part->gone_portal);
	free(part->gone_target);
	free(part->gone_export);
}

/* -- all of it ---------------------------------------------------------------- */

static json_t *present_portals(const struct config_objects *objects)
{
	const struct config_list *list = &objects->list[CONFIG_PORTAL];
	json_t *array = json_array();
	for (unsigned i = 0; i < list->count; i++)
		json_array_append(array, list->item[i]->value);
	return array;
}

/* A whole document that does not speak of portals leaves them as they are. */
static int read_over(struct config_proposal *proposal, struct doc *root,
	const json_t *portals, const struct settings *settings, struct err *err)
{
	bool known = json_array_size(portals);
	struct doc *present = known ? json_to_doc(portals, err) : NULL;
	if (known && !present) {
		doc_free(root);
		return -ENOMEM;
	}
	proposal->document = document_read_over(root, present, settings, err);
	doc_free(present);
	if (!proposal->document)
		return err ? -err->code : -EINVAL;
	const struct doc *said = doc_find(proposal->document->root, "portals");
	if (proposal->document->table->portals || !said)
		return 0;
	return doc_error(said, err, EINVAL,
		"at least one portal is expected: no host could log in");
}

static int read_document(struct config_proposal *proposal, struct doc *root,
	const struct config_objects *objects, const struct config_slots *slots,
	const struct settings *settings, struct err *err)
{
	if (slots) {
		proposal->document = document_read(root, settings, err);
		return proposal->document ? 0 : err ? -err->code : -EINVAL;
	}
	json_t *portals = present_portals(objects);
	int failed = read_over(proposal, root, portals, settings, err);
	json_decref(portals);
	return failed;
}

int proposal_read(struct config_proposal *proposal, struct doc *root,
	const struct config_objects *objects, const struct config_slots *slots,
	const struct settings *settings, struct err *err)
{
	*proposal =
		(struct config_proposal){.next_export = objects->next_export};
	int failed =
		read_document(proposal, root, objects, slots, settings, err);
	if (failed)
		return failed;
	/* Secrets have left the tree: what is printed now may be kept. */
	char *text = document_json(proposal->document);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	proposal->json = json_loads(text, 0, NULL);
	free(text);
	if (!proposal->json)
		return err_set(err, EINVAL,
			"the document has a number above %" JSON_INTEGER_FORMAT
			", or a text that is no UTF-8",
			(json_int_t)INT64_MAX);
	if (!json_is_array(json_object_get(proposal->json, "portals")) &&
		objects->list[CONFIG_PORTAL].count)
		json_object_set_new(
			proposal->json, "portals", present_portals(objects));
	failed = add_items(proposal, objects, slots, err);
	if (failed)
		return failed;
	return slots && slots->part ? read_part(proposal, slots, err)
				    : find_gone(proposal, objects, err);
}

void proposal_free(struct config_proposal *proposal)
{
	document_free(proposal->document);
	for (unsigned i = 0; i < proposal->items; i++)
		free(proposal->item[i].id);
	free(proposal->item);
	free(proposal->gone);
	free_part(&proposal->part);
	for (int kind = 0; kind < CONFIG_KINDS; kind++)
		json_decref(proposal->ids[kind]);
	json_decref(proposal->json);
}

/* -- what changes ----------------------------------------------------------- */

bool proposal_is_empty(const struct config_proposal *proposal)
{
	for (unsigned i = 0; i < proposal->items; i++) {
		if (proposal->item[i].changes)
			return false;
	}
	return !proposal->gones;
}

static void add_change(json_t *list, enum config_kind kind, const char *id,
	json_t *before, json_t *after)
{
	json_array_append_new(list,
		json_pack("{ss, ss, ss, sO?, sO?}", "kind",
			config_kind_name(kind), "id", id, "operation",
			!before		 ? "create"
				: !after ? "delete"
					 : "update",
			"before", before, "after", after));
}

json_t *proposal_changes(const struct config_proposal *proposal)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < proposal->items; i++) {
		const struct config_item *item = &proposal->item[i];
		if (item->changes)
			add_change(list, item->kind, item->id,
				item->present ? item->present->value : NULL,
				item->value);
	}
	for (unsigned i = 0; i < proposal->gones; i++)
		add_change(list, proposal->gone[i]->kind, proposal->gone[i]->id,
			proposal->gone[i]->value, NULL);
	return list;
}
