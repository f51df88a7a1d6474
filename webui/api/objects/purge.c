/* SPDX-License-Identifier: Apache-2.0 */
/* What dry runs say of files of volumes that are deleted; see purge.h. */
#include "webui/api/objects/purge.h"

#include "target/control/appliance/volume_purge.h"
#include "webui/api/objects/objects.h"
#include "webui/api/server/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *path_of(const json_t *file)
{
	return json_string_value(json_object_get(file, "path"));
}

static char *explain(
	struct api_request *request, const char *name, const json_t *files)
{
	char *text = NULL, *rest = NULL, why[VOLUME_PURGE_WHY_BYTES];
	size_t bytes, rest_bytes, i;
	unsigned gone = 0;
	const json_t *file;
	FILE *out = open_memstream(&text, &bytes);
	FILE *kept = open_memstream(&rest, &rest_bytes);
	if (!out || !kept)
		abort();
	fputs("hosts lose it", out);
	json_array_foreach(files, i, file)
	{
		if (volume_purge_stays(request->parts, name, file, why))
			fprintf(kept, "; %s stays: %s", path_of(file), why);
		else
			fprintf(out, "%s%s",
				gone++ ? ", " : "; its data are gone: removes ",
				path_of(file));
	}
	fclose(kept);
	fputs(rest, out);
	fclose(out);
	free(rest);
	return text;
}

void purge_explain(
	struct api_request *request, const char *name, const json_t *volume)
{
	json_t *plan = api_call_of(request)->answer.json;
	char object[OBJECT_ID_BYTES + 8];
	json_t *item;
	size_t i;
	snprintf(object, sizeof object, "volume %s", name);
	json_array_foreach(json_object_get(plan, "impact"), i, item)
	{
		const char *of =
			json_string_value(json_object_get(item, "object"));
		if (!of || strcmp(of, object) != 0)
			continue;
		json_t *files = volume_purge_files(volume);
		char *text = explain(request, name, files);
		json_object_set_new(item, "text", json_string(text));
		free(text);
		json_decref(files);
	}
}
