/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and whether he may.
 *
 * Invariants
 *  1. Nobody is API_PUBLIC: only rows that say so are for him.
 *  2. At the unix socket the kernel says who it is: root and the daemon's own user
 *     are admin, all others are refused.
 */
#include "webui/api/private.h"

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int descriptor_of(const struct api_call *call)
{
	return bufferevent_getfd(evhttp_connection_get_bufferevent(
		evhttp_request_get_connection(call->http)));
}

static void identify_peer(struct api_call *call)
{
	struct api_identity *who = &call->request.who;
	struct ucred peer;
	socklen_t bytes = sizeof peer;
	snprintf(who->address, sizeof who->address, "unix");
	if (getsockopt(descriptor_of(call), SOL_SOCKET, SO_PEERCRED, &peer,
		    &bytes) ||
		(peer.uid != 0 && peer.uid != geteuid()))
		return;
	who->role = API_ADMIN;
	snprintf(who->name, sizeof who->name, "root");
}

static void identify(struct api_call *call)
{
	struct api_identity *who = &call->request.who;
	char *address;
	uint16_t port;
	who->role = API_PUBLIC;
	if (call->local) {
		identify_peer(call);
		return;
	}
	evhttp_connection_get_peer(
		evhttp_request_get_connection(call->http), &address, &port);
	snprintf(who->address, sizeof who->address, "%s", address);
}

bool api_guard(struct api_call *call)
{
	struct api_request *request = &call->request;
	identify(call);
	if (request->who.role <= request->route->role)
		return true;
	if (request->who.role == API_PUBLIC) {
		request->api->counters.auth_failures++;
		api_set_header(request, "WWW-Authenticate", "Bearer");
		api_problem(request, "unauthenticated",
			"%s needs a session, a token or the unix socket",
			request->route->operation);
	} else {
		api_problem(request, "forbidden",
			"%s may not call %s with that role", request->who.name,
			request->route->operation);
	}
	return false;
}
