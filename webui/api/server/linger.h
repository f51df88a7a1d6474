/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing so that the last answer is read. A peer that still sends (the rest of a body
 * that is too large) would be told of a reset, which may come before he has read why:
 * so what he sends is read and dropped, until he closes, for a while.
 *
 *	linger_hold	keeps the socket open, whoever closes the descriptor
 *	linger_begin	that was closed: says so to the peer, drops, closes
 *
 * Bounded: LINGER_S seconds, LINGER_BYTES bytes, LINGER_MOST sockets at a time; past
 * it the socket is closed as it would have been. Control thread.
 */
#ifndef WEBUI_API_SERVER_LINGER_H
#define WEBUI_API_SERVER_LINGER_H

struct api;
struct lingers;
struct lingerer;

#define LINGER_S 5u
#define LINGER_BYTES (64u << 20)
#define LINGER_MOST 32u

struct lingers *lingers_new(struct api *api);
/* All are closed. NULL is fine. */
void lingers_free(struct lingers *lingers);

/* *held stays NULL if there are too many, or is no memory; it becomes that again when
 * all end, so it stays valid until it has begun. One that is held stays so. */
void linger_hold(struct lingers *lingers, int fd, struct lingerer **held);
/* *held NULL is fine. */
void linger_begin(struct lingerer **held);

#endif
