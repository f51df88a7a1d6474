/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of the appliance document: from the tree, from files, from the state.
 *
 * Invariant: a secret is in one place of ours, the access table, and every copy
 * made on the way there is wiped.
 */
#include "target/control/document/document_parts.h"

#include "blockcore/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* RFC 7143 9.2.1 asks for 96 bits, and that the two directions differ. */
static int check_secret(
	const struct doc *at, const char *secret, struct err *err)
{
	size_t length = strlen(secret);
	if (length < DOCUMENT_MIN_SECRET_BYTES ||
		length > DOCUMENT_MAX_SECRET_BYTES)
		return doc_error(at, err, EINVAL,
			"a CHAP secret has %u to %u bytes (Windows: up to 16), "
			"this one has %zu",
			DOCUMENT_MIN_SECRET_BYTES, DOCUMENT_MAX_SECRET_BYTES,
			length);
	if (strspn(secret, (char[]){secret[0], 0}) == length)
		return doc_error(at, err, EINVAL,
			"a CHAP secret must not be one character again and "
			"again");
	return 0;
}

int document_take_secret(const struct doc *node, char **secret, struct err *err)
{
	struct doc *in_tree = (struct doc *)node; /* the tree is ours */
	const char *text;
	if (node->kind == DOC_NULL)
		return 0;
	int failed = doc_text(node, &text, err);
	if (!failed)
		failed = check_secret(node, text, err);
	if (failed)
		return failed;
	*secret = strdup(text);
	if (!*secret)
		return err_set(err, ENOMEM, "out of memory");
	explicit_bzero((char *)in_tree->text, strlen(in_tree->text));
	in_tree->kind = DOC_NULL;
	return 0;
}

/* -- files ------------------------------------------------------------------ */

static int check_file(
	int fd, const char *path, const struct doc *at, struct err *err)
{
	struct stat found;
	if (fstat(fd, &found) || !S_ISREG(found.st_mode))
		return doc_error(at, err, EINVAL, "%s is no file", path);
	if (found.st_mode & 077)
		return doc_error(at, err, EACCES,
			"%s can be read by others: chmod 600 it", path);
	return 0;
}

/* Cuts the end of the only line off; false if there is another. */
static bool cut_line(char *text)
{
	char *end = text + strcspn(text, "\r\n");
	bool only = !end[strspn(end, "\r\n")];
	*end = '\0';
	return only;
}

/* One line, without its end. */
static int read_line(int fd, const char *path, const struct doc *at,
	char **secret, struct err *err)
{
	char text[DOCUMENT_MAX_SECRET_BYTES + 3] = "";
	ssize_t got = read(fd, text, sizeof text - 1);
	int failed = 0;
	if (got < 0)
		failed = doc_error(
			at, err, errno, "%s: %s", path, strerror(errno));
	if (!failed && !cut_line(text))
		failed = doc_error(at, err, EINVAL,
			"%s has more than one line: it is to hold the secret "
			"alone",
			path);
	if (!failed)
		failed = check_secret(at, text, err);
	if (!failed) {
		*secret = strdup(text);
		failed = *secret ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	explicit_bzero(text, sizeof text);
	return failed;
}

static int read_file(const char *directory, const char *name,
	const struct doc *at, char **secret, struct err *err)
{
	char path[4096];
	snprintf(path, sizeof path, "%s%s%s", *name == '/' ? "" : directory,
		*name == '/' ? "" : "/", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return doc_error(
			at, err, errno, "%s: %s", path, strerror(errno));
	int failed = check_file(fd, path, at, err);
	if (!failed)
		failed = read_line(fd, path, at, secret, err);
	close(fd);
	return failed;
}

/* -- every host's ------------------------------------------------------------ */

static int find_one(const struct document_host *origin, const char *host,
	enum state_secret kind, char **secret, struct state *state,
	const char *directory, struct err *err)
{
	const struct doc *at = origin->at[kind];
	if (!at || *secret)
		return 0;
	if (origin->file[kind])
		return read_file(directory, origin->file[kind],
			doc_find(at, "secret_file"), secret, err);
	if (!state)
		return 0;
	int failed = state_find_secret(state, host, kind, secret, err);
	if (failed == -ENOENT)
		return doc_error(at, err, ENOENT,
			"no secret is kept for host \"%s\": give it, or make "
			"the host with one first",
			host);
	return failed;
}

static int find_both(const struct document_host *origin,
	struct access_host *host, struct state *state, const char *directory,
	struct err *err)
{
	struct access_chap *chap = &host->chap;
	int failed = find_one(origin, host->name, STATE_CHAP, &chap->secret,
		state, directory, err);
	if (!failed)
		failed = find_one(origin, host->name, STATE_MUTUAL,
			&chap->mutual_secret, state, directory, err);
	if (!failed && chap->secret && chap->mutual_secret &&
		!strcmp(chap->secret, chap->mutual_secret))
		return doc_error(origin->at[STATE_MUTUAL], err, EINVAL,
			"host \"%s\": the mutual secret must be another one "
			"than the host's",
			host->name);
	return failed;
}

int document_find_secrets(struct document *document, struct state *state,
	const char *directory, struct err *err)
{
	for (unsigned i = 0; i < document->hosts; i++) {
		if (document->part && document->part->host_stays[i])
			continue;
		int failed = find_both(&document->host[i],
			document->table->host[i], state, directory, err);
		if (failed)
			return failed;
	}
	return 0;
}

/* A secret that nobody knows. */
static char *lock_out(void)
{
	uint8_t bytes[32];
	char *secret = calloc(1, 2 * sizeof bytes + 1);
	if (!secret || getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		abort(); /* an open door is the only other way on */
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
	explicit_bzero(bytes, sizeof bytes);
	return secret;
}

void document_find_stored_secrets(
	struct document *document, struct state *state, const char *directory)
{
	for (unsigned i = 0; i < document->hosts; i++) {
		struct access_host *host = document->table->host[i];
		struct err err = {0};
		char object[96];
		if (!find_both(
			    &document->host[i], host, state, directory, &err))
			continue;
		snprintf(object, sizeof object, "host %s", host->name);
		log_error(
			object, "no secret", "it cannot log in: %s", err.text);
		state_free_secret(host->chap.secret);
		host->chap.secret = lock_out();
		document->host[i].locked_out = true;
	}
}
