/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the daemon: a unix socket, or TLS on TCP.
 *
 * Invariants
 *  1. Over TLS nothing is sent before the certificate was found good: signed by a
 *     known authority for this name, or having exactly the pinned fingerprint.
 *     There is no way to leave that out.
 *  2. No call lasts longer than its timeout; -1 is none.
 *  3. SIGPIPE is ignored from the first connection on: a peer that goes is an
 *     error like others.
 */
#ifndef WEBUI_CLI_LINK_H
#define WEBUI_CLI_LINK_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct link_place {
	const char *socket; /* NULL: host and port */
	const char *host;
	uint16_t port;
	const char *ca; /* file of PEM certificates; NULL: the system's */
	const char *fingerprint; /* pinned: SHA-256 as hex, ":" as one likes */
};

struct link;

/* NULL with *err, whose code is that of the cause. */
struct link *link_open(
	const struct link_place *place, int timeout_ms, struct err *err);
void link_close(struct link *link);

int link_write(struct link *link, const void *data, size_t bytes,
	int timeout_ms, struct err *err);
/* How many bytes came, 0 at the end, or -errno with *err. */
ssize_t link_read(struct link *link, void *data, size_t bytes, int timeout_ms,
	struct err *err);

/* 64 hex digits, with or without ":" between pairs and "sha256:" before. */
bool link_read_fingerprint(const char *text, uint8_t out[32]);

#endif
