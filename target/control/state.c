/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory: its lock, and what the tables of database.c mean.
 */
#include "target/control/state.h"

#include "blockcore/base/list.h"
#include "target/control/database.h"
#include "target/control/directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
	sqlite3 *db;
	int lock_fd;
	struct volume_store store;
};

/* -- the document ----------------------------------------------------------- */

int state_load_document(struct state *state, char **json, struct err *err)
{
	struct statement s;
	bool lost = false;
	*json = NULL;
	statement_begin(&s, state->db, "SELECT json FROM document");
	if (statement_row(&s)) {
		*json = strdup((const char *)sqlite3_column_text(s.stmt, 0));
		lost = !*json;
	}
	int failed = statement_end(&s, err);
	return lost ? err_set(err, ENOMEM, "out of memory") : failed;
}

/* -- volumes and secrets ---------------------------------------------------- */

int state_find_volume(struct state *state, const char *name, uint8_t uuid[16],
	struct err *err)
{
	struct statement s;
	int found = 0;
	statement_begin(
		&s, state->db, "SELECT uuid FROM volume WHERE name = ?");
	statement_text(&s, 1, name);
	if (statement_row(&s)) {
		memcpy(uuid, sqlite3_column_blob(s.stmt, 0), 16);
		found = 1;
	}
	int failed = statement_end(&s, err);
	return failed || found ? failed : -ENOENT;
}

int state_find_uuid(struct state *state, const uint8_t uuid[16], char *name,
	size_t bytes, struct err *err)
{
	struct statement s;
	int found = 0;
	statement_begin(
		&s, state->db, "SELECT name FROM volume WHERE uuid = ?");
	statement_blob(&s, 1, uuid, 16);
	if (statement_row(&s)) {
		snprintf(name, bytes, "%s",
			(const char *)sqlite3_column_text(s.stmt, 0));
		found = 1;
	}
	int failed = statement_end(&s, err);
	return failed || found ? failed : -ENOENT;
}

int state_each_volume(struct state *state,
	void (*each)(void *argument, const char *name, const uint8_t uuid[16]),
	void *argument, struct err *err)
{
	struct statement s;
	statement_begin(&s, state->db, "SELECT name, uuid FROM volume");
	while (statement_row(&s))
		each(argument, (const char *)sqlite3_column_text(s.stmt, 0),
			sqlite3_column_blob(s.stmt, 1));
	return statement_end(&s, err);
}

int state_find_secret(struct state *state, const char *host,
	enum state_secret kind, char **secret, struct err *err)
{
	struct statement s;
	int found = -ENOENT;
	*secret = NULL;
	statement_begin(&s, state->db,
		"SELECT secret FROM secret WHERE host = ? AND kind = ?");
	statement_text(&s, 1, host);
	statement_number(&s, 2, (int)kind);
	if (statement_row(&s)) {
		*secret = strdup((const char *)sqlite3_column_text(s.stmt, 0));
		found = *secret ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	int failed = statement_end(&s, err);
	return failed ? failed : found;
}

void state_free_secret(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* -- blobs ------------------------------------------------------------------ */

static int put_blob(sqlite3 *db, const uint8_t uuid[16], const char *kind,
	const void *data, size_t bytes, struct err *err)
{
	struct statement s;
	statement_begin(&s, db,
		bytes ? "INSERT OR REPLACE INTO blob VALUES (?, ?, ?)"
		      : "DELETE FROM blob WHERE uuid = ? AND kind = ?");
	statement_blob(&s, 1, uuid, 16);
	statement_text(&s, 2, kind);
	if (bytes)
		statement_blob(&s, 3, data, bytes);
	statement_run(&s);
	return statement_end(&s, err);
}

int state_save_blob(struct state *state, const uint8_t uuid[16],
	const char *kind, const void *data, size_t bytes, struct err *err)
{
	if (bytes > VOLUME_BLOB_BYTES)
		return err_set(err, EFBIG, "%s: %zu bytes are too many to keep",
			kind, bytes);
	return put_blob(state->db, uuid, kind, data, bytes, err);
}

int state_load_blob(struct state *state, const uint8_t uuid[16],
	const char *kind, void **data, size_t *bytes, struct err *err)
{
	struct statement s;
	bool lost = false;
	*data = NULL;
	*bytes = 0;
	statement_begin(&s, state->db,
		"SELECT data FROM blob WHERE uuid = ? AND kind = ?");
	statement_blob(&s, 1, uuid, 16);
	statement_text(&s, 2, kind);
	if (statement_row(&s)) {
		*bytes = (size_t)sqlite3_column_bytes(s.stmt, 0);
		*data = malloc(*bytes ? *bytes : 1);
		lost = !*data;
		if (*data)
			memcpy(*data, sqlite3_column_blob(s.stmt, 0), *bytes);
	}
	int failed = statement_end(&s, err);
	return lost ? err_set(err, ENOMEM, "out of memory") : failed;
}

static int store_save_co(struct volume_store *store, const uint8_t *uuid,
	const char *kind, const void *data, size_t bytes, struct err *err)
{
	struct state *state = container_of(store, struct state, store);
	return state_save_blob(state, uuid, kind, data, bytes, err);
}

sqlite3 *state_database(struct state *state)
{
	return state->db;
}

struct volume_store *state_volume_store(struct state *state)
{
	return &state->store;
}

/* -- life ------------------------------------------------------------------- */

static int open_in(struct state *state, const char *directory, struct err *err)
{
	char path[4096];
	int failed = directory_make(directory, 0700, err);
	if (failed)
		return failed;
	state->lock_fd = directory_lock(directory, "state_directory", err);
	if (state->lock_fd < 0)
		return state->lock_fd;
	if (snprintf(path, sizeof path, "%s/cairn.db", directory) >=
		(int)sizeof path)
		return err_set(err, ENAMETOOLONG, "%s: too long", directory);
	state->db = database_open(path, err);
	return state->db ? 0 : -EIO;
}

struct state *state_open(const char *directory, struct err *err)
{
	struct state *state = calloc(1, sizeof *state);
	if (!state) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	state->lock_fd = -1;
	state->store.save_co = store_save_co;
	if (!open_in(state, directory, err))
		return state;
	state_close(state);
	return NULL;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	if (state->db)
		database_close(state->db);
	if (state->lock_fd >= 0)
		close(state->lock_fd);
	free(state);
}
