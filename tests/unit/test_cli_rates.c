/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cairn top`: order of volumes, time in layers, from answers made up here.
 */
#include "webui/cli/layers.h"
#include "webui/cli/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *json(const char *source)
{
	json_error_t error;
	json_t *json = json_loads(source, 0, &error);
	if (!json)
		fail_msg("%s: %s", source, error.text);
	return json;
}

/* To be freed. */
static char *print_layers(const json_t *before, const json_t *after)
{
	char *text = NULL;
	size_t bytes;
	struct output output = {.out = open_memstream(&text, &bytes)};
	layers_print(&output, "db01", before, after);
	fclose(output.out);
	return text;
}

static void busiest_first(void **state)
{
	(void)state;
	json_t *items =
		json("[{\"volume\": \"c\", \"read_per_s\": 1, \"read_us\": 9},"
		     "{\"volume\": \"a\", \"write_per_s\": 5, \"write_us\": 2},"
		     "{\"volume\": \"b\", \"read_per_s\": 1, \"read_us\": 1, "
		     "\"read_bytes_per_s\": 7}]");
	static const char *const orders[][2] = {{"requests", "abc"},
		{"bytes", "bac"}, {"latency", "cab"}, {"name", "abc"}};
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		char seen[4] = "";
		rates_sort(items, orders[i][0]);
		for (size_t n = 0; n < 3; n++)
			seen[n] = *json_string_value(json_object_get(
				json_array_get(items, n), "volume"));
		assert_string_equal(seen, orders[i][1]);
	}
	json_decref(items);
}

#define LAYER(name, kind, depth, requests, ns, fast, slow) \
	"{\"layer\": \"" name "\", \"kind\": \"" kind "\", \"depth\": " depth \
	", \"requests\": " requests ", \"total_ns\": " ns \
	", \"latency\": [{\"le_ns\": 1000, \"count\": " fast \
	"}, {\"le_ns\": 8000, \"count\": " slow "}]}"

static void layers(void **state)
{
	(void)state;
	json_t *before = json("{\"layers\": [" LAYER("command", "command", "0",
		"100", "900000", "100", "0") "," LAYER("old", "stats", "1",
		"100", "800000", "100", "0") "]}");
	json_t *after = json("{\"layers\": [" LAYER("command", "command", "0",
		"110", "960000", "100", "10") "," LAYER("old", "stats", "1",
		"10", "50000", "10", "0") "]}");
	char *text = print_layers(before, after);
	assert_string_equal(text,
		"\ndb01, of a few requests just now:\n"
		"LAYER    KIND     TIMED  MEAN_US  P99_US  OWN_US\n"
		"command  command     10        6       8       1\n"
		"  old    stats       10        5       1       5\n");
	free(text);
	text = print_layers(after, after);
	assert_non_null(strstr(text, "until now"));
	free(text);
	json_t *rows = layers_rows(after, after);
	assert_int_equal(json_array_size(rows), 2);
	assert_null(json_object_get(json_array_get(rows, 0), "mean_us"));
	json_decref(rows);
	json_decref(before);
	json_decref(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(busiest_first),
		cmocka_unit_test(layers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
