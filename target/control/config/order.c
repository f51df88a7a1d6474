/* SPDX-License-Identifier: Apache-2.0 */
/* The schemas and the document, walked together; see order.h. */
#include "target/control/config/order.h"

#include "blockcore/spec.h"
#include "target/control/document/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_SCHEMA "/api/v1/schemas/source"

struct order {
	json_t *appliance, *source; /* whole schemas */
};

/* A place in one of them; `at` NULL: nothing is known. */
struct place {
	const struct order *order;
	const json_t *whole, *at;
};

/* -- places ----------------------------------------------------------------- */

/* What "#/$defs/name" is in a schema; NULL: nothing. */
static const json_t *find(const json_t *whole, const char *pointer)
{
	char token[64];
	while (whole && *pointer == '/') {
		size_t bytes = strcspn(++pointer, "/");
		snprintf(token, sizeof token, "%.*s", (int)bytes, pointer);
		whole = json_object_get(whole, token);
		pointer += bytes;
	}
	return whole;
}

static const char *reference_of(struct place place)
{
	return json_string_value(json_object_get(place.at, "$ref"));
}

/* Where its references lead: ours are never round. */
static struct place resolve(struct place place)
{
	const char *reference;
	while (!json_object_get(place.at, "properties") &&
		(reference = reference_of(place))) {
		if (*reference != '#')
			place.whole = strcmp(reference, SOURCE_SCHEMA)
				? NULL
				: place.order->source;
		place.at = *reference == '#' ? find(place.whole, reference + 1)
					     : place.whole;
	}
	return place;
}

static struct place part(struct place place, const json_t *at)
{
	place.at = at;
	return resolve(place);
}

/* Whether a map like this is meant: by its type, if it has one. */
static bool is_meant(struct place branch, const json_t *map)
{
	const json_t *properties = json_object_get(branch.at, "properties");
	const json_t *type =
		json_object_get(json_object_get(properties, "type"), "const");
	const char *key;
	json_t *value;
	if (type)
		return json_equal((json_t *)type, json_object_get(map, "type"));
	json_object_foreach((json_t *)map, key, value)
	{
		if (!json_object_get(properties, key))
			return false;
	}
	return properties;
}

/* The one of several that the map is. */
static struct place choose(struct place place, const json_t *map)
{
	static const char *const choices[] = {"oneOf", "anyOf"};
	json_t *one;
	size_t i;
	if (json_object_get(place.at, "properties"))
		return place;
	for (size_t c = 0; c < sizeof choices / sizeof *choices; c++) {
		json_array_foreach(
			json_object_get(place.at, choices[c]), i, one)
		{
			struct place branch = part(place, one);
			if (is_meant(branch, map))
				return branch;
		}
	}
	return place;
}

/* -- order ------------------------------------------------------------------- */

static json_t *ordered(struct place place, const json_t *value);

/* What the schema names, as it does. */
static void take_known(struct place place, const json_t *schema,
	const json_t *map, json_t *out)
{
	const char *key;
	json_t *property, *part_of;
	size_t i;
	json_object_foreach(
		json_object_get(schema, "properties"), key, property)
	{
		const json_t *value = json_object_get(map, key);
		if (value)
			json_object_set_new(out, key,
				ordered(part(place, property), value));
	}
	json_array_foreach(json_object_get(schema, "allOf"), i, part_of)
		take_known(place, part_of, map, out);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The rest. False without memory. */
static bool take_others(const json_t *map, json_t *out)
{
	const char **name = calloc(json_object_size(map) + 1, sizeof *name);
	const struct place nowhere = {0};
	const char *key;
	json_t *value;
	size_t names = 0;
	if (!name)
		return false;
	json_object_foreach((json_t *)map, key, value)
	{
		if (!json_object_get(out, key))
			name[names++] = key;
	}
	qsort(name, names, sizeof *name, by_name);
	for (size_t i = 0; i < names; i++)
		json_object_set_new(out, name[i],
			ordered(nowhere, json_object_get(map, name[i])));
	free(name);
	return json_object_size(out) == json_object_size(map);
}

static json_t *ordered_map(struct place place, const json_t *map)
{
	json_t *out = json_object();
	place = choose(place, map);
	if (out)
		take_known(place, place.at, map, out);
	if (out && take_others(map, out))
		return out;
	json_decref(out);
	return NULL;
}

static json_t *ordered_list(struct place place, const json_t *list)
{
	struct place items = part(place, json_object_get(place.at, "items"));
	json_t *out = json_array(), *value;
	size_t i;
	json_array_foreach(list, i, value)
	{
		if (!out || json_array_append_new(out, ordered(items, value))) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static json_t *ordered(struct place place, const json_t *value)
{
	if (json_is_object(value))
		return ordered_map(place, value);
	if (json_is_array(value))
		return ordered_list(place, value);
	return json_incref((json_t *)value);
}

json_t *order_document(const struct order *order, const json_t *document)
{
	const struct place top = {.order = order,
		.whole = order->appliance,
		.at = order->appliance};
	return ordered(resolve(top), document);
}

/* -- life -------------------------------------------------------------------- */

static json_t *printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	print(out);
	json_t *schema = fclose(out)
		? NULL
		: json_loadb(text, bytes, JSON_DECODE_INT_AS_REAL, NULL);
	free(text);
	return schema;
}

struct order *order_new(void)
{
	struct order *order = calloc(1, sizeof *order);
	if (!order)
		return NULL;
	order->appliance = printed(document_print_schema);
	order->source = printed(spec_print_schema);
	if (order->appliance && order->source)
		return order;
	order_free(order);
	return NULL;
}

void order_free(struct order *order)
{
	if (!order)
		return;
	json_decref(order->appliance);
	json_decref(order->source);
	free(order);
}
