/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: whether the image that a source shows is sound: its tables, its refcounts.
 * Leaks cost space only, and are told; errors fail the job. With `repair` what was
 * found is put right; who asks sees to it that no host is there.
 *
 * Invariant: hosts' changes of the image's tables wait while they are counted, its
 * reads and overwrites go on; a check is one step and begins anew after a restart.
 */
#include "blockcore/base/doc.h"
#include "blockcore/jobs/jobs.h"
#include "blockcore/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum check_repair { CHECK_NOTHING, CHECK_LEAKS, CHECK_ALL };
static const char *const check_repairs[] = {"nothing", "leaks", "all", NULL};

struct check_options {
	int repair;
};

static const struct opt_spec check_option_specs[] = {
	{.name = "repair",
		.type = OPT_ENUM,
		.offset = offsetof(struct check_options, repair),
		.choices = check_repairs,
		.fallback = "nothing",
		.help = "what is put right"},
	OPT_END,
};

/* What the format said. */
struct check_found {
	uint64_t leaks, errors, fixed_leaks, fixed_errors;
	const char *first; /* error, in words; borrowed */
};

static int check_number(const struct doc *said, const char *name, uint64_t *out,
	struct err *err)
{
	const struct doc *node = doc_find(said, name);

	*out = 0;
	return node ? doc_uint(node, 0, UINT64_MAX, out, err) : 0;
}

static int check_read(
	const struct doc *said, struct check_found *found, struct err *err)
{
	const struct doc *first = doc_find(said, "first_error");
	int error = check_number(said, "leaks", &found->leaks, err);

	found->first = first && first->kind == DOC_SCALAR ? first->text : "";
	if (!error)
		error = check_number(said, "errors", &found->errors, err);
	if (!error)
		error = check_number(
			said, "fixed_leaks", &found->fixed_leaks, err);
	if (!error)
		error = check_number(
			said, "fixed_errors", &found->fixed_errors, err);
	return error;
}

/* In words: leaks are no failure, errors that stay are. */
static int check_tell(
	struct job *job, const struct check_found *found, struct err *err)
{
	if (found->fixed_leaks || found->fixed_errors)
		job_note(job,
			"%" PRIu64 " leaked clusters and %" PRIu64
			" errors put right",
			found->fixed_leaks, found->fixed_errors);
	else if (found->leaks && !found->errors)
		job_note(job,
			"sound; %" PRIu64 " clusters are leaked: repair=leaks "
			"gives them back",
			found->leaks);
	else if (!found->errors)
		job_note(job, "sound; no leaks");
	if (found->errors <= found->fixed_errors)
		return 0;
	return err_set(err, EIO,
		"the image has %" PRIu64 " errors (%s) and %" PRIu64
		" leaks: take it from its hosts, copy it, then check it with "
		"repair=all",
		found->errors - found->fixed_errors, found->first,
		found->leaks);
}

/* `said`: JSON members. */
static int check_result(struct job *job, const char *said, struct err *err)
{
	struct check_found found;
	struct doc *document = doc_parse("check", said, strlen(said), err);
	int error = document ? check_read(document, &found, err) : -EIO;

	if (!error)
		error = check_tell(job, &found, err);
	doc_free(document);
	return error;
}

static int check_ask_co(struct job *job, FILE *out, struct err *err)
{
	const struct check_options *options = job_options(job);
	char text[32] = "{}";
	struct doc *arguments;

	if (options->repair)
		snprintf(text, sizeof text, "{repair: %s}",
			check_repairs[options->repair]);
	arguments = doc_parse("check", text, strlen(text), err);
	if (!arguments)
		return -ENOMEM;
	fputc('{', out);
	int error = spec_command_co(
		job_source(job), NULL, "check", arguments, out, err);
	fputc('}', out);
	doc_free(arguments);
	if (error == -EOPNOTSUPP)
		return err_set(err, EOPNOTSUPP,
			"it stands on no image: there is nothing to check; "
			"scrub reads it");
	return error;
}

static int check_run_co(struct job *job, uint64_t cursor, struct err *err)
{
	char *said = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&said, &bytes);

	(void)cursor;
	if (!out)
		return err_set(err, ENOMEM, "no memory for what it finds");
	int error = check_ask_co(job, out, err);
	if (fclose(out) && !error)
		error = err_set(err, ENOMEM, "no memory for what it finds");
	if (!error)
		error = check_result(job, said, err);
	free(said);
	return error;
}

const struct job_kind job_check = {
	.name = "check",
	.help = "whether the image is sound: leaks, errors",
	.options = check_option_specs,
	.options_bytes = sizeof(struct check_options),
	.run_co = check_run_co,
};
