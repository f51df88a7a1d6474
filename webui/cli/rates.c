/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/rates.h"
#include "webui/cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <time.h>

static double at(const json_t *figures, const char *operation, const char *key)
{
	char path[64];
	snprintf(path, sizeof path, "operations.%s.%s", operation, key);
	return json_number_value(output_find(figures, path));
}

static double delta(const json_t *before, const json_t *after,
	const char *operation, const char *key)
{
	double d = at(after, operation, key) - at(before, operation, key);
	return d > 0 ? d : 0;
}

static double mean_us(
	const json_t *before, const json_t *after, const char *operation)
{
	double n = delta(before, after, operation, "requests");
	return n > 0 ? delta(before, after, operation, "total_ns") / n / 1000
		     : 0;
}

static double cached(const json_t *before, const json_t *after, const char *key)
{
	char path[64];
	snprintf(path, sizeof path, "cache.%s", key);
	double d = json_number_value(output_find(after, path)) -
		json_number_value(output_find(before, path));
	return d > 0 ? d : 0;
}

static double hit_percent(const json_t *before, const json_t *after)
{
	double hits = cached(before, after, "hits");
	double reads = hits + cached(before, after, "misses");
	return reads > 0 ? 100 * hits / reads : -1;
}

void rates_compute(struct rates *rates, const json_t *before,
	const json_t *after, double seconds)
{
	double s = seconds > 0 ? seconds : 1;
	*rates = (struct rates){
		.read_per_s = delta(before, after, "read", "requests") / s,
		.write_per_s = delta(before, after, "write", "requests") / s,
		.read_bytes_per_s = delta(before, after, "read", "bytes") / s,
		.write_bytes_per_s = delta(before, after, "write", "bytes") / s,
		.read_us = mean_us(before, after, "read"),
		.write_us = mean_us(before, after, "write"),
		.in_flight = at(after, "read", "in_flight") +
			at(after, "write", "in_flight"),
		.hit_percent = hit_percent(before, after),
	};
}

json_t *rates_json(const char *volume, const struct rates *rates)
{
	json_t *item = json_pack("{ss, sf, sf, sf, sf, sf, sf, sf}", "volume",
		volume, "read_per_s", rates->read_per_s, "write_per_s",
		rates->write_per_s, "read_bytes_per_s", rates->read_bytes_per_s,
		"write_bytes_per_s", rates->write_bytes_per_s, "read_us",
		rates->read_us, "write_us", rates->write_us, "in_flight",
		rates->in_flight);
	if (rates->hit_percent >= 0)
		json_object_set_new(item, "cache_hit_percent",
			json_real(rates->hit_percent));
	return item;
}

/* -- order ------------------------------------------------------------------ */

struct ranked {
	json_t *item;
	const char *name;
	double rank;
};

static double member(const json_t *item, const char *key)
{
	return json_number_value(json_object_get(item, key));
}

static double rank_of(const json_t *item, const char *by)
{
	if (!strcmp(by, "requests"))
		return member(item, "read_per_s") + member(item, "write_per_s");
	if (!strcmp(by, "bytes"))
		return member(item, "read_bytes_per_s") +
			member(item, "write_bytes_per_s");
	if (!strcmp(by, "latency"))
		return MAX(member(item, "read_us"), member(item, "write_us"));
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct ranked *one = a, *other = b;
	if (one->rank > other->rank || one->rank < other->rank)
		return one->rank > other->rank ? -1 : 1;
	return strcmp(one->name, other->name);
}

void rates_sort(json_t *volumes, const char *by)
{
	size_t count = json_array_size(volumes);
	struct ranked *ranked = calloc(count + 1, sizeof *ranked);
	if (!ranked)
		abort();
	for (size_t i = 0; i < count; i++) {
		json_t *item = json_incref(json_array_get(volumes, i));
		const char *name =
			json_string_value(json_object_get(item, "volume"));
		ranked[i] = (struct ranked){
			item, name ? name : "", rank_of(item, by)};
	}
	qsort(ranked, count, sizeof *ranked, compare);
	json_array_clear(volumes);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(volumes, ranked[i].item);
	free(ranked);
}

/* -- percentiles ------------------------------------------------------------ */

/* What the bucket got between the looks; a histogram that went back is a new one. */
static double counted(const json_t *before, const json_t *after, size_t index)
{
	double now = member(json_array_get(after, index), "count");
	double was = member(json_array_get(before, index), "count");
	return was <= now ? now - was : now;
}

json_t *rates_percentile_us(
	const json_t *before, const json_t *after, double part)
{
	size_t buckets = json_array_size(after);
	double all = 0, seen = 0;
	for (size_t i = 0; i < buckets; i++)
		all += counted(before, after, i);
	for (size_t i = 0; i < buckets && all > 0; i++) {
		const json_t *bound =
			json_object_get(json_array_get(after, i), "le_ns");
		seen += counted(before, after, i);
		if (seen >= part * all)
			return json_is_number(bound)
				? json_real(json_number_value(bound) / 1000)
				: NULL;
	}
	return NULL;
}

/* -- time ------------------------------------------------------------------- */

double rates_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int rates_wait(double seconds)
{
	struct timespec time = {.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
	return nanosleep(&time, NULL) == 0;
}
