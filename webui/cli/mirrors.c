/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/mirrors.h"

#include "blockcore/base/size.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>

static const char *text_at(const json_t *json, const char *path)
{
	const char *text = json_string_value(output_find(json, path));
	return text ? text : "";
}

static bool is_mirror(const json_t *listener)
{
	return !strcmp(text_at(listener, "type"), "mirror");
}

static bool has_mirror(const json_t *volume)
{
	size_t i;
	json_t *listener;
	json_array_foreach(output_find(volume, "source.listeners"), i, listener)
	{
		if (is_mirror(listener))
			return true;
	}
	return false;
}

/* Quietly: that a volume cannot be asked is told where it stands itself. */
static json_t *listeners_of(struct cli_run *run, const char *volume)
{
	char *name = text_url_encode(volume), *path = NULL;
	struct client_answer answer = {0};
	struct err err = {0};
	json_t *items = NULL;
	if (asprintf(&path, "/volumes/%s/listeners", name) < 0)
		abort();
	struct client_request request = {.method = "GET", .path = path};
	if (!client_call(&run->client, &request, &answer, &err)) {
		if (answer.status == 200)
			items = json_incref(
				json_object_get(answer.json, "items"));
		client_answer_free(&answer);
	}
	free(path);
	free(name);
	return items;
}

json_t *mirrors_get(struct cli_run *run, const json_t *volumes)
{
	json_t *mirrors = json_array(), *volume, *listener;
	size_t i, j;
	json_array_foreach(volumes, i, volume)
	{
		json_t *listeners = has_mirror(volume)
			? listeners_of(run, text_at(volume, "name"))
			: NULL;
		json_array_foreach(listeners, j, listener)
		{
			if (is_mirror(listener) &&
				json_object_get(listener, "status"))
				json_array_append_new(mirrors,
					json_pack("{sO, sO, sO}", "volume",
						json_object_get(volume, "name"),
						"name",
						json_object_get(
							listener, "name"),
						"status",
						json_object_get(
							listener, "status")));
		}
		json_decref(listeners);
	}
	return mirrors;
}

bool mirror_is_in_sync(const json_t *mirror)
{
	return !strcmp(text_at(mirror, "status.state"), "in sync");
}

void mirror_print(const struct cli_run *run, const json_t *mirror)
{
	FILE *out = run->output.out;
	const char *error = text_at(mirror, "status.error");
	json_int_t behind =
		json_integer_value(output_find(mirror, "status.behind_bytes"));
	char size[TEXT_SIZE_BYTES];
	fputs("mirror ", out);
	output_text(out, text_at(mirror, "name"));
	fputs("  ", out);
	output_state(&run->output, text_at(mirror, "status.state"));
	if (behind > 0)
		fprintf(out, "  lacks %s", size_print(size, (uint64_t)behind));
	if (*error) {
		fputs("  ", out);
		output_text(out, error);
	}
}
