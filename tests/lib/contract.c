/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/contract.h"

#include <stdio.h>
#include <string.h>

static struct doc *contract;

const struct doc *contract_whole(void)
{
	return contract;
}

const char *contract_text(const struct doc *map, const char *key)
{
	const struct doc *node = doc_find(map, key);
	return node && node->text ? node->text : "";
}

const struct doc *contract_operation(
	const char *id, const char **path, const char **method)
{
	const struct doc *paths = doc_find(contract, "paths");
	for (const struct doc *p = paths->first; p; p = p->next)
		for (const struct doc *m = p->first; m; m = m->next)
			if (!strcmp(contract_text(m, "operationId"), id)) {
				*path = p->key;
				*method = m->key;
				return m;
			}
	return NULL;
}

/* What a node that may be a reference stands for. */
static const struct doc *component(const struct doc *node, const char *kind)
{
	const char *ref = node ? contract_text(node, "$ref") : "";
	const char *name = strrchr(ref, '/');
	if (!name)
		return node;
	return doc_find(
		doc_find(doc_find(contract, "components"), kind), name + 1);
}

const struct doc *contract_properties(const struct doc *schema)
{
	schema = component(schema, "schemas");
	return schema ? doc_find(schema, "properties") : NULL;
}

const struct doc *contract_answer(const struct doc *operation)
{
	static const char *const good[] = {
		"201", "200"}; /* 200 may be a dry run */
	const struct doc *responses = doc_find(operation, "responses");
	const struct doc *json = NULL;
	for (unsigned i = 0; i < 2 && !json; i++) {
		const struct doc *answer =
			component(doc_find(responses, good[i]), "responses");
		const struct doc *content =
			answer ? doc_find(answer, "content") : NULL;
		json = content ? doc_find(content, "application/json") : NULL;
	}
	const struct doc *properties =
		json ? contract_properties(doc_find(json, "schema")) : NULL;
	const struct doc *items =
		properties ? doc_find(properties, "items") : NULL;
	if (!items || strcmp(contract_text(items, "type"), "array") != 0)
		return properties;
	return contract_properties(doc_find(items, "items"));
}

int contract_open(void **state)
{
	struct err err;
	(void)state;
	contract = doc_parse_file("webui/api/openapi.yaml", &err);
	if (!contract)
		fprintf(stderr, "%s\n", err.text);
	return contract ? 0 : -1;
}

int contract_close(void **state)
{
	(void)state;
	doc_free(contract);
	return 0;
}
