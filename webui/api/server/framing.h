/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of requests that libevent takes and others may read differently, so that what is
 * the body of one is another request for the next on the way (RFC 9112 2.2, 3.2, 5.1, 6,
 * 11.2). They are refused, and nothing more is read from their connection. Control thread.
 */
#ifndef WEBUI_API_SERVER_FRAMING_H
#define WEBUI_API_SERVER_FRAMING_H

#include <stdbool.h>

struct evhttp_request;

/* What is wrong with it, a constant; NULL: nothing. */
const char *framing_fault(struct evhttp_request *http);
/* Of a request with an absolute target libevent believes that it is for a proxy, and heeds
 * other headers: it is not. */
void framing_is_ours(struct evhttp_request *http);
/* True if its client asks on that connection no more: it says so, or is too old to know
 * of another way and does not say otherwise. */
bool framing_is_last(struct evhttp_request *http);

#endif
