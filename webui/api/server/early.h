/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libevent refuses by itself, before there is a request that we could see: a
 * request line or a header that is none, too many bytes, an expectation that nobody
 * meets. It then writes a page of HTML; in its place goes a problem (RFC 9457).
 *
 *	evhttp --page--> output of the connection --written--> our problem
 *
 * libevent 2.1 has no way to give it another page (evhttp_set_errorcb came with
 * 2.2), so its page is known by what it begins and ends with; nothing of ours is
 * text/html without a charset. The connection is closed after it, as before, but over
 * TCP not before the peer could read it (linger.h).
 *
 * Who speaks http where https is spoken is answered so, in the plain: OpenSSL knows it
 * by the first bytes.
 */
#ifndef WEBUI_API_SERVER_EARLY_H
#define WEBUI_API_SERVER_EARLY_H

struct api;
struct bufferevent;
struct event_base;
struct lingerer;
struct ssl_st;

/* Of a TLS connection; `linger` is NULL at first. */
struct api_early {
	struct api *api;
	struct ssl_st *ssl;
	struct lingerer *linger; /* to be begun when its socket is closed */
};

/* Looks after what is written to that TLS connection. */
void api_early_watch(struct api_early *early, struct bufferevent *bev);
/* For SSL_CTX_set_info_callback; `early` of an SSL. */
void api_early_handshake(struct api_early *early, int where, int result);
/* evhttp's, at the unix socket: a plain bufferevent that is looked after. */
struct bufferevent *api_early_accept(struct event_base *base, void *api);

#endif
