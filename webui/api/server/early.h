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
 * text/html without a charset. The connection is closed after it, as before.
 */
#ifndef WEBUI_API_SERVER_EARLY_H
#define WEBUI_API_SERVER_EARLY_H

struct api;
struct bufferevent;
struct event_base;

/* Looks after what is written to that connection. */
void api_early_watch(struct api *api, struct bufferevent *bev);
/* evhttp's, at the unix socket: a plain bufferevent that is looked after. */
struct bufferevent *api_early_accept(struct event_base *base, void *api);

#endif
