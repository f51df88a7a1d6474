/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts ask of a volume and how long they wait, as JSON.
 */
#include "blockcore/figures.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/view.h"
#include "webui/api/handler.h"
#include "webui/api/live/live.h"

#include <time.h>

static json_t *latency_json(const uint64_t *latency, unsigned buckets,
	uint64_t (*bound)(unsigned bucket))
{
	json_t *list = json_array();
	for (unsigned i = 0; i < buckets; i++) {
		uint64_t bound_ns = bound(i);
		json_array_append_new(list,
			json_pack("{so, sI}", "le_ns",
				bound_ns ? json_integer((json_int_t)bound_ns)
					 : json_null(),
				"count", (json_int_t)latency[i]));
	}
	return list;
}

static json_t *errors_json(const uint64_t *errors)
{
	json_t *object = json_object();
	for (unsigned i = VOLUME_ERROR_NONE + 1; i < VOLUME_ERRORS; i++) {
		if (errors[i])
			json_object_set_new(object, volume_error_name(i),
				json_integer((json_int_t)errors[i]));
	}
	return object;
}

static json_t *operations_json(const struct volume_figures *figures)
{
	json_t *object = json_object();
	for (unsigned i = 0; i < VOLUME_OPS; i++) {
		const struct volume_figures_op *op = &figures->op[i];
		json_object_set_new(object, volume_op_name(i),
			json_pack("{sI, sI, sI, sI, so, so}", "in_flight",
				(json_int_t)op->in_flight, "requests",
				(json_int_t)op->requests, "bytes",
				(json_int_t)op->bytes, "total_ns",
				(json_int_t)op->total_ns, "latency",
				latency_json(op->latency, VOLUME_BUCKETS,
					volume_bucket_bound_ns),
				"errors", errors_json(op->errors)));
	}
	return object;
}

static json_t *hosts_json(const struct volume_book *book)
{
	const struct volume_book_host *host;
	json_t *list = json_array();
	unsigned cursor = 0;
	while ((host = volume_book_next(book, &cursor))) {
		struct volume_figures figures;
		volume_book_host_sum(host, &figures);
		json_array_append_new(list,
			json_pack("{so, sI, so}", "host", live_text(host->name),
				"sessions", (json_int_t)figures.nexuses,
				"operations", operations_json(&figures)));
	}
	return list;
}

/* -- layers ----------------------------------------------------------------- */

static void add_layer(json_t *list, const char *layer, const char *kind,
	unsigned depth, const struct block_times_sum *times)
{
	json_array_append_new(list,
		json_pack("{so, ss, si, sI, sI, so}", "layer", live_text(layer),
			"kind", kind, "depth", (int)depth, "requests",
			(json_int_t)times->requests, "total_ns",
			(json_int_t)times->total_ns, "latency",
			latency_json(times->bucket, BLOCK_TIMES_BUCKETS,
				block_times_bound_ns)));
}

static void add_driver(const struct block_layer *layer, void *list)
{
	add_layer(list, layer->path, layer->kind, layer->depth + 1,
		&layer->times);
}

static json_t *layers_json(
	const struct volume *volume, const struct volume_figures *figures)
{
	struct block_source *source = volume->source;
	json_t *list = json_array();
	for (unsigned i = 0; i < VOLUME_LAYERS; i++)
		add_layer(list, volume_layer_name(i), volume_layer_name(i), 0,
			&figures->layer[i]);
	if (source)
		block_layers_visit(source, add_driver, list);
	return list;
}

json_t *live_figures_json(const struct volume *volume)
{
	const struct volume_book *book = &volume->book;
	struct volume_figures figures;
	volume_book_sum(book, &figures);
	return json_pack("{so, sI, so, so, so, so}", "time", api_time_now(),
		"sessions", (json_int_t)figures.nexuses, "operations",
		operations_json(&figures), "hosts", hosts_json(book), "layers",
		layers_json(volume, &figures), "cache",
		live_caches_json(volume->source));
}

static void get_figures_co(struct api_request *request)
{
	const char *name = api_parameter(request, "name");
	const struct volume *volume =
		appliance_find_volume(request->parts->appliance, name);
	if (!volume) {
		api_problem(request, "not-found",
			"there is no volume \"%.64s\"", name);
		return;
	}
	json_t *figures = live_figures_json(volume);
	json_object_set_new(figures, "volume", json_string(name));
	api_answer(request, 200, figures);
}

const struct api_route api_figures_routes[] = {
	{"getFigures", "GET", "/api/v1/volumes/{name}/figures", API_VIEWER, 0,
		NULL, get_figures_co},
	{0},
};
