/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table against the contract of REST (openapi.yaml), and help, man
 * page and completion against the table.
 */
#include "tests/lib/contract.h"
#include "webui/cli/commands.h"
#include "webui/cli/help.h"
#include "webui/cli/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Operations that are for browsers, monitors and programs, not for a person. */
static const char *const not_for_people[] = {"getRoot", "getHealth", "getReady",
	"getDocs", "getProblem", "getVersions", "getContract", "getSchema",
	"getMetrics"};

/* Whether the operation has a parameter: by reference or by name. */
static bool has_parameter(
	const struct doc *operation, const char *name, const char *in)
{
	const struct doc *list = doc_find(operation, "parameters");
	for (const struct doc *p = list ? list->first : NULL; p; p = p->next) {
		const char *ref = strrchr(contract_text(p, "$ref"), '/');
		if (ref && !strcmp(ref + 1, name))
			return true;
		if (!strcmp(contract_text(p, "name"), name) &&
			!strcmp(contract_text(p, "in"), in))
			return true;
	}
	return false;
}

static void for_commands(void (*check)(
	const struct cli_noun *noun, const struct cli_command *command))
{
	for (unsigned i = 0; cli_nouns[i]; i++)
		for (const struct cli_command *c = cli_nouns[i]->commands;
			c->verb; c++)
			check(cli_nouns[i], c);
}

/* -- against the contract ---------------------------------------------------- */

static void check_flag(const struct cli_command *command,
	const struct doc *operation, unsigned flag, const char *parameter)
{
	bool row = command->flags & flag;
	bool said = has_parameter(operation, parameter, "");
	if (row != said)
		fail_msg("%s: %s is %s in the contract, %s in the table",
			command->operation, parameter,
			said ? "there" : "absent", row ? "there" : "absent");
}

static void check_operation(
	const struct cli_noun *noun, const struct cli_command *command)
{
	const char *path, *method;
	(void)noun;
	if (!command->operation)
		return;
	const struct doc *operation =
		contract_operation(command->operation, &path, &method);
	if (!operation)
		fail_msg("%s is no operation", command->operation);
	assert_int_equal(strncmp(path, "/api/v1", 7), 0);
	assert_string_equal(path + 7, command->path);
	assert_int_equal(strcasecmp(method, command->method), 0);
	if (strcmp(contract_text(operation, "x-cairn-role"), command->role))
		fail_msg("%s: role %s", command->operation, command->role);
	if (command->run && command->run != run_apply)
		return; /* its code does as it needs */
	check_flag(command, operation, CLI_DRY_RUN, "DryRun");
	check_flag(command, operation, CLI_MATCH, "IfMatch");
	check_flag(command, operation, CLI_KEYED, "IdempotencyKey");
	check_flag(command, operation, CLI_PAGED, "After");
}

static void rows_agree_with_the_contract(void **state)
{
	(void)state;
	for_commands(check_operation);
}

static const char *wanted;
static bool found;

static bool names_word(const char *words, const char *word)
{
	size_t bytes = strlen(word);
	for (const char *at = words; at && *at;) {
		size_t n = strcspn(at, " ");
		if (n == bytes && !memcmp(at, word, n))
			return true;
		at += n + (at[n] == ' ');
	}
	return false;
}

static void look_for(
	const struct cli_noun *noun, const struct cli_command *command)
{
	(void)noun;
	found |= command->operation && !strcmp(command->operation, wanted);
	found |= names_word(command->also, wanted);
}

static void every_operation_has_a_command(void **state)
{
	(void)state;
	unsigned operations = 0;
	const struct doc *paths = doc_find(contract_whole(), "paths");
	for (const struct doc *p = paths->first; p; p = p->next)
		for (const struct doc *m = p->first; m; m = m->next) {
			wanted = contract_text(m, "operationId");
			if (!*wanted)
				continue;
			operations++;
			found = false;
			for_commands(look_for);
			for (size_t i = 0; i <
				sizeof not_for_people / sizeof *not_for_people;
				i++)
				found |= !strcmp(wanted, not_for_people[i]);
			if (!found)
				fail_msg("no command for %s", wanted);
		}
	assert_true(operations > 80);
}

static void check_also(
	const struct cli_noun *noun, const struct cli_command *command)
{
	const char *path, *method;
	char word[64];
	(void)noun;
	for (const char *at = command->also; at && *at;) {
		size_t n = strcspn(at, " ");
		snprintf(word, sizeof word, "%.*s", (int)n, at);
		if (!contract_operation(word, &path, &method))
			fail_msg("%s: %s is no operation", command->verb, word);
		at += n + (at[n] == ' ');
	}
}

static void what_code_calls_is_in_the_contract(void **state)
{
	(void)state;
	for_commands(check_also);
}

/* -- places ------------------------------------------------------------------ */

static const struct doc *body_properties(const struct doc *operation)
{
	const struct doc *body = doc_find(operation, "requestBody");
	const struct doc *content = body ? doc_find(body, "content") : NULL;
	const struct doc *json =
		content ? doc_find(content, "application/json") : NULL;
	return json ? contract_properties(doc_find(json, "schema")) : NULL;
}

