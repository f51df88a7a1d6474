/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections: how many there may be, from one address and in all.
 */
#include "webui/api/private.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdlib.h>

struct api_connections {
	struct api *api;
};

struct api_connections *api_connections_new(struct api *api)
{
	struct api_connections *self = calloc(1, sizeof *self);
	if (self)
		self->api = api;
	return self;
}

void api_connections_free(struct api_connections *self)
{
	free(self);
}

struct bufferevent *api_connection_accept(
	struct event_base *base, void *connections)
{
	struct api_connections *self = connections;
	SSL *ssl = SSL_new(self->api->ctx);
	if (!ssl)
		return NULL;
	return bufferevent_openssl_socket_new(base, -1, ssl,
		BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}
