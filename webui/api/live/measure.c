/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a file would become that holds what a volume shows now, as an image of
 * another format or with other options. Reads maps only, no data.
 */
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/volume.h"
#include "webui/api/handler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Options of an image that change its size; those of a query are texts. */
static const char *const measure_options[] = {"version", "cluster_size",
	"refcount_bits", "subclusters", "preallocation"};

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* {type, OPTION: VALUE ...} as spec_measure_co wants it. */
static json_t *wanted(const struct api_request *request, const char *type)
{
	json_t *format = json_pack("{ss}", "type", type);
	for (size_t i = 0; i < sizeof measure_options / sizeof *measure_options;
		i++) {
		const char *name = measure_options[i];
		const char *text = api_query(request, name);
		if (text && is_number(text) && strlen(text) < 16)
			json_object_set_new(format, name,
				json_integer(strtoll(text, NULL, 10)));
		else if (text)
			json_object_set_new(format, name, json_string(text));
	}
	return format;
}

/* What is wrong with the query is said of its parameter. */
static void refuse(struct api_request *request, const struct err *err)
{
	if (err->code == EINVAL)
		api_problem_at(request,
			*err->pointer ? err->pointer : "/format", NULL, "%s",
			err->text);
	else
		api_fail(request, err);
}

static void measure_co(struct api_request *request, struct block_source *source,
	const char *type)
{
	struct spec_measure measure;
	struct err err = {0};
	json_t *format = wanted(request, type);
	char *text = json_dumps(format, JSON_COMPACT);
	struct doc *doc = text ? doc_parse("", text, strlen(text), &err) : NULL;
	int failed = doc ? spec_measure_co(source, doc, &measure, &err)
			 : err_set(&err, ENOMEM, "out of memory");
	doc_free(doc);
	free(text);
	json_decref(format);
	if (failed)
		refuse(request, &err);
	else
		api_answer(request, 200,
			json_pack("{ss, ss, sI, sI}", "volume",
				api_parameter(request, "name"), "format", type,
				"required_bytes",
				(json_int_t)measure.required_bytes,
				"fully_allocated_bytes",
				(json_int_t)measure.full_bytes));
}

static void measure_volume_co(struct api_request *request)
{
	const char *name = api_parameter(request, "name");
	const char *type = api_query(request, "format");
	struct volume *volume =
		appliance_find_volume(request->parts->appliance, name);
	struct block_source *source =
		volume ? atomic_load(&volume->source) : NULL;
	if (!volume) {
		api_problem(request, "not-found",
			"there is no volume \"%.64s\"", name);
		return;
	}
	if (!source) {
		api_problem(request, "storage",
			"volume \"%.64s\" is offline: nothing runs", name);
		return;
	}
	block_source_get(source); /* the volume may let go of it */
	measure_co(request, source, type ? type : "qcow2");
	block_source_put_co(source);
}

const struct api_route api_measure_routes[] = {
	{"measureVolume", "GET", "/api/v1/volumes/{name}/measure", API_VIEWER,
		0,
		"format version cluster_size refcount_bits subclusters "
		"preallocation",
		measure_volume_co},
	{0},
};
