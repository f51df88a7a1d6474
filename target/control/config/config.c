/* SPDX-License-Identifier: Apache-2.0 */
/* One change after the other; see config.h. */
#include "target/control/config/config.h"

#include "blockcore/base/log.h"
#include "target/control/config/config_parts.h"
#include "target/control/config/impact.h"
#include "target/control/config/json_doc.h"
#include "target/control/config/keys.h"
#include "target/control/own_audit.h"
#include "target/control/unix_time.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- looking ---------------------------------------------------------------- */

json_t *config_document(const struct config *config)
{
	json_t *document = proposal_document(&config->objects);
	json_t *ordered =
		document ? order_document(config->order, document) : NULL;
	json_decref(document);
	return ordered;
}

uint64_t config_generation(const struct config *config)
{
	return config->number;
}

void config_watch(struct config *config, struct config_watcher *watcher)
{
	config->watcher = watcher;
}

void config_outcome_free(struct config_outcome *outcome)
{
	json_decref(outcome->changes);
	json_decref(outcome->impact);
	*outcome = (struct config_outcome){0};
}

/* -- applying --------------------------------------------------------------- */

void config_take(struct config *config, const struct config_proposal *proposal,
	bool part, const struct store_commit *commit,
	struct config_outcome *outcome)
{
	if (!proposal_take(proposal, part, commit->now_ms, &config->objects))
		abort();
	outcome->number = config->number = commit->number;
	free(config->legacy);
	config->legacy = NULL;
	if (config->watcher)
		config->watcher->changed(config->watcher);
}

struct keeping {
	struct config *config;
	struct store_commit commit;
};

static int keep_co(
	void *argument, const struct appliance_made *made, struct err *err)
{
	struct keeping *keeping = argument;
	keeping->commit.made = made;
	return store_save(keeping->config->world.state, &keeping->commit, err);
}

int config_find_secrets(
	struct config *config, struct document *document, struct err *err)
{
	const struct appliance_world *world = &config->world;
	int failed = document_identify(document, world->state, err);
	if (!failed)
		failed = document_find_secrets(
			document, world->state, world->secrets_directory, err);
	return failed;
}

/* A volume that goes leaves its identity in the history, so that it comes back as the
 * disk that hosts know. */
static int add_identities(
	struct config *config, json_t *changes, struct err *err)
{
	const char *volume = config_kind_name(CONFIG_VOLUME);
	char text[VOLUME_UUID_TEXT_BYTES];
	uint8_t uuid[16];
	json_t *change;
	size_t i;
	json_array_foreach(changes, i, change)
	{
		const char *kind =
			json_string_value(json_object_get(change, "kind"));
		if (strcmp(kind, volume) != 0 ||
			!json_is_null(json_object_get(change, "after")))
			continue;
		int failed = state_find_volume(config->world.state,
			json_string_value(json_object_get(change, "id")), uuid,
			err);
		if (!failed)
			json_object_set_new(change, "uuid",
				json_string(volume_uuid_text(uuid, text)));
		else if (failed != -ENOENT)
			return failed;
	}
	return 0;
}

/* Volumes that nobody knows any more get the identity that they had, if it is free. */
static void revive_identities(struct config *config, const json_t *identities,
	struct document *document)
{
	char holder[BLOCK_NAME_BYTES];
	uint8_t uuid[16];
	for (unsigned i = 0; identities && i < document->volumes; i++) {
		struct document_volume *volume = &document->volume[i];
		const char *text = json_string_value(
			json_object_get(identities, volume->settings.name));
		if (text && !volume->uuid_given && !volume->uuid_kept &&
			volume_uuid_parse(text, uuid) &&
			!map_find(&document->volume_uuids, uuid, 16) &&
			state_find_uuid(config->world.state, uuid, holder,
				sizeof holder, NULL) == -ENOENT)
			memcpy(volume->settings.uuid, uuid, 16);
	}
}

static int apply_co(struct config *config, struct config_proposal *proposal,
	const struct config_change *change, bool strict,
	struct config_outcome *outcome, struct err *err)
{
	struct keeping keeping = {.config = config,
		.commit = {.proposal = proposal,
			.changes = outcome->changes,
			.who = change->who,
			.title = change->title,
			.witness = change->witness,
			.now_ms = unix_now_ms(),
			.number = config->number + 1}};
	struct appliance_order order = {.document = proposal->document,
		.strict = strict,
		.keep_co = keep_co,
		.argument = &keeping};
	bool part = proposal->document->part;
	int failed = appliance_apply_co(config->appliance, &order, err);
	proposal->document = NULL;
	if (failed)
		return failed;
	config->in_force = true;
	config_take(config, proposal, part, &keeping.commit, outcome);
	return 0;
}

