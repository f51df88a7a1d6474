/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener dirty: consumers and what they ask; see dirty.c.
 */
#include "blockcore/listener/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct dirty_call {
	struct dirty_driver *dirty;
	const struct doc *arguments;
	const char *name; /* the consumer's */
	FILE *out; /* NULL: a rehearsal */
	struct err *err;
};

void dirty_consumer_free(struct dirty_consumer *consumer)
{
	if (consumer)
		free(consumer->aside);
	free(consumer);
}

static uint64_t words(const struct dirty_consumer *c)
{
	return (c->bits + 63) / 64;
}

/* -- the table ------------------------------------------------------------ */

static void show_lane(struct block_lane *lane, void *argument)
{
	struct dirty_driver *dirty = argument;
	struct dirty_lane *l = block_driver_lane(&dirty->driver, lane);

	l->table = dirty->table;
}

/* A copy of the table is `table`; all lanes use it when this returns. */
static void publish_co(struct dirty_driver *dirty, struct dirty_table *table)
{
	struct dirty_table *old = dirty->table;

	dirty->table = table;
	block_broadcast_co(dirty->driver.core, show_lane, dirty);
	free(old);
}

static struct dirty_table *table_copy(
	const struct dirty_driver *dirty, struct err *err)
{
	struct dirty_table *table = malloc(sizeof *table);

	if (table)
		*table = *dirty->table;
	else
		err_set(err, ENOMEM, "out of memory");
	return table;
}

/* Its index, or -1. */
static int table_find(const struct dirty_table *table, const char *name)
{
	for (unsigned i = 0; i < table->count; i++) {
		if (!strcmp(table->consumer[i]->name, name))
			return (int)i;
	}
	return -1;
}

static struct dirty_consumer *call_consumer(struct dirty_call *call)
{
	int at = table_find(call->dirty->table, call->name);

	if (at >= 0)
		return call->dirty->table->consumer[at];
	err_set(call->err, ENOENT, "there is no consumer '%s'; add it first",
		call->name);
	return NULL;
}

/* Makes `table`, a changed copy, the one in force; it is freed if that fails. */
static int change_co(struct dirty_call *call, struct dirty_table *table)
{
	struct dirty_driver *dirty = call->dirty;
	if (!call->out) {
		free(table);
		return 0;
	}
	int error = dirty->fd >= 0 ? dirty_file_note_co(dirty, table, call->err)
				   : 0;

	if (error)
		free(table);
	else
		publish_co(dirty, table);
	return error;
}

/* -- add, remove ---------------------------------------------------------- */

struct dirty_consumer *dirty_consumer_new(
	const char *name, uint64_t bits, struct err *err)
{
	uint64_t count = (bits + 63) / 64;
	struct dirty_consumer *c = NULL;

	if (bits > DIRTY_BITS_MOST) {
		err_set(err, EFBIG,
			"that would be %llu marks, at most %llu are kept; "
			"attach it with a larger granularity",
			(unsigned long long)bits,
			(unsigned long long)DIRTY_BITS_MOST);
		return NULL;
	}
	c = calloc(1, sizeof *c + count * sizeof c->now[0]);
	if (c)
		c->aside = calloc(count, sizeof *c->aside);
	if (!c || !c->aside) {
		dirty_consumer_free(c);
		err_set(err, ENOMEM, "no memory for a consumer");
		return NULL;
	}
	c->bits = bits;
	snprintf(c->name, sizeof c->name, "%s", name);
	return c;
}

static struct dirty_consumer *consumer_new(struct dirty_call *call, bool clean)
{
	struct dirty_driver *dirty = call->dirty;
	uint64_t blocks = dirty->size_bytes >> dirty->shift;
	/* With a broken last block, and all beyond. */
	struct dirty_consumer *c =
		dirty_consumer_new(call->name, blocks + 2, call->err);

	for (uint64_t i = 0; c && !clean && i < c->bits; i++)
		c->now[i / 64] |= 1ull << i % 64;
	return c;
}

