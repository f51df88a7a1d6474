/* SPDX-License-Identifier: Apache-2.0 */
/* See kept.h. */
#include "tests/lib/kept.h"

#include "target/control/config/store.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static void load(struct state *state, const char *authority,
	struct config_objects *objects, uint64_t *number)
{
	struct err err = {0};
	char *legacy;
	objects_init(objects, authority);
	if (store_load(state, objects, number, &legacy, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	free(legacy);
}

static int save(struct state *state, struct config_proposal *proposal,
	uint64_t number, const char *directory, struct err *err)
{
	int failed = document_identify(proposal->document, state, err);
	if (!failed)
		failed = document_find_secrets(
			proposal->document, state, directory, err);
	if (failed)
		return failed;
	json_t *changes = proposal_changes(proposal);
	struct store_commit commit = {.proposal = proposal,
		.changes = changes,
		.who = "test",
		.title = "saved",
		.now_ms = 1,
		.number = number + 1};
	failed = store_save(state, &commit, err);
	json_decref(changes);
	return failed;
}

int kept_save(struct state *state, const char *text,
	const struct settings *settings, const char *directory, struct err *err)
{
	struct config_objects objects;
	struct config_proposal proposal;
	uint64_t number;
	load(state, settings->naming_authority, &objects, &number);
	struct doc *root = doc_parse("test", text, strlen(text), err);
	CHECK(root);
	int failed =
		proposal_read(&proposal, root, &objects, NULL, settings, err);
	if (!failed)
		failed = save(state, &proposal, number, directory, err);
	proposal_free(&proposal);
	objects_free(&objects);
	return failed;
}

char *kept_json(struct state *state)
{
	struct config_objects objects;
	uint64_t number;
	load(state, "", &objects, &number);
	json_t *document = proposal_document(&objects);
	char *text = json_dumps(document, 0);
	json_decref(document);
	objects_free(&objects);
	CHECK(text);
	return text;
}
