/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a volume shows something else than it did in a snapshot, or in another one: a
 * map of extents, a page at a time, from tables of images only.
 *
 *	c   tuesday, now	a snapshot that the image on top keeps, or what is
 *	|			shown: of that image, what differs, or all of its own
 *	b   monday		an external one: all that the images over it hold
 *	|
 *	a
 *
 * Each image that matters is a layer, which says from a place on what it has; the
 * uppermost that has something there says of what kind.
 *
 * Invariant: what is not in a map is the same; what is may be so, where the same was
 * written again. A page ends where the first of its layers has not been looked at any
 * further.
 *
 * Control thread.
 */
#include "blockcore/spec.h"
#include "target/control/snapshots/snapshot_records.h"
#include "webui/api/objects/snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_MOST 256u /* images over each other */

struct layer {
	char image[1024]; /* "": the volume's own source */
	const char *from, *to; /* of the format's verb; NULL: not said */
	json_t *page; /* its answer */
	size_t at; /* in its list */
	uint64_t reached;
};

struct differ {
	struct api_request *request;
	struct block_source *source;
	const json_t *from, *to; /* items; `to` NULL: what is shown now */
	struct layer *layer; /* top first */
	unsigned layers;
	uint64_t offset, limit, size_bytes;
};

/* -- which images ---------------------------------------------------------------- */

/* How many images lie over that of an item; NULL: none. -1: the volume does not stand
 * on it. */
static int depth_of(const json_t *source, const json_t *item)
{
	int depth = 0;
	if (!item || !snapshot_is_external(item))
		return 0;
	for (; source; source = snapshot_image_below(source), depth++) {
		if (snapshot_is_called(item, "image",
			    snapshot_image(source) ? snapshot_image(source)
						   : ""))
			return depth;
	}
	return -1;
}

static const char *kept_name(const json_t *item)
{
	return item && !snapshot_is_external(item) ? source_text(item, "name")
						   : NULL;
}

static void add_layer(
	struct differ *d, const char *image, const char *from, const char *to)
{
	struct layer *layer = &d->layer[d->layers++];
	snprintf(layer->image, sizeof layer->image, "%s", image ? image : "");
	layer->from = from;
	layer->to = to;
}

/* False: answered. */
static bool find_layers(struct differ *d, const json_t *source)
{
	int low = depth_of(source, d->from), high = depth_of(source, d->to);
	if (low < 0 || high < 0) {
		api_problem(d->request, "conflict",
			"the volume went back from snapshot \"%.63s\" and does "
			"not stand on it: clone it, or go back to it first",
			source_text(low < 0 ? d->from : d->to, "name"));
		return false;
	}
	if (high > low || low >= (int)LAYERS_MOST) {
		api_problem(d->request, "conflict",
			"snapshot \"%.63s\" lies below \"%.63s\": ask for the "
			"differences from that one to this",
			source_text(d->to ? d->to : d->from, "name"),
			source_text(d->from, "name"));
		return false;
	}
	if (low == high && kept_name(d->from))
		add_layer(d, NULL, kept_name(d->from), kept_name(d->to));
	for (int i = 0; i < low; i++, source = snapshot_image_below(source)) {
		if (i >= high)
			add_layer(d, i ? snapshot_image(source) : NULL, NULL,
				i ? NULL : kept_name(d->to));
	}
	return true;
}

/* -- what one has ------------------------------------------------------------------ */

static struct doc *arguments_of(
	const struct differ *d, const struct layer *layer, struct err *err)
{
	json_t *json = json_pack("{sI, sI, ss*, ss*}", "offset",
		(json_int_t)d->offset, "extents", (json_int_t)d->limit, "from",
		layer->from, "to", layer->to);
	char *text = json_dumps(json, JSON_COMPACT);
	struct doc *doc = text ? doc_parse("", text, strlen(text), err) : NULL;
	if (!text)
		err_set(err, ENOMEM, "out of memory");
	free(text);
	json_decref(json);
	return doc;
}

static int say_co(struct differ *d, const struct layer *layer,
	const struct doc *arguments, FILE *out, struct err *err)
{
	static const char verb[] = "differences";
	return *layer->image
		? spec_image_command_co(
			  d->source, layer->image, verb, arguments, out, err)
		: spec_command_co(d->source, NULL, verb, arguments, out, err);
}

static int look_co(struct differ *d, struct layer *layer, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0;
	struct doc *arguments = arguments_of(d, layer, err);
	FILE *out = arguments ? open_memstream(&text, &bytes) : NULL;
	int failed = out ? 0 : err_set(err, ENOMEM, "out of memory");
	if (out) {
		fputc('{', out);
		failed = say_co(d, layer, arguments, out, err);
		fputc('}', out);
		if (fclose(out) && !failed)
			failed = err_set(err, ENOMEM, "out of memory");
	}
	doc_free(arguments);
	if (!failed)
		layer->page = json_loadb(text, bytes, 0, NULL);
	free(text);
	if (failed || !layer->page)
		return failed ? failed : err_set(err, ENOMEM, "out of memory");
	const json_t *next = json_object_get(layer->page, "next");
	layer->reached = json_is_integer(next)
		? (uint64_t)json_integer_value(next)
		: UINT64_MAX;
	return 0;
}

/* -- all of them ------------------------------------------------------------------- */

static uint64_t number(const json_t *extent, const char *member)
{
	return (uint64_t)json_integer_value(json_object_get(extent, member));
}

