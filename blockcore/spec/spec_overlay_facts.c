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

/* The file of the old image and its format; NULL: qcow2 has no name for it. */
static const char *facts_image(const struct doc *source, const char **format)
{
	const struct doc *map = doc_find(source, "format");
	const struct doc *type = doc_find(map, "type");

	*format = map ? "qcow2" : "raw";
	if (map && (!type || !type->text || strcmp(type->text, "qcow2")))
		return NULL;
	return spec_image_path(source);
}

static size_t facts_folder_bytes(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The old image as the new one names it: beside it, or from the root. */
static char *facts_name(
	const struct block_core *core, const char *old, const char *new)
{
	size_t folder = facts_folder_bytes(old);
	char data[PATH_MAX];
	char *name = NULL;

	if (folder == facts_folder_bytes(new) && !strncmp(old, new, folder))
		return strdup(old + folder);
	if (*old == '/' || !realpath(core->data_directory, data))
		return strdup(old);
	return asprintf(&name, "%s/%s", data, old) < 0 ? NULL : name;
}

char *spec_backing_name(const struct block_core *core, const struct doc *old,
	const struct doc *file, const char **type)
{
	const char *new = spec_image_path(file);
	const char *path = facts_image(old, type);

	return path && new ? facts_name(core, path, new) : NULL;
}

static void facts_print(struct block_source *source, const struct doc *now,
	const struct doc *format, FILE *out)
{
	const char *type = NULL;
	char *name = doc_find(format, "backing_name")
		? NULL
		: spec_backing_name(
			  source->core, now, doc_find(format, "file"), &type);

	fprintf(out, "{\"size\": %llu",
		(unsigned long long)block_stack_bottom(source->current)
			->info.size_bytes);
	if (name) {
		fputs(", \"backing_name\": ", out);
		json_print_string(out, name);
		fprintf(out, ", \"backing_format\": \"%s\"", type);
	}
	fputc('}', out);
	free(name);
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
