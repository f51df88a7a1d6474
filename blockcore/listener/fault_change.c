/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener fault: new rules under load, and the verbs; see fault.c.
 *
 * Invariant: a table is made whole, then shown to every lane, then the old one
 * is freed with those of its rules that the new one has not.
 */
#include "blockcore/listener/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- changing the rules --------------------------------------------------- */

struct fault_change {
	struct fault_driver *fault;
	uint32_t release; /* number; 0: none */
	bool release_all, release_gone; /* of all rules; of those that go */
	bool clear; /* the first state again */
};

static void change_lane(struct block_lane *lane, void *argument)
{
	struct fault_change *change = argument;
	struct fault_lane *l = block_driver_lane(&change->fault->driver, lane);

	l->table = change->fault->table;
	if (change->release_all)
		fault_held_release(l, 0);
	else if (change->release)
		fault_held_release(l, change->release);
	else if (change->release_gone)
		fault_held_release_gone(l);
}

void fault_change_free(struct fault_table *table)
{
	unsigned i;

	for (i = 0; table && i < table->count; i++)
		fault_rules_free(table->rule[i]);
	free(table);
}

/* Frees the rules of `old` that `new` has not. */
static void table_retire(struct fault_table *old, const struct fault_table *new)
{
	unsigned i, j;

	for (i = 0; i < old->count; i++) {
		for (j = 0; j < new->count; j++)
			if (new->rule[j] == old->rule[i])
				break;
		if (j == new->count)
			fault_rules_free(old->rule[i]);
	}
	free(old);
}

static void publish_co(struct fault_driver *fault, struct fault_table *table,
	struct fault_change change)
{
	struct fault_table *old = fault->table;

	fault->table = table;
	if (change.clear)
		atomic_store(&fault->state, FAULT_FIRST_STATE);
	change.fault = fault;
	block_broadcast_co(fault->driver.core, change_lane, &change);
	table_retire(old, table);
}

static int table_append(struct fault_driver *fault, struct fault_table *table,
	const struct doc *node, bool hold, struct err *err)
{
	struct fault_rule *rule;

	if (table->count == FAULT_MAX_RULES)
		return doc_error(node, err, ENOSPC,
			"more than %u rules; remove some", FAULT_MAX_RULES);
	rule = fault_rules_parse(node, hold, ++fault->next_number, err);
	if (!rule)
		return err ? -err->code : -EINVAL;
	table->rule[table->count++] = rule;
	table->strikes_after |= rule->options.event == FAULT_COMPLETE;
	return 0;
}

struct fault_table *fault_change_parse(
	struct fault_driver *fault, const struct doc *rules, struct err *err)
{
	struct fault_table *table = calloc(1, sizeof *table);
	const struct doc *node;

	if (!table) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (rules && rules->kind != DOC_LIST) {
		doc_error(rules, err, EINVAL, "expected a list of rules");
		free(table);
		return NULL;
	}
	for (node = rules ? rules->first : NULL; node; node = node->next) {
		if (table_append(fault, table, node, false, err)) {
			fault_change_free(table);
			return NULL;
		}
	}
	return table;
}

/* Each rule of `fresh` that `now` has with equal options is that one: it goes on
 * counting, and holding, while others come and go. */
static void keep_equal(struct fault_table *fresh, const struct fault_table *now)
{
	bool taken[FAULT_MAX_RULES] = {false};
	unsigned i, j;

	for (i = 0; i < fresh->count; i++) {
		for (j = 0; j < now->count; j++)
			if (!taken[j] &&
				fault_rules_equal(fresh->rule[i], now->rule[j]))
				break;
		if (j == now->count)
			continue;
		taken[j] = true;
		fault_rules_free(fresh->rule[i]);
		fresh->rule[i] = now->rule[j];
	}
}

int fault_change_configure_co(
	struct block_driver *driver, void *values, struct err *err)
{
	struct fault_driver *fault = (struct fault_driver *)driver;
	struct fault_options *new = values, *now = driver->options;
	struct fault_options old = *now;
	struct fault_table *table = fault_change_parse(fault, new->rules, err);

	if (!table)
		return err ? -err->code : -EINVAL;
	*now = *new;
	*new = old;
	co_mutex_lock_co(&fault->changing);
	keep_equal(table, fault->table);
	publish_co(fault, table, (struct fault_change){.release_gone = true});
	co_mutex_unlock(&fault->changing);
	return 0;
}

