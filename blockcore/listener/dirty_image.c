/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener dirty: marks that were kept over a stop are true of the image that
 * they were kept beside, as it was when it was closed. Whoever changes it while the
 * listener is not there (a repair, a restore, another program) changes a print of
 * core/image.h, and then all has changed for the consumers.
 *
 *	stop	what is below is closed first, then its prints are taken and kept
 *		with the marks
 *	start	the files tell the prints that they had before they were used
 */
#include "blockcore/listener/dirty.h"

#include "blockcore/base/log.h"

#include <stdio.h>

struct dirty_compare {
	const struct dirty_prints *kept;
	const struct block_image *image;
	char why[512]; /* "": it is the image, as it was */
};

static uint64_t print_of(const struct block_image_file *file)
{
	return file->print ? file->print : block_image_print(file->path);
}

static int compare_work(void *argument)
{
	struct dirty_compare *compare = argument;
	const struct block_image *image = compare->image;
	const struct dirty_prints *kept = compare->kept;
	size_t room = sizeof compare->why;

	if (!image->known || !kept->count) {
		snprintf(compare->why, room,
			"nothing tells whether the image was changed meanwhile "
			"(a device, memory, or marks kept by an older "
			"version)");
		return 0;
	}
	for (unsigned i = 0; i < image->count && i < kept->count; i++) {
		if (print_of(&image->file[i]) == kept->print[i])
			continue;
		snprintf(compare->why, room,
			"%s was changed while the listener was not there, or "
			"is another file",
			image->file[i].path);
		return 0;
	}
	if (image->count != kept->count)
		snprintf(compare->why, room,
			"the image lies in %u files, at the stop it was %u",
			image->count, kept->count);
	return 0;
}

void dirty_image_opened_co(
	struct block_driver *driver, struct block_image *image)
{
	struct dirty_driver *dirty = (struct dirty_driver *)driver;
	struct dirty_compare compare = {.kept = &dirty->prints, .image = image};

	if (!dirty->kept || !dirty->table->count)
		return;
	loop_work_co(
		block_core_lane(driver->core, 0)->loop, compare_work, &compare);
	if (!compare.why[0])
		return;
	log_warning(driver->name, "dirty",
		"%s: for its consumers all has changed", compare.why);
	for (unsigned i = 0; i < dirty->table->count; i++)
		dirty_file_mark_all(dirty->table->consumer[i]);
}

void dirty_image_closing(struct block_driver *driver, struct block_image *image)
{
	struct dirty_driver *dirty = (struct dirty_driver *)driver;

	block_image_free(&dirty->closed);
	dirty->closed = *image;
	dirty->prints.count = 0;
}

void dirty_image_take(struct dirty_driver *dirty)
{
	const struct block_image *image = &dirty->closed;
	struct dirty_prints *prints = &dirty->prints;

	if (!image->known)
		return; /* none, or it was never in use: those that it had */
	for (unsigned i = 0; i < image->count; i++) {
		prints->print[i] = block_image_print(image->file[i].path);
		if (!prints->print[i])
			return;
		prints->count = i + 1;
	}
}
