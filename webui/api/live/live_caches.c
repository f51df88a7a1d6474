/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What listeners of type cache do for volumes: as metrics, and in a volume's figures.
 */
#include "blockcore/figures.h"
#include "blockcore/memory.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/volume.h"
#include "webui/api/live/live.h"
#include "webui/api/live/live_metrics.h"

#include <stddef.h>

#define FIELD(name) offsetof(struct block_cached, name)
static const struct cache_family {
	const char *name, *help;
	size_t offset; /* in struct block_cached */
	enum exposition_type type;
} families[] = {
	{"cairn_volume_cache_hits", "Reads of hosts that came from memory",
		FIELD(hits), EXPOSITION_COUNTER},
	{"cairn_volume_cache_misses", "Reads of hosts that did not",
		FIELD(misses), EXPOSITION_COUNTER},
	{"cairn_volume_cache_past", "Reads that it is not for: large, of jobs",
		FIELD(past), EXPOSITION_COUNTER},
	{"cairn_volume_cache_hit_bytes", "Bytes that came from memory",
		FIELD(hit_bytes), EXPOSITION_COUNTER},
	{"cairn_volume_cache_kept_blocks", "Blocks that came into memory",
		FIELD(kept), EXPOSITION_COUNTER},
	{"cairn_volume_cache_evicted_blocks", "Blocks that others threw out",
		FIELD(evicted), EXPOSITION_COUNTER},
	{"cairn_volume_cache_size_bytes", "Memory for blocks",
		FIELD(size_bytes), EXPOSITION_GAUGE},
	{"cairn_volume_cache_used_bytes", "What of it is in use",
		FIELD(used_bytes), EXPOSITION_GAUGE},
};

struct printed {
	struct exposition *exposition;
	const struct cache_family *family;
	const char *volume;
};

static void print_cache(const struct block_cached *cached, void *argument)
{
	const struct printed *printed = argument;
	const struct exposition_label labels[] = {{"volume", printed->volume},
		{"cache", cached->path}, {NULL, NULL}};
	exposition_count(printed->exposition, labels,
		*(const uint64_t *)((const char *)cached +
			printed->family->offset));
}

static void print_room(
	struct exposition *exposition, const struct block_caches *caches)
{
	static const struct exposition_label none[] = {{NULL, NULL}};
	exposition_family(exposition, "cairn_read_cache_bytes",
		EXPOSITION_GAUGE, "Memory that all caches have taken");
	exposition_count(exposition, none, caches->used_bytes);
	exposition_family(exposition, "cairn_read_cache_limit_bytes",
		EXPOSITION_GAUGE, "How much that may be");
	exposition_count(exposition, none, caches->limit_bytes);
}

void live_caches_print(
	struct exposition *exposition, const struct daemon_parts *parts)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		struct printed printed = {exposition, &families[i], ""};
		const struct volume *volume;
		const void *at = NULL;
		exposition_family(exposition, printed.family->name,
			printed.family->type, printed.family->help);
		while ((volume =
				appliance_next_volume(parts->appliance, &at))) {
			struct block_source *source = volume->source;
			printed.volume = volume->settings.name;
			if (source)
				block_caches_visit(
					source, print_cache, &printed);
		}
	}
	print_room(exposition, block_caches_of(parts->core));
}

static void sum_cache(const struct block_cached *cached, void *argument)
{
	struct block_cached *sum = argument;
	sum->hits += cached->hits;
	sum->misses += cached->misses;
	sum->past += cached->past;
	sum->hit_bytes += cached->hit_bytes;
	sum->evicted += cached->evicted;
	sum->size_bytes += cached->size_bytes;
	sum->used_bytes += cached->used_bytes;
}

json_t *live_caches_json(struct block_source *source)
{
	struct block_cached sum = {0};
	if (source)
		block_caches_visit(source, sum_cache, &sum);
	if (!sum.size_bytes)
		return json_null();
	return json_pack("{sI, sI, sI, sI, sI, sI, sI}", "hits",
		(json_int_t)sum.hits, "misses", (json_int_t)sum.misses, "past",
		(json_int_t)sum.past, "hit_bytes", (json_int_t)sum.hit_bytes,
		"evicted_blocks", (json_int_t)sum.evicted, "size_bytes",
		(json_int_t)sum.size_bytes, "used_bytes",
		(json_int_t)sum.used_bytes);
}
