/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, documents and sizes; see the header.
 */
#include "tests/lib/image_life.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct image_name image_name(struct image_life *life, const char *prefix)
{
	struct image_name name;

	snprintf(name.text, sizeof name.text, "%s%u", prefix, ++life->named);
	return name;
}

const struct doc *image_document(
	struct image_life *life, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return stack_rig_doc(life->rig, text);
}

uint64_t image_size(const struct image_volume *volume)
{
	return block_source_info(
		volume->source, block_core_lane(volume->life->rig->core, 0))
		.size_bytes;
}

void image_chain_set(
	struct image_volume *volume, unsigned at, const char *path, bool qcow2)
{
	snprintf(volume->chain[at].path, sizeof volume->chain[at].path, "%s",
		path);
	volume->chain[at].qcow2 = qcow2;
}

int image_settle(struct image_life *life, int result, const struct err *err)
{
	if (result == -ETIMEDOUT)
		life->late++;
	else if (result)
		check_fail(__FILE__, __LINE__, "%s", err->text);
	return result;
}