/* What is kept already. */
static int put_in_force_co(struct config *config,
	struct config_proposal *proposal, struct err *err)
{
	struct appliance_order order = {
		.document = proposal->document, .restores = true};
	proposal->document = NULL;
	int failed = appliance_apply_co(config->appliance, &order, err);
	config->in_force = !failed;
	return failed;
}

static int run_co(struct config *config, struct config_proposal *proposal,
	const struct config_change *change, bool strict,
	struct config_outcome *outcome, struct err *err)
{
	int failed = config_find_secrets(config, proposal->document, err);
	if (failed)
		return failed;
	revive_identities(config, change->identities, proposal->document);
	outcome->changes = proposal_changes(proposal);
	failed = add_identities(config, outcome->changes, err);
	if (failed)
		return failed;
	bool same = proposal_is_empty(proposal) && !config->legacy;
	outcome->impact = same ? json_array()
			       : impact_list_co(proposal, config->world.server,
					 config->appliance);
	if (change->dry_run)
		return appliance_rehearse_co(
			config->appliance, proposal->document, strict, err);
	if (!same)
		return apply_co(config, proposal, change, strict, outcome, err);
	return config->in_force ? 0 : put_in_force_co(config, proposal, err);
}

int config_propose_co(struct config *config, struct doc *root,
	const struct config_slots *slots, const struct config_change *change,
	bool strict, struct config_outcome *outcome, struct err *err)
{
	struct config_proposal proposal;
	*outcome = (struct config_outcome){0};
	int failed = proposal_read(&proposal, root, &config->objects, slots,
		config->world.settings, err);
	if (!failed)
		failed =
			run_co(config, &proposal, change, strict, outcome, err);
	proposal_free(&proposal);
	if (failed)
		config_outcome_free(outcome);
	return failed;
}

/* -- edits ------------------------------------------------------------------ */

/* Where the edit's value stands in the document that would be; NULL: nowhere. */
static const struct config_slot *slot_of(
	const struct config_slots *slots, const struct config_edit *edit)
{
	for (unsigned i = 0; edit->value && i < slots->count; i++) {
		if (slots->slot[i].value == edit->value)
			return &slots->slot[i];
	}
	return NULL;
}

/* Puts `after` where `before` stands, which is no shorter. */
static void shorten(char *text, const char *before, const char *after)
{
	char *at = strstr(text, before);
	size_t was = strlen(before), is = strlen(after);
	if (!at)
		return;
	/* What had a path before it has none now. */
	if (!is)
		was += at[was] == '.' ? 1 : at[was] == ':' ? 2 : 0;
	memcpy(at, after, is);
	memmove(at + is, at + was, strlen(at + was) + 1);
}

/* "/volumes/3/source" becomes "/source", and the text likewise, for who knows only
 * what he asked for. */
static bool localize(const struct config_slots *slots,
	const struct config_edit *edit, const char *where, struct err *err)
{
	char pointer[48], path[48];
	const struct config_slot *slot = slot_of(slots, edit);
	const char *list = config_kind_list(edit->kind);
	if (!slot)
		return false;
	int bytes = snprintf(
		pointer, sizeof pointer, "/%s/%u", list, slot->position);
	snprintf(path, sizeof path, "%s[%u]", list, slot->position);
	if (strncmp(err->pointer, pointer, (size_t)bytes) != 0 ||
		isdigit((unsigned char)err->pointer[bytes]))
		return false;
	/* A place's name is no longer than that of a list and a number. */
	assert(strlen(where) <= (size_t)bytes);
	shorten(err->pointer, pointer, where);
	shorten(err->text, path, *where ? where + 1 : "");
	return true;
}

static void localize_all(const struct config_slots *slots,
	const struct config_change *change, struct err *err)
{
	for (unsigned i = 0; i < change->edits; i++) {
		const struct config_edit *edit = &change->edit[i];
		const char *where = edit->at ? edit->at : i ? NULL : "";
		if (where && localize(slots, edit, where, err))
			return;
	}
}

