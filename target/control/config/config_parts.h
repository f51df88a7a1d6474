/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the configuration share.
 *
 *	config.c	one change after the other, checked and applied
 *	config_history.c	what was changed, and the way back
 *	config_move.c	a source that has moved beneath: kept, not applied
 *	config_portals.c	the settings' portals: the first filling
 */
#ifndef TARGET_CONTROL_CONFIG_CONFIG_PARTS_H
#define TARGET_CONTROL_CONFIG_CONFIG_PARTS_H

#include "blockcore/base/co.h"
#include "target/control/appliance/appliance.h"
#include "target/control/config/order.h"
#include "target/control/config/proposal.h"
#include "target/control/config/store.h"

struct config_watcher;

struct config {
	struct appliance_world world;
	struct appliance *appliance;
	struct config_objects objects;
	uint64_t number; /* newest of the history */
	struct order *order; /* of what is exported */
	char *legacy; /* the document of an older database, until it is ours */
	bool in_force; /* the appliance runs as the objects say */
	struct config_watcher *watcher; /* NULL: nobody */
	struct co_mutex changing;
};

struct config_slots;

/* The turn of a change, if its caller does not hold it (config_hold_co). */
void config_turn_co(struct config *config, bool held);
void config_turn_end(struct config *config, bool held);

/* The document that would be, checked, compared and, unless it is a dry run, in force;
 * `root` is taken over. `slots` NULL: a document that came as a whole. Within
 * `changing`. 0 or -errno with *err and all as before. */
int config_propose_co(struct config *config, struct doc *root,
	const struct config_slots *slots, const struct config_change *change,
	bool strict, struct config_outcome *outcome, struct err *err);

/* As the configuration is opened; 0 or -errno with *err. */
int config_fill_portals(struct config *config, struct err *err);

int config_find_secrets(
	struct config *config, struct document *document, struct err *err);

/* What was kept by `commit`. Memory that is missing here would leave us with less
 * than is kept, so it ends the process: a restart reads it again. */
void config_take(struct config *config, const struct config_proposal *proposal,
	bool part, const struct store_commit *commit,
	struct config_outcome *outcome);

#endif