static int verb_add_co(struct dirty_call *call)
{
	struct dirty_table *old = call->dirty->table;
	const struct doc *node = doc_find(call->arguments, "clean");
	bool clean = false;
	int error = node ? doc_bool(node, &clean, call->err) : 0;

	if (error)
		return error;
	if (table_find(old, call->name) >= 0)
		return err_set(call->err, EEXIST,
			"there is a consumer '%s' already", call->name);
	if (old->count == DIRTY_CONSUMERS)
		return err_set(call->err, ENOSPC,
			"there are %u consumers, which is all; remove one",
			DIRTY_CONSUMERS);
	struct dirty_consumer *c = consumer_new(call, clean);
	struct dirty_table *table =
		c ? table_copy(call->dirty, call->err) : NULL;
	if (!table) {
		dirty_consumer_free(c);
		return -call->err->code;
	}
	table->consumer[table->count++] = c;
	error = change_co(call, table);
	if (error || !call->out)
		dirty_consumer_free(c);
	return error;
}

static int verb_remove_co(struct dirty_call *call)
{
	struct dirty_consumer *gone = call_consumer(call);
	struct dirty_table *table =
		gone ? table_copy(call->dirty, call->err) : NULL;

	if (!table)
		return -call->err->code;
	int at = table_find(table, call->name);
	table->consumer[at] = table->consumer[--table->count];
	int error = change_co(call, table);
	if (!error && call->out)
		dirty_consumer_free(gone);
	return error;
}

/* -- freeze, list, done --------------------------------------------------- */

static int verb_freeze_co(struct dirty_call *call)
{
	struct dirty_consumer *c = call_consumer(call);

	if (!c)
		return -call->err->code;
	for (uint64_t i = 0; call->out && i < words(c); i++)
		c->aside[i] |= atomic_exchange(&c->now[i], 0);
	return 0;
}

static int verb_done_co(struct dirty_call *call)
{
	struct dirty_consumer *c = call_consumer(call);

	if (!c)
		return -call->err->code;
	if (call->out)
		memset(c->aside, 0, words(c) * sizeof *c->aside);
	return 0;
}

/* What is listed of a consumer. `later`: also what has changed since it was put aside;
 * marks that come while one looks may be seen or not. */
struct marks {
	const struct dirty_consumer *c;
	bool later;
};

static uint64_t marks_word(const struct marks *marks, uint64_t word)
{
	uint64_t later = marks->later
		? atomic_load_explicit(
			  &marks->c->now[word], memory_order_acquire)
		: 0;

	return marks->c->aside[word] | later;
}

/* The next bit from `bit` on that is `set`, or c->bits. */
static uint64_t next_mark(const struct marks *marks, uint64_t bit, bool set)
{
	uint64_t bits = marks->c->bits;

	while (bit < bits) {
		uint64_t word = marks_word(marks, bit / 64);
		uint64_t wanted = (set ? word : ~word) >> bit % 64;

		if (wanted) {
			bit += (uint64_t)__builtin_ctzll(wanted);
			break;
		}
		bit = (bit / 64 + 1) * 64;
	}
	return bit < bits ? bit : bits;
}

/* Extents from `offset` on; the rest begins at "next". */
static void print_extents(
	struct dirty_call *call, bool later, uint64_t offset, uint64_t room)
{
	const struct dirty_driver *dirty = call->dirty;
	const struct dirty_consumer *c = call_consumer(call);
	const struct marks marks = {c, later};
	uint64_t size = dirty->size_bytes, first = offset >> dirty->shift;
	uint64_t end;

	fputs("\"extents\": [", call->out);
	for (uint64_t n = 0; n < room; n++) {
		first = next_mark(&marks, first, true);
		end = next_mark(&marks, first, false);
		uint64_t from = first << dirty->shift;
		uint64_t to = end == c->bits ? size : end << dirty->shift;

		if (first == c->bits || from >= size)
			break;
		fprintf(call->out, "%s{\"offset\": %llu, \"length\": %llu}",
			n ? ", " : "", (unsigned long long)from,
			(unsigned long long)((to < size ? to : size) - from));
		first = end;
	}
	fputs("]", call->out);
	first = next_mark(&marks, first, true);
	if (first < c->bits && first << dirty->shift < size)
		fprintf(call->out, ", \"next\": %llu",
			(unsigned long long)(first << dirty->shift));
}

