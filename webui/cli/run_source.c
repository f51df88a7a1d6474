/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a volume as text, top first:
 *
 *	db01  100 GiB  generation 3
 *	  reads 812/s 3.2 MiB/s 210 us  writes 40/s 160 KiB/s 350 us
 *	  [throttle limit] iops=20000 | held=0
 *	  <view current of qcow2>
 *	    file:
 *	      (file) path=db01.qcow2 | failed=false
 *
 * and the time that its layers take (layers.h).
 */
#include "blockcore/base/size.h"
#include "webui/cli/commands.h"
#include "webui/cli/layers.h"
#include "webui/cli/rates.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32u

static const char *text_at(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text ? text : "";
}

static bool is_one_of(const char *key, const char *keys)
{
	size_t bytes = strlen(key);
	while (*keys) {
		size_t n = strcspn(keys, " ");
		if (n == bytes && !memcmp(keys, key, n))
			return true;
		keys += n + (keys[n] == ' ');
	}
	return false;
}

static bool is_nothing(const json_t *item)
{
	return json_is_null(item) || json_is_false(item) ||
		(json_is_integer(item) && !json_integer_value(item));
}

/* " a=1 b=x", without the members named in `without` and, of options, those that
 * say nothing: 0, false. */
static void print_members(
	FILE *out, const json_t *map, const char *without, bool options)
{
	const char *key;
	json_t *item;
	json_object_foreach((json_t *)map, key, item)
	{
		if (is_one_of(key, without) || json_is_null(item) ||
			(options && is_nothing(item)))
			continue;
		char *text = json_is_string(item)
			? NULL
			: json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
		fprintf(out, " %s=", key);
		output_text(out, text ? text : json_string_value(item));
		free(text);
	}
}

/* What follows the head of a line that ends at column `at`. */
static void print_rest(const struct cli_run *run, size_t at, unsigned depth,
	const json_t *options, const char *without, const json_t *status)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);
	if (!to)
		abort();
	print_members(to, options, without, true);
	if (json_object_size(status))
		fputs(" |", to);
	print_members(to, status, "failed", false);
	fclose(to);
	output_wrapped(&run->output, (unsigned)at, depth * 2 + 4, text);
	free(text);
}

static void print_driver(const struct cli_run *run, const json_t *driver,
	unsigned depth, const char *shape)
{
	FILE *out = run->output.out;
	const json_t *status = json_object_get(driver, "status");
	bool failed = json_is_true(json_object_get(status, "failed"));
	fprintf(out, "%*s%s%c", (int)depth * 2, "", output_bold(&run->output),
		shape[0]);
	output_text(out, text_at(driver, "type"));
	if (*text_at(driver, "name")) {
		fputc(' ', out);
		output_text(out, text_at(driver, "name"));
	}
	fprintf(out, "%c%s", shape[1], output_plain(&run->output));
	size_t head = depth * 2 + 2 + text_width(text_at(driver, "type")) +
		text_width(text_at(driver, "name")) +
		!!*text_at(driver, "name");
	print_rest(run, head, depth, driver, "type name status file backing",
		status);
	if (failed) {
		fputc(' ', out);
		output_state(&run->output, "failed");
	}
	fputc('\n', out);
}

static void print_source(
	const struct cli_run *run, const json_t *source, unsigned depth);

static void print_below(const struct cli_run *run, const char *title,
	const json_t *source, unsigned depth)
{
	if (!source)
		return;
	fprintf(run->output.out, "%*s%s:\n", (int)depth * 2, "", title);
	print_source(run, source, depth + 1);
}

static void print_format(const struct cli_run *run, const json_t *source,
	const json_t *format, unsigned depth)
{
	FILE *out = run->output.out;
	const json_t *view = json_object_get(source, "view");
	const char *name = json_is_string(view) ? json_string_value(view)
						: text_at(view, "snapshot");
	fprintf(out, "%*s<view ", (int)depth * 2, "");
	output_text(out, name);
	fputs(" of ", out);
	output_text(out, text_at(format, "type"));
	fputc('>', out);
	size_t head = depth * 2 + 11 + text_width(name) +
		text_width(text_at(format, "type"));
	print_rest(run, head, depth, format, "type status file backing", NULL);
	fputc('\n', out);
	print_below(run, "file", json_object_get(format, "file"), depth + 1);
	print_below(
		run, "backing", json_object_get(format, "backing"), depth + 1);
}

