/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration keeps: objects as rows, the history, and with them, in
 * the same transaction, volumes' identities and hosts' secrets.
 *
 * Invariant: a commit costs what changes, not what there is.
 */
#ifndef TARGET_CONTROL_CONFIG_STORE_H
#define TARGET_CONTROL_CONFIG_STORE_H

#include "target/control/config/proposal.h"
#include "target/control/state.h"

/* Fills `objects` and *number, the newest of the history. A database of the time
 * before objects gives *legacy, its document, else NULL: to be freed. */
int store_load(struct state *state, struct config_objects *objects,
	uint64_t *number, char **legacy, struct err *err);

struct store_commit {
	const struct config_proposal *proposal;
	const json_t *changes;
	const char *who, *title;
	int64_t now_ms;
	uint64_t number; /* of the history */
	struct config_witness *witness; /* NULL: nobody */
	const struct appliance_made *made; /* NULL: nothing */
};
/* Keeps objects of a kind that nothing was kept of before, without a record in the
 * history. 0 or -errno with *err. */
int store_fill(struct state *state, const struct config_objects *objects,
	enum config_kind kind, struct err *err);

/* Durable when it returns 0. */
int store_save(struct state *state, const struct store_commit *commit,
	struct err *err);

/* See config.h. */
int store_history(struct state *state, uint64_t before, unsigned limit,
	json_t **list, struct err *err);
int store_history_entry(
	struct state *state, uint64_t number, json_t **entry, struct err *err);

#endif
