/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the REST interface, one after the other on one connection.
 *
 * Invariants
 *  1. An answer that is kept in memory is at most CLIENT_MAX_BODY bytes.
 *  2. A request is sent a second time only if it changes nothing or carries an
 *     Idempotency-Key, and only when the connection was one kept from before.
 *  3. What is sent may hold secrets: the text of a request is wiped after use.
 */
#ifndef WEBUI_CLI_CLIENT_H
#define WEBUI_CLI_CLIENT_H

#include "webui/cli/link.h"
#include "webui/cli/reply.h"

#include <jansson.h>

#define CLIENT_MAX_BODY (64u << 20)

struct client {
	struct link_place place;
	int timeout_ms; /* of each wait for the other side */
	const char *token; /* NULL: none */
	const char *cookie, *csrf; /* NULL: none; for sign-in */
	struct link *link; /* kept between calls; NULL: none */
};

struct client_request {
	const char *method;
	const char *path; /* below /api/v1, or beginning with "//": as it is */
	json_t *body; /* NULL: none; borrowed */
	const char *text, *text_type; /* in place of body */
	const char *if_match, *accept, *last_event_id; /* NULL: none */
	bool keyed; /* give it an Idempotency-Key */
	bool endless; /* wait without limit for more */
	reply_sink sink; /* for a body of status 200; NULL: keep it */
	void *argument;
};

struct client_answer {
	int status;
	json_t *json; /* NULL: none, or no JSON */
	char *text; /* as it came, NUL-terminated; NULL: went to a sink */
	size_t bytes;
	char etag[128], type[128], location[256], cookie[512];
	uint64_t retry_after_s;
};

/* 0 once there is an answer, whatever its status; else -errno with *err: the
 * daemon cannot be reached, or talks nonsense. */
int client_call(struct client *client, const struct client_request *request,
	struct client_answer *answer, struct err *err);
void client_answer_free(struct client_answer *answer);
void client_close(struct client *client);

#endif
