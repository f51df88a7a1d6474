/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files that only the daemon may read: written whole and durably, or not
 * at all.
 */
#ifndef TARGET_CONTROL_TRUST_PRIVATE_FILE_H
#define TARGET_CONTROL_TRUST_PRIVATE_FILE_H

#include "blockcore/base/err.h"

#include <stddef.h>

/* PATH gets this content and mode 0600, by way of PATH.new and a rename. */
int private_file_write(
	const char *path, const void *content, size_t bytes, struct err *err);

/* The content with a NUL after it, to be freed with private_file_free. NULL with
 * *err: -ENOENT if it is absent; refused if it is larger than `limit`, or not a
 * file of its own (a link). */
char *private_file_read(const char *path, size_t limit, struct err *err);
void private_file_free(char *content); /* wipes; NULL is fine */

#endif
