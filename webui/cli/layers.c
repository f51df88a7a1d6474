/* SPDX-License-Identifier: Apache-2.0 */
/* See layers.h. */
#include "webui/cli/layers.h"

#include <string.h>

static const struct cli_column columns[] = {
	{"LAYER", "layer"},
	{"KIND", "kind"},
	{"TIMED", "timed", COLUMN_COUNT},
	{"MEAN_US", "mean_us", COLUMN_COUNT},
	{"OWN_US", "own_us", COLUMN_COUNT},
	{0},
};

static double number(const json_t *layer, const char *key)
{
	return json_number_value(json_object_get(layer, key));
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
	return json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* What it was at the look before; counters that went back (the driver is another
 * one) count from zero. */
static double was(const json_t *before, const json_t *layer, const char *key)
{
	json_t *old;
	size_t i;
	json_array_foreach(before, i, old)
	{
		if (same(old, layer, "layer") && same(old, layer, "kind"))
			return number(old, key) <= number(layer, key)
				? number(old, key)
				: 0;
	}
	return 0;
}

static double grown(const json_t *before, const json_t *layer, const char *key)
{
	return number(layer, key) - was(before, layer, key);
}

static double timed(const json_t *before, const json_t *layers)
{
	json_t *layer;
	double sum = 0;
	size_t i;
	json_array_foreach(layers, i, layer)
	{
		sum += grown(before, layer, "requests");
	}
	return sum;
}

/* Of what lies right in the layer at `index`. */
static double ns_below(const json_t *before, const json_t *layers, size_t index)
{
	double depth = number(json_array_get(layers, index), "depth"), sum = 0;
	for (size_t i = index + 1; i < json_array_size(layers); i++) {
		const json_t *layer = json_array_get(layers, i);
		if (number(layer, "depth") <= depth)
			break;
		if (number(layer, "depth") == depth + 1)
			sum += grown(before, layer, "total_ns");
	}
	return sum;
}

static json_t *row(const json_t *before, const json_t *layers, size_t index)
{
	const json_t *layer = json_array_get(layers, index);
	double requests = grown(before, layer, "requests");
	double ns = grown(before, layer, "total_ns");
	double own = ns - ns_below(before, layers, index);
	json_t *name = json_sprintf("%*s%s", (int)number(layer, "depth") * 2,
		"", json_string_value(json_object_get(layer, "layer")));
	if (requests <= 0)
		return json_pack("{so, sO?, sf}", "layer", name, "kind",
			json_object_get(layer, "kind"), "timed", requests);
	/* Pieces of one request run beside each other below. */
	return json_pack("{so, sO?, sf, sf, sf}", "layer", name, "kind",
		json_object_get(layer, "kind"), "timed", requests, "mean_us",
		ns / requests / 1000, "own_us",
		(own > 0 ? own : 0) / requests / 1000);
}

void layers_print(
	const struct output *output, const json_t *before, const json_t *after)
{
	const json_t *layers = json_object_get(after, "layers");
	const json_t *old = json_object_get(before, "layers");
	json_t *rows = json_array();
	if (timed(old, layers) <= 0)
		old = NULL;
	if (timed(old, layers) > 0) {
		for (size_t i = 0; i < json_array_size(layers); i++)
			json_array_append_new(rows, row(old, layers, i));
		fprintf(output->out, "\ntime in layers, %s:\n",
			old ? "of a few requests just now"
			    : "of a few requests until now");
		output_table(output, columns, rows);
	}
	json_decref(rows);
}
