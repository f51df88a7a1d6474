/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a volume's stack names, and those that it made: once they were
 * there, one that is absent is not made anew. A disk that is not mounted must not become an empty volume.
 *
 * What is made is a file that the volume's source gives a `size`, wherever it
 * stands in the stack. Pure functions over JSON; any thread.
 */
#ifndef TARGET_CONTROL_APPLIANCE_VOLUME_FILES_H
#define TARGET_CONTROL_APPLIANCE_VOLUME_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Calls visit for each file that the stack of `source` names, from the top down, then
 * for those of the legs of its mirrors; `backing`: below an image, or a leg's. False: a visit has said so, and ended it. */
bool volume_files_each(json_t *source, bool backing,
	bool (*visit)(json_t *protocol, const char *path, bool backing,
		void *argument),
	void *argument);

/* The file that the image of a source is in, or the source itself: borrowed; NULL: it
 * is in none. */
const char *volume_files_image(const json_t *source);

/* The paths that the source `source_json` makes if they are absent, as a sorted
 * JSON array ("[]" if there are none). To be freed; NULL without memory. */
char *volume_files_list(const char *source_json);

/* The source with `must_exist` where it would make one of `made` (an array as
 * above, not terminated). To be freed; NULL without memory or if `made` is no such
 * array. */
char *volume_files_hold(
	const char *source_json, const char *made, size_t made_bytes);

#endif
