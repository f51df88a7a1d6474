/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics as text: OpenMetrics 1.0, or the older 0.0.4 for who does not ask for it.
 *
 *	exposition_family(out, "cairn_volume_bytes", COUNTER, "bytes", "moved")
 *	exposition_sample(out, "", value, 2, "volume", "db01", "op", "read")
 *
 * Invariants
 *  1. A family is begun once and all of its samples follow.
 *  2. Counters end in _total and units stand in names, whoever asks; only the
 *     lines that begin with # differ.
 *  3. Label values may hold anything: they are escaped.
 */
#ifndef WEBUI_API_SERVER_EXPOSITION_H
#define WEBUI_API_SERVER_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum exposition_type {
	EXPOSITION_COUNTER,
	EXPOSITION_GAUGE,
	EXPOSITION_HISTOGRAM,
	EXPOSITION_INFO,
};

struct exposition {
	FILE *out;
	bool open_metrics; /* else text 0.0.4 */
	const char *family; /* in progress */
	enum exposition_type type;
};

#define EXPOSITION_OPEN_METRICS \
	"application/openmetrics-text; version=1.0.0; charset=utf-8"
#define EXPOSITION_TEXT "text/plain; version=0.0.4; charset=utf-8"

/* `name` without _total or _info; it must live as long as the family is in
 * progress. */
void exposition_family(struct exposition *exposition, const char *name,
	enum exposition_type type, const char *help);

/* One label: pairs end with a NULL name. */
struct exposition_label {
	const char *name, *value;
};

void exposition_count(struct exposition *exposition,
	const struct exposition_label *labels, uint64_t value);
void exposition_value(struct exposition *exposition,
	const struct exposition_label *labels, double value);

/* Counts of buckets (not added up yet), bounds in nanoseconds (0: infinity, the
 * last one), all requests' time. */
void exposition_histogram(struct exposition *exposition,
	const struct exposition_label *labels, unsigned buckets,
	const uint64_t *count, uint64_t (*bound_ns)(unsigned bucket),
	uint64_t total_ns);

void exposition_end(struct exposition *exposition);

#endif
