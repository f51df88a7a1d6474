/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents to running stacks: opens drivers from the bottom up, then publishes
 * them as a source's first generation. What fails on the way closes what was
 * opened, in reverse.
 */
#include "blockcore/spec.h"
#include "blockcore/core/alias.h"
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/image.h"
#include "blockcore/core/source.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/kinds.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_DEPTH_MAX 64u /* sources below each other */

/* -- drivers -------------------------------------------------------------- */

static int spec_open_kind_co(const struct block_source *above,
	const struct block_kind *kind, const struct doc *map, const char *name,
	struct block_driver **out, struct err *err)
{
	struct doc *document;
	void *options;
	int error = spec_options_kept(kind, map, &options, &document, err);

	if (error)
		return error;
	struct block_driver *driver = block_driver_new(
		above->core, kind, name, options, document, err);
	if (!driver)
		return -ENOMEM;
	error = spec_open_beside_co(above, driver, err);
	if (!error)
		*out = driver;
	else
		block_driver_free(driver);
	return error;
}

int spec_open_listener_co(const struct block_source *above,
	const struct doc *listener, const char *name,
	struct block_driver **driver, struct err *err)
{
	const struct block_kind *kind;
	int error = spec_kind(listener, BLOCK_LISTENER, &kind, err);

	if (error)
		return error;
	return spec_open_kind_co(above, kind, listener, name, driver, err);
}

/* -- sources below -------------------------------------------------------- */

static int spec_find_below(struct block_core *core, const struct doc *node,
	const struct block_source *into, struct block_source **out,
	struct err *err)
{
	struct block_source *source = block_source_find(core, node->text);

	if (!source || !source->current)
		return doc_error(node, err, ENOENT, "there is no source '%s'",
			node->text);
	for (; into; into = into->within) {
		if (spec_leads_to(source, into))
			return doc_error(node, err, ELOOP,
				"source '%s' stands on '%s' itself", node->text,
				into->name);
	}
	block_source_get(source);
	*out = source;
	return 0;
}

/* A source that is built: on a stack of its own, as chains of images may be
 * long. */
struct spec_new {
	struct block_core *core;
	const char *name;
	bool listed;
	bool degraded; /* as of spec_build_degraded_co */
	unsigned depth; /* sources above it */
	const struct block_source *above; /* the next of them; NULL: none */
	const struct spec_lent *lent;
	const uint8_t *uuid;
	const struct doc *document;
	struct block_source **out;
	struct err *err;
	struct co *co;
	bool done;
	int result;
};
static int spec_build_new_co(const struct spec_new *new);

static void spec_build_run_co(void *argument)
{
	struct spec_new *new = argument;

	new->result = spec_build_new_co(new);
	new->done = true;
	if (new->co)
		co_resume(new->co);
}

static int spec_build_below_co(struct spec_new *new)
{
	if (new->depth > SPEC_DEPTH_MAX)
		return err_set(new->err, ELOOP,
			"'%s' stands on more than %u images above each other: "
			"merge some of them (qemu-img commit or rebase)",
			spec_outermost(new->above)->name, SPEC_DEPTH_MAX);
	if (!co_start(spec_build_run_co, new))
		return err_set(new->err, ENOMEM, "no memory for a coroutine");
	new->co = co_self();
	while (!new->done)
		co_yield ();
	return new->result;
}

int spec_open_below_co(const struct block_source *above, const char *key,
	const struct doc *node, struct block_source **out, struct err *err)
{
	char name[BLOCK_NAME_BYTES];
	struct spec_new new = {.core = above->core,
		.name = name,
		.degraded = above->degraded,
		.depth = above->depth + 1,
		.above = above,
		.lent = above->lent,
		.document = node,
		.out = out,
		.err = err};

	if (node->kind == DOC_SCALAR)
		return spec_find_below(above->core, node, above, out, err);
	if (spec_lent(above, key, node, out))
		return 0;
	/* Only messages show it; a long one is cut. */
	snprintf(name, sizeof(name), "%.40s/%s", above->name, key);
	return spec_build_below_co(&new);
}

/* -- bottoms -------------------------------------------------------------- */

static int spec_open_alias_co(struct block_core *core, const char *name,
	struct block_source *source, struct block_driver **out, struct err *err)
{
	struct block_driver *driver =
		block_driver_new(core, &alias_kind, name, NULL, NULL, err);

	if (!driver)
		return -ENOMEM;
	container_of(driver, struct block_alias, driver)->source = source;
	int error = block_driver_open_co(driver, err);
	if (error)
		block_driver_free(driver);
	else
		*out = driver;
	return error;
}

/* The backing file that the image itself names, if the document has none. */
static int spec_open_named_backing_co(const struct block_source *above,
	const struct block_format_kind *kind, struct block_source *file,
	struct block_source **backing, struct err *err)
{
	char *text = NULL;
	int error = kind->backing_co(above->core, file, &text, err);