static int change_co(struct config *config, const struct config_change *change,
	struct config_outcome *outcome, struct err *err)
{
	struct config_slots slots;
	struct config_change widened = *change;
	/* What is not in force as a whole cannot be changed in part. */
	widened.whole |= !config->in_force || config->legacy;
	int failed = edits_list(
		&config->objects, config->appliance, &widened, &slots, err);
	struct doc *root = failed ? NULL : edits_document(&slots, err);
	if (root)
		failed = config_propose_co(
			config, root, &slots, &widened, true, outcome, err);
	else if (!failed)
		failed = -ENOMEM;
	if (failed && err) {
		if (slots.part)
			edits_relocate(&slots, err);
		localize_all(&slots, change, err);
	}
	edits_free(&slots);
	return failed;
}

void config_turn_co(struct config *config, bool held)
{
	if (!held)
		co_mutex_lock_co(&config->changing);
	assert(config->changing.locked);
}

void config_turn_end(struct config *config, bool held)
{
	if (!held)
		co_mutex_unlock(&config->changing);
}

int config_change_co(struct config *config, const struct config_change *change,
	struct config_outcome *outcome, struct err *err)
{
	*outcome = (struct config_outcome){0};
	config_turn_co(config, change->held);
	int failed = change_co(config, change, outcome, err);
	config_turn_end(config, change->held);
	return failed && err ? -err->code : failed;
}

int config_replace_co(struct config *config, const struct config_whole *whole,
	struct config_outcome *outcome, struct err *err)
{
	struct config_change change = {.who = whole->who,
		.title = whole->title,
		.witness = whole->witness,
		.dry_run = whole->dry_run};
	config_turn_co(config, whole->held);
	int failed = config_propose_co(config, whole->root, NULL, &change,
		whole->strict, outcome, err);
	config_turn_end(config, whole->held);
	return failed;
}

/* -- life ------------------------------------------------------------------- */

struct config *config_open(const struct appliance_world *world,
	struct appliance *appliance, struct err *err)
{
	struct config *config = calloc(1, sizeof *config);
	if (!config) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	objects_init(&config->objects, world->settings->naming_authority);
	config->world = *world;
	config->appliance = appliance;
	co_mutex_init(&config->changing);
	config->order = order_new();
	if (!config->order)
		err_set(err, ENOMEM, "out of memory");
	else if (!store_load(world->state, &config->objects, &config->number,
			 &config->legacy, err) &&
		!config_fill_portals(config, err))
		return config;
	config_close(config);
	return NULL;
}

void config_close(struct config *config)
{
	if (!config)
		return;
	objects_free(&config->objects);
	order_free(config->order);
	free(config->legacy);
	free(config);
}

/* What is kept, as a tree; of an older database its document. */
static struct doc *kept(struct config *config, struct err *err)
{
	if (config->legacy)
		return doc_parse("stored document", config->legacy,
			strlen(config->legacy), err);
	json_t *document = config_document(config);
	struct doc *root = document ? json_to_doc(document, err) : NULL;
	json_decref(document);
	return root;
}

/* Hosts for which a secret was made, for want of their own. */
static void note_locked_out(
	const struct config *config, const struct document *document)
{
	for (unsigned i = 0; config->world.trust && i < document->hosts; i++) {
		char object[96];
		if (!document->host[i].locked_out)
			continue;
		snprintf(object, sizeof object, "hosts/%s",
			document->table->host[i]->name);
		own_audit_note(config->world.trust, "lockOutHost", object);
	}
}

int config_restore_co(struct config *config, struct err *err)
{
	const struct appliance_world *world = &config->world;
	struct config_proposal proposal;
	struct doc *root = kept(config, err);
	if (!root)
		return -EINVAL;
	co_mutex_lock_co(&config->changing);
	int failed = proposal_read(
		&proposal, root, &config->objects, NULL, world->settings, err);
	if (failed) {
		err_wrap(err,
			"the stored document does not fit the settings; "
			"apply another");
	} else {
		failed =
			document_identify(proposal.document, world->state, err);
	}
	if (!failed) {
		document_find_stored_secrets(proposal.document, world->state,
			world->secrets_directory);
		note_locked_out(config, proposal.document);
		struct config_change change = {
			.who = "cairnd", .title = "kept by an older version"};
		struct config_outcome outcome = {0};
		if (config->legacy) {
			outcome.changes = proposal_changes(&proposal);
			failed = apply_co(config, &proposal, &change, false,
				&outcome, err);
		} else {
			failed = put_in_force_co(config, &proposal, err);
		}
		config_outcome_free(&outcome);
	}
	proposal_free(&proposal);
	co_mutex_unlock(&config->changing);
	return failed;
}
