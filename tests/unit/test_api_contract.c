/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract and the routes are one: each operation of openapi.json is a row with
 * the same method, path, role and query, and the other way round.
 */
#include "webui/api/server/assets.h"
#include "webui/api/server/private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *contract;

static int load(void **state)
{
	const struct api_asset *asset = api_asset_find("openapi.json");
	(void)state;
	contract = json_loadb(asset->data, (size_t)(asset->end - asset->data),
		JSON_REJECT_DUPLICATES, NULL);
	return contract ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	json_decref(contract);
	return 0;
}

/* The object that "#/a/b" names, or the one itself. */
static json_t *resolve(json_t *thing)
{
	const char *reference =
		json_string_value(json_object_get(thing, "$ref"));
	if (!reference)
		return thing;
	char *copy = strdup(reference + 2), *save = NULL;
	json_t *at = contract;
	for (char *part = strtok_r(copy, "/", &save); part;
		part = strtok_r(NULL, "/", &save))
		at = json_object_get(at, part);
	free(copy);
	assert_non_null(at);
	return at;
}

static json_t *operation_of(const struct api_route *row)
{
	char method[16];
	size_t i = 0;
	for (; row->method[i]; i++)
		method[i] = (char)tolower((unsigned char)row->method[i]);
	method[i] = '\0';
	return json_object_get(
		json_object_get(json_object_get(contract, "paths"), row->path),
		method);
}

static const char *const role_names[] = {
	[API_ADMIN] = "admin",
	[API_OPERATOR] = "operator",
	[API_VIEWER] = "viewer",
	[API_PUBLIC] = "public",
};

static bool has_parameter(
	const json_t *operation, const char *in, const char *name)
{
	json_t *list = json_object_get(operation, "parameters"), *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		json_t *parameter = resolve(item);
		if (!strcmp(json_string_value(json_object_get(parameter, "in")),
			    in) &&
			!strcmp(json_string_value(
					json_object_get(parameter, "name")),
				name))
			return true;
	}
	return false;
}

/* Calls `visit` for each row. */
static void each_row(void (*visit)(const struct api_route *row))
{
	for (const struct api_route *const *list = api_routes; *list; list++) {
		for (const struct api_route *row = *list; row->operation; row++)
			visit(row);
	}
}

static void check_row(const struct api_route *row)
{
	json_t *operation = operation_of(row);
	if (!operation)
		fail_msg(
			"%s %s is not in the contract", row->method, row->path);
	assert_string_equal(
		json_string_value(json_object_get(operation, "operationId")),
		row->operation);
	assert_string_equal(
		json_string_value(json_object_get(operation, "x-cairn-role")),
		role_names[row->role]);
	assert_non_null(row->handle_co);
}

static void rows_are_in_the_contract(void **state)
{
	(void)state;
	each_row(check_row);
}

static const struct {
	unsigned flag;
	const char *in, *name;
} parameters[] = {
	{API_NEEDS_MATCH, "header", "If-Match"},
	{API_DRY_RUN, "query", "dryRun"},
	{API_PAGED, "query", "limit"},
	{API_PAGED, "query", "after"},
	{API_IDEMPOTENT, "header", "Idempotency-Key"},
};

static bool names(const char *list, const char *name)
{
	size_t bytes = strlen(name);
	const char *at = list;
	while (at && (at = strstr(at, name))) {
		bool begins = at == list || at[-1] == ' ';
		if (begins && (at[bytes] == ' ' || !at[bytes]))
			return true;
		at += bytes;
	}
	return false;
}

static void check_query_of(const struct api_route *row, const json_t *operation)
{
	json_t *list = json_object_get(operation, "parameters"), *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		json_t *parameter = resolve(item);
		const char *name =
			json_string_value(json_object_get(parameter, "name"));
		bool known = names(row->query, name);
		if (strcmp(json_string_value(json_object_get(parameter, "in")),
			    "query") != 0)
			continue;
		for (size_t k = 0; k < 5; k++)
			known |= row->flags & parameters[k].flag &&
				!strcmp(parameters[k].name, name);
		if (!known)
			fail_msg("%s: the row does not take ?%s",
				row->operation, name);
	}
}

static void check_parameters(const struct api_route *row)
{
	json_t *operation = operation_of(row);
	for (size_t k = 0; k < sizeof parameters / sizeof *parameters; k++) {
		bool has = has_parameter(
			operation, parameters[k].in, parameters[k].name);
		if (has != !!(row->flags & parameters[k].flag))
			fail_msg("%s: %s %s is %s", row->operation,
				parameters[k].in, parameters[k].name,
				has ? "only in the contract"
				    : "not in the contract");
	}
	check_query_of(row, operation);
	char query[256];
	snprintf(query, sizeof query, "%s", row->query ? row->query : "");
	char *save = NULL;
	for (char *name = strtok_r(query, " ", &save); name;
		name = strtok_r(NULL, " ", &save)) {
		if (!has_parameter(operation, "query", name))
			fail_msg("%s: ?%s is not in the contract",
				row->operation, name);
	}
	bool takes = row->flags & (API_BODY | API_BODY_MAY);
	if (takes != !!json_object_get(operation, "requestBody"))
		fail_msg("%s: the body", row->operation);
}

static void rows_take_what_the_contract_says(void **state)
{
	(void)state;
	each_row(check_parameters);
}

/* -- the other way round ---------------------------------------------------- */

static const char *sought;
static unsigned found;

static void look_for(const struct api_route *row)
{
	found += !strcmp(row->operation, sought);
}

static void every_operation_is_served_once(void **state)
{
	const char *path, *method;
	json_t *item, *operation;
	unsigned missing = 0;
	(void)state;
	json_object_foreach(json_object_get(contract, "paths"), path, item)
	{
		json_object_foreach(item, method, operation)
		{
			sought = json_string_value(
				json_object_get(operation, "operationId"));
			if (!sought)
				continue;
			found = 0;
			each_row(look_for);
			if (found > 1)
				fail_msg("%s has %u rows", sought, found);
			if (!found)
				print_message("# %s is not served\n", sought);
			missing += !found;
		}
	}
	print_message("# %u operations are not served\n", missing);
}

/* What takes a listener away makes another source, which can be found invalid as one
 * that is given can. */
static void parts_of_sources_can_be_invalid(void **state)
{
	static const char *const paths[] = {
		"/listeners/{listener}", "/qos", "/faults", "/faults/{id}"};
	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		char path[96];
		snprintf(path, sizeof path, "/api/v1/volumes/{name}%s",
			paths[i]);
		json_t *operation = json_object_get(
			json_object_get(
				json_object_get(contract, "paths"), path),
			"delete");
		assert_non_null(operation);
		assert_non_null(json_object_get(
			json_object_get(operation, "responses"), "422"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_in_the_contract),
		cmocka_unit_test(rows_take_what_the_contract_says),
		cmocka_unit_test(every_operation_is_served_once),
		cmocka_unit_test(parts_of_sources_can_be_invalid),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
