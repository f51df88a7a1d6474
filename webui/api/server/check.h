/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a doctor looks at. A room has an array of rows, which routes.c lists, as it
 * does those of operations. A check only looks: it changes nothing, does not wait,
 * and takes a time that has a bound. Control thread.
 */
#ifndef WEBUI_API_SERVER_CHECK_H
#define WEBUI_API_SERVER_CHECK_H

struct api;

enum check_state { CHECK_OK, CHECK_WARNING, CHECK_FAILED, CHECK_SKIPPED };

/* Zeroed: in order, without a word. */
struct check_finding {
	enum check_state state;
	char text[400], cure[300]; /* what is found; what to do, "": nothing */
};

struct api_check {
	const char *name, *title; /* NULL ends an array */
	void (*run)(const struct api *api, struct check_finding *finding);
};

extern const struct api_check
	*const api_checks[]; /* routes.c; ends with NULL */

void check_find(struct check_finding *finding, enum check_state state,
	const char *cure, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
