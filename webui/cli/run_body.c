/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a line to a request: the path with its parameters and query, the body with
 * its members.
 */
#include "blockcore/base/doc.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- documents -------------------------------------------------------------- */

static json_t *to_json(
	const struct doc *root, const char *file, struct err *err)
{
	char *text = NULL;
	size_t bytes;
	json_error_t where;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		abort();
	doc_print_json(root, out);
	fclose(out);
	json_t *json = json_loadb(text, bytes, JSON_DECODE_ANY, &where);
	if (!json)
		err_set(err, EINVAL, "%s: %s", file, where.text);
	secret_free(text);
	return json;
}

json_t *run_read_places(const char *file, struct doc **places, struct err *err)
{
	char *text = secret_read_file(file, err);
	*places = NULL;
	if (!text)
		return NULL;
	const char *name = strcmp(file, "-") ? file : "standard input";
	struct doc *root = doc_parse(name, text, strlen(text), err);
	json_t *json = root ? to_json(root, name, err) : NULL;
	if (json)
		*places = root;
	else
		doc_free(root);
	secret_free(text);
	return json;
}

json_t *run_read_document(const char *file, struct err *err)
{
	struct doc *places;
	json_t *json = run_read_places(file, &places, err);
	doc_free(places);
	return json;
}

/* -- members ---------------------------------------------------------------- */

/* Sets body at "a.b"; takes `value` over. */
static int set_member(
	json_t *body, const char *place, json_t *value, struct err *err)
{
	char key[64];
	while (strchr(place, '.')) {
		size_t n = strcspn(place, ".");
		snprintf(key, sizeof key, "%.*s", (int)n, place);
		json_t *next = json_object_get(body, key);
		if (!json_is_object(next)) {
			next = json_object();
			json_object_set_new(body, key, next);
		}
		body = next;
		place += n + 1;
	}
	if (json_object_set_new(body, place, value))
		return err_set(
			err, EINVAL, "\"%s\" is no text in UTF-8", place);
	return 0;
}

static json_t *get_member(json_t *body, const char *place)
{
	return (json_t *)output_find(body, place);
}

/* true, 12, null, [..], {..}, "..": as in JSON; anything else is a text. */
static json_t *guess_type(const char *text)
{
	json_t *value = json_loads(
		text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	return value ? value : json_string(text);
}

static int add_pair(
	json_t *body, const char *place, const char *pair, struct err *err)
{
	const char *equals = strchr(pair, '=');
	char name[256];
	int n = snprintf(name, sizeof name, "%s%s%.*s", place,
		*place ? "." : "", (int)(equals - pair), pair);
	if (n >= (int)sizeof name)
		return err_set(err, EINVAL, "%.60s...: too long", pair);
	return set_member(body, name, guess_type(equals + 1), err);
}

static int add_items(
	json_t *body, const char *place, const char *items, struct err *err)
{
	json_t *list = get_member(body, place);
	if (!json_is_array(list)) {
		list = json_array();
		if (set_member(body, place, list, err))
			return -EINVAL;
	}
	while (*items) {
		size_t n = strcspn(items, ",");
		if (n)
			json_array_append_new(list, json_stringn(items, n));
		items += n + (items[n] == ',');
	}
	return 0;
}

#define MOST_EXACT (UINT64_C(1) << 53) /* of a number in JSON */

static json_t *number(const char *text, bool (*read)(const char *, uint64_t *))
{
	uint64_t value = 0;
	(void)read(text, &value); /* the line's parser has checked it */
	return json_integer((json_int_t)value);
}

/* What JSON does not hold exactly goes as a text, so that the daemon can say what
 * is wrong with the size. */
static json_t *size(const char *text)
{
	uint64_t bytes = 0;
	(void)text_read_size(text, &bytes);
	return bytes < MOST_EXACT
		? json_integer((json_int_t)bytes)
		: json_sprintf("%llu", (unsigned long long)bytes);
}

static json_t *text_of_file(
	const struct cli_option *option, const char *file, struct err *err)
{
	bool secret = option->value == VALUE_SECRET;
	char *text = secret
		? secret_read(file, option->help, option->flags & CLI_NEW, err)
		: secret_read_file(file, err);
	json_t *json = text ? json_string(text) : NULL;
	if (text && !json)
		err_set(err, EINVAL, "%s: no text in UTF-8", file);
	secret_free(text);
	return json;
}

static json_t *value_of(
	const struct cli_option *option, const char *text, struct err *err)
{
	switch (option->value) {
	case VALUE_SIZE: return size(text);
	case VALUE_NUMBER: return number(text, text_read_number);
	case VALUE_DURATION: return number(text, text_read_duration);
	case VALUE_FLAG: return json_true();
	case VALUE_FILE:
	case VALUE_SECRET: return text_of_file(option, text, err);
	default: return json_string(text);
	}
}

static int add_value(json_t *body, const struct cli_option *option,
	const char *text, struct err *err)
{
	if (option->value == VALUE_PAIRS)
		return add_pair(body, option->place, text, err);
	if (option->value == VALUE_LIST)
		return add_items(body, option->place, text, err);
	json_t *value = value_of(option, text, err);
	if (!value)
		return err && err->code
			? -err->code
			: err_set(err, EINVAL, "\"%s\" is no text in UTF-8",
				  text);
	return set_member(body, option->place, value, err);
}

/* -- the body --------------------------------------------------------------- */

static bool in_body(const struct cli_option *option)
{
	return option->place && *option->place != '{' && *option->place != '?';
}

/* The document of -f, or an empty object. */
static json_t *first_body(const struct cli_line *line, struct err *err)
{
	const char *file = NULL;
	for (unsigned i = 0; i < line->givens; i++)
		if (line->given[i].option->value == VALUE_DOCUMENT)
			file = line->given[i].value;
	json_t *body = file ? run_read_document(file, err) : json_object();
	if (body && !json_is_object(body)) {
		err_set(err, EINVAL, "%s: a map is expected", file);
		json_decref(body);
		return NULL;
	}
	return body;
}

static int add_arguments(
	const struct cli_line *line, json_t *body, struct err *err)
{
	for (unsigned i = 0; i < line->arguments; i++) {
		const struct cli_option *argument =
			cli_line_argument(line->command, i);
		if (in_body(argument) &&
			add_value(body, argument, line->argument[i], err))
			return -EINVAL;
	}
	return 0;
}

static int add_options(
	const struct cli_line *line, json_t *body, struct err *err)
{
	for (unsigned i = 0; i < line->givens; i++) {
		const struct cli_given *given = &line->given[i];
		if (in_body(given->option) &&
			given->option->value != VALUE_DOCUMENT &&
			add_value(body, given->option, given->value, err))
			return -EINVAL;
	}
	return 0;
}

/* What the row itself says. */
static int add_fixed(
	const struct cli_command *command, json_t *body, struct err *err)
{
	return command->sets ? add_pair(body, "", command->sets, err) : 0;
}

/* Secrets that must be there and were not given. */
static int ask(const struct cli_line *line, json_t *body, struct err *err)
{
	const struct cli_option *option = line->command->options;
	for (; option && option->name; option++)
		if ((option->flags & CLI_ASKED) &&
			!get_member(body, option->place) &&
			add_value(body, option, NULL, err))
			return -EINVAL;
	return 0;
}

static bool has_body(const struct cli_command *command)
{
	const struct cli_option *option = command->options;
	if (!strcmp(command->method, "GET") ||
		!strcmp(command->method, "DELETE"))
		return false;
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++)
		if (in_body(&command->argument[i]))
			return true;
	for (; option && option->name; option++)
		if (in_body(option))
			return true;
	return false;
}

