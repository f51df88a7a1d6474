/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What everybody may read: whether it is alive, which versions there are, the
 * contract, the schemas, what a problem means.
 */
#include "blockcore/spec.h"
#include "target/control/document/document.h"
#include "webui/api/server/assets.h"
#include "webui/api/server/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void healthz_co(struct api_request *request)
{
	api_answer(request, 200, json_pack("{ss}", "status", "ok"));
}

/* Served means: the document is in force. Until then nobody listens here. */
static void readyz_co(struct api_request *request)
{
	api_answer(request, 200, json_pack("{ss}", "status", "ready"));
}

static void versions_co(struct api_request *request)
{
	api_answer(request, 200,
		json_pack("{s[{ssssss}]}", "versions", "version", "v1", "path",
			"/api/v1", "contract", "/api/v1/openapi.json"));
}

static void openapi_co(struct api_request *request)
{
	const struct api_asset *asset = api_asset_find("openapi.json");
	api_set_header(request, "Cache-Control", "no-cache");
	api_answer_static(request, asset->type, asset->data,
		(size_t)(asset->end - asset->data));
}

static const struct {
	const char *name;
	void (*print)(FILE *out);
} schemas[] = {
	{"source", spec_print_schema},
	{"appliance", document_print_schema},
	{"job", spec_print_job_schema},
};

static void schema_co(struct api_request *request)
{
	const char *name = api_parameter(request, "name");
	for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
		char *text = NULL;
		size_t bytes = 0;
		if (strcmp(schemas[i].name, name) != 0)
			continue;
		FILE *out = open_memstream(&text, &bytes);
		if (out) {
			schemas[i].print(out);
			fclose(out);
		}
		api_answer_text(
			request, 200, "application/schema+json", text, bytes);
		return;
	}
	api_problem(request, "not-found",
		"there is no schema \"%.64s\": source, appliance, job", name);
}

static void problem_co(struct api_request *request)
{
	const char *name = api_parameter(request, "name");
	const struct api_problem_kind *kind = api_problem_find(name);
	if (!kind) {
		api_problem(request, "not-found",
			"there is no kind of problem \"%.64s\"", name);
		return;
	}
	if (api_accepts(request, "text/html")) {
		char *text = NULL;
		int bytes = asprintf(&text,
			"<!doctype html><html lang=\"en\"><meta "
			"charset=\"utf-8\"><title>%s</title><h1>%s</h1>"
			"<p>Status %d.</p><h2>Cause</h2><p>%s</p>"
			"<h2>Cure</h2><p>%s</p></html>\n",
			kind->title, kind->title, kind->status, kind->cause,
			kind->cure);
		api_answer_text(request, 200, "text/html; charset=utf-8",
			bytes < 0 ? NULL : text, (size_t)bytes);
		return;
	}
	api_answer(request, 200,
		json_pack("{ss, ss, si, ss, ss}", "name", kind->name, "title",
			kind->title, "status", kind->status, "cause",
			kind->cause, "cure", kind->cure));
}

const struct api_route api_public_routes[] = {
	{"getHealth", "GET", "/healthz", API_PUBLIC, .handle_co = healthz_co},
	{"getReady", "GET", "/readyz", API_PUBLIC, .handle_co = readyz_co},
	{"getVersions", "GET", "/api", API_PUBLIC, .handle_co = versions_co},
	{"getContract", "GET", "/api/v1/openapi.json", API_PUBLIC,
		.handle_co = openapi_co},
	{"getSchema", "GET", "/api/v1/schemas/{name}", API_PUBLIC,
		.handle_co = schema_co},
	{"getProblem", "GET", "/problems/{name}", API_PUBLIC,
		.handle_co = problem_co},
	{0},
};
