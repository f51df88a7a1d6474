/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts while a source comes to stand on something else. Before each submission
 * and each completion of a disk operation the power is cut. What is left is opened by
 * the document that was durable then: every sector holds what the model allows (last
 * flushed or later, nothing else), and an image's own check finds leaks at worst.
 *
 * What would be in the database are the documents here: the test keeps the next one
 * in the place where the change makes it durable.
 */
#ifndef TESTS_LIB_DOCUMENT_CUTS_H
#define TESTS_LIB_DOCUMENT_CUTS_H

#include "tests/lib/power_cut.h"

#include <sys/queue.h>

#define DOCUMENT_CUTS_DOCUMENTS 8u

struct document_cut;

/* A document that is in force no more: what it shows is what it showed then. */
struct document_aside {
	const char *document;
	struct sector_model *model;
};

struct document_cuts {
	const char *name; /* of the script, for messages */
	uint64_t seed;
	struct stack_rig *rig; /* while it is watched */
	struct sector_model *model;
	uint64_t bytes; /* of the source */
	char *document[DOCUMENT_CUTS_DOCUMENTS]; /* one after the other */
	unsigned documents;
	struct document_aside aside[DOCUMENT_CUTS_DOCUMENTS];
	unsigned asides;
	bool marked; /* cuts from now on are counted apart */
	STAILQ_HEAD(, document_cut) cuts;
	const struct document_cut *checking;
};

struct document_cuts_total {
	uint64_t all, marked;
};

void document_cuts_open(struct document_cuts *cuts, const char *name,
	uint64_t seed, uint32_t sectors);
/* From now on it is durable; copied. */
void document_cuts_keep(struct document_cuts *cuts, const char *document);
/* Nothing is under way in what is in force: from now on it shows this moment, and is
 * on the medium. Another document is kept next. */
void document_cuts_put_aside(struct document_cuts *cuts);
const char *document_cuts_now(const struct document_cuts *cuts);
/* Cuts at every operation of the rig's disks; NULL: no more. */
void document_cuts_watch(struct document_cuts *cuts, struct stack_rig *rig);
/* Looks at all that was left, outside of the rig. Adds to `total`. */
void document_cuts_close(
	struct document_cuts *cuts, struct document_cuts_total *total);

#endif
