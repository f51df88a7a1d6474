/* SPDX-License-Identifier: Apache-2.0 */
/* Files that volumes have made, on their way into what is kept; see appliance.h. */
#include "target/control/appliance/appliance_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct appliance_made *appliance_made_new(unsigned most)
{
	return calloc(1,
		sizeof(struct appliance_made) +
			most * sizeof(struct appliance_made_files));
}

int appliance_made_add(struct appliance_made *made,
	const struct appliance_volume *v, const struct doc *source,
	struct err *err)
{
	struct appliance_made_files *files = &made->volume[made->count];
	int failed = appliance_volume_list_files(v, source, &files->list, err);
	if (failed || !files->list)
		return failed;
	memcpy(files->uuid, v->settings.uuid, sizeof files->uuid);
	made->count++;
	return 0;
}

void appliance_made_kept(
	struct appliance_made *made, struct appliance_volume *v)
{
	for (unsigned i = 0; i < made->count; i++) {
		struct appliance_made_files *files = &made->volume[i];
		if (!files->list ||
			memcmp(files->uuid, v->settings.uuid,
				sizeof files->uuid) != 0)
			continue;
		appliance_volume_keeps_files(v, files->list);
		files->list = NULL;
	}
}

void appliance_made_free(struct appliance_made *made)
{
	for (unsigned i = 0; made && i < made->count; i++)
		free(made->volume[i].list);
	free(made);
}
