/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a request that are ours to parse, as pure functions: the target
 * (path and query), path templates, lists in headers. Everything here comes from
 * whoever can reach the port: no length is believed, nothing is allocated.
 */
#ifndef WEBUI_API_SERVER_PARSE_H
#define WEBUI_API_SERVER_PARSE_H

#include "webui/api/handler.h"

#define PARSED_MAX_TARGET 8192u
#define PARSED_MAX_SEGMENTS 16u

/* A target, decoded. Segments and pairs point into `text`. */
struct parsed_target {
	char text[PARSED_MAX_TARGET];
	const char *segment[PARSED_MAX_SEGMENTS];
	unsigned segments;
	struct api_pair query[API_MAX_QUERY];
	unsigned queries;
	struct api_pair parameter[API_MAX_PARAMETERS];
	char name[API_MAX_PARAMETERS][32]; /* of parameters */
	unsigned parameters;
};

enum parse_result {
	PARSE_OK,
	PARSE_LONG, /* target, or too many parts */
	PARSE_FORM, /* does not begin with '/', or a wrong escape */
	PARSE_TWICE, /* a query parameter stands there twice */
};

/* Splits and decodes the target of a request line: "/a/b%20c?x=1&y=2". */
enum parse_result parse_target(const char *raw, struct parsed_target *target);

/* True if the path has the form of the template; fills the parameters. */
bool parse_match(const char *path_template, struct parsed_target *target);

/* True if `list` ("a, b;q=1, *") has `item`, without regard to case. */
bool parse_list_has(const char *list, const char *item);

/* True if a list of entity tags allows `tag` (without quotes): "*", or one that
 * is equal; weak ones match only if `weak`. */
bool parse_tags_match(const char *list, const char *tag, bool weak);

/* How much Accept wants `type`, in thousandths; 0: not at all. */
unsigned parse_accept(const char *accept, const char *type);

/* RFC 3339 in UTC, as answers have it, in milliseconds since 1970 of whole seconds. */
bool parse_time(const char *text, int64_t *ms);

#endif