/* "-> db01", or "-> snapshot monday of db01", "-> image db01.raw of db01" */
static void print_other(FILE *out, const json_t *source, unsigned depth)
{
	static const char *const kinds[] = {"snapshot", "image"};
	const json_t *view = json_object_get(source, "view");
	fprintf(out, "%*s-> ", (int)depth * 2, "");
	for (unsigned i = 0; i < 2; i++) {
		if (!json_object_get(view, kinds[i]))
			continue;
		fprintf(out, "%s ", kinds[i]);
		output_text(out, text_at(view, kinds[i]));
		fputs(" of ", out);
	}
	output_text(out, text_at(source, "source"));
	fputc('\n', out);
}

static void print_source(
	const struct cli_run *run, const json_t *source, unsigned depth)
{
	const json_t *format = json_object_get(source, "format");
	const json_t *protocol = json_object_get(source, "protocol");
	const json_t *below = json_object_get(source, "source");
	size_t i;
	json_t *listener;
	if (depth > MAX_DEPTH)
		return;
	json_array_foreach(json_object_get(source, "listeners"), i, listener)
	{
		print_driver(run, listener, depth, "[]");
	}
	if (protocol)
		print_driver(run, protocol, depth, "()");
	else if (format)
		print_format(run, source, format, depth);
	else if (json_is_string(below))
		print_other(run->output.out, source, depth);
	else if (below)
		print_below(run, "source", below, depth);
}

static void print_rate(FILE *out, const char *what, double per_s, double bytes,
	double latency_us)
{
	char count[TEXT_SIZE_BYTES], size[TEXT_SIZE_BYTES];
	fprintf(out, "  %s %s/s %s/s", what, text_print_count(count, per_s),
		size_print(size, (uint64_t)bytes));
	if (latency_us > 0)
		fprintf(out, " %.0f us", latency_us);
}

/* Two answers of getFigures; NULL where there is none. */
struct looks {
	json_t *before, *after;
	double seconds;
};

static int look_twice(struct cli_run *run, struct looks *looks)
{
	char *name = text_url_encode(run->line.argument[0]), *path = NULL;
	if (asprintf(&path, "/volumes/%s/figures", name) < 0)
		abort();
	int status = run_get(run, path, &looks->before);
	double start = rates_clock();
	if (!status && rates_wait(1))
		status = run_get(run, path, &looks->after);
	looks->seconds = rates_clock() - start;
	free(path);
	free(name);
	return status;
}

static void print_rates(const struct cli_run *run, const struct looks *looks)
{
	struct rates rates;
	rates_compute(&rates, looks->before, looks->after, looks->seconds);
	print_rate(run->output.out, "reads", rates.read_per_s,
		rates.read_bytes_per_s, rates.read_us);
	print_rate(run->output.out, "writes", rates.write_per_s,
		rates.write_bytes_per_s, rates.write_us);
	fputc('\n', run->output.out);
}

static int show_stack(struct cli_run *run, const json_t *state)
{
	struct looks looks = {0};
	FILE *out = run->output.out;
	char size[TEXT_SIZE_BYTES];
	fprintf(out, "%s", output_bold(&run->output));
	output_text(out, run->line.argument[0]);
	fprintf(out, "%s  %s  generation %lld", output_plain(&run->output),
		size_print(size,
			(uint64_t)json_integer_value(
				json_object_get(state, "size_bytes"))),
		json_integer_value(json_object_get(state, "generation")));
	if (json_is_true(json_object_get(state, "read_only")))
		fputs("  read-only", out);
	fputc('\n', out);
	int status = cli_line_flag(&run->line, "quick")
		? 0
		: look_twice(run, &looks);
	if (looks.after)
		print_rates(run, &looks);
	print_source(run, json_object_get(state, "source"), 1);
	if (looks.after)
		layers_print(&run->output, "time in layers", looks.before,
			looks.after);
	json_decref(looks.before);
	json_decref(looks.after);
	return status;
}

int run_source_show(struct cli_run *run)
{
	char *path = run_path(&run->line), *live = NULL;
	bool document = cli_line_flag(&run->line, "document");
	json_t *state;
	if (asprintf(&live, "%s?status=true", path) < 0)
		abort();
	int status = run_get(run, document ? path : live, &state);
	if (!status && !document && run->output.format == OUTPUT_TABLE)
		status = show_stack(run, state);
	else if (!status && document && run->output.format == OUTPUT_TABLE)
		output_yaml(run->output.out, state);
	else if (!status)
		output_object(&run->output, NULL, state);
	json_decref(state);
	free(live);
	free(path);
	return status;
}
