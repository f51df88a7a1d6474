/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts asked of a volume and how long they waited, as a table: all hosts
 * first ("*"), then each. Percentiles are bounds of buckets of the histogram: so
 * many waited at most as long.
 */
#include "webui/cli/commands.h"
#include "webui/cli/rates.h"
#include "webui/cli/run.h"

#include <stdlib.h>

static double number_at(const json_t *json, const char *key)
{
	return json_number_value(json_object_get(json, key));
}

static double errors_of(const json_t *operation)
{
	double sum = 0;
	const char *name;
	json_t *count;
	json_object_foreach(json_object_get(operation, "errors"), name, count)
	{
		sum += json_number_value(count);
	}
	return sum;
}

static void add_operation(json_t *items, const char *host, const char *name,
	const json_t *operation)
{
	double requests = number_at(operation, "requests");
	json_t *item = json_pack("{ss, ss, sO, sO, sf, sO, sI}", "host", host,
		"operation", name, "requests",
		json_object_get(operation, "requests"), "bytes",
		json_object_get(operation, "bytes"), "mean_us",
		requests > 0
			? number_at(operation, "total_ns") / requests / 1000
			: 0.0,
		"in_flight", json_object_get(operation, "in_flight"), "errors",
		(json_int_t)errors_of(operation));
	if (!item)
		return; /* not what the contract says */
	json_object_set_new(item, "p50_us",
		rates_percentile_us(
			NULL, json_object_get(operation, "latency"), 0.5));
	json_object_set_new(item, "p99_us",
		rates_percentile_us(
			NULL, json_object_get(operation, "latency"), 0.99));
	json_array_append_new(items, item);
}

/* What was never asked for has no line. */
static void add_operations(
	json_t *items, const char *host, const json_t *operations)
{
	const char *name;
	json_t *operation;
	json_object_foreach((json_t *)operations, name, operation)
	{
		if (number_at(operation, "requests") > 0 ||
			number_at(operation, "in_flight") > 0)
			add_operation(items, host, name, operation);
	}
}

static json_t *rows_of(const json_t *figures)
{
	json_t *items = json_array(), *host;
	size_t i;
	add_operations(items, "*", json_object_get(figures, "operations"));
	json_array_foreach(json_object_get(figures, "hosts"), i, host)
	{
		const char *name =
			json_string_value(json_object_get(host, "host"));
		add_operations(items, name && *name ? name : "others",
			json_object_get(host, "operations"));
	}
	return items;
}

int run_figures(struct cli_run *run)
{
	char *path = run_path(&run->line);
	json_t *figures;
	int status = run_get(run, path, &figures);
	free(path);
	if (status)
		return status;
	if (run->output.format == OUTPUT_TABLE) {
		json_t *items = rows_of(figures);
		output_list(&run->output, run->columns, items);
		json_decref(items);
	} else {
		output_object(&run->output, NULL, figures);
	}
	json_decref(figures);
	return 0;
}
