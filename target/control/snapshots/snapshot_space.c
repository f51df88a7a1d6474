/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "target/control/snapshots/snapshot_space.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "blockcore/loop.h"
#include "blockcore/spec.h"
#include "target/control/config/volume_source.h"
#include "target/control/snapshots/snapshot_read.h"
#include "target/control/unix_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After a count that took long its figures are for longer: so many times as long. */
#define REST_TIMES 20u

/* Who waits for a count. */
struct waiter {
	struct loop_timer timer;
	struct co *co;
	LIST_ENTRY(waiter) link;
};

struct space {
	struct snapshot_spaces *spaces;
	char volume[BLOCK_NAME_BYTES];
	struct block_source *source; /* while it is counted; a reference */
	json_t *figures; /* {"ID CREATED": {owned_bytes, shared_bytes}} */
	int64_t counted_ms;
	uint64_t begun_ns, fresh_until_ns;
	LIST_HEAD(, waiter) waiters;
	TAILQ_ENTRY(space) link; /* the one that was looked at last is last */
};

struct snapshot_spaces {
	struct loop *loop;
	TAILQ_HEAD(, space) list;
	unsigned count, counting;
	struct co *closer;
};

/* -- what there is ------------------------------------------------------------ */

static struct space *space_find(
	const struct snapshot_spaces *spaces, const char *volume)
{
	struct space *space;
	TAILQ_FOREACH (space, &spaces->list, link) {
		if (!strcmp(space->volume, volume))
			return space;
	}
	return NULL;
}

static void space_free(struct space *space)
{
	TAILQ_REMOVE(&space->spaces->list, space, link);
	space->spaces->count--;
	json_decref(space->figures);
	free(space);
}

static void forget_oldest(struct snapshot_spaces *spaces)
{
	struct space *space;
	TAILQ_FOREACH (space, &spaces->list, link) {
		if (!space->source && LIST_EMPTY(&space->waiters)) {
			space_free(space);
			return;
		}
	}
}

static struct space *space_of(
	struct snapshot_spaces *spaces, const char *volume)
{
	struct space *space = space_find(spaces, volume);
	if (space) {
		TAILQ_REMOVE(&spaces->list, space, link);
		TAILQ_INSERT_TAIL(&spaces->list, space, link);
		return space;
	}
	if (spaces->count >= SNAPSHOT_SPACE_MOST)
		forget_oldest(spaces);
	space = calloc(1, sizeof *space);
	if (!space)
		return NULL;
	space->spaces = spaces;
	snprintf(space->volume, sizeof space->volume, "%s", volume);
	LIST_INIT(&space->waiters);
	TAILQ_INSERT_TAIL(&spaces->list, space, link);
	spaces->count++;
	return space;
}

struct snapshot_spaces *snapshot_spaces_new(struct loop *loop)
{
	struct snapshot_spaces *spaces = calloc(1, sizeof *spaces);
	if (!spaces)
		return NULL;
	spaces->loop = loop;
	TAILQ_INIT(&spaces->list);
	return spaces;
}

void snapshot_spaces_stop_co(struct snapshot_spaces *spaces)
{
	if (!spaces)
		return;
	if (spaces->counting) {
		spaces->closer = co_self();
		co_yield ();
	}
	while (!TAILQ_EMPTY(&spaces->list))
		space_free(TAILQ_FIRST(&spaces->list));
	free(spaces);
}

/* -- a count -------------------------------------------------------------------- */

static void print_key(const char *id, const char *created, char key[320])
{
	snprintf(
		key, 320, "%.255s %.40s", id ? id : "", created ? created : "");
}

static json_t *figures_of(const json_t *counted)
{
	json_t *figures = json_object(), *one;
	size_t i;
	json_array_foreach(counted, i, one)
	{
		char key[320];
		json_t *created = snapshot_created(one);
		print_key(source_text(one, "id"), json_string_value(created),
			key);
		json_object_set(figures, key, one);
		json_decref(created);
	}
	return figures;
}