	if (error || !text)
		return error;
	struct doc *document =
		doc_parse("backing file", text, strlen(text), err);
	error = document ? spec_check(document, err) : -EINVAL;
	if (!error)
		error = spec_open_below_co(
			above, "backing", document, backing, err);
	doc_free(document);
	free(text);
	/* Once, however long the chain is. */
	return error && !above->depth ? err_wrap(err, "backing file") : error;
}

/* Nobody writes to a source of its own name beside the image that stands on it. */
static int spec_check_written(const struct block_source *above,
	const struct doc *node, struct block_source *backing, struct err *err)
{
	struct block_lane *control = block_core_lane(above->core, 0);

	if (node->kind != DOC_SCALAR ||
		block_source_info(backing, control).read_only)
		return 0;
	return doc_error(node, err, EBUSY,
		"'%s' cannot stand on '%s', which may be written to: that "
		"would "
		"change what '%s' shows; make '%s' read-only, or clone a "
		"snapshot of it",
		spec_outermost(above)->name, backing->name,
		spec_outermost(above)->name, backing->name);
}

static int spec_open_backing_co(const struct block_source *above,
	const struct block_format_kind *kind, const struct doc *map,
	struct block_source *file, struct block_source **backing,
	struct err *err)
{
	const struct doc *node = doc_find(map, "backing");

	*backing = NULL;
	if (node) {
		int error = spec_open_below_co(
			above, "backing", node, backing, err);

		if (!error)
			error = spec_check_written(above, node, *backing, err);
		if (error && *backing)
			block_source_put_co(*backing);
		return error;
	}
	if (kind->backing_co)
		return spec_open_named_backing_co(
			above, kind, file, backing, err);
	return 0;
}

void spec_unmake(const struct doc *node, struct block_source *source)
{
	if (node->kind != DOC_SCALAR)
		block_stack_bottom(source->current)->unwanted = true;
}

/* With `file` and `backing` open, whose references it takes over. */
static int spec_open_over_file_co(struct spec_view *view,
	const struct block_format_kind *kind, const struct doc *map,
	struct block_source *file, struct block_source *backing,
	struct block_driver **out, struct err *err)
{
	void *options;
	int error = spec_options(kind->options, kind->options_bytes, map,
		spec_format_keys, &options, err);

	if (error) {
		if (backing)
			block_source_put_co(backing);
		block_source_put_co(file);
		return error;
	}
	error = block_format_open_co(view->above->core, kind, view->above->name,
		options, file, backing, &view->format, err);
	if (error)
		return error;
	error = spec_open_view_co(view, out, err);
	block_format_put_co(view->format);
	return error;
}

/* The same; a file that was made for it goes if it fails. */
static int spec_open_image_co(struct spec_view *view,
	const struct block_format_kind *kind, const struct doc *map,
	struct block_source *file, struct block_source *backing,
	struct block_driver **out, struct err *err)
{
	block_source_get(file);
	int error = spec_open_over_file_co(
		view, kind, map, file, backing, out, err);

	if (error)
		spec_unmake(doc_find(map, "file"), file);
	block_source_put_co(file);
	return error;
}

static int spec_open_format_co(struct spec_view *view, const struct doc *map,
	struct block_driver **out, struct err *err)
{
	const struct block_source *above = view->above;
	const struct block_format_kind *kind = NULL;
	struct block_source *file = NULL, *backing = NULL;
	int error = spec_format_kind(map, &kind, err);

	if (!error)
		error = spec_check_circle(above, spec_format_path(map), err);
	if (!error)
		error = spec_open_below_co(
			above, "file", doc_find(map, "file"), &file, err);
	if (error)
		return error;
	spec_opening(above, spec_format_path(map));
	error = spec_open_backing_co(above, kind, map, file, &backing, err);
	spec_opening(above, NULL);
	if (error) {
		spec_unmake(doc_find(map, "file"), file);
		block_source_put_co(file);
		return error;
	}
	return spec_open_image_co(view, kind, map, file, backing, out, err);
}

int spec_open_over_co(const struct block_source *above, const struct doc *map,
	const char *name, struct block_source *backing,
	struct block_driver **out, struct err *err)
{
	struct spec_view view = {.above = above, .snapshot = "", .name = name};
	const struct block_format_kind *kind = NULL;
	struct block_source *file = NULL;
	int error = spec_format_kind(map, &kind, err);

	if (!error)
		error = spec_open_below_co(
			above, "file", doc_find(map, "file"), &file, err);
	if (!error && !kind->is_empty_co(above->core, file)) {
		error = doc_error(doc_find(map, "file"), err, EEXIST,
			"there is something in it already: a new image needs "
			"an empty file");
		block_source_put_co(file);
	}
	if (error) {
		block_source_put_co(backing);
		return error;
	}
	return spec_open_image_co(&view, kind, map, file, backing, out, err);
}

