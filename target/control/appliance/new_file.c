/* SPDX-License-Identifier: Apache-2.0 */
/* See new_file.h. */
#include "target/control/appliance/new_file.h"

#include "blockcore/spec.h"

#include <sys/stat.h>

/* A file that has its size from its image grows with it. */
#define IMAGE_FILE_BYTES (64 << 10)

json_t *new_file_for_image(const char *path)
{
	return json_pack("{s{ss, ss, si}}", "protocol", "type", "file", "path",
		path, "size", IMAGE_FILE_BYTES);
}

bool new_file_exists(const struct block_core *core, const char *path)
{
	char whole[4096];
	struct stat there;
	return block_core_path(core, path, whole, sizeof whole) &&
		!lstat(whole, &there);
}
