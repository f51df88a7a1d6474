/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of formats: what is current in an image that is opened for it; a snapshot
 * in such an image, or in one that another source shows and that hosts may be
 * writing to. And of a source: the moment that a listener of it keeps (backup).
 *
 * Invariant: a view of another source holds that source, so both can be
 * built again from what is printed.
 */
#include "blockcore/core/driver.h"
#include "blockcore/core/point.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/kinds.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int spec_check_view(const struct doc *document, struct err *err)
{
	const struct doc *view = doc_find(document, "view");
	bool format = doc_find(document, "format") != NULL;
	struct spec_shown shown;
	const char *name;

	if (!view)
		return 0;
	if (!format && !(doc_find(document, "source") && view->kind == DOC_MAP))
		return doc_error(view, err, EINVAL,
			"only a format has views; there is none here (a "
			"snapshot of another source: source: NAME, view: "
			"{snapshot: NAME})");
	if (view->kind == DOC_MAP)
		return spec_view_shown(document, &shown, err);
	int error = doc_text(view, &name, err);
	if (error)
		return error;
	if (strcmp(name, FORMAT_CURRENT))
		return doc_error(view, err, EINVAL,
			"there is no view '%s'; there are: %s, {snapshot: "
			"NAME}",
			name, FORMAT_CURRENT);
	return 0;
}

static int view_snapshot(
	const struct doc *node, struct spec_shown *shown, struct err *err)
{
	int error = doc_text(node, &shown->snapshot, err);

	if (error)
		return error;
	if (!*shown->snapshot ||
		strlen(shown->snapshot) >= FORMAT_SNAPSHOT_BYTES)
		return doc_error(node, err, EINVAL,
			"the name of a snapshot has 1 to %u bytes",
			FORMAT_SNAPSHOT_BYTES - 1);
	return 0;
}

static int view_image(const struct doc *document, const struct doc *node,
	struct spec_shown *shown, struct err *err)
{
	const struct doc *source = doc_find(document, "source");

	if (!source || source->kind != DOC_SCALAR)
		return doc_error(node, err, EINVAL,
			"only a source that has a name shows images it stands "
			"on: source: NAME, view: {image: PATH}");
	int error = doc_text(node, &shown->image, err);
	if (!error && !*shown->image)
		error = doc_error(
			node, err, EINVAL, "the path of a file is expected");
	return error;
}

static int view_backup(const struct doc *document, const struct doc *node,
	struct spec_shown *shown, struct err *err)
{
	if (!doc_find(document, "source"))
		return doc_error(node, err, EINVAL,
			"a backup is one of a source: source: NAME, view: "
			"{backup: LISTENER}");
	int error = doc_text(node, &shown->backup, err);
	if (error)
		return error;
	if (!*shown->backup || strlen(shown->backup) >= BLOCK_NAME_BYTES)
		return doc_error(node, err, EINVAL,
			"the name of a listener has 1 to %u bytes",
			BLOCK_NAME_BYTES - 1);
	return 0;
}

int spec_view_shown(
	const struct doc *document, struct spec_shown *shown, struct err *err)
{
	const struct doc *view = doc_find(document, "view");

	*shown = (struct spec_shown){"", "", ""};
	if (!view || view->kind != DOC_MAP)
		return 0;
	const struct doc *snapshot = doc_find(view, "snapshot");
	const struct doc *image = doc_find(view, "image");
	const struct doc *backup = doc_find(view, "backup");
	if (doc_count(view) == 1 && snapshot)
		return view_snapshot(snapshot, shown, err);
	if (doc_count(view) == 1 && image)
		return view_image(document, image, shown, err);
	if (doc_count(view) == 1 && backup)
		return view_backup(document, backup, shown, err);
	return doc_error(view, err, EINVAL,
		"a view is %s, {snapshot: NAME}, {image: PATH} or {backup: "
		"LISTENER}",
		FORMAT_CURRENT);
}

/* -- opening -------------------------------------------------------------- */

static int spec_hold(
	struct block_view *view, struct block_source *of, struct err *err)
{
	struct block_claim *claim = &view->of_claim;

	claim->mode = BLOCK_CLAIM_READ;
	snprintf(claim->holder, sizeof(claim->holder), SPEC_VIEW_HOLDER " '%s'",
		view->holder);
	int error = block_source_claim(of, claim, err);
	if (error)
		return error;
	block_source_get(of);
	view->of = of;
	return 0;
}

static void spec_let_go_co(struct block_view *view)
{
	if (!view->of)
		return;
	block_source_unclaim(&view->of_claim);
	block_source_put_co(view->of);
}

