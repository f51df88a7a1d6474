/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new image says of the one below it: its size, and where others (qemu-img)
 * find it.
 */
#include "blockcore/core/stack.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The path of a source that is a plain file; NULL: it is none. */
static const char *facts_path(const struct doc *source)
{
	const struct doc *protocol = doc_find(source, "protocol");
	const struct doc *type = doc_find(protocol, "type");
	const struct doc *path = doc_find(protocol, "path");

	return type && path && type->text && !strcmp(type->text, "file")
		? path->text
		: NULL;
}

/* The file of the old image and its format; NULL: qcow2 has no name for it. */
static const char *facts_image(const struct doc *source, const char **format)
{
	const struct doc *map = doc_find(source, "format");
	const struct doc *type = doc_find(map, "type");

	*format = map ? "qcow2" : "raw";
	if (map && (!type || !type->text || strcmp(type->text, "qcow2")))
		return NULL;
	return facts_path(map ? doc_find(map, "file") : source);
}

static size_t facts_folder_bytes(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The old image as the new one names it: beside it, or from the root. */
static void facts_print_name(const struct block_core *core, const char *old,
	const char *new, FILE *out)
{
	size_t folder = facts_folder_bytes(old);
	char data[PATH_MAX];

	if (folder == facts_folder_bytes(new) && !strncmp(old, new, folder)) {
		json_print_string(out, old + folder);
		return;
	}
	if (*old == '/' || !realpath(core->data_directory, data)) {
		json_print_string(out, old);
		return;
	}
	char path[PATH_MAX + 4096];
	snprintf(path, sizeof path, "%s/%s", data, old);
	json_print_string(out, path);
}

static void facts_print(struct block_source *source, const struct doc *now,
	const struct doc *format, FILE *out)
{
	const char *new = facts_path(doc_find(format, "file"));
	const char *type = NULL, *old = facts_image(now, &type);

	fprintf(out, "{\"size\": %llu",
		(unsigned long long)block_stack_bottom(source->current)
			->info.size_bytes);
	if (old && new && !doc_find(format, "backing_name")) {
		fputs(", \"backing_name\": ", out);
		facts_print_name(source->core, old, new, out);
		fprintf(out, ", \"backing_format\": \"%s\"", type);
	}
	fputc('}', out);
}

struct doc *spec_overlay_facts(
	struct block_source *source, const struct doc *format, struct err *err)
{
	struct doc *now = spec_bottom_now(source, err), *facts = NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = now ? open_memstream(&text, &bytes) : NULL;

	if (out) {
		facts_print(source, now, format, out);
		if (!fclose(out))
			facts = doc_parse("", text, bytes, err);
		free(text);
	} else if (now)
		err_set(err, ENOMEM, "no memory for a document");
	doc_free(now);
	return facts;
}
