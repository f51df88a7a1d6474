/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections: how many, how long, how much.
 *
 * evhttp counts nothing and knows only times of silence, so a stranger could hold
 * any number of connections, feed each a byte now and then, or send bodies of
 * 16 MiB on all of them. This file looks after every connection from its accept
 * to its end:
 *
 *	in all		512; one more closes the one that is idle for longest, or
 *			itself if none is idle
 *	of one address	256, in the same way
 *	handshake	10 s
 *	request		30 s from its first byte to its last
 *	bytes held	64 MiB in all: past it, whoever holds more than 64 KiB goes
 *
 * (Idle ones are closed by evhttp's timeout, those of event streams by theirs.)
 *
 * How it knows them: evhttp asks for a bufferevent before it has the socket; we
 * hang our object on its SSL, whose free function tells the end. A connection is
 * closed by shutdown(2), so that evhttp finds it closed and frees what is its.
 *
 * Invariants
 *  1. A connection on which a request is running is never closed from here.
 *  2. Idle means idle: the timer runs only while a handshake or a request is on
 *     its way in.
 */
#ifndef WEBUI_API_SERVER_CONNECTION_H
#define WEBUI_API_SERVER_CONNECTION_H

#include <stddef.h>
#include <stdint.h>

struct api;
struct bufferevent;
struct event_base;
struct api_connections;

#define CONNECTION_MAX 512u
#define CONNECTION_MAX_OF_ADDRESS 256u
#define CONNECTION_HANDSHAKE_S 10u
#define CONNECTION_REQUEST_S 30u
#define CONNECTION_INPUT_BYTES (64u << 20)
#define CONNECTION_FAIR_BYTES (64u << 10)

struct api_connections *api_connections_new(struct api *api);
/* All are closed. NULL is fine. */
void api_connections_free(struct api_connections *connections);

/* evhttp's: a bufferevent for one that comes. */
struct bufferevent *api_connection_accept(
	struct event_base *base, void *connections);

/* A request is whole and runs; it has been answered. NULL and bufferevents that
 * are not ours are fine. */
void api_connection_busy(struct bufferevent *bev);
void api_connection_idle(struct bufferevent *bev);

/* Other times than those above; for tests. */
void api_connections_set_patience(struct api_connections *connections,
	uint64_t handshake_ns, uint64_t request_ns);

unsigned api_connections_open(const struct api_connections *connections);
/* How many were closed because of a limit. */
unsigned long api_connections_closed(const struct api_connections *connections);

#endif
