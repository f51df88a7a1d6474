/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: made, found, counted, claimed, closed.
 */
#include "blockcore/core/source.h"

#include "blockcore/core/change.h"
#include "blockcore/core/range_lock.h"
#include "blockcore/core/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A random UUID, version 4 (RFC 9562 5.4). */
static void source_uuid_make(struct block_core *core, uint8_t uuid[16])
{
	struct loop *loop = block_core_control(core);
	uint64_t random[2] = {loop_random(loop), loop_random(loop)};

	memcpy(uuid, random, 16);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

struct block_source *block_source_find(
	struct block_core *core, const char *name)
{
	return map_find_text(&core->names, name);
}

/* From now on nobody finds it, and its name is free. */
static void source_unlist(struct block_source *source)
{
	if (source->listed)
		map_remove_text(&source->core->names, source->name);
	source->listed = false;
}

static int source_name_check(
	struct block_core *core, const char *name, bool listed, struct err *err)
{
	if (!*name)
		return err_set(err, EINVAL, "a source needs a name");
	if (strlen(name) >= BLOCK_NAME_BYTES)
		return err_set(err, ENAMETOOLONG,
			"source name '%.20s...' is longer than %u bytes", name,
			BLOCK_NAME_BYTES - 1);
	if (listed && block_source_find(core, name))
		return err_set(
			err, EEXIST, "there is a source named '%s'", name);
	return 0;
}

static void source_channels_init(struct block_source *source)
{
	for (unsigned i = 0; i < source->core->lane_count; i++) {
		struct block_channel *channel = &source->channel[i];

		TAILQ_INIT(&channel->parked);
		TAILQ_INIT(&channel->unsettled);
		channel->source = source;
	}
}

int block_source_new(struct block_core *core, const char *name, bool listed,
	const uint8_t *uuid, struct block_source **out, struct err *err)
{
	size_t bytes = sizeof(struct block_source) +
		core->lane_count * sizeof(struct block_channel);
	int error = source_name_check(core, name, listed, err);

	if (error)
		return error;
	bytes = (bytes + BLOCK_LINE_BYTES - 1) &
		~(size_t)(BLOCK_LINE_BYTES - 1);
	struct block_source *source = aligned_alloc(BLOCK_LINE_BYTES, bytes);
	if (!source)
		return err_set(err, ENOMEM, "no memory for source '%s'", name);
	memset(source, 0, bytes);
	source->core = core;
	source->references = 1;
	source->listed = listed;
	snprintf(source->name, sizeof(source->name), "%s", name);
	if (uuid)
		memcpy(source->uuid, uuid, sizeof(source->uuid));
	else
		source_uuid_make(core, source->uuid);
	TAILQ_INIT(&source->stacks);
	STAILQ_INIT(&source->waiters);
	LIST_INIT(&source->claims);
	LIST_INIT(&source->watches);
	co_mutex_init(&source->change);
	source_channels_init(source);
	if (listed && map_put_text(&core->names, source->name, source)) {
		free(source);
		return err_set(err, ENOMEM, "no memory for source '%s'", name);
	}
	LIST_INSERT_HEAD(&core->sources, source, link);
	*out = source;
	return 0;
}

void block_source_discard(struct block_source *source)
{
	assert(TAILQ_EMPTY(&source->stacks));
	assert(LIST_EMPTY(&source->claims));
	assert(LIST_EMPTY(&source->watches));
	source_unlist(source);
	LIST_REMOVE(source, link);
	range_lock_table_free(source->locks);
	free(source);
}

const char *block_source_name(const struct block_source *source)
{
	return source->name;
}

const uint8_t *block_source_uuid(const struct block_source *source)
{
	return source->uuid;
}

struct block_info block_source_info(
	struct block_source *source, struct block_lane *lane)
{
	return source->channel[lane->index].stack->info;
}

int block_source_beside(struct block_source *source, const char *name,
	FILE *out, struct err *err)
{
	struct block_driver *bottom = block_stack_bottom(source->current);
	struct block_source *below;

	while (!bottom->kind->beside) {
		below = bottom->kind->below ? bottom->kind->below(bottom, 0)
					    : NULL;
		if (!below)
			return err_set(err, ENOTSUP,
				"nothing lies beside %s '%s': say in the "
				"document what '%s' is",
				bottom->kind->name, bottom->name, name);
		bottom = block_stack_bottom(below->current);
	}
	return bottom->kind->beside(bottom, name, out, err);
}

/* -- references ----------------------------------------------------------- */

void block_source_get(struct block_source *source)
{
	assert(source->references);
	source->references++;
}

void block_source_put_co(struct block_source *source)
{
	assert(source->references);
	if (--source->references)
		return;
	source_unlist(source);
	block_source_wake(source);
	while (source->helpers)
		block_source_wait_co(source);
	co_mutex_lock_co(&source->change);
	struct block_change change = {.source = source};
	block_change_co(&change, NULL);
	while (!TAILQ_EMPTY(&source->stacks))
		block_source_wait_co(source);
	block_source_discard(source);
}

/* -- claims --------------------------------------------------------------- */

/* Whether two may hold a source together. */
static const bool claim_allows[BLOCK_CLAIM_MODES][BLOCK_CLAIM_MODES] = {
	[BLOCK_CLAIM_READ] = {true, true, true, true},
	[BLOCK_CLAIM_STABLE] = {true, true, false, false},
	[BLOCK_CLAIM_SHARED] = {true, false, true, false},
	[BLOCK_CLAIM_WRITE] = {true, false, false, false},
};
static const char *const claim_names[BLOCK_CLAIM_MODES] = {
	"reads", "needs its content to stay", "writes", "writes alone"};

int block_source_claim(
	struct block_source *source, struct block_claim *claim, struct err *err)
{
	const struct block_claim *other;

	LIST_FOREACH (other, &source->claims, link) {
		if (!claim_allows[other->mode][claim->mode])
			return err_set(err, EBUSY,
				"source '%s' is in use: %s %s; %s %s",
				source->name, other->holder,
				claim_names[other->mode], claim->holder,
				claim_names[claim->mode]);
	}
	LIST_INSERT_HEAD(&source->claims, claim, link);
	return 0;
}

void block_source_unclaim(struct block_claim *claim)
{
	LIST_REMOVE(claim, link);
}
