/* SPDX-License-Identifier: Apache-2.0 */
/* See layers.h. */
#include "webui/cli/layers.h"
#include "webui/cli/rates.h"

#include <string.h>

static const struct cli_column columns[] = {
	{"LAYER", "layer"},
	{"KIND", "kind"},
	{"TIMED", "timed", COLUMN_COUNT},
	{"MEAN_US", "mean_us", COLUMN_COUNT},
	{"P99_US", "p99_us", COLUMN_COUNT},
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

/* The layer at the look before; one whose counters went back is another driver, and
 * NULL. */
static const json_t *find_before(const json_t *before, const json_t *layer)
{
	json_t *old;
	size_t i;
	json_array_foreach(before, i, old)
	{
		if (same(old, layer, "layer") && same(old, layer, "kind"))
			return number(old, "requests") <=
					number(layer, "requests")
				? old
				: NULL;
	}
	return NULL;
}

static double grown(const json_t *before, const json_t *layer, const char *key)
{
	return number(layer, key) - number(find_before(before, layer), key);
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
	json_t *row = json_pack("{sO?, sO?, sO?, sf}", "layer",
		json_object_get(layer, "layer"), "depth",
		json_object_get(layer, "depth"), "kind",
		json_object_get(layer, "kind"), "timed", requests);
	if (requests <= 0)
		return row;
	json_object_set_new(row, "mean_us", json_real(ns / requests / 1000));
	json_object_set_new(row, "p99_us",
		rates_percentile_us(
			json_object_get(find_before(before, layer), "latency"),
			json_object_get(layer, "latency"), 0.99));
	/* Pieces of one request run beside each other below. */
	json_object_set_new(row, "own_us",
		json_real((own > 0 ? own : 0) / requests / 1000));
	return row;
}

static json_t *rows_of(const json_t *before, const json_t *layers)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < json_array_size(layers); i++)
		json_array_append_new(rows, row(before, layers, i));
	return rows;
}

json_t *layers_rows(const json_t *before, const json_t *after)
{
	return rows_of(json_object_get(before, "layers"),
		json_object_get(after, "layers"));
}

/* So far to the right as it lies deep. */
static void indent(json_t *rows)
{
	json_t *row;
	size_t i;
	json_array_foreach(rows, i, row)
	{
		json_object_set_new(row, "layer",
			json_sprintf("%*s%s", (int)number(row, "depth") * 2, "",
				json_string_value(
					json_object_get(row, "layer"))));
	}
}

void layers_print(const struct output *output, const char *title,
	const json_t *before, const json_t *after)
{
	const json_t *layers = json_object_get(after, "layers");
	const json_t *old = json_object_get(before, "layers");
	if (timed(old, layers) <= 0)
		old = NULL;
	if (timed(old, layers) <= 0)
		return;
	json_t *rows = rows_of(old, layers);
	indent(rows);
	fputc('\n', output->out);
	if (!output->bare) {
		output_text(output->out, title);
		fprintf(output->out, ", of a few requests %s:\n",
			old ? "just now" : "until now");
	}
	output_table(output, columns, rows);
	json_decref(rows);
}
