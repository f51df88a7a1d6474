/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to one driver of a running stack: new options, verbs of its own.
 */
#include "blockcore/core/change.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/stack.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* With a reference, to be dropped by block_driver_put_co. `name` NULL: the bottom. */
static int spec_driver_find(struct block_source *source, const char *name,
	struct block_driver **driver, struct err *err)
{
	const struct block_stack *stack = source->current;

	for (unsigned i = 0; i < stack->count; i++) {
		if (name ? !strcmp(stack->driver[i]->name, name)
			 : i + 1 == stack->count) {
			*driver = stack->driver[i];
			block_driver_get(*driver);
			return 0;
		}
	}
	return err_set(err, ENOENT, "there is no driver '%s'", name);
}

/* -- new options ---------------------------------------------------------- */

static const struct opt_spec *spec_option(
	const struct opt_spec *specs, const char *name)
{
	for (; specs->name; specs++) {
		if (!strcmp(specs->name, name))
			return specs;
	}
	return NULL;
}

static int spec_check_live(const struct block_kind *kind,
	const struct doc *options, struct err *err)
{
	if (options->kind != DOC_MAP)
		return doc_error(
			options, err, EINVAL, "expected a map of options");
	for (const struct doc *node = options->first; node; node = node->next) {
		const struct opt_spec *option =
			spec_option(kind->options, node->key);

		if (!option)
			return doc_error(node, err, EINVAL,
				"%s has no such option", kind->name);
		if (!(option->flags & OPT_LIVE))
			return doc_error(node, err, EINVAL,
				"cannot be changed while it is in use");
	}
	return 0;
}

/* The driver's options as a document. */
static struct doc *spec_options_now(
	const struct block_driver *driver, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	if (!out) {
		err_set(err, ENOMEM, "no memory for a document");
		return NULL;
	}
	fputc('{', out);
	opts_print_values(driver->kind->options, driver->options, out);
	fputc('}', out);
	fclose(out);
	struct doc *now = doc_parse(driver->name, text, bytes, err);
	free(text);
	return now;
}

/* What it shows may hang on its options (read_only): a generation shows it. */
static int spec_show_again_co(struct block_source *source, struct err *err)
{
	struct block_stack *now = source->current;
	struct block_stack *next = block_stack_new(
		source, now->driver, now->count, now->tracked, err);
	struct block_change change = {.source = source, .next = next};

	return next ? block_change_co(&change, err) : -ENOMEM;
}

static int spec_configure_driver_co(
	struct block_driver *driver, const struct doc *options, struct err *err)
{
	const struct block_kind *kind = driver->kind;
	struct doc *kept = NULL;
	void *values = NULL;
	int error = spec_check_live(kind, options, err);

	if (error)
		return error;
	if (!kind->configure_co)
		return err_set(err, EOPNOTSUPP,
			"%s '%s' has no options that can be changed live",
			kind->name, driver->name);
	struct doc *now = spec_options_now(driver, err);
	struct doc *all = now ? spec_doc_copy(now, options, err) : NULL;
	doc_free(now);
	if (!all)
		return err ? -err->code : -EINVAL;
	error = spec_options_kept(kind, all, &values, &kept, err);
	doc_free(all);
	if (error)
		return error;
	error = kind->configure_co(driver, values, err);
	if (!error) {
		struct doc *old = driver->document;

		driver->document = kept;
		kept = old;
	}
	opts_free(kind->options, values);
	free(values);
	doc_free(kept);
	return error;
}

int spec_configure_co(struct block_source *source, const char *name,
	const struct doc *options, struct err *err)
{
	struct block_driver *driver;

	co_mutex_lock_co(&source->change);
	int error = spec_driver_find(source, name, &driver, err);
	if (!error) {
		error = spec_configure_driver_co(driver, options, err);
		if (!error && driver->kind->narrow)
			error = spec_show_again_co(source, err);
		block_driver_put_co(driver);
	}
	co_mutex_unlock(&source->change);
	return error ? err_wrap(err, "source '%s'", source->name) : 0;
}

/* -- verbs ---------------------------------------------------------------- */

/* `out` NULL: it is rehearsed. */
static int command_driver_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err)
{
	const struct block_kind *kind = driver->kind;

	if (!kind->command_co)
		return err_set(err, EOPNOTSUPP,
			"%s '%s' has no verbs of its own", kind->name,
			driver->name);
	return out ? kind->command_co(driver, verb, arguments, out, err)
		   : kind->rehearse_co(driver, verb, arguments, err);
}

/* Not in the source's turn: a verb may be what lets a change go on. */
int spec_command_co(struct block_source *source, const char *name,
	const char *verb, const struct doc *arguments, FILE *out,
	struct err *err)
{
	struct block_driver *driver;
	int error = spec_driver_find(source, name, &driver, err);

	if (error)
		return err_wrap(err, "source '%s'", source->name);
	error = command_driver_co(driver, verb, arguments, out, err);
	block_driver_put_co(driver);
	return error;
}

int spec_check_image_co(
	struct block_source *source, struct block_check *check, struct err *err)
{
	const struct block_stack *stack = source->current;
	struct block_driver *driver = stack->driver[stack->count - 1];
	int error;

	block_driver_get(driver);
	error = driver->kind->check_image_co
		? driver->kind->check_image_co(driver, check, err)
		: err_set(err, EOPNOTSUPP,
			  "it stands on no image: there is nothing to check; "
			  "scrub reads it");
	block_driver_put_co(driver);
	return error;
}

int spec_command_rehearse_co(struct block_source *source, const char *name,
	const char *verb, const struct doc *arguments, struct err *err)
{
	return spec_command_co(source, name, verb, arguments, NULL, err);
}
