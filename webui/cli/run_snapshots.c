/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of a volume as a tree: each under the one that its image stands on, with
 * what it holds and what keeps it.
 */
#include "webui/cli/commands.h"
#include "webui/cli/run.h"

#include <stdlib.h>
#include <string.h>

struct tree {
	const struct cli_run *run;
	const json_t *items;
	bool *shown; /* of each item: names come from others, and may go in circles */
	char trunk[512]; /* before the branches of a level */
};

static const char *text_at(const json_t *json, const char *path)
{
	const char *text = json_string_value(output_find(json, path));
	return text ? text : "";
}

/* "  owned 64 KiB": nothing if it is not known. */
static void print_cell(const struct tree *tree, const json_t *item,
	const char *words, const struct cli_column *column)
{
	const json_t *value = output_find(item, column->path);
	if (!value || (json_is_array(value) && !json_array_size(value)))
		return;
	char *text = output_cell(&tree->run->output, item, column);
	fprintf(tree->run->output.out, "  %s ", words);
	output_text(tree->run->output.out, text);
	free(text);
}

static void print_item(const struct tree *tree, const json_t *item)
{
	FILE *out = tree->run->output.out;
	output_text(out, text_at(item, "name"));
	fprintf(out, "  %s in ", text_at(item, "kind"));
	output_text(out, text_at(item, "image"));
	fprintf(out, "  %s", text_at(item, "created"));
	print_cell(tree, item, "owns",
		&(struct cli_column){"", "owned_bytes", COLUMN_SIZE});
	print_cell(tree, item, "locked until",
		&(struct cli_column){"", "locked_until"});
	print_cell(
		tree, item, "in use by", &(struct cli_column){"", "in_use_by"});
	fputc('\n', out);
}

/* The oldest that was not shown of those under `parent` (NULL: any); the number of
 * items: there is none. */
static size_t next_under(const struct tree *tree, const char *parent)
{
	size_t all = json_array_size(tree->items), found = all;
	for (size_t i = 0; i < all; i++) {
		const json_t *one = json_array_get(tree->items, i);
		if (tree->shown[i] ||
			(parent && strcmp(text_at(one, "parent"), parent) != 0))
			continue;
		if (found == all ||
			strcmp(text_at(one, "created"),
				text_at(json_array_get(tree->items, found),
					"created")) < 0)
			found = i;
	}
	return found;
}

static void print_under(struct tree *tree, const char *parent);

static void print_branch(struct tree *tree, size_t i, bool last)
{
	size_t used = strlen(tree->trunk);
	const json_t *item = json_array_get(tree->items, i);
	fprintf(tree->run->output.out, "%s%s", tree->trunk,
		last ? "`- " : "|- ");
	print_item(tree, item);
	if (used + 4 >= sizeof tree->trunk) /* the rest comes without */
		return;
	strcat(tree->trunk, last ? "   " : "|  ");
	print_under(tree, text_at(item, "name"));
	tree->trunk[used] = '\0';
}

static void print_under(struct tree *tree, const char *parent)
{
	size_t all = json_array_size(tree->items);
	size_t next = next_under(tree, parent);
	while (next < all) {
		size_t i = next;
		tree->shown[i] = true;
		next = next_under(tree, parent);
		print_branch(tree, i, next == all);
	}
}

static int print_tree(const struct cli_run *run, const json_t *items)
{
	struct tree tree = {.run = run,
		.items = items,
		.shown = calloc(json_array_size(items) + 1, sizeof(bool))};
	if (!tree.shown)
		return run_fail(EXIT_FAILED, "out of memory");
	print_under(&tree, "");
	/* What stands on something that is not listed (any more). */
	print_under(&tree, NULL);
	free(tree.shown);
	return 0;
}

int run_snapshot_tree(struct cli_run *run)
{
	char *path = run_path(&run->line);
	json_t *items = NULL;
	int status = run_get_list(run, path, &items);
	free(path);
	if (!status && run->output.format == OUTPUT_TABLE)
		status = print_tree(run, items);
	else if (!status)
		output_list(&run->output, run->columns, items);
	json_decref(items);
	return status;
}
