/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portals that are open, and the way to those that a document wants.
 *
 *	prepare		new ones are bound and listen: what cannot be refuses all
 *	commit		new ones accept, those that are not wanted are closed
 *	undo		new ones are closed again
 *
 * One that is kept already and cannot be bound, at the start or later, is closed: all
 * others are used, and it is tried again.
 *
 * Invariants
 *  1. Until commit nothing is taken from hosts: those who connect to a new portal wait
 *     in its queue.
 *  2. One at an address and port that another one has, which goes or changes, takes
 *     its socket over: no connection is refused meanwhile.
 *  3. Sessions that came through a portal go on when it is closed.
 */
#ifndef TARGET_CONTROL_APPLIANCE_APPLIANCE_PORTALS_H
#define TARGET_CONTROL_APPLIANCE_APPLIANCE_PORTALS_H

#include "target/control/document/document.h"
#include "target/iscsi/iscsi.h"

struct appliance_portal {
	struct access_portal *as; /* a reference; with the port that is bound */
	uint16_t wanted_port; /* 0: a free one */
	struct iscsi_portal *socket; /* NULL: closed */
	bool fresh; /* prepared by the change under way */
	char why[200]; /* it is closed */
};
struct appliance_portals {
	struct appliance_portal *portal;
	unsigned count;
};

/* Fills in `next` and gives the document's portals the ports that are bound. 0, or
 * -errno with *err (EBUSY: it cannot be bound; not if the document `restores` what is
 * kept) and nothing to undo. */
int appliance_portals_prepare(struct iscsi_server *server,
	const struct appliance_portals *now, const struct document *document,
	bool restores, struct appliance_portals *next, struct err *err);
/* Whether that would be refused now; nothing listens for it. */
int appliance_portals_check(const struct appliance_portals *now,
	const struct document *document, struct err *err);
/* `next` takes the place of `now`. */
void appliance_portals_commit(
	struct appliance_portals *now, struct appliance_portals *next);
void appliance_portals_undo(struct appliance_portals *next);
/* Binds those that are closed, as far as that goes now. */
void appliance_portals_retry(
	struct iscsi_server *server, struct appliance_portals *portals);
/* The one of that name, NULL: there is none. */
const struct appliance_portal *appliance_portals_find(
	const struct appliance_portals *portals, const char *name);
/* The server has closed them all. */
void appliance_portals_free(struct appliance_portals *portals);

#endif
