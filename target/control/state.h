/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon keeps over a restart: one SQLite database in the state
 * directory (cairn.db; WAL, synchronous=FULL), and the lock that keeps a second
 * daemon out of it.
 *
 *	object, history	the appliance document, object by object, without secrets,
 *			and its latest changes: config/store.c
 *	volume		names and UUIDs: identities that never change
 *	blob		what hosts made durable, per volume: "reservation",
 *			"modepages"; "files", those it made: volume_files.h; "size",
 *			what its raw file had when it was online last; "carry": carries.h
 *	secret		CHAP secrets, by host and kind
 *
 * Invariants
 *  1. Control thread only. A call writes to disk and waits for it: a few
 *     milliseconds in which the control thread does nothing else, and reactors
 *     go on. So nothing here is ever on the way of I/O.
 *  2. Directory 0700, files 0600: secrets are readable for the daemon only, and
 *     are overwritten when they go (secure_delete).
 *  3. When a call has returned 0 its change survives a power cut.
 *  4. A schema that is older is brought forward when it is opened; one that is
 *     newer, or not ours, is refused and left as it is.
 *  5. So is one that has something else than was committed (seal.h). A log that is
 *     lost or cut takes the latest changes along: what is left is an earlier state,
 *     whole, which nothing here can tell from the latest.
 */
#ifndef TARGET_CONTROL_STATE_H
#define TARGET_CONTROL_STATE_H

#include "blockcore/base/err.h"
#include "target/volume/volume.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* Makes the directory if it is absent, locks it, opens the database. -EBUSY:
 * another daemon has it. NULL with *err. */
struct state *state_open(const char *directory, struct err *err);
void state_close(struct state *state);

/* The document of a database from before there were objects, NULL if there is
 * none; free it. 0 or -errno. */
int state_load_document(struct state *state, char **json, struct err *err);

/* The UUID of the volume of that name; -ENOENT without *err if it has none. */
int state_find_volume(struct state *state, const char *name, uint8_t uuid[16],
	struct err *err);

/* The name of the volume that has that UUID; -ENOENT without *err if none has. */
int state_find_uuid(struct state *state, const uint8_t uuid[16], char *name,
	size_t bytes, struct err *err);

/* All of them. */
int state_each_volume(struct state *state,
	void (*each)(void *argument, const char *name, const uint8_t uuid[16]),
	void *argument, struct err *err);

/* Which of a host's secrets. */
enum state_secret { STATE_CHAP, STATE_MUTUAL };

/* The secret; to be freed with state_free_secret. -ENOENT without *err if there
 * is none. */
int state_find_secret(struct state *state, const char *host,
	enum state_secret kind, char **secret, struct err *err);
void state_free_secret(char *secret); /* wipes; NULL is fine */

/* For the files of target/control that keep tables of their own there. */
struct sqlite3 *state_database(struct state *state);

/* Blobs of a volume that the document names (refused otherwise). Saving none (0
 * bytes) deletes. Loading: *data is NULL if there is none; free it. */
int state_save_blob(struct state *state, const uint8_t uuid[16],
	const char *kind, const void *data, size_t bytes, struct err *err);
int state_load_blob(struct state *state, const uint8_t uuid[16],
	const char *kind, void **data, size_t *bytes, struct err *err);

/* The door for the floors below. Lives as long as the state. */
struct volume_store *state_volume_store(struct state *state);

#endif
