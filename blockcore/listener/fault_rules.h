/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the listener fault: which requests are struck, when and how.
 *
 * Invariants
 *  1. A table of rules never changes: another one takes its place. Rules are
 *     shared by the tables that follow each other.
 *  2. The first rule that fires decides; rules after it do not see the request.
 *  3. Whether a rule with a probability fires depends on the seed, the rule's
 *     number and the number of the match only, so a run can be repeated.
 *  4. A listener has one state, a number, 1 at the start. A rule that is bound to
 *     another state than that sees nothing; one that fires may set it. So steps can
 *     be told apart that only their order tells apart (as blkdebug's set-state).
 */
#ifndef BLOCKCORE_LISTENER_FAULT_RULES_H
#define BLOCKCORE_LISTENER_FAULT_RULES_H

#include "blockcore/block.h"

#include <stdatomic.h>

#define FAULT_MAX_RULES 64u

enum fault_event {
	FAULT_SUBMIT, /* before it goes down: nothing happens below */
	FAULT_COMPLETE, /* after it has happened below */
};

struct fault_rule_options {
	char *name;
	int op, event, purpose;
	uint64_t offset_bytes, length_bytes; /* length 0: to the end */
	uint64_t after, count, probability_ppm;
	char *error;
	uint64_t delay_us;
	uint64_t state, new_state; /* 0: any; as it is */
	bool fua; /* only what must be durable before it completes */
	bool hold;
};

struct fault_rule {
	struct fault_rule_options options;
	char name[BLOCK_NAME_BYTES];
	uint32_t number; /* in order of making; never used again */
	uint32_t ops; /* mask */
	int error; /* positive errno, 0: none */
	_Atomic uint64_t matches, hits;
};

struct fault_table {
	unsigned count;
	bool strikes_after; /* some rule has the event `complete` */
	struct fault_rule *rule[FAULT_MAX_RULES];
};

/* A rule from a map; `number` also names it if it has no name. */
struct fault_rule *fault_rules_parse(
	const struct doc *node, bool hold, uint32_t number, struct err *err);
void fault_rules_free(struct fault_rule *rule);
/* JSON Schema of one. */
void fault_rules_print_schema(FILE *out);
/* That the map has no other keys than a rule's, or those of `more` (ends with NULL):
 * 0, or -EINVAL. */
int fault_rules_check_keys(
	const struct doc *node, const char *const *more, struct err *err);
/* True if both were written with the same meaning. */
bool fault_rules_equal(
	const struct fault_rule *one, const struct fault_rule *other);

#define FAULT_FIRST_STATE 1u

/* The rule that strikes the request at this moment, counted; NULL: none. *state may
 * be another one afterwards. Any thread. */
struct fault_rule *fault_rules_strike(const struct fault_table *table,
	enum fault_event event, const struct block_request *request,
	uint64_t seed, _Atomic uint32_t *state);

/* A JSON array. */
void fault_rules_print(const struct fault_table *table, FILE *out);

#endif
