/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the server share; handlers include handler.h only.
 *
 *	api.c		start and stop
 *	listen.c	sockets, evhttp and its limits
 *	connection.h	TLS connections: how many, how long
 *	events.h	the latest events; stream.h those who listen
 *	keys.h		answers kept for Idempotency-Key
 *	call.c		one request, from evhttp to its answer
 *	early.h		what libevent refuses before that; linger.h how it ends
 *	parse.c		path, query, templates: pure functions
 *	guard.c		who asks, and whether he may
 *	answer.c	answers; problem.c problems
 */
#ifndef WEBUI_API_SERVER_PRIVATE_H
#define WEBUI_API_SERVER_PRIVATE_H

#include "blockcore/loop.h"
#include "target/control/appliance/appliance_space.h"
#include "target/control/event_sink.h"
#include "target/control/jobs/jobs.h"
#include "target/control/trust/trust.h"
#include "webui/api/handler.h"
#include "webui/api/server/counters.h"
#include "webui/api/server/parse.h"

#include <openssl/ssl.h>
#include <sys/queue.h>

#define API_MAX_CALLS 128u /* requests at a time ... */
#define API_LOCAL_CALLS \
	16u /* ... and so many more at the unix socket, so that root
			       can always end what keeps the others waiting */
#define API_MAX_HEADERS_BYTES (16u << 10)
#define API_MAX_BODY_BYTES (1u << 20)
#define API_MAX_LARGE_BODY_BYTES (16u << 20)
/* At the unix socket, which is for root: read whole, so that who sends too much is told
 * so and not cut off. */
#define API_MAX_LOCAL_BODY_BYTES (64u << 20)
#define API_IDLE_S 60u /* a connection that nothing was asked on */
#define API_MAX_ANSWER_HEADERS 8u

struct api_call;
struct certificate;
struct co;
struct evhttp;
struct evhttp_request;
struct api_connections;
struct api_events;
struct api_streams;
struct api_key;
struct lingers;
struct api_keys;
struct jobs;
struct api_faults;
struct schedules;
struct snapshot_spaces;
struct resyncs;

struct api {
	struct daemon_parts parts;
	struct loop *loop;
	struct event_sink sink; /* of the floor below: api.c */
	struct evhttp *tls, *local;
	SSL_CTX *ctx;
	struct certificate *certificate;
	struct loop_timer renew; /* looks twice a day */
	char socket_path[108];
	struct api_connections *connections;
	struct lingers *lingers;
	struct api_events *events;
	struct audit_events *audit_events;
	struct api_streams *streams;
	struct api_keys *keys;
	struct jobs *jobs;
	struct jobs_watcher jobs_watcher; /* jobs_api.c */
	struct api_counters counters;
	struct api_faults *faults;
	struct schedules *schedules;
	struct snapshot_spaces *snapshot_spaces;
	struct resyncs *resyncs;
	json_t *space; /* of volumes, see space.h */
	struct appliance_space_watcher space_watcher;
	struct appliance_notice_watcher notice_watcher; /* live_events.c */
	struct iscsi_watcher host_watcher; /* live_events.c */

	LIST_HEAD(, api_call) calls;
	unsigned running;
	struct co *stopping; /* waits until running is 0 */
	bool closing;
	bool repaired; /* libevent_version.h */
	uint64_t next_id;
	uint32_t id_salt;
	int64_t started_ms;
};

struct api_answer {
	int status; /* 0: not answered */
	json_t *json;
	const char *secret; /* a member that is not kept; NULL: none is */
	const char *type; /* NULL: by json */
	const void *data;
	size_t bytes;
	char *owned; /* to be freed with the call */
	char etag[72];
	struct {
		const char *name;
		char *value;
	} header[API_MAX_ANSWER_HEADERS];
	unsigned headers;
	/* Instead of all that: takes over `call->http` when the handler is over. */
	void (*stream)(struct api_call *call);
};

/* One request on its way. */
struct api_call {
	struct api_request request; /* the first member */
	struct evhttp_request *http; /* NULL: the client is gone */
	const char *method;
	char *uri; /* raw */
	char *text; /* the body, NULL: none */
	char *if_match; /* the client may go before it is looked at */
	struct parsed_target target; /* points into itself */
	struct api_answer answer;
	void *stream; /* the answer's, see there */
	struct api_key *key; /* Idempotency-Key; NULL: none */
	char *audit_object;
	json_t *audit_before, *audit_after;
	struct config_witness witness;
	const struct config_edit *witnessed; /* the change's first; NULL: all */
	bool in_turn; /* nobody else changes the configuration */
	bool audited; /* with the change itself */
	int answers_as; /* see api_answers_as; 0: it was not said */
	char answers_at[512];
	uint64_t started_ns;
	bool local; /* over the unix socket */
	bool unread; /* something of it is left in the connection */
	bool last; /* the client asks no more there */
	struct trust_identity identity;
	char cookie[TRUST_SECRET_BYTES]; /* "": came without */
	struct loop_message finish;
	LIST_ENTRY(api_call) link;
};

static inline struct api_call *api_call_of(const struct api_request *request)
{
	return (struct api_call *)request;
}

/* -- routes.c ---------------------------------------------------------------- */

extern const struct api_route *const api_routes[]; /* ends with NULL */
/* The row for method and path. NULL: *allowed (of `bytes`) has the methods that
 * the path knows, "" if there is no such path. */
const struct api_route *api_find_route(const char *method,
	struct parsed_target *target, char *allowed, size_t bytes);

/* Figures for the topic stats, once a second while somebody listens. */
struct api_stats_part {
	const char *name; /* NULL ends */
	json_t *(*make)(struct api *api);
};
extern const struct api_stats_part api_stats_parts[];

/* -- listen.c ---------------------------------------------------------------- */

int api_listen_tls(struct api *api, struct err *err);
int api_listen_local(struct api *api, struct err *err);
void api_listen_close(struct api *api);

/* -- call.c ------------------------------------------------------------------ */

/* evhttp's: a request is there, over TLS or the socket. */
void api_call_tls(struct evhttp_request *http, void *api);
void api_call_local(struct evhttp_request *http, void *api);
/* The number of a request, new. */
void api_make_id(struct api *api, char id[24]);
/* closecb of a connection: the client is gone, and so is what libevent has. Frees
 * the request if libevent has let go of it. */
void api_request_gone(struct evhttp_request *http);

/* -- call_body.c ------------------------------------------------------------ */

/* Takes the body as its route wants it. False: refused and answered. */
bool api_call_read_body(struct api_call *call);

/* -- guard.c ----------------------------------------------------------------- */

/* False: refused and answered. */
bool api_guard(struct api_call *call);
/* The audit record of a change that was asked for. */
void api_guard_record(struct api_call *call);
/* Who asks, as trust knows him. */
static inline const struct trust_identity *api_identity(
	const struct api_request *request)
{
	return &api_call_of(request)->identity;
}
enum api_role api_role_of(enum trust_role role);

/* -- answer.c, problem.c ------------------------------------------------------ */

void api_answer_send(struct api_call *call);
/* True if a handler has set that header. */
bool api_answer_has(struct api_request *request, const char *name);
void api_answer_free(struct api_answer *answer);
const char *api_status_phrase(int status);

struct api_problem_kind {
	const char *name, *title;
	int status;
	const char *cause, *cure;
};
extern const struct api_problem_kind api_problem_kinds[]; /* ends: name NULL */
const struct api_problem_kind *api_problem_find(const char *name);

#endif
