/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET docs: one page that draws the contract. Its style and script stand in it; the
 * policy that it is sent with allows just these two, by their digests, and nothing
 * else but asking this server.
 */
#include "webui/api/server/assets.h"
#include "webui/api/server/private.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* "sha256-..." of what stands between <tag> and </tag>. */
static bool digest_of(const char *page, const char *tag, char out[64])
{
	char opening[16], closing[16];
	uint8_t digest[32];
	unsigned bytes = sizeof digest;
	snprintf(opening, sizeof opening, "<%s>", tag);
	snprintf(closing, sizeof closing, "</%s>", tag);
	const char *begin = strstr(page, opening);
	const char *end = begin ? strstr(begin, closing) : NULL;
	if (!end)
		return false;
	begin += strlen(opening);
	if (!EVP_Digest(begin, (size_t)(end - begin), digest, &bytes,
		    EVP_sha256(), NULL))
		return false;
	memcpy(out, "sha256-", 7);
	EVP_EncodeBlock((unsigned char *)out + 7, digest, sizeof digest);
	return true;
}

static void docs_co(struct api_request *request)
{
	const struct api_asset *page = api_asset_find("docs.html");
	char script[64], style[64], policy[400];
	if (!digest_of(page->data, "script", script) ||
		!digest_of(page->data, "style", style)) {
		api_problem(request, "internal", "the page has no digest");
		return;
	}
	snprintf(policy, sizeof policy,
		"default-src 'none'; script-src '%s'; style-src '%s'; "
		"connect-src 'self'; base-uri 'none'; form-action 'none'; "
		"frame-ancestors 'none'",
		script, style);
	api_set_header(request, "Content-Security-Policy", policy);
	api_set_header(request, "Cache-Control", "no-cache");
	api_answer_static(request, page->type, page->data,
		(size_t)(page->end - page->data));
}

/* Until the panel is there. */
static void root_co(struct api_request *request)
{
	static const char page[] =
		"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
		"<title>Cairn</title><p>The interface is described at "
		"<a href=\"/docs\">/docs</a>.</html>\n";
	api_answer_static(
		request, "text/html; charset=utf-8", page, sizeof page - 1);
}

const struct api_route api_docs_routes[] = {
	{"getRoot", "GET", "/", API_PUBLIC, .handle_co = root_co},
	{"getDocs", "GET", "/docs", API_PUBLIC, .handle_co = docs_co},
	{0},
};
