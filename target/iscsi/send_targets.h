/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to SendTargets (RFC 7143 appendix C): the targets that a host may
 * use, each with the addresses of its portals. May be taken piece by piece.
 *
 * Invariants
 *  1. Shown is what the host could log in to with what it has proven: targets
 *     whose export names the host's entry, or an entry without CHAP that fits.
 *  2. A list is of one table, to which it holds a reference until it has ended.
 *  3. A piece holds whole pairs, and whole targets where they fit.
 *  4. One call costs no more than SEND_TARGETS_WORK looks at hosts of exports, or
 *     one target, however many targets the host may not see.
 */
#ifndef TARGET_ISCSI_SEND_TARGETS_H
#define TARGET_ISCSI_SEND_TARGETS_H

#include "target/iscsi/keytext.h"
#include "target/iscsi/login.h"

#define SEND_TARGETS_WORK 8192u /* well below a millisecond */

struct send_targets {
	const struct iscsi_login_world *world;
	struct access_table *table; /* NULL: no list is under way */
	const struct access_host *host;
	/* Entries that fit the host, by name and address. */
	struct access_fit *fit;
	unsigned fits;
	const struct access_target *own, *only; /* NULL: none, all */
	unsigned target, line; /* next: 0 the name, then the portals */
};

/* Starts the list for the value of SendTargets. -EACCES, -ENOMEM, and no list: this
 * session may not ask so; no memory. */
int send_targets_begin(struct send_targets *list,
	const struct iscsi_login_world *world,
	const struct iscsi_login_result *session, const char *value);

enum send_targets_step {
	SEND_TARGETS_ENDED,
	SEND_TARGETS_FULL, /* `out` is; the rest in the next piece */
	SEND_TARGETS_LATER, /* go on with this piece in another turn of the loop */
};
/* Adds to `out` what fits. */
enum send_targets_step send_targets_fill(
	struct send_targets *list, struct keytext_out *out);

/* Ends a list early; fine without one. */
void send_targets_end(struct send_targets *list);

#endif
