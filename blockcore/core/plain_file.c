/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "blockcore/core/plain_file.h"

#include "blockcore/block.h"

#include <errno.h>
#include <string.h>

static bool is_plain(const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t length = strlen(name);

	return length && length < BLOCK_NAME_BYTES && name[0] != '.' &&
		strspn(name, good) == length;
}

int plain_file_check(const struct doc *node, const char *name, struct err *err)
{
	if (is_plain(name))
		return 0;
	return doc_error(node, err, EINVAL,
		"a name of letters, digits, '.', '_', '-', not a path: "
		"it is made in the data directory");
}

char *plain_file_path(
	const struct block_core *core, const char *name, struct err *err)
{
	char *path;

	if (asprintf(&path, "%s/%s", block_core_data_directory(core), name) >=
		0)
		return path;
	err_set(err, ENOMEM, "no memory for a name");
	return NULL;
}
