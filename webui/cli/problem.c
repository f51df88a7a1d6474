/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems (RFC 9457) for people: what is wrong, where in what was sent, what is
 * allowed there, what holds it; and as exit status.
 */
#include "webui/cli/run.h"

#include <stdlib.h>
#include <string.h>

int problem_status(int http_status)
{
	switch (http_status) {
	case 404: return EXIT_NOT_FOUND;
	case 409:
	case 412: return EXIT_CONFLICT;
	case 401:
	case 403: return EXIT_DENIED;
	default: return EXIT_FAILED;
	}
}

static const char *text_at(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text ? text : "";
}

/* Texts name choices themselves, unless there are too many. */
static bool names_all(const char *text, const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		char *name = json_is_string(item)
			? strdup(json_string_value(item))
			: json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
		bool found = name && strstr(text, name);
		free(name);
		if (!found)
			return false;
	}
	return true;
}

static void show_list(FILE *out, const char *title, const json_t *list)
{
	size_t i;
	json_t *item;
	if (!json_array_size(list))
		return;
	fprintf(out, "  %s: ", title);
	json_array_foreach(list, i, item)
	{
		char *text = json_is_string(item)
			? NULL
			: json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
		fputs(i ? ", " : "", out);
		output_text(out, text ? text : json_string_value(item));
		free(text);
	}
	fputc('\n', out);
}

/* -- flags for members -------------------------------------------------------- */

/* The option that sets the member of the body ("a/b" as "a.b") or, with '?', the
 * parameter of the query; NULL: none does. */
static const struct cli_option *flag_of(
	const struct cli_command *command, const char *member, size_t bytes)
{
	const struct cli_option *option = command ? command->options : NULL;
	for (; option && option->name; option++) {
		const char *place = option->place ? option->place : "";
		size_t i = 0;
		while (i < bytes && place[i] &&
			(place[i] == member[i] ||
				(place[i] == '.' && member[i] == '/')))
			i++;
		if (bytes && i == bytes && !place[i])
			return option;
	}
	return NULL;
}

/* Whether the place of an error says the flag already. */
static bool is_named(const struct cli_command *command, const json_t *errors,
	const struct cli_option *option)
{
	size_t i;
	json_t *error;
	json_array_foreach(errors, i, error)
	{
		const char *pointer = text_at(error, "pointer");
		if (*pointer &&
			flag_of(command, pointer + 1, strlen(pointer + 1)) ==
				option)
			return true;
	}
	return false;
}

static void name_flag(FILE *out, const struct cli_option *option)
{
	fprintf(out, "--%s%s%s", option->name, option->metavar ? " " : "",
		option->metavar ? option->metavar : "");
}

/* Texts of the daemon name members of the body: "hosts is missing", say "shrink":
 * true. Here they are flags. */
static void show_flags(FILE *out, const struct cli_command *command,
	const json_t *problem, const char *detail)
{
	const struct cli_option *option = NULL;
	const char *missing = strstr(detail, " is missing");
	const char *quoted = strstr(detail, "\": true");
	const char *from = missing ? missing : quoted;
	if (json_object_get(problem, "held_by")) {
		option = flag_of(command, "?cascade", 8);
	} else if (from) {
		while (from > detail && !strchr(" \"", from[-1]))
			from--;
		option = flag_of(command, from, strcspn(from, " \""));
	}
	if (!option ||
		is_named(command, json_object_get(problem, "errors"), option))
		return;
	fputs("  that is ", out);
	name_flag(out, option);
	fputc('\n', out);
}

/* -- places in a file --------------------------------------------------------- */

