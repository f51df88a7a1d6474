/* SPDX-License-Identifier: Apache-2.0 */
/* The names of where listeners go at an external snapshot. */
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <string.h>

const char *spec_placement_name(enum spec_placement placement)
{
	static const char *const names[] = {[SPEC_PLACE_ANCHOR] = "",
		[SPEC_PLACE_HEAD] = "head",
		[SPEC_PLACE_IMAGE] = "image",
		[SPEC_PLACE_BOTH] = "both",
		[SPEC_PLACE_DROP] = "drop"};

	return names[placement];
}

int spec_placement_parse(
	const struct doc *node, enum spec_placement *placement, struct err *err)
{
	const char *text;
	int error = doc_text(node, &text, err);

	if (error)
		return error;
	for (unsigned i = SPEC_PLACE_HEAD; i <= SPEC_PLACE_DROP; i++) {
		if (!strcmp(text, spec_placement_name(i))) {
			*placement = (enum spec_placement)i;
			return 0;
		}
	}
	return doc_error(node, err, EINVAL,
		"a listener goes to the head, the image or both, or is dropped "
		"(head, image, both, drop); not '%s'",
		text);
}