int spec_open_bottom_co(const struct block_source *above,
	const struct doc *document, const char *name,
	struct block_driver **driver, struct err *err)
{
	const struct doc *bottom = spec_bottom_doc(document);
	const struct block_kind *kind;
	struct spec_view view = {.above = above, .name = name};
	struct block_source *below;
	struct spec_shown shown;
	int error = spec_view_shown(document, &shown, err);

	if (error)
		return error;
	view.snapshot = shown.snapshot;
	if (!strcmp(bottom->key, "format"))
		return spec_open_format_co(&view, bottom, driver, err);
	if (!strcmp(bottom->key, "protocol")) {
		error = spec_kind(bottom, BLOCK_PROTOCOL, &kind, err);
		if (error)
			return error;
		return spec_open_kind_co(
			above, kind, bottom, name, driver, err);
	}
	error = spec_open_below_co(above, bottom->key, bottom, &below, err);
	if (error)
		return error;
	if (doc_find(document, "view"))
		error = spec_open_view_of_co(
			above, below, &shown, name, driver, err);
	else
		error = spec_open_alias_co(
			above->core, name, below, driver, err);
	block_source_put_co(below); /* the driver has its own */
	return error;
}

/* -- the whole ------------------------------------------------------------ */

/* Nothing has been done to what is below them. */
static void spec_tell_opened_co(struct block_driver **driver, unsigned count)
{
	for (unsigned i = 0; i + 1 < count; i++) {
		struct block_image image;
		if (!driver[i]->kind->opened_over_co)
			continue;
		block_image_get(driver[count - 1], &image);
		driver[i]->kind->opened_over_co(driver[i], &image);
		block_image_free(&image);
	}
}

static int spec_open_all_co(struct block_source *source,
	const struct doc *document, const struct spec_names *names,
	struct block_driver **driver, struct err *err)
{
	const struct doc *listeners = doc_find(document, "listeners");
	const struct doc *node = listeners ? listeners->first : NULL;
	unsigned bottom = names->count - 1, opened;
	int error = spec_open_bottom_co(
		source, document, names->name[bottom], &driver[bottom], err);

	if (error)
		return error;
	source->coming = driver[bottom];
	for (opened = 0; opened < bottom; opened++, node = node->next) {
		error = spec_open_listener_co(source, node, names->name[opened],
			&driver[opened], err);
		if (error)
			break;
	}
	if (!error)
		error = block_stack_check(driver, names->count, err);
	if (!error) {
		spec_tell_opened_co(driver, names->count);
		return 0;
	}
	while (opened-- > 0)
		block_driver_close_co(driver[opened]);
	block_driver_close_co(driver[bottom]);
	return error;
}

static int spec_publish_first_co(struct block_source *source,
	struct block_driver **driver, unsigned count, struct err *err)
{
	int failed = spec_carry_opens_co(source, driver, &count, err);
	struct block_stack *stack = failed
		? NULL
		: block_stack_new(source, driver, count, false, err);

	if (!stack) {
		for (unsigned i = 0; i < count; i++)
			block_driver_close_co(driver[i]);
		return failed ? failed : -ENOMEM;
	}
	struct block_change change = {.source = source, .next = stack};
	co_mutex_lock_co(&source->change);
	int error = block_change_co(&change, err);
	co_mutex_unlock(&source->change);
	return error;
}

static int spec_build_new_co(const struct spec_new *new)
{
	struct block_driver *driver[BLOCK_MAX_DRIVERS];
	struct spec_names names;
	struct block_source *source;
	struct err *err = new->err;
	int error = spec_names(new->document, &names, err);

	if (!error)
		error = block_source_new(new->core, new->name, new->listed,
			new->uuid, &source, err);
	if (error)
		return error;
	source->depth = new->depth;
	source->degraded = new->degraded;
	source->within = new->above;
	source->lent = new->lent;
	error = spec_open_all_co(source, new->document, &names, driver, err);
	source->lent = NULL;
	source->within = NULL;
	source->degraded = false;
	if (!error)
		error = spec_publish_first_co(source, driver, names.count, err);
	source->coming = NULL;
	if (error)
		block_source_discard(source);
	else
		*new->out = source;
	return error;
}

static int spec_build_listed_co(const struct spec_new *new)
{
	int error = spec_check(new->document, new->err);

	return error ? error : spec_build_new_co(new);
}

int spec_build_co(struct block_core *core, const char *name,
	const uint8_t *uuid, const struct doc *document,
	struct block_source **source, struct err *err)
{
	return spec_build_listed_co(&(struct spec_new){.core = core,
		.name = name,
		.listed = true,
		.uuid = uuid,
		.document = document,
		.out = source,
		.err = err});
}

int spec_build_degraded_co(struct block_core *core, const char *name,
	const uint8_t *uuid, const struct doc *document,
	struct block_source **source, struct err *err)
{
	return spec_build_listed_co(&(struct spec_new){.core = core,
		.name = name,
		.listed = true,
		.degraded = true,
		.uuid = uuid,
		.document = document,
		.out = source,
		.err = err});
}