/* `of`: the source whose image it is, NULL if it is the view's own. */
static int spec_open_one_co(const struct spec_view *wanted,
	struct block_source *of, struct block_driver **out, struct err *err)
{
	struct block_format *format = wanted->format;
	struct block_driver *driver = block_driver_new(format->core,
		format->kind->view, wanted->name, NULL, NULL, err);

	if (!driver)
		return -ENOMEM;
	struct block_view *view =
		container_of(driver, struct block_view, driver);
	view->format = format;
	snprintf(view->holder, sizeof(view->holder), "%s", wanted->above->name);
	snprintf(
		view->snapshot, sizeof(view->snapshot), "%s", wanted->snapshot);
	int error = of ? spec_hold(view, of, err) : 0;
	if (!error) {
		error = block_driver_open_co(driver, err);
		if (error)
			spec_let_go_co(view);
	}
	if (error)
		block_driver_free(driver);
	else
		*out = driver;
	return error;
}

int spec_open_view_co(const struct spec_view *view, struct block_driver **out,
	struct err *err)
{
	const struct block_format_kind *kind = view->format->kind;

	if (view->snapshot[0] && !kind->find_snapshot_co)
		return err_set(err, EOPNOTSUPP,
			"format %s has no snapshots; qcow2 has", kind->name);
	return spec_open_one_co(view, NULL, out, err);
}

/* -- of another source ---------------------------------------------------- */

/* The format that a source shows, with a reference; through aliases. NULL: none. */
static struct block_format *spec_format_of(struct block_source *source)
{
	struct block_driver *bottom = block_stack_bottom(source->current);

	while (bottom->kind->role == BLOCK_ALIAS) {
		source = bottom->kind->below(bottom, 0);
		bottom = block_stack_bottom(source->current);
	}
	if (bottom->kind->role != BLOCK_VIEW)
		return NULL;
	struct block_format *format =
		container_of(bottom, struct block_view, driver)->format;
	block_format_get(format);
	return format;
}

/* The image that has the snapshot: the source's, or one that was it before
 * external snapshots and is below now. With a reference. */
static int spec_find_format_co(struct block_source *source,
	const char *snapshot, struct block_format **out, struct err *err)
{
	struct block_format *format = spec_format_of(source), *next;
	int error = -ENOENT;

	while (format) {
		if (format->kind->find_snapshot_co)
			error = format->kind->find_snapshot_co(
				format, snapshot, err);
		if (error != -ENOENT)
			break;
		next = format->backing ? spec_format_of(format->backing) : NULL;
		block_format_put_co(format);
		format = next;
	}
	*out = format;
	if (!format)
		return err_set(err, ENOENT,
			"'%s' and the images below it have no snapshot '%s'",
			source->name, snapshot);
	if (error)
		block_format_put_co(format);
	return error;
}

int spec_open_snapshot_co(const struct block_source *above,
	struct block_source *of, const char *snapshot, const char *name,
	struct block_driver **out, struct err *err)
{
	struct spec_view view = {
		.above = above, .snapshot = snapshot, .name = name};
	int error = spec_find_format_co(of, snapshot, &view.format, err);

	if (error)
		return error;
	error = spec_open_one_co(&view, of, out, err);
	block_format_put_co(view.format);
	return error;
}

/* -- of what a listener keeps --------------------------------------------- */

static int spec_open_backup_co(const struct block_source *above,
	struct block_source *of, const char *backup, const char *name,
	struct block_driver **out, struct err *err)
{
	struct block_driver *driver = block_driver_new(
		above->core, &point_kind, name, NULL, NULL, err);

	if (!driver)
		return -ENOMEM;
	struct block_point_view *view =
		container_of(driver, struct block_point_view, driver);
	view->source = of;
	snprintf(view->listener, sizeof(view->listener), "%s", backup);
	snprintf(view->holder, sizeof(view->holder), "%s", above->name);
	int error = block_driver_open_co(driver, err);
	if (error)
		block_driver_free(driver);
	else
		*out = driver;
	return error;
}

int spec_open_view_of_co(const struct block_source *above,
	struct block_source *of, const struct spec_shown *shown,
	const char *name, struct block_driver **driver, struct err *err)
{
	if (*shown->backup)
		return spec_open_backup_co(
			above, of, shown->backup, name, driver, err);
	if (*shown->image)
		return spec_open_image_of_co(
			above, of, shown->image, name, driver, err);
	return spec_open_snapshot_co(
		above, of, shown->snapshot, name, driver, err);
}
