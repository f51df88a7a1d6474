/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/assets.h"

#include <string.h>

/* Made by the Makefile (assets.S): NAME with what is no letter as '_'. */
#define ASSET(symbol) extern const char symbol[], symbol##_end[]
ASSET(asset_docs_html);
ASSET(asset_openapi_json);

const struct api_asset api_assets[] = {
	{"docs.html", "text/html; charset=utf-8", asset_docs_html,
		asset_docs_html_end},
	{"openapi.json", "application/json", asset_openapi_json,
		asset_openapi_json_end},
	{NULL, NULL, NULL, NULL},
};

const struct api_asset *api_asset_find(const char *name)
{
	const struct api_asset *asset = api_assets;
	while (asset->name && strcmp(asset->name, name))
		asset++;
	return asset->name ? asset : NULL;
}
