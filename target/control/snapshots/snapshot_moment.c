/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_moment.h. */
#include "target/control/snapshots/snapshot_moment.h"

#include "target/control/snapshots/snapshot_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int snapshot_moment_begin(struct snapshot_moment *moment,
	const struct daemon_parts *parts, struct err *err)
{
	*moment = (struct snapshot_moment){.parts = parts,
		.intent = calloc(SPEC_GROUP_MOST, sizeof *moment->intent)};
	return moment->intent ? 0 : err_set(err, ENOMEM, "out of memory");
}

void snapshot_moment_add(struct snapshot_moment *moment,
	const struct config_object *volume, struct block_source *source,
	const char *name)
{
	struct snapshot_intent *intent = &moment->intent[moment->count];
	const char *image =
		snapshot_image(json_object_get(volume->value, "source"));
	snprintf(intent->volume, sizeof intent->volume, "%s", volume->id);
	snprintf(intent->image, sizeof intent->image, "%s", image ? image : "");
	snprintf(intent->name, sizeof intent->name, "%s", name);
	block_source_get(source);
	moment->source[moment->count++] = source;
}

/* The name is free in all images. */
static int check_names_co(struct snapshot_moment *moment, struct err *err)
{
	for (unsigned i = 0; i < moment->count; i++) {
		const struct snapshot_intent *intent = &moment->intent[i];
		json_t *items = snapshot_read_co(moment->source[i], err);
		bool taken = snapshot_has_name(items, intent->name);
		if (!items)
			return -err->code;
		json_decref(items);
		if (taken)
			return err_set(err, EEXIST,
				"volume \"%s\" has a snapshot \"%.63s\" "
				"already: choose another name",
				intent->volume, intent->name);
	}
	return 0;
}

int snapshot_moment_rehearse_co(struct snapshot_moment *moment, struct err *err)
{
	int failed = check_names_co(moment, err);
	for (unsigned i = 0; i < moment->count && !failed; i++)
		failed = spec_rehearse_snapshot(
			moment->source[i], moment->intent[i].name, err);
	return failed;
}

/* What would be undone is not there yet. */
static int begin_co(void *argument, struct err *err)
{
	struct snapshot_moment *moment = argument;
	int failed = check_names_co(moment, err);
	if (failed)
		return failed;
	return snapshot_intents_keep(moment->parts, moment->intent,
		moment->count, &moment->making, err);
}

int snapshot_moment_make_co(
	struct snapshot_moment *moment, const char *name, struct err *err)
{
	const struct spec_moment what = {.source = moment->source,
		.count = moment->count,
		.name = name,
		.deadline_ns = SPEC_GATE_DEADLINE_NS,
		.begin_co = begin_co,
		.argument = moment};
	int failed = spec_snapshot_group_co(&what, err);
	return snapshot_intents_end_co(
		moment->parts, &moment->making, failed, err);
}

void snapshot_moment_end_co(struct snapshot_moment *moment)
{
	for (unsigned i = 0; i < moment->count; i++)
		block_source_put_co(moment->source[i]);
	free(moment->intent);
}
