/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_read.h. */
#include "target/control/snapshots/snapshot_read.h"
#include "blockcore/spec.h"
#include "target/control/appliance/volume_files.h"
#include "target/control/config/volume_source.h"
#include "target/control/unix_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *snapshot_image(const json_t *source)
{
	return volume_files_image(source);
}

bool snapshot_is_called(
	const json_t *snapshot, const char *member, const char *name)
{
	const char *text = source_text(snapshot, member);
	return text && !strcmp(text, name);
}

bool snapshot_is_external(const json_t *snapshot)
{
	return snapshot_is_called(snapshot, "kind", "external");
}

json_t *snapshot_pick(const json_t *items, const char *name)
{
	static const char *const members[] = {"name", "id"};
	for (unsigned m = 0; m < 2; m++) {
		json_t *one;
		size_t i;
		json_array_foreach(items, i, one)
		{
			if (snapshot_is_called(one, members[m], name))
				return one;
		}
	}
	return NULL;
}

bool snapshot_has_name(const json_t *items, const char *name)
{
	const json_t *one;
	size_t i;
	json_array_foreach(items, i, one)
	{
		const char *text = source_text(one, "name");
		if (text && !strcmp(text, name))
			return true;
	}
	return false;
}

json_t *snapshot_created(const json_t *kept)
{
	json_int_t seconds =
		json_integer_value(json_object_get(kept, "seconds"));
	json_int_t nanoseconds =
		json_integer_value(json_object_get(kept, "nanoseconds"));
	return unix_time_json(seconds * 1000 + nanoseconds / 1000000);
}

/* As the image has it -> as answers have it. */
static json_t *snapshot_json(const json_t *kept)
{
	return json_pack("{sO, sO, so, sO, sO}", "name",
		json_object_get(kept, "name"), "id",
		json_object_get(kept, "id"), "created", snapshot_created(kept),
		"size_bytes", json_object_get(kept, "size_bytes"),
		"vm_state_bytes", json_object_get(kept, "vm_state_bytes"));
}

json_t *snapshot_read_co(struct block_source *source, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0, i;
	FILE *out = open_memstream(&text, &bytes);
	json_t *items = json_array(), *kept = NULL, *one;
	int failed = out ? spec_snapshots_print_co(source, out, err)
			 : err_set(err, ENOMEM, "out of memory");
	if (out && fclose(out) == 0 && !failed) {
		kept = json_loadb(text, bytes, 0, NULL);
		if (!kept)
			failed = err_set(err, EIO,
				"a name in the snapshot table is no text");
	}
	json_array_foreach(json_object_get(kept, "snapshots"), i, one)
	{
		json_array_append_new(items, snapshot_json(one));
	}
	json_decref(kept);
	free(text);
	/* What cannot keep any has none. */
	if (!failed || failed == -EOPNOTSUPP)
		return items;
	json_decref(items);
	return NULL;
}