/* "export.hosts" step by step. */
static void check_member(const struct cli_command *command,
	const struct doc *properties, const char *place)
{
	char key[64];
	while (properties && *place) {
		size_t n = strcspn(place, ".");
		snprintf(key, sizeof key, "%.*s", (int)n, place);
		const struct doc *property = doc_find(properties, key);
		if (!property)
			fail_msg("%s takes no member %s", command->operation,
				key);
		properties = contract_properties(property);
		place += n + (place[n] == '.');
	}
}

static void check_place(const struct cli_command *command,
	const struct doc *operation, const struct cli_option *option)
{
	const char *place = option->place;
	if (!place || !*place)
		return;
	if (*place == '{')
		assert_non_null(strstr(command->path, place));
	else if (*place != '?')
		check_member(command, body_properties(operation), place);
	else if (!has_parameter(operation, place + 1, "query"))
		fail_msg("%s takes no %s", command->operation, place);
}

static void check_places(
	const struct cli_noun *noun, const struct cli_command *command)
{
	const char *path, *method;
	(void)noun;
	if (!command->operation)
		return;
	const struct doc *operation =
		contract_operation(command->operation, &path, &method);
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++)
		check_place(command, operation, &command->argument[i]);
	for (const struct cli_option *o = command->options; o && o->name; o++)
		check_place(command, operation, o);
}

static void values_go_where_the_contract_has_a_place(void **state)
{
	(void)state;
	for_commands(check_places);
}

/* -- columns ------------------------------------------------------------------ */

/* "status.size_bytes" step by step; what has no properties of its own (a driver's
 * options) takes anything. */
static bool has_member(const struct doc *properties, const char *path)
{
	char key[64];
	while (properties && *path) {
		size_t n = strcspn(path, ".");
		snprintf(key, sizeof key, "%.*s", (int)n, path);
		const struct doc *property = doc_find(properties, key);
		if (!property)
			return false;
		properties = contract_properties(property);
		path += n + (path[n] == '.');
	}
	return true;
}

/* An answer shown by a row alone: what is without a value there is a "-" in a
 * script's hands. */
static void check_columns(
	const struct cli_noun *noun, const struct cli_command *command)
{
	const char *path, *method;
	const struct cli_column *column =
		command->columns ? command->columns : noun->columns;
	if (!command->operation || command->run || command->done)
		return;
	const struct doc *shown = contract_answer(
		contract_operation(command->operation, &path, &method));
	if (!shown)
		return;
	if (!column)
		fail_msg("%s %s has no columns", noun->name, command->verb);
	for (; column->title; column++)
		if (!has_member(shown, column->path))
			fail_msg("%s %s: the answer has no %s", noun->name,
				command->verb, column->path);
}

static void columns_are_members_of_answers(void **state)
{
	(void)state;
	for_commands(check_columns);
}

/* Every "{part}" of a path has an argument. */
static void check_path(
	const struct cli_noun *noun, const struct cli_command *command)
{
	(void)noun;
	/* logout knows its token. */
	if (!command->path || command->run == run_logout)
		return;
	for (const char *at = command->path; (at = strchr(at, '{')); at++) {
		bool given = false;
		for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++) {
			const char *place = command->argument[i].place;
			given |= place && *place == '{' &&
				!strncmp(at, place, strlen(place));
		}
		if (!given)
			fail_msg("%s: nothing for %s", command->operation, at);
	}
}

static void paths_are_filled(void **state)
{
	(void)state;
	for_commands(check_path);
}

/* -- the table itself --------------------------------------------------------- */

static void check_options(const struct cli_option *options, const char *verb)
{
	for (const struct cli_option *o = options; o && o->name; o++) {
		assert_non_null(o->help);
		assert_true(o->help[strlen(o->help) - 1] != '.');
		for (const struct cli_option *p = o + 1; p->name; p++)
			if (!strcmp(o->name, p->name) ||
				(o->letter && o->letter == p->letter))
				fail_msg("%s: --%s twice", verb, o->name);
		if (o->names_of) {
			assert_non_null(cli_noun_find(o->names_of));
			assert_non_null(cli_command_find(
				cli_noun_find(o->names_of), "list"));
		}
	}
}

static void check_row(
	const struct cli_noun *noun, const struct cli_command *command)
{
	assert_non_null(command->help);
	assert_true(command->help[strlen(command->help) - 1] != '.');
	assert_ptr_equal(cli_command_find(noun, command->verb), command);
	check_options(command->options, command->verb);
	check_options(cli_globals, "globals");
	for (const struct cli_option *o = command->options; o && o->name; o++)
		for (const struct cli_option *g = cli_globals; g->name; g++) {
			assert_string_not_equal(o->name, g->name);
			assert_true(!o->letter || o->letter != g->letter);
		}
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++)
		if (command->argument[i].names_of)
			assert_non_null(
				cli_noun_find(command->argument[i].names_of));
	if (command->operation && !strcmp(command->method, "DELETE"))
		assert_true(command->flags & CLI_ASKS || noun == &cli_fault ||
			noun == &cli_qos || command->run == run_logout);
}