/* The extent of a layer that ends behind `at`; NULL: there is none. */
static const json_t *extent_behind(struct layer *layer, uint64_t at)
{
	const json_t *list = json_object_get(layer->page, "extents"), *one;
	while ((one = json_array_get(list, layer->at)) &&
		number(one, "offset") + number(one, "length") <= at)
		layer->at++;
	return one;
}

/* What the uppermost has from `at` on, and in *end how far; NULL: nothing, up to *end. */
static const char *kind_at(struct differ *d, uint64_t at, uint64_t *end)
{
	for (unsigned i = 0; i < d->layers; i++) {
		const json_t *one = extent_behind(&d->layer[i], at);
		uint64_t offset = one ? number(one, "offset") : UINT64_MAX;
		if (offset > at) {
			*end = offset < *end ? offset : *end;
			continue;
		}
		uint64_t to = offset + number(one, "length");
		*end = to < *end ? to : *end;
		return source_text(one, "kind");
	}
	return NULL;
}

/* False: there is room for no more. */
static bool add_extent(const struct differ *d, json_t *items, uint64_t offset,
	uint64_t length, const char *kind)
{
	json_t *last = json_array_get(items, json_array_size(items) - 1);
	if (last && number(last, "offset") + number(last, "length") == offset &&
		snapshot_is_called(last, "kind", kind)) {
		json_object_set_new(last, "length",
			json_integer(
				(json_int_t)(number(last, "length") + length)));
		return true;
	}
	if (json_array_size(items) >= d->limit)
		return false;
	json_array_append_new(items,
		json_pack("{sI, sI, ss}", "offset", (json_int_t)offset,
			"length", (json_int_t)length, "kind", kind));
	return true;
}

static void answer(struct differ *d)
{
	uint64_t at = d->offset, reached = d->size_bytes;
	json_t *items = json_array(), *next = json_null();
	char text[24];
	for (unsigned i = 0; i < d->layers; i++) {
		if (d->layer[i].reached < reached)
			reached = d->layer[i].reached;
	}
	while (at < reached) {
		uint64_t end = reached;
		const char *kind = kind_at(d, at, &end);
		if (kind && !add_extent(d, items, at, end - at, kind))
			break;
		at = end;
	}
	snprintf(text, sizeof text, "%" PRIu64, at);
	if (at < d->size_bytes && d->layers)
		next = json_string(text);
	api_answer(d->request, 200,
		json_pack("{sO, sO?, sI, so, so}", "from",
			json_object_get(d->from, "name"), "to",
			d->to ? json_object_get(d->to, "name") : NULL,
			"size_bytes", (json_int_t)d->size_bytes, "items", items,
			"next", next));
}

static void run_co(struct differ *d)
{
	struct err err = {0};
	int failed = 0;
	for (unsigned i = 0; i < d->layers && !failed; i++)
		failed = look_co(d, &d->layer[i], &err);
	if (failed)
		api_fail(d->request, &err);
	else
		answer(d);
	for (unsigned i = 0; i < d->layers; i++)
		json_decref(d->layer[i].page);
}

/* -- asked -------------------------------------------------------------------------- */

/* False: answered. */
static bool read_page(struct differ *d)
{
	const char *after = api_query(d->request, "after");
	char *end = NULL;
	if (!api_query_uint(d->request, "limit", 1, 1000, 100, &d->limit))
		return false;
	if (!after)
		return true;
	errno = 0;
	d->offset = strtoull(after, &end, 10);
	if (*after >= '0' && *after <= '9' && !*end && !errno &&
		d->offset <= INT64_MAX)
		return true;
	api_problem(d->request, "syntax",
		"after is `next` of the page before: a number of bytes");
	return false;
}

/* False: answered. */
static bool find_items(struct differ *d, const json_t *items)
{
	const char *names[] = {api_parameter(d->request, "snapshot"),
		api_query(d->request, "to")};
	const json_t **found[] = {&d->from, &d->to};
	for (unsigned i = 0; i < 2; i++) {
		*found[i] = names[i] ? snapshot_pick(items, names[i]) : NULL;
		if (!names[i] || *found[i])
			continue;
		api_problem(d->request, "not-found",
			"volume \"%s\" has no snapshot \"%.255s\"",
			api_parameter(d->request, "name"), names[i]);
		return false;
	}
	return snapshot_need_whole(d->request, d->from) &&
		(!d->to || snapshot_need_whole(d->request, d->to));
}

static void list_differences_of_co(struct differ *d, const json_t *items)
{
	const struct config_object *volume = source_volume(d->request);
	if (!volume || !read_page(d) || !find_items(d, items))
		return;
	d->size_bytes = d->to
		? number(d->to, "size_bytes")
		: block_source_info(d->source,
			  block_core_lane(d->request->parts->core, 0))
			  .size_bytes;
	d->layer = calloc(LAYERS_MOST, sizeof *d->layer);
	if (!d->layer)
		api_answer(d->request, 500, NULL);
	else if (find_layers(d, json_object_get(volume->value, "source")))
		run_co(d);
	free(d->layer);
}

static void list_differences_co(struct api_request *request)
{
	struct differ d = {
		.request = request, .source = snapshot_source_co(request)};
	if (!d.source)
		return;
	json_t *items = snapshot_list_co(request, d.source);
	if (items)
		list_differences_of_co(&d, items);
	json_decref(items);
	block_source_put_co(d.source);
}

const struct api_route api_snapshot_differ_routes[] = {
	{"listDifferences", "GET",
		"/api/v1/volumes/{name}/snapshots/{snapshot}/differences",
		API_VIEWER, API_PAGED, "to", list_differences_co},
	{0},
};
