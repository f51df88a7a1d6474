/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency-Key: a request that is sent again after its answer was lost gets the
 * same answer, and nothing is done twice.
 *
 *	new key			run, keep the answer for 24 hours
 *	known, same request	the kept answer, with Idempotency-Replayed: true
 *	known, still running	409
 *	known, another request	422: the key was reused
 *
 * and after a restart, which may have come at any moment
 *
 *	its change is durable	what the answer shows is asked for anew, and answered
 *	known to be undone	run
 *	not known		409: somebody must look
 *
 * Invariants
 *  1. A key belongs to the one who sent it: others may use the same.
 *  2. Kept in our database (keys_store.h): at most 1,024 answers and 8 MiB; the
 *     oldest gives way. Answers of 500 and above, and dry runs, are not kept: try
 *     again. Nothing is kept of requests with passwords but in memory.
 *  3. No secret is kept: a new token is in the first answer only, then null. Who
 *     lost that answer learns which token it was, revokes it and makes another.
 *  4. That a change is done is in its own transaction; that a request which leaves
 *     traces elsewhere has begun is durable before it runs. An answer is kept before
 *     it is sent.
 */
#ifndef WEBUI_API_SERVER_KEYS_H
#define WEBUI_API_SERVER_KEYS_H

#include "webui/api/server/private.h"

#define KEYS_MAX 1024u
#define KEYS_MAX_BYTES (8u << 20)
#define KEYS_KEPT_S (24u * 3600)
#define KEYS_MAX_LENGTH 128u

/* NULL with *err. */
struct api_keys *api_keys_new(struct state *state, struct err *err);
void api_keys_free(struct api_keys *keys);

/* Before a handler runs. True: run it (`call->key` is set if there is a key).
 * False: answered. */
bool api_keys_begin(struct api_call *call);
/* When it has answered. */
void api_keys_end(struct api_call *call);

#endif
