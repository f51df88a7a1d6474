/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that an administrator keeps out for a while, by host and address. Looked
 * at once in each login, when the host has proven who it is.
 *
 * Invariant: everything is under the mutex; at most ISCSI_BARS entries, of which
 * those whose time is over count as free.
 */
#ifndef TARGET_ISCSI_BARS_H
#define TARGET_ISCSI_BARS_H

#include "target/iscsi/iscsi.h"

#include <pthread.h>

struct bars {
	pthread_mutex_t mutex;
	struct bars_entry {
		char host[BLOCK_NAME_BYTES];
		struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
		uint64_t until_ns; /* of loop_now_ns */
	} entry[ISCSI_BARS];
};

void bars_init(struct bars *bars);
void bars_fini(struct bars *bars);

/* Any thread. One that is there already gets the new end. */
void bars_add(struct bars *bars, const char *host, const struct sockaddr *peer,
	uint64_t now_ns, uint64_t for_ns);
bool bars_hold(struct bars *bars, const char *host, const struct sockaddr *peer,
	uint64_t now_ns);
bool bars_remove(struct bars *bars, const char *host);
unsigned bars_list(
	struct bars *bars, struct iscsi_bar out[ISCSI_BARS], uint64_t now_ns);

#endif
