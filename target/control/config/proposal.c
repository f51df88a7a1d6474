/* SPDX-License-Identifier: Apache-2.0 */
/* See proposal.h. */
#include "target/control/config/proposal.h"

#include "target/control/config/json_doc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- the document that would be --------------------------------------------- */

json_t *proposal_document(const struct config_objects *objects)
{
	json_t *document = json_object();
	for (int kind = 0; document && kind < CONFIG_KINDS; kind++) {
		const struct config_list *list = &objects->list[kind];
		json_t *array = json_array();
		for (unsigned i = 0; i < list->count; i++)
			json_array_append(array, list->item[i]->value);
		json_object_set_new(document, config_kind_list(kind), array);
	}
	return document;
}

static const struct config_edit *find_edit(
	const struct config_change *change, const struct config_object *object)
{
	for (unsigned i = 0; i < change->edits; i++) {
		const struct config_edit *edit = &change->edit[i];
		if (edit->id && edit->kind == object->kind &&
			!strcmp(edit->id, object->id))
			return edit;
	}
	return NULL;
}

static json_t *edited_list(const struct config_objects *objects,
	enum config_kind kind, const struct config_change *change)
{
	const struct config_list *list = &objects->list[kind];
	json_t *array = json_array();
	for (unsigned i = 0; i < list->count; i++) {
		const struct config_edit *edit =
			find_edit(change, list->item[i]);
		if (!edit)
			json_array_append(array, list->item[i]->value);
		else if (edit->value)
			json_array_append(array, edit->value);
	}
	for (unsigned i = 0; i < change->edits; i++) {
		if (!change->edit[i].id && change->edit[i].kind == kind)
			json_array_append(array, change->edit[i].value);
	}
	return array;
}

static int check_edits(const struct config_objects *objects,
	const struct config_change *change, struct err *err)
{
	for (unsigned i = 0; i < change->edits; i++) {
		const struct config_edit *edit = &change->edit[i];
		if (edit->id && !objects_find(objects, edit->kind, edit->id))
			return err_set(err, ENOENT, "there is no %s \"%s\"",
				config_kind_name(edit->kind), edit->id);
	}
	return 0;
}

struct doc *proposal_edit(const struct config_objects *objects,
	const struct config_change *change, struct err *err)
{
	if (check_edits(objects, change, err))
		return NULL;
	json_t *document = json_object();
	for (int kind = 0; kind < CONFIG_KINDS; kind++)
		json_object_set_new(document, config_kind_list(kind),
			edited_list(objects, kind, change));
	struct doc *root = json_to_doc(document, err);
	json_decref(document);
	return root;
}

/* -- its objects ------------------------------------------------------------ */

#define ID_BYTES (ACCESS_NAME_BYTES + BLOCK_NAME_BYTES + 8)

/* "IQN,LUN"; where other hosts see another volume under that number, the later
 * ones of the document add their first host. */
static const char *export_id(
	const struct config_proposal *proposal, unsigned i, char out[ID_BYTES])
{
	const struct document_export *e = &proposal->document->export[i];
	const struct access_target *target =
		&proposal->document->table->target[e->target];
	const struct access_export *export = &target->export[e->slot];
	snprintf(out, ID_BYTES, "%s,%u", target->iqn, (unsigned)export->lun);
	if (json_object_get(proposal->ids[CONFIG_EXPORT], out))
		snprintf(out, ID_BYTES, "%s,%u,%s", target->iqn,
			(unsigned)export->lun, export->host[0]->name);
	return out;
}

/* The id of item `i` of a list, as the document was understood. */
static const char *item_id(const struct config_proposal *proposal,
	enum config_kind kind, unsigned i, char out[ID_BYTES])
{
	const struct document *document = proposal->document;
	switch (kind) {
	case CONFIG_VOLUME: return document->volume[i].settings.name;
	case CONFIG_HOST: return document->table->host[i].name;
	case CONFIG_TARGET: return document->table->target[i].iqn;
	default: return export_id(proposal, i, out);
	}
}

/* A secret that was given is a change that the values do not show. */
static bool secret_given(const struct document *document, unsigned host)
{
	const struct access_chap *chap = &document->table->host[host].chap;
	return chap->secret || chap->mutual_secret;
}

static int add_item(struct config_proposal *proposal,
	const struct config_objects *objects, enum config_kind kind, unsigned i,
	json_t *value, struct err *err)
{
	char room[ID_BYTES];
	const char *id = item_id(proposal, kind, i, room);
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
	json_object_set_new(proposal->ids[kind], id, json_true());
	proposal->items++;
	return 0;
}

static int add_items(struct config_proposal *proposal,
	const struct config_objects *objects, struct err *err)
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
			int failed = add_item(proposal, objects, kind,
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

int proposal_read(struct config_proposal *proposal, struct doc *root,
	const struct config_objects *objects, const struct settings *settings,
	struct err *err)
{
	*proposal = (struct config_proposal){
		.document = document_read(root, settings, err)};
	if (!proposal->document)
		return err ? -err->code : -EINVAL;
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
	int failed = add_items(proposal, objects, err);
	return failed ? failed : find_gone(proposal, objects, err);
}

void proposal_free(struct config_proposal *proposal)
{
	document_free(proposal->document);
	for (unsigned i = 0; i < proposal->items; i++)
		free(proposal->item[i].id);
	free(proposal->item);
	free(proposal->gone);
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
