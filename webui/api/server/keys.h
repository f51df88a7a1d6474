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
 * Invariants
 *  1. A key belongs to the one who sent it: others may use the same.
 *  2. Kept in memory only: at most 1,024 answers and 8 MiB; the oldest gives way.
 *     Answers of 500 and above, and dry runs, are not kept: try again.
 *  3. No secret is kept: a new token is in the first answer only, then null. Who
 *     lost that answer learns which token it was, revokes it and makes another.
 */
#ifndef WEBUI_API_SERVER_KEYS_H
#define WEBUI_API_SERVER_KEYS_H

#include "webui/api/server/private.h"

#define KEYS_MAX 1024u
#define KEYS_MAX_BYTES (8u << 20)
#define KEYS_KEPT_S (24u * 3600)
#define KEYS_MAX_LENGTH 128u

struct api_keys *api_keys_new(void);
void api_keys_free(struct api_keys *keys);

/* Before a handler runs. True: run it (`call->key` is set if there is a key).
 * False: answered. */
bool api_keys_begin(struct api_call *call);
/* When it has answered. */
void api_keys_end(struct api_call *call);

#endif
