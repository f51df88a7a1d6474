/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the listener fault share; fault.c says what it is for.
 *
 *	fault.c		striking requests; opening, lanes, figures
 *	fault_change.c	new tables of rules; the verbs
 *	fault_held.c	requests that a rule keeps
 *	fault_rules.c	one rule: parsing, matching, counting
 *
 * Each calls only those below it.
 */
#ifndef BLOCKCORE_LISTENER_FAULT_H
#define BLOCKCORE_LISTENER_FAULT_H

#include "blockcore/base/co.h"
#include "blockcore/core/hold.h"
#include "blockcore/kind.h"
#include "blockcore/listener/fault_rules.h"

struct fault_options {
	const struct doc *rules;
	uint64_t seed;
};

struct fault_driver {
	struct block_driver driver;
	struct co_mutex changing;
	struct fault_table *table;
	uint32_t next_number;
	_Atomic uint32_t state; /* fault_rules.h, 4 */
};

struct fault_lane {
	struct fault_driver *fault;
	const struct fault_table *table;
	uint64_t seed;
	struct hold_queue before, after; /* delayed: then pass, then complete */
	struct block_request_list held;
	struct counter held_count;
};

/* -- fault_held.c --------------------------------------------------------- */

void fault_held_init(struct fault_lane *lane, struct block_lane *on);
void fault_held_fini(struct fault_lane *lane);
/* Delays or holds the request as the rule says. `after`: it ends when let go,
 * with request->result; else it goes on below. */
void fault_held_keep(struct fault_lane *lane, struct block_request *request,
	const struct fault_rule *rule, bool after);
/* Lets go what the rule `number` holds on this lane; 0: all rules. */
void fault_held_release(struct fault_lane *lane, uint32_t number);
/* Lets go what rules hold that the lane's table does not have. */
void fault_held_release_gone(struct fault_lane *lane);
uint64_t fault_held_count(const struct fault_lane *lane);

/* -- fault_change.c ------------------------------------------------------- */

struct fault_table *fault_change_parse(
	struct fault_driver *fault, const struct doc *rules, struct err *err);
void fault_change_free(struct fault_table *table);
/* The kind's functions. */
int fault_change_configure_co(
	struct block_driver *driver, void *values, struct err *err);
int fault_change_command_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err);
int fault_change_rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err);

#endif
