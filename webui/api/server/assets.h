/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is built into the daemon: files of this folder, as the Makefile made them,
 * in read-only memory. Each ends with a NUL that `bytes` does not count.
 */
#ifndef WEBUI_API_SERVER_ASSETS_H
#define WEBUI_API_SERVER_ASSETS_H

#include <stddef.h>

struct api_asset {
	const char *name, *type;
	const char *data, *end;
};

/* Ends with a row whose name is NULL. */
extern const struct api_asset api_assets[];
const struct api_asset *api_asset_find(const char *name);

#endif
