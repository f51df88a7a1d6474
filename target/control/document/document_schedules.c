/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules of the appliance document: the form of each is schedule.h's; here their
 * names are told apart, and their volumes are there.
 */
#include "target/control/document/document_parts.h"

#include "target/control/schedule/schedule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void document_print_schedule_schema(FILE *out)
{
	fputs("\"schedule\": ", out);
	schedule_print_schema(out);
}

static int check_volumes(const struct document *document,
	const struct doc *node, const struct schedule *schedule,
	struct err *err)
{
	const struct doc *name = doc_find(node, "volumes")->first;
	for (unsigned i = 0; i < schedule->volumes; i++, name = name->next) {
		if (!document_find_volume(document, schedule->volume[i]))
			return doc_error(name, err, ENOENT,
				"there is no volume \"%s\"",
				schedule->volume[i]);
	}
	return 0;
}

static int read_schedule(
	struct document *document, const struct doc *node, struct err *err)
{
	struct schedule schedule;
	int failed = schedule_read(node, &schedule, err);
	for (unsigned i = 0; !failed && i < document->schedules; i++) {
		if (!strcmp(document->schedule[i], schedule.name))
			failed = doc_error(doc_find(node, "name"), err, EEXIST,
				"a schedule \"%s\" is there already",
				schedule.name);
	}
	if (!failed)
		failed = check_volumes(document, node, &schedule, err);
	if (!failed)
		document->schedule[document->schedules++] =
			doc_find(node, "name")->text;
	return failed;
}

int document_read_schedules(
	struct document *document, const struct doc *list, struct err *err)
{
	unsigned count;
	if (document_count(list, DOCUMENT_MAX_SCHEDULES, &count, err))
		return -EINVAL;
	document->schedule = calloc(count + 1, sizeof *document->schedule);
	if (!document->schedule)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = count ? list->first : NULL; node;
		node = node->next) {
		int failed = read_schedule(document, node, err);
		if (failed)
			return failed;
	}
	return 0;
}
