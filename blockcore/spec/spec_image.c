/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that a source stands on, by their files: those of external snapshots. What
 * shows one shares it with that source, so a file is open once however many look at
 * it.
 *
 * Invariant: an image that somebody shows or stands on is not written to, and stays
 * below the source: what would take it away there is refused, naming who holds it.
 */
#include "blockcore/core/alias.h"
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/source.h"
#include "blockcore/core/stack.h"
#include "blockcore/format/format.h"
#include "blockcore/kinds.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Of a source without a format, or of the file below one. */
static const char *file_path(const struct doc *file)
{
	const struct doc *protocol = doc_find(file, "protocol");
	const struct doc *type = doc_find(protocol, "type");
	const struct doc *path = doc_find(protocol, "path");

	return type && path && type->text && !strcmp(type->text, "file")
		? path->text
		: NULL;
}

const char *spec_format_path(const struct doc *format)
{
	return file_path(doc_find(format, "file"));
}

const char *spec_image_path(const struct doc *source)
{
	const struct doc *format = doc_find(source, "format");

	return format ? spec_format_path(format) : file_path(source);
}

/* The image on top of a source; NULL: it shows none. */
static const struct block_format *image_format(
	const struct block_source *source)
{
	struct block_driver *bottom = block_stack_bottom(source->current);

	return bottom->kind->role == BLOCK_VIEW
		? container_of(bottom, struct block_view, driver)->format
		: NULL;
}

int spec_source_below_co(const struct block_source *source, const char *key,
	struct block_driver *const *driver, unsigned count,
	struct block_source **below, bool *taken, struct err *err)
{
	char name[BLOCK_NAME_BYTES];

	snprintf(name, sizeof(name), "%.40s/%s", source->name, key);
	int error =
		block_source_new(source->core, name, false, NULL, below, err);
	*taken = false;
	if (error)
		return error;
	(*below)->depth = source->depth + 1;
	struct block_change change = {.source = *below,
		.next = block_stack_new(*below, driver, count, false, err)};
	*taken = change.next;
	if (change.next) {
		co_mutex_lock_co(&(*below)->change);
		error = block_change_co(&change, err);
		co_mutex_unlock(&(*below)->change);
	}
	if (!change.next || error) {
		block_source_discard(*below);
		*below = NULL;
		return error ? error : -ENOMEM;
	}
	return 0;
}

void spec_source_settle(struct block_driver *const *driver, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		atomic_store(&driver[i]->released, false);
		driver[i]->detached = false;
	}
}

struct block_source *spec_image_below(const struct block_source *source)
{
	const struct block_format *format = image_format(source);

	return format ? format->backing : NULL;
}

/* What it stands on, if that is the source's own; NULL: nothing. */
static struct block_source *image_below(const struct block_source *source)
{
	const struct block_format *format = image_format(source);

	return format && format->backing && !format->backing->listed
		? format->backing
		: NULL;
}

/* In that file: the source itself, or what lies below it; NULL: nothing. */
static struct block_source *image_walk(struct block_source *source,
	const struct doc *document, const char *path)
{
	while (source) {
		const char *here = spec_image_path(document);

		if (here && !strcmp(here, path))
			return source;
		source = image_below(source);
		document = doc_find(doc_find(document, "format"), "backing");
	}
	return NULL;
}

struct block_source *spec_image_source(
	struct block_source *of, const char *path, struct err *err)
{
	struct doc *document = spec_bottom_now(of, err);
	struct block_source *source;

	if (!document)
		return NULL;
	source = image_walk(of, document, path);
	doc_free(document);
	if (!source)
		err_set(err, ENOENT, "'%s' stands on no image '%s'", of->name,
			path);
	return source;
}

int spec_image_command_co(struct block_source *source, const char *image,
	const char *verb, const struct doc *arguments, FILE *out,
	struct err *err)
{
	struct err own = {0};
	struct block_source *of =
		spec_image_source(source, image, err ? err : &own);

	if (!of)
		return err ? -err->code : -own.code;
	block_source_get(of); /* what stands on it may let go of it */
	int error = spec_command_co(of, NULL, verb, arguments, out, err);
	block_source_put_co(of);
	return error;
}

struct block_source *spec_image_find(
	struct block_source *of, const char *path, struct err *err)
{
	struct block_source *source = spec_image_source(of, path, err);

	if (source != of || !source)
		return source;
	err_set(err, ENOENT, "'%s' stands on no image '%s': that is its own",
		of->name, path);
	return NULL;
}

struct block_format *spec_image_above(const struct block_source *of,
	const struct block_source *source, unsigned *depth)
{
	const struct block_source *below;

	*depth = 0;
	for (; of != source && (below = image_below(of)); of = below) {
		++*depth;
		if (below == source)
			return (struct block_format *)image_format(of);
	}
	return NULL;
}

int spec_open_image_of_co(const struct block_source *above,
	struct block_source *of, const char *path, const char *name,
	struct block_driver **out, struct err *err)
{
	struct block_source *source = spec_image_find(of, path, err);

	if (!source)
		return err ? -err->code : -ENOENT;
	struct block_driver *driver = block_driver_new(
		above->core, &alias_kind, name, NULL, NULL, err);
	if (!driver)
		return -ENOMEM;
	struct block_alias *alias =
		container_of(driver, struct block_alias, driver);
	alias->source = source;
	alias->of = of;
	alias->image = strdup(path);
	snprintf(alias->holder, sizeof(alias->holder), "%s", above->name);
	int error = alias->image ? block_driver_open_co(driver, err)
				 : err_set(err, ENOMEM, "no memory for a name");
	if (!error) {
		*out = driver;
		return 0;
	}
	free(alias->image);
	block_driver_free(driver);
	return error;
}

/* Who holds it beside the image above it. */
static const struct block_claim *image_holder(
	const struct block_source *source, const struct block_format *above)
{
	const struct block_claim *claim;

	LIST_FOREACH (claim, &source->claims, link) {
		if (claim->mode == BLOCK_CLAIM_STABLE &&
			claim != &above->backing_claim)
			return claim;
	}
	return NULL;
}

static int image_refuse(const struct block_claim *claim, struct err *err)
{
	return err_set(err, EBUSY,
		"%s shows an image that it stands on: take that away first",
		claim->holder);
}

int spec_check_image(const struct block_source *of,
	const struct block_source *source, struct err *err)
{
	unsigned depth;
	const struct block_format *above = spec_image_above(of, source, &depth);
	const struct block_claim *claim =
		above ? image_holder(source, above) : NULL;

	return claim ? image_refuse(claim, err) : 0;
}

int spec_check_jobs(
	const struct block_source *source, const char *what, struct err *err)
{
	int error = 0;

	for (; source && !error; source = image_below(source))
		error = spec_check_job(source, what, err);
	return error;
}

int spec_check_images(const struct block_source *source,
	const struct block_source *until, struct err *err)
{
	const struct block_source *below;

	for (; (below = image_below(source)) && below != until;
		source = below) {
		const struct block_claim *claim =
			image_holder(below, image_format(source));

		if (claim)
			return image_refuse(claim, err);
	}
	return 0;
}
