/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of Idempotency-Key in the daemon's state, so that they outlive it.
 *
 *	begun	    a request runs, or ran when the daemon ended: what became of it is
 *		    not known
 *	done	    its change is durable, in the same transaction as this; the answer
 *		    was not kept any more
 *	answered    with the answer
 */
#ifndef WEBUI_API_SERVER_KEYS_STORE_H
#define WEBUI_API_SERVER_KEYS_STORE_H

#include "blockcore/base/err.h"

#include <stdint.h>

struct state;

enum api_key_state { API_KEY_BEGUN, API_KEY_DONE, API_KEY_ANSWERED };

#define API_KEY_BYTES 129u
#define API_KEY_PLACE_BYTES 512u

struct api_key_record {
	char user[64], name[API_KEY_BYTES];
	uint8_t digest[32]; /* of method, target and body */
	int64_t made_ms; /* since 1970 */
	enum api_key_state state;
	int status; /* of the answer; DONE: that it was to have */
	const char *type; /* of its text; a constant */
	char place
		[API_KEY_PLACE_BYTES]; /* DONE: what the answer shows; "": nothing
					    that could be asked for */
	char *location; /* NULL: it had none. Owned, as is `text` */
	char etag[72];
	char *text; /* NULL: it was empty */
};

/* Adds or replaces: in a transaction that is open, else in one of its own. */
int api_key_store_save(struct state *state, const struct api_key_record *record,
	struct err *err);
/* Only that it is done, at `place`. */
int api_key_store_done(struct state *state, const struct api_key_record *record,
	int status, const char *place, struct err *err);
void api_key_store_remove(
	struct state *state, const struct api_key_record *record);
/* What is kept of it now: its state, else -ENOENT; without an answer. */
int api_key_store_look(struct state *state, struct api_key_record *record);
/* Calls `found` for each, oldest first, which takes `location` and `text` over. */
int api_key_store_load(struct state *state,
	int (*found)(const struct api_key_record *record, void *argument),
	void *argument, struct err *err);

#endif