static void rows_are_whole(void **state)
{
	(void)state;
	for_commands(check_row);
}

/* Invariant 2 of command.h. */
static void check_secret(const struct cli_option *option)
{
	static const char *const secrets[] = {
		"secret", "mutual.secret", "password", "old", "new", "token"};
	if (!option->place)
		return;
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
		if (!strcmp(option->place, secrets[i]))
			assert_int_equal(option->value, VALUE_SECRET);
}

static void check_secrets(
	const struct cli_noun *noun, const struct cli_command *command)
{
	(void)noun;
	for (unsigned i = 0; i < CLI_MAX_ARGUMENTS; i++)
		check_secret(&command->argument[i]);
	for (const struct cli_option *o = command->options; o && o->name; o++)
		check_secret(o);
}

static void secrets_come_from_files_only(void **state)
{
	(void)state;
	for_commands(check_secrets);
}

/* -- help and man page ---------------------------------------------------------- */

static char *man_text, *help_text;

static void check_documented(
	const struct cli_noun *noun, const struct cli_command *command)
{
	char words[128], *text;
	size_t bytes;
	struct cli_line line = {.noun = noun, .command = command};
	if (command->flags & CLI_HIDDEN)
		return;
	snprintf(words, sizeof words, "cairn %s%s%s", noun->name,
		*noun->name ? " " : "", command->verb);
	FILE *out = open_memstream(&text, &bytes);
	help_print(&line, out);
	fclose(out);
	/* help's own help is that of everything. */
	if (command->run != run_help)
		assert_non_null(strstr(text, words));
	for (const struct cli_option *o = command->options; o && o->name; o++)
		assert_non_null(strstr(text, o->name));
	free(text);
	for (char *at = words; (at = strchr(at, '-'));) {
		memmove(at + 1, at, strlen(at) + 1);
		*at = '\\';
		at += 2;
	}
	if (!strstr(man_text, words))
		fail_msg("%s is not in the man page", words);
	assert_non_null(
		strstr(help_text, *noun->name ? noun->name : command->verb));
}

static char *print(void (*printer)(FILE *out))
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	printer(out);
	fclose(out);
	return text;
}

static void help_all(FILE *out)
{
	struct cli_line line = {0};
	help_print(&line, out);
}

static void help_and_man_page_have_everything(void **state)
{
	(void)state;
	man_text = print(man_cairn);
	help_text = print(help_all);
	for_commands(check_documented);
	for (int i = 0; i <= EXIT_UNREACHABLE; i++) {
		assert_non_null(strstr(man_text, cli_exit_texts[i]));
		assert_non_null(strstr(help_text, cli_exit_texts[i]));
	}
	free(man_text);
	free(help_text);
}

/* Requests of roff are only those that the printer means. */
static void man_page_is_roff(void **state)
{
	static const char *const requests[] = {".TH", ".SH", ".SS", ".TP",
		".B ", ".BR", ".RS", ".RE", ".PP", ".br", ".ad l", ".\\\""};
	char *text = print(man_cairn), *save = NULL;
	(void)state;
	for (char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		bool known = false;
		assert_true(line[0] != '\'');
		for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
			known |= !strncmp(
				line, requests[i], strlen(requests[i]));
		if (line[0] == '.' && !known)
			fail_msg("a request: %s", line);
	}
	free(text);
}

static void man_pages_of_the_daemon(void **state)
{
	static const char help[] =
		"usage: cairnd --config FILE\n\n"
		"  --config FILE     settings\n\n"
		"Settings (such as x):\n"
		"  data_directory: TEXT  where (required)\n"
		"In api:\n  port: NUMBER  its port (0 to 65535)\n";
	char *text;
	size_t bytes;
	(void)state;
	FILE *out = open_memstream(&text, &bytes);
	assert_true(man_from_help("cairnd", help, out));
	assert_true(man_from_help("cairn.yaml", help, out));
	assert_false(man_from_help("cairnd", "something else", out));
	fclose(out);
	assert_non_null(strstr(text, ".TH cairnd 8"));
	assert_non_null(strstr(text, ".TP\n.B \\-\\-config FILE\nsettings\n"));
	assert_non_null(strstr(text, ".TH cairn.yaml 5"));
	assert_non_null(strstr(text,
		".TP\n.B data_directory: TEXT\nwhere (required)\n.SS In "
		"api\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_agree_with_the_contract),
		cmocka_unit_test(every_operation_has_a_command),
		cmocka_unit_test(what_code_calls_is_in_the_contract),
		cmocka_unit_test(values_go_where_the_contract_has_a_place),
		cmocka_unit_test(columns_are_members_of_answers),
		cmocka_unit_test(paths_are_filled),
		cmocka_unit_test(rows_are_whole),
		cmocka_unit_test(secrets_come_from_files_only),
		cmocka_unit_test(help_and_man_page_have_everything),
		cmocka_unit_test(man_page_is_roff),
		cmocka_unit_test(man_pages_of_the_daemon),
	};
	return cmocka_run_group_tests(tests, contract_open, contract_close);
}
