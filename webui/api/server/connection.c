/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/connection.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "webui/api/server/early.h"
#include "webui/api/server/linger.h"
#include "webui/api/server/private.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NS_PER_S 1000000000ull
#define SWEEP_NS NS_PER_S

struct connection {
	struct api_connections *all;
	struct bufferevent *bev;
	SSL *ssl;
	struct in6_addr address;
	uint64_t accepted_ns;
	uint64_t request_ns; /* first byte of a request; 0: none on its way */
	size_t input; /* bytes in the bufferevent */
	bool counted, busy, doomed;
	struct api_early early;
	TAILQ_ENTRY(connection) link; /* longest idle first */
};
TAILQ_HEAD(connection_list, connection);

struct api_connections {
	struct api *api;
	struct connection_list list;
	unsigned open; /* counted and not doomed */
	unsigned long closed;
	size_t input; /* of all */
	uint64_t handshake_ns, request_ns; /* patience */
	struct loop_message count;
	bool counting; /* the message is posted */
	bool freed; /* once the last of what it owns has gone */
	struct loop_timer sweep;
	struct log_limit limit;
};

static int ssl_index = -1; /* of our object in an SSL */

/* libevent frees a bufferevent in a later turn, so we may outlive the server. */
static void free_if_over(struct api_connections *self)
{
	if (self->freed && !self->counting && TAILQ_EMPTY(&self->list))
		free(self);
}

static uint64_t now_ns(const struct api_connections *self)
{
	return loop_now_ns(self->api->loop);
}

/* -- closing ---------------------------------------------------------------- */

static void doom(struct connection *connection, const char *why)
{
	struct api_connections *self = connection->all;
	uint32_t swallowed;
	connection->doomed = true;
	if (connection->counted)
		self->open--;
	self->closed++;
	if (log_limit_pass(&self->limit, &swallowed))
		log_debug("api", "closed", "a connection: %s", why);
	shutdown(bufferevent_getfd(connection->bev), SHUT_RDWR);
}

/* The one that is idle for longest, of an address or of all. */
static struct connection *find_idle(
	const struct api_connections *self, const struct in6_addr *address)
{
	struct connection *connection;
	TAILQ_FOREACH (connection, &self->list, link) {
		if (connection->counted && !connection->doomed &&
			!connection->busy &&
			(!address ||
				IN6_ARE_ADDR_EQUAL(
					&connection->address, address)))
			return connection;
	}
	return NULL;
}

static unsigned count_of(
	const struct api_connections *self, const struct in6_addr *address)
{
	const struct connection *connection;
	unsigned count = 0;
	TAILQ_FOREACH (connection, &self->list, link)
		count += connection->counted && !connection->doomed &&
			IN6_ARE_ADDR_EQUAL(&connection->address, address);
	return count;
}

static void read_address(struct connection *connection)
{
	struct sockaddr_storage peer;
	socklen_t bytes = sizeof peer;
	if (getpeername(bufferevent_getfd(connection->bev),
		    (struct sockaddr *)&peer, &bytes))
		return;
	if (peer.ss_family == AF_INET6) {
		connection->address = ((struct sockaddr_in6 *)&peer)->sin6_addr;
		return;
	}
	memset(connection->address.s6_addr + 10, 0xff, 2);
	memcpy(connection->address.s6_addr + 12,
		&((struct sockaddr_in *)&peer)->sin_addr, 4);
}

/* A new one makes room for itself, or goes. */
static void admit(struct connection *connection)
{
	struct api_connections *self = connection->all;
	struct connection *idle = NULL;
	bool full = false;
	read_address(connection);
	if (count_of(self, &connection->address) >= CONNECTION_MAX_OF_ADDRESS) {
		full = true;
		idle = find_idle(self, &connection->address);
	} else if (self->open >= CONNECTION_MAX) {
		full = true;
		idle = find_idle(self, NULL);
	}
	if (full && !idle) {
		doom(connection, "too many, and none is idle");
		return;
	}
	if (idle)
		doom(idle, "too many; it was idle for longest");
	connection->counted = true;
	self->open++;
}

/* Now sockets are known: evhttp has them set since the accept. */
static void count_new(struct loop_message *message)
{
	struct api_connections *self =
		container_of(message, struct api_connections, count);
	struct connection *connection, *next;
	self->counting = false;
	if (self->freed) {
		free_if_over(self);
		return;
	}
	TAILQ_FOREACH_SAFE (connection, &self->list, link, next) {
		if (!connection->counted && !connection->doomed)
			admit(connection);
	}
}

/* -- time ------------------------------------------------------------------- */

static bool is_late(const struct connection *connection, uint64_t now)
{
	const struct api_connections *self = connection->all;
	if (!SSL_is_init_finished(connection->ssl))
		return now - connection->accepted_ns > self->handshake_ns;
	return connection->request_ns &&
		now - connection->request_ns > self->request_ns;
}

static void sweep(struct loop_timer *timer)
{
	struct api_connections *self =
		container_of(timer, struct api_connections, sweep);
	struct connection *connection;
	uint64_t now = now_ns(self);
	bool more = false;
	TAILQ_FOREACH (connection, &self->list, link) {
		if (connection->doomed || connection->busy)
			continue;
		if (is_late(connection, now))
			doom(connection, "too slow");
		else if (connection->request_ns ||
			!SSL_is_init_finished(connection->ssl))
			more = true;
	}
	if (more)
		loop_timer_set(self->api->loop, timer, SWEEP_NS);
}

