/* SPDX-License-Identifier: Apache-2.0 */
/* See document_cuts.h. */
#include "tests/lib/document_cuts.h"

#include "tests/lib/sim_world.h"

#include <stdlib.h>
#include <string.h>

struct document_cut {
	struct power_cut left;
	unsigned document, asides;
	bool marked;
	STAILQ_ENTRY(document_cut) link;
};

void document_cuts_open(struct document_cuts *cuts, const char *name,
	uint64_t seed, uint32_t sectors)
{
	*cuts = (struct document_cuts){.name = name,
		.seed = seed,
		.bytes = (uint64_t)sectors * SECTOR_BYTES,
		.model = sector_model_new(sectors)};
	STAILQ_INIT(&cuts->cuts);
}

void document_cuts_keep(struct document_cuts *cuts, const char *document)
{
	CHECK(cuts->documents < DOCUMENT_CUTS_DOCUMENTS);
	cuts->document[cuts->documents] = strdup(document);
	CHECK(cuts->document[cuts->documents++] != NULL);
}

void document_cuts_put_aside(struct document_cuts *cuts)
{
	struct document_aside *aside = &cuts->aside[cuts->asides++];

	CHECK(cuts->asides <= DOCUMENT_CUTS_DOCUMENTS);
	aside->document = document_cuts_now(cuts);
	aside->model = sector_model_copy(cuts->model);
	sector_model_settle(aside->model);
}

const char *document_cuts_now(const struct document_cuts *cuts)
{
	return cuts->document[cuts->documents - 1];
}

/* -- cutting -------------------------------------------------------------- */

static void cut_here(void *argument, uint64_t point)
{
	struct document_cuts *cuts = argument;
	struct document_cut *cut = calloc(1, sizeof *cut);

	CHECK(cut != NULL);
	power_cut_take(&cut->left, cuts->rig, cuts->seed, point, cuts->model);
	cut->document = cuts->documents - 1;
	cut->asides = cuts->asides;
	cut->marked = cuts->marked;
	STAILQ_INSERT_TAIL(&cuts->cuts, cut, link);
}

void document_cuts_watch(struct document_cuts *cuts, struct stack_rig *rig)
{
	struct ring_world *world = (rig ? rig : cuts->rig)->world;

	cuts->rig = rig;
	sim_world_watch(world, rig ? cut_here : NULL, rig ? cuts : NULL);
}

/* -- what a cut has left -------------------------------------------------- */

static void lost(const struct document_cuts *cuts, const char *what)
{
	const struct document_cut *cut = cuts->checking;

	check_fail(__FILE__, __LINE__, "%s, seed %llu, point %llu, %u: %s",
		cuts->name, (unsigned long long)cuts->seed,
		(unsigned long long)cut->left.point, cut->document, what);
}

/* The bottom is an image. */
static bool is_image(const char *document)
{
	return !strncmp(document, "{format", 7) ||
		!strncmp(document, "{\"format", 8);
}

/* An image on top of others also shows the same by what it says itself, to those who
 * do not know the document. */
static void by_header_co(
	const struct document_cuts *cuts, struct stack_rig *rig)
{
	const char *document = cuts->document[cuts->checking->document];
	const struct doc *format =
		doc_find(stack_rig_doc(rig, document), "format");
	const struct doc *file = doc_find(format, "file");
	char text[300];

	if (!doc_find(format, "backing"))
		return;
	snprintf(text, sizeof text,
		"{format: {type: qcow2, file: {protocol: {type: file, "
		"locking: false, path: %s}}}}",
		doc_find(doc_find(file, "protocol"), "path")->text);
	struct block_source *source = stack_rig_source_co(rig, text);
	if (!power_cut_sectors_hold_co(
		    cuts->checking->left.model, rig, source, cuts->bytes))
		lost(cuts, "its header leads elsewhere");
	block_source_put_co(source);
}

static void expect_co(const struct document_cuts *cuts, struct stack_rig *rig,
	const char *document, const struct sector_model *model,
	const char *complaint)
{
	struct block_source *source = stack_rig_source_co(rig, document);

	if (!power_cut_sectors_hold_co(model, rig, source, cuts->bytes))
		lost(cuts, complaint);
	if (is_image(document)) {
		char *said = stack_rig_command_co(
			rig, source, "qcow2", "check", NULL);

		if (!strstr(said, "\"errors\": 0,"))
			lost(cuts, said);
		free(said);
	}
	block_source_put_co(source);
}

static void reopened_co(struct stack_rig *rig, void *argument)
{
	struct document_cuts *cuts = argument;
	const struct document_cut *cut = cuts->checking;
	const char *document = cuts->document[cut->document];

	expect_co(cuts, rig, document, cut->left.model, "lost or made up");
	if (is_image(document))
		by_header_co(cuts, rig);
	for (unsigned i = 0; i < cut->asides; i++)
		expect_co(cuts, rig, cuts->aside[i].document,
			cuts->aside[i].model,
			"what was put aside shows another moment");
}

void document_cuts_close(
	struct document_cuts *cuts, struct document_cuts_total *total)
{
	struct document_cut *cut;

	while ((cut = STAILQ_FIRST(&cuts->cuts))) {
		STAILQ_REMOVE_HEAD(&cuts->cuts, link);
		cuts->checking = cut;
		power_cut_reopen(&cut->left, reopened_co, cuts);
		total->all++;
		total->marked += cut->marked;
		free(cut);
	}
	sector_model_free(cuts->model);
	for (unsigned i = 0; i < cuts->asides; i++)
		sector_model_free(cuts->aside[i].model);
	for (unsigned i = 0; i < cuts->documents; i++)
		free(cuts->document[i]);
}