static int verb_list_co(struct dirty_call *call)
{
	const struct doc *offset = doc_find(call->arguments, "offset");
	const struct doc *extents = doc_find(call->arguments, "extents");
	const struct doc *since = doc_find(call->arguments, "later");
	uint64_t from = 0, room = DIRTY_PAGE_MOST;
	bool later = false;
	int error = 0;

	if (!call_consumer(call))
		return -call->err->code;
	if (offset)
		error = doc_size(offset, 0, INT64_MAX, &from, call->err);
	if (extents && !error)
		error = doc_uint(extents, 1, DIRTY_PAGE_MOST, &room, call->err);
	if (since && !error)
		error = doc_bool(since, &later, call->err);
	if (!error && call->out)
		print_extents(call, later, from, room);
	return error;
}

/* -- all verbs, figures --------------------------------------------------- */

static const struct {
	const char *name;
	int (*run_co)(struct dirty_call *call);
} verbs[] = {
	{"add", verb_add_co},
	{"freeze", verb_freeze_co},
	{"list", verb_list_co},
	{"done", verb_done_co},
	{"remove", verb_remove_co},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

bool dirty_name_is_good(const void *name, size_t room)
{
	const char *text = name;
	size_t length = strnlen(text, room);

	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] <= ' ' ||
			strchr("\"\\\x7f", text[i]))
			return false;
	}
	return length && length < room;
}

static int call_name(struct dirty_call *call)
{
	const struct doc *node = doc_find(call->arguments, "consumer");
	int error = node ? doc_text(node, &call->name, call->err) : 0;

	if (error)
		return error;
	if (!node)
		return err_set(
			call->err, EINVAL, "give consumer: who asks, a name");
	if (dirty_name_is_good(call->name, BLOCK_NAME_BYTES))
		return 0;
	return doc_error(node, call->err, EINVAL,
		"a name of 1 to %u bytes, without spaces, quotes and '\\'",
		BLOCK_NAME_BYTES - 1);
}

int dirty_verbs_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err)
{
	struct err own = {0};
	struct dirty_call call = {.dirty = (struct dirty_driver *)driver,
		.arguments = arguments,
		.out = out,
		.err = &own};
	unsigned i = 0;

	while (i < VERBS && strcmp(verb, verbs[i].name))
		i++;
	if (i == VERBS)
		return err_set(err, EINVAL,
			"%s: no such verb; there are add, freeze, list, done, "
			"remove",
			verb);
	int error = call_name(&call);
	if (!error) {
		co_mutex_lock_co(&call.dirty->changing);
		error = verbs[i].run_co(&call);
		co_mutex_unlock(&call.dirty->changing);
	}
	if (error && err)
		*err = own;
	return error;
}

int dirty_verbs_rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err)
{
	return dirty_verbs_co(driver, verb, arguments, NULL, err);
}

static uint64_t count_bits(const struct dirty_consumer *c, bool aside)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < words(c); i++)
		count += (uint64_t)__builtin_popcountll(aside
				? c->aside[i]
				: atomic_load_explicit(
					  &c->now[i], memory_order_relaxed));
	return count;
}

void dirty_verbs_status(struct block_driver *driver, FILE *out)
{
	const struct dirty_driver *dirty = (struct dirty_driver *)driver;

	fputs("\"consumers\": [", out);
	for (unsigned i = 0; i < dirty->table->count; i++) {
		const struct dirty_consumer *c = dirty->table->consumer[i];

		fprintf(out,
			"%s{\"name\": \"%s\", \"changed_blocks\": %llu, "
			"\"frozen_blocks\": %llu}",
			i ? ", " : "", c->name,
			(unsigned long long)count_bits(c, false),
			(unsigned long long)count_bits(c, true));
	}
	fputs("]", out);
}