static void watch_time(struct api_connections *self)
{
	if (!self->sweep.armed)
		loop_timer_set(self->api->loop, &self->sweep, SWEEP_NS);
}

/* -- bytes ------------------------------------------------------------------ */

static void input_changed(struct evbuffer *buffer,
	const struct evbuffer_cb_info *info, void *argument)
{
	struct connection *connection = argument;
	struct api_connections *self = connection->all;
	(void)buffer;
	connection->input += info->n_added - info->n_deleted;
	self->input += info->n_added - info->n_deleted;
	if (!info->n_added || connection->doomed || connection->busy)
		return;
	if (!connection->request_ns) {
		connection->request_ns = now_ns(self);
		watch_time(self);
	}
	if (self->input > CONNECTION_INPUT_BYTES &&
		connection->input > CONNECTION_FAIR_BYTES)
		doom(connection, "too many bytes wait in all");
}

/* -- life of one ------------------------------------------------------------ */

/* From SSL_free, so from the bufferevent's end. */
static void ssl_freed(void *parent, void *pointer, CRYPTO_EX_DATA *data,
	int index, long argument, void *more)
{
	struct connection *connection = pointer;
	(void)parent, (void)data, (void)index, (void)argument, (void)more;
	if (!connection)
		return;
	struct api_connections *self = connection->all;
	if (connection->counted && !connection->doomed)
		self->open--;
	self->input -= connection->input;
	TAILQ_REMOVE(&self->list, connection, link);
	linger_begin(&connection->early.linger);
	free(connection);
	free_if_over(self);
}

static void handshake_moved(const SSL *ssl, int where, int result)
{
	struct connection *connection = SSL_get_ex_data(ssl, ssl_index);
	if (connection)
		api_early_handshake(&connection->early, where, result);
}

static struct connection *connection_of(struct bufferevent *bev)
{
	SSL *ssl = bev ? bufferevent_openssl_get_ssl(bev) : NULL;
	return ssl ? SSL_get_ex_data(ssl, ssl_index) : NULL;
}

void api_connection_busy(struct bufferevent *bev)
{
	struct connection *connection = connection_of(bev);
	if (!connection)
		return;
	connection->busy = true;
	connection->request_ns = 0;
}

void api_connection_idle(struct bufferevent *bev)
{
	struct connection *connection = connection_of(bev);
	if (!connection)
		return;
	struct api_connections *self = connection->all;
	connection->busy = false;
	if (connection->input) { /* the next request came meanwhile */
		connection->request_ns = now_ns(self);
		watch_time(self);
	}
	TAILQ_REMOVE(&self->list, connection, link);
	TAILQ_INSERT_TAIL(&self->list, connection, link);
}

static struct bufferevent *open_bev(
	struct api_connections *self, struct event_base *base, SSL *ssl)
{
	struct connection *connection = calloc(1, sizeof *connection);
	if (!connection || SSL_set_ex_data(ssl, ssl_index, connection) != 1) {
		free(connection);
		SSL_free(ssl);
		return NULL;
	}
	connection->all = self;
	connection->ssl = ssl;
	connection->early = (struct api_early){.api = self->api, .ssl = ssl};
	SSL_set_info_callback(ssl, handshake_moved);
	connection->accepted_ns = now_ns(self);
	TAILQ_INSERT_TAIL(&self->list, connection, link);
	/* Frees the SSL, and so our object, when it fails. */
	connection->bev = bufferevent_openssl_socket_new(base, -1, ssl,
		BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (connection->bev) {
		evbuffer_add_cb(bufferevent_get_input(connection->bev),
			input_changed, connection);
		api_early_watch(&connection->early, connection->bev);
	}
	return connection->bev;
}

/* Without memory NULL, which evhttp takes for "a plain one": nobody would speak
 * TLS there, so the peer finds it broken and the timeout ends it. */
struct bufferevent *api_connection_accept(
	struct event_base *base, void *connections)
{
	struct api_connections *self = connections;
	SSL *ssl = SSL_new(self->api->ctx);
	if (!ssl)
		return NULL;
	struct bufferevent *bev = open_bev(self, base, ssl);
	if (bev && !self->counting) {
		self->counting = true;
		loop_post(self->api->loop, &self->count);
	}
	watch_time(self);
	return bev;
}

/* -- life of all ------------------------------------------------------------ */

struct api_connections *api_connections_new(struct api *api)
{
	struct api_connections *self = calloc(1, sizeof *self);
	if (ssl_index < 0)
		ssl_index =
			SSL_get_ex_new_index(0, NULL, NULL, NULL, ssl_freed);
	if (!self || ssl_index < 0) {
		free(self);
		return NULL;
	}
	self->api = api;
	self->handshake_ns = CONNECTION_HANDSHAKE_S * NS_PER_S;
	self->request_ns = CONNECTION_REQUEST_S * NS_PER_S;
	self->count.run = count_new;
	self->sweep.expired = sweep;
	TAILQ_INIT(&self->list);
	return self;
}

void api_connections_free(struct api_connections *self)
{
	if (!self)
		return;
	loop_timer_clear(self->api->loop, &self->sweep);
	self->freed = true;
	free_if_over(self);
}

void api_connections_set_patience(struct api_connections *self,
	uint64_t handshake_ns, uint64_t request_ns)
{
	self->handshake_ns = handshake_ns;
	self->request_ns = request_ns;
}

unsigned api_connections_open(const struct api_connections *self)
{
	return self->open;
}

unsigned long api_connections_closed(const struct api_connections *self)
{
	return self->closed;
}