/* -- verbs ---------------------------------------------------------------- */

struct fault_call {
	struct fault_driver *fault;
	const struct doc *arguments;
	const char *name; /* of a rule, if given */
	struct fault_table *table; /* a copy of the one of now */
	struct fault_change change;
	FILE *out; /* NULL: a rehearsal */
	struct err *err;
};

static int verb_add(struct fault_call *call)
{
	return table_append(
		call->fault, call->table, call->arguments, false, call->err);
}

static int verb_hold(struct fault_call *call)
{
	return table_append(
		call->fault, call->table, call->arguments, true, call->err);
}

static void table_drop(struct fault_table *table, unsigned index)
{
	unsigned i;

	table->count--;
	for (i = index; i < table->count; i++)
		table->rule[i] = table->rule[i + 1];
	table->strikes_after = false;
	for (i = 0; i < table->count; i++)
		table->strikes_after |=
			table->rule[i]->options.event == FAULT_COMPLETE;
}

/* Index of the rule of that name, or -ENOENT. */
static int find_rule(struct fault_call *call)
{
	unsigned i;

	for (i = 0; call->name && i < call->table->count; i++)
		if (!strcmp(call->table->rule[i]->name, call->name))
			return (int)i;
	return err_set(call->err, ENOENT,
		"%s: no such rule; give name: of one "
		"that the verb list shows",
		call->name ? call->name : "name");
}

static int verb_remove(struct fault_call *call)
{
	int index = find_rule(call);

	if (index < 0)
		return index;
	table_drop(call->table, (unsigned)index);
	return 0;
}

static int verb_release(struct fault_call *call)
{
	unsigned i = 0;
	int index;

	if (call->name) {
		index = find_rule(call);
		if (index < 0)
			return index;
		call->change.release =
			call->table->rule[(unsigned)index]->number;
		table_drop(call->table, (unsigned)index);
		return 0;
	}
	call->change.release_all = true;
	while (i < call->table->count) {
		if (call->table->rule[i]->options.hold)
			table_drop(call->table, i);
		else
			i++;
	}
	return 0;
}

static int verb_clear(struct fault_call *call)
{
	call->table->count = 0;
	call->table->strikes_after = false;
	call->change.release_all = true;
	call->change.clear = true;
	return 0;
}

static int verb_list(struct fault_call *call)
{
	(void)call;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct fault_call *call);
} verbs[] = {
	{"add", verb_add},
	{"hold", verb_hold},
	{"release", verb_release},
	{"remove", verb_remove},
	{"clear", verb_clear},
	{"list", verb_list},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

/* The copy goes, and the rules that only it has. */
static void forget(struct fault_call *call)
{
	table_retire(call->table, call->fault->table);
}

static int run_verb_co(struct fault_call *call, size_t verb)
{
	struct fault_driver *fault = call->fault;
	const struct doc *name = doc_find(call->arguments, "name");
	int result;

	if (name && (result = doc_text(name, &call->name, call->err)))
		return result;
	call->table = malloc(sizeof *call->table);
	if (!call->table)
		return err_set(call->err, ENOMEM, "out of memory");
	*call->table = *fault->table;
	result = verbs[verb].run(call);
	if (result) {
		free(call->table);
		return result;
	}
	if (!call->out) {
		forget(call);
		return 0;
	}
	publish_co(fault, call->table, call->change);
	fputs("\"rules\": ", call->out);
	fault_rules_print(fault->table, call->out);
	return 0;
}

int fault_change_command_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err)
{
	struct fault_call call = {.fault = (struct fault_driver *)driver,
		.arguments = arguments,
		.out = out,
		.err = err};
	size_t i;
	int result;

	for (i = 0; i < VERBS; i++)
		if (!strcmp(verb, verbs[i].name))
			break;
	if (i == VERBS)
		return err_set(err, EINVAL,
			"%s: no such verb; there are add, hold, release, "
			"remove, clear, list",
			verb);
	co_mutex_lock_co(&call.fault->changing);
	result = run_verb_co(&call, i);
	co_mutex_unlock(&call.fault->changing);
	return result;
}

int fault_change_rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err)
{
	return fault_change_command_co(driver, verb, arguments, NULL, err);
}
