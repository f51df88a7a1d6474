/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that listeners keep: named by people, lying in the data directory itself.
 * A name is no way to reach anything else.
 */
#ifndef BLOCKCORE_CORE_PLAIN_FILE_H
#define BLOCKCORE_CORE_PLAIN_FILE_H

#include "blockcore/base/doc.h"

struct block_core;

/* -EINVAL, with the place of `node`, unless `name` is plain: 1 to 63 letters,
 * digits, '.', '_', '-', not beginning with '.'. Any thread. */
int plain_file_check(const struct doc *node, const char *name, struct err *err);

/* In the data directory; to be freed. NULL: no memory, with *err. */
char *plain_file_path(
	const struct block_core *core, const char *name, struct err *err);

#endif
