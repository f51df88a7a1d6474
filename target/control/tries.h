/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The iSCSI server's watcher: what report.c logs and the face is told, with the
 * limiter in front of CHAP and refused secrets in the audit.
 *
 * Invariant: how often a secret may be guessed is counted for the host and the
 * address together, so a host with a wrong secret stops itself only.
 */
#ifndef TARGET_CONTROL_TRIES_H
#define TARGET_CONTROL_TRIES_H

#include "target/control/trust/trust.h"
#include "target/iscsi/iscsi.h"

/* Lives in its owner; give `watcher` to the server. */
struct tries {
	struct iscsi_watcher watcher;
	struct trust *trust;
	struct iscsi_watcher *also; /* tries_tell */
};
/* `trust` outlives the server. */
void tries_init(struct tries *tries, struct trust *trust);

/* Whom to tell, too, of sessions and refused logins (never of tries); NULL: nobody
 * any more. `also` is borrowed until then. Control lane. */
void tries_tell(struct tries *tries, struct iscsi_watcher *also);

#endif