json_t *run_body(const struct cli_line *line, struct err *err)
{
	if (!has_body(line->command))
		return NULL;
	json_t *body = first_body(line, err);
	if (!body)
		return NULL;
	if (add_arguments(line, body, err) || add_options(line, body, err) ||
		add_fixed(line->command, body, err) || ask(line, body, err)) {
		if (err && !err->code)
			err->code = EINVAL;
		json_decref(body);
		return NULL;
	}
	return body;
}

/* -- the path --------------------------------------------------------------- */

static const char *find_part(
	const struct cli_line *line, const char *part, size_t bytes)
{
	for (unsigned i = 0; i < line->arguments; i++) {
		const char *place = cli_line_argument(line->command, i)->place;
		if (place && strlen(place) == bytes &&
			!memcmp(place, part, bytes))
			return line->argument[i];
	}
	return "";
}

static void print_encoded(FILE *out, const char *text)
{
	char *encoded = text_url_encode(text);
	fputs(encoded, out);
	free(encoded);
}

static void print_query(FILE *out, const struct cli_given *given, char sign)
{
	uint64_t seconds;
	fprintf(out, "%c%s=", sign, given->option->place + 1);
	if (given->option->value == VALUE_FLAG)
		fputs("true", out);
	else if (given->option->value == VALUE_DURATION &&
		text_read_duration(given->value, &seconds))
		fprintf(out, "%llu", (unsigned long long)seconds);
	else
		print_encoded(out, given->value);
}

char *run_path(const struct cli_line *line)
{
	char *text = NULL, sign = '?';
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		abort();
	for (const char *at = line->command->path; *at;) {
		size_t n = *at == '{' ? strcspn(at, "}") + 1 : strcspn(at, "{");
		if (*at == '{')
			print_encoded(out, find_part(line, at, n));
		else
			fprintf(out, "%.*s", (int)n, at);
		at += n;
	}
	for (unsigned i = 0; i < line->givens; i++) {
		const char *place = line->given[i].option->place;
		if (!place || *place != '?')
			continue;
		print_query(out, &line->given[i], sign);
		sign = '&';
	}
	fclose(out);
	return text;
}
