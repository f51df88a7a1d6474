/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of a change, as who asked for it knows its places: what is wrong is somewhere
 * in an object, of which the body was perhaps a part only.
 */
#include "webui/api/objects/objects.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* "/source/listeners/0" as texts have it: "source.listeners[0]". */
static void print_path(const char *pointer, size_t bytes, char out[64])
{
	FILE *to = fmemopen(out, 64, "w");
	if (!to)
		return;
	for (size_t i = 0; i < bytes;) {
		size_t token = strcspn(pointer + i + 1, "/");
		bool index = isdigit((unsigned char)pointer[i + 1]);
		if (i && !index)
			fputc('.', to);
		fprintf(to, index ? "[%.*s]" : "%.*s", (int)token,
			pointer + i + 1);
		i += token + 1;
	}
	fclose(to);
}

/* Takes the place of the body out of a text that says where something is in it. */
static void strip_path(char *text, const char *pointer, size_t bytes)
{
	char path[64] = "";
	print_path(pointer, bytes, path);
	size_t used = strlen(path);
	char *at = used ? strstr(text, path) : NULL;
	if (!at || !strchr(".:[", at[used]))
		return;
	used += at[used] == '.' ? 1 : at[used] == ':' ? 2 : 0;
	memmove(at, at + used, strlen(at + used) + 1);
}

void object_fail(
	struct api_request *request, const char *prefix, struct err *err)
{
	object_sort_error(err);
	/* What a driver finds has the pointer in its own options: the end of the
	 * prefix, then. */
	for (; prefix && *prefix; prefix = strchr(prefix + 1, '/')) {
		size_t bytes = strlen(prefix);
		if (strncmp(err->pointer, prefix, bytes) != 0)
			continue;
		memmove(err->pointer, err->pointer + bytes,
			strlen(err->pointer + bytes) + 1);
		strip_path(err->text, prefix, bytes);
		break;
	}
	api_fail(request, err);
}