/* The child that the first `bytes` of `token` (of an RFC 6901 pointer) name. */
static const struct doc *child_of(
	const struct doc *node, const char *token, size_t bytes)
{
	char key[256];
	size_t used = 0;
	for (size_t i = 0; i < bytes && used + 1 < sizeof key; i++) {
		bool escaped = token[i] == '~' && i + 1 < bytes;
		i += escaped;
		key[used++] = !escaped ? token[i] : token[i] == '1' ? '/' : '~';
	}
	key[used] = '\0';
	if (node->kind != DOC_LIST)
		return doc_find(node, key);
	unsigned long index = strtoul(key, NULL, 10);
	const struct doc *child = node->first;
	while (child && index--)
		child = child->next;
	return child;
}

/* What the pointer means; where that is not there, what it would be in. */
static const struct doc *place_of(
	const struct doc *document, const char *pointer)
{
	const struct doc *node = document;
	while (node && *pointer == '/') {
		size_t bytes = strcspn(++pointer, "/");
		const struct doc *child = child_of(node, pointer, bytes);
		if (!child)
			break;
		node = child;
		pointer += bytes;
	}
	return node;
}

static void show_pointer(FILE *out, const struct cli_command *command,
	const struct doc *document, const char *pointer)
{
	const struct cli_option *option =
		flag_of(command, pointer + 1, strlen(pointer + 1));
	const struct doc *place = place_of(document, pointer);
	fputs("  at ", out);
	if (place) {
		output_text(out, place->file);
		fprintf(out, ":%u:%u, ",
			place->key ? place->key_line : place->line,
			place->key ? place->key_column : place->column);
	}
	output_text(out, pointer);
	if (!option)
		return;
	fputs(" (", out);
	name_flag(out, option);
	fputc(')', out);
}

/* -- problems ----------------------------------------------------------------- */

static void show_errors(FILE *out, const struct cli_command *command,
	const struct doc *document, const json_t *errors, const char *detail)
{
	size_t i;
	json_t *error;
	json_array_foreach(errors, i, error)
	{
		const char *pointer = text_at(error, "pointer");
		const char *text = text_at(error, "detail");
		if (*pointer) {
			show_pointer(out, command, document, pointer);
			if (strcmp(text, detail)) {
				fputs(": ", out);
				output_text(out, text);
			}
			fputc('\n', out);
		} else if (strcmp(text, detail)) {
			fputs("  ", out);
			output_text(out, text);
			fputc('\n', out);
		}
		const json_t *allowed = json_object_get(error, "allowed");
		if (!names_all(text, allowed))
			show_list(out, "allowed", allowed);
	}
}

static void show_cure(FILE *out, const struct client_answer *answer,
	const struct cli_command *command)
{
	bool signs_in = command && command->operation &&
		!strcmp(command->operation, "signIn");
	switch (answer->status) {
	case 401:
		if (signs_in)
			return;
		fputs("  sign in: cairn login, or give --token-file\n", out);
		return;
	case 412: fputs("  look at it again, then try again\n", out); return;
	case 429:
	case 503:
		fprintf(out, "  try again in %llu s\n",
			(unsigned long long)(answer->retry_after_s
					? answer->retry_after_s
					: 1));
		return;
	default: return;
	}
}

int problem_show(const struct client_answer *answer,
	const struct cli_command *command, const struct doc *document,
	FILE *out)
{
	const json_t *problem = answer->json;
	const char *detail = text_at(problem, "detail");
	const char *title = text_at(problem, "title");
	fputs("cairn: ", out);
	if (*detail || *title)
		output_text(out, *detail ? detail : title);
	else
		fprintf(out, "the daemon answers with status %d",
			answer->status);
	fputc('\n', out);
	show_errors(out, command, document, json_object_get(problem, "errors"),
		detail);
	show_list(out, "allowed", json_object_get(problem, "allowed"));
	show_list(out, "held by", json_object_get(problem, "held_by"));
	show_flags(out, command, problem, detail);
	show_cure(out, answer, command);
	if (answer->status >= 500 && *text_at(problem, "instance")) {
		fputs("  request ", out);
		output_text(out, text_at(problem, "instance"));
		fputs(" in the daemon's log\n", out);
	}
	return problem_status(answer->status);
}
