/* SPDX-License-Identifier: Apache-2.0 */
/* New volumes by size; see the header. */
#include "webui/api/objects/new_file.h"

#include "target/control/appliance/new_file.h"
#include "target/control/config/json_doc.h"
#include "webui/api/objects/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file that is half a block longer than its last block would never be used whole. */
static bool is_size(struct api_request *request, json_t *value, json_t *size)
{
	json_int_t block =
		json_integer_value(json_object_get(value, "block_size"));
	struct err err = {0};
	struct doc *doc = json_to_doc(size, &err);
	uint64_t bytes = 0;
	bool well = doc && !doc_size(doc, 0, INT64_MAX, &bytes, &err);
	doc_free(doc);
	if (well && bytes % (block > 0 ? (uint64_t)block : 512) == 0)
		return true;
	api_problem_at(request, "/size", NULL, "%s",
		well ? "a multiple of the block size (512, or what block_size "
		       "says) is expected"
		     : err.text);
	return false;
}

/* What lies in a file that is there already is not for the hosts of a new volume. */
bool new_file_is_new(struct api_request *request, const char *path)
{
	char whole[4096];
	if (strchr(path, '/') || !new_file_exists(request->parts->core, path))
		return true;
	block_core_path(request->parts->core, path, whole, sizeof whole);
	api_problem(request, "conflict",
		"the file %s is there already, and a new volume would show "
		"what is in it: remove the file, choose another name, or take "
		"it "
		"over on purpose with source: {protocol: {type: file, path: "
		"%s}}",
		whole, path);
	return false;
}

/* The source: a file at `path`, with an image of `format` in it, or as it is. */
static json_t *new_source(const char *format, const char *path, json_t *size)
{
	if (!strcmp(format, "raw"))
		return json_pack("{s{ss, ss, sO}}", "protocol", "type", "file",
			"path", path, "size", size);
	return json_pack("{s{ss, sO, so}}", "format", "type", format, "size",
		size, "file", new_file_for_image(path));
}

/* "raw" if nothing is said; NULL: answered. */
static const char *wanted_format(struct api_request *request, json_t *value)
{
	json_t *format = json_object_get(value, "format");
	const char *text = format ? json_string_value(format) : "raw";
	if (!text || (strcmp(text, "raw") && strcmp(text, "qcow2"))) {
		api_problem_at(request, "/format",
			json_pack("[s, s]", "raw", "qcow2"),
			"raw or qcow2 is expected");
		return NULL;
	}
	return text;
}

static bool may_take_size(
	struct api_request *request, json_t *value, json_t *size)
{
	if (json_object_get(value, "source")) {
		api_problem_at(request, "/size", NULL,
			"either source or size is expected");
		return false;
	}
	return is_size(request, value, size);
}

bool new_file_take_size(struct api_request *request, json_t *value)
{
	const char *name = json_string_value(json_object_get(value, "name"));
	json_t *size = json_object_get(value, "size");
	char path[128];
	if (!size && json_object_get(value, "format")) {
		api_problem_at(request, "/format", NULL,
			"it goes with size; a source says its format itself");
		return false;
	}
	if (!size && !json_object_get(value, "source")) {
		api_problem_at(request, "/size", NULL,
			"size is missing: that of a new file; or source: any "
			"stack");
		return false;
	}
	if (!size)
		return true;
	const char *format = wanted_format(request, value);
	if (!format || !may_take_size(request, value, size))
		return false;
	snprintf(path, sizeof path, "%.100s.%s", name ? name : "", format);
	/* One of that name is told of before its file. */
	if (name && !config_find(request->parts->config, CONFIG_VOLUME, name) &&
		!new_file_is_new(request, path))
		return false;
	json_object_set_new(value, "source", new_source(format, path, size));
	json_object_del(value, "size");
	json_object_del(value, "format");
	return true;
}