/* What the image counts; NULL with *err. */
static json_t *read_counts_co(struct block_source *source, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	int failed = out ? 0 : err_set(err, ENOMEM, "out of memory");
	if (out) {
		fputc('{', out);
		failed = spec_command_co(source, NULL, "owned", NULL, out, err);
		fputc('}', out);
		if (fclose(out) && !failed)
			failed = err_set(err, ENOMEM, "out of memory");
	}
	json_t *json = failed ? NULL : json_loadb(text, bytes, 0, NULL);
	if (!failed && !json)
		err_set(err, EIO, "a name in the snapshot table is no text");
	free(text);
	return json;
}

static void counted(struct space *space, json_t *figures)
{
	struct snapshot_spaces *spaces = space->spaces;
	struct waiter *waiter;
	json_decref(space->figures);
	space->figures = figures;
	space->counted_ms = unix_now_ms();
	uint64_t now_ns = loop_now_ns(spaces->loop);
	uint64_t rest_ns = REST_TIMES * (now_ns - space->begun_ns);
	space->fresh_until_ns = now_ns +
		(rest_ns > SNAPSHOT_SPACE_FRESH_NS ? rest_ns
						   : SNAPSHOT_SPACE_FRESH_NS);
	while ((waiter = LIST_FIRST(&space->waiters))) {
		LIST_REMOVE(waiter, link);
		loop_timer_clear(spaces->loop, &waiter->timer);
		co_resume(waiter->co);
	}
}

static void count_co(void *argument)
{
	struct space *space = argument;
	struct snapshot_spaces *spaces = space->spaces;
	struct err err = {0};
	json_t *json = read_counts_co(space->source, &err);
	json_t *figures = json ? figures_of(json_object_get(json, "snapshots"))
			       : json_object();
	/* -EAGAIN: a snapshot came or went; the next look counts anew. */
	if (!json && err.code != EAGAIN && err.code != EINVAL)
		log_warning("api", "snapshot_space",
			"what snapshots of volume %s hold cannot be counted: "
			"%s",
			space->volume, err.text);
	json_decref(json);
	block_source_put_co(space->source);
	counted(space, figures);
	space->source = NULL; /* from here on it may be forgotten */
	if (!--spaces->counting && spaces->closer) {
		struct co *closer = spaces->closer;
		spaces->closer = NULL;
		co_resume(closer);
	}
}

static void begin_co(struct space *space, struct block_source *source)
{
	block_source_get(source);
	space->source = source;
	space->begun_ns = loop_now_ns(space->spaces->loop);
	space->spaces->counting++;
	if (co_start(count_co, space))
		return;
	space->spaces->counting--;
	space->source = NULL;
	block_source_put_co(source);
}

/* -- asked ----------------------------------------------------------------------- */

static void waited(struct loop_timer *timer)
{
	struct waiter *waiter = container_of(timer, struct waiter, timer);
	LIST_REMOVE(waiter, link);
	co_resume(waiter->co);
}

static void wait_co(struct space *space)
{
	struct waiter waiter = {.timer.expired = waited, .co = co_self()};
	LIST_INSERT_HEAD(&space->waiters, &waiter, link);
	loop_timer_set(
		space->spaces->loop, &waiter.timer, SNAPSHOT_SPACE_WAIT_NS);
	co_yield ();
}

void snapshot_space_look_co(struct snapshot_spaces *spaces, const char *volume,
	struct block_source *source)
{
	struct space *space = space_of(spaces, volume);
	if (!space)
		return;
	if (!space->source &&
		loop_now_ns(spaces->loop) >= space->fresh_until_ns)
		begin_co(space, source);
	if (space->source) /* it may be done already */
		wait_co(space);
}

void snapshot_space_fill(
	const struct snapshot_spaces *spaces, const char *volume, json_t *items)
{
	const struct space *space = space_find(spaces, volume);
	json_t *one;
	size_t i;
	json_array_foreach(items, i, one)
	{
		char key[320];
		print_key(source_text(one, "id"), source_text(one, "created"),
			key);
		const json_t *known =
			space ? json_object_get(space->figures, key) : NULL;
		if (known) {
			json_object_set(one, "owned_bytes",
				json_object_get(known, "owned_bytes"));
			json_object_set(one, "shared_bytes",
				json_object_get(known, "shared_bytes"));
			json_object_set_new(one, "counted",
				unix_time_json(space->counted_ms));
		}
	}
}

void snapshot_space_changed(struct snapshot_spaces *spaces, const char *volume)
{
	struct space *space = space_find(spaces, volume);
	if (space)
		space->fresh_until_ns = 0;
}
