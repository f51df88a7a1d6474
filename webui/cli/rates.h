/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates of volumes from two looks at their counters.
 */
#ifndef WEBUI_CLI_RATES_H
#define WEBUI_CLI_RATES_H

#include <jansson.h>

struct rates {
	double read_per_s, write_per_s, read_bytes_per_s, write_bytes_per_s;
	double read_us, write_us; /* mean latency between the looks */
	double in_flight;
	double hit_percent; /* of reads that met a cache; -1: none did */
};

/* From two answers of getFigures; `seconds` between them. Counters that went back
 * (the daemon was started again) count as zero. */
void rates_compute(struct rates *rates, const json_t *before,
	const json_t *after, double seconds);
/* What `rates` says, as members for a table. */
json_t *rates_json(const char *volume, const struct rates *rates);
/* Sorts what rates_json made: "requests", "bytes", "latency" (the most first) or
 * "name"; equal ones by name. */
void rates_sort(json_t *volumes, const char *by);
/* Of two histograms (OperationFigures.latency): microseconds within which `part` of
 * what was counted between them ended, as a new number; `before` NULL: ever. NULL:
 * nothing was, or longer than the last bound. */
json_t *rates_percentile_us(
	const json_t *before, const json_t *after, double part);
/* Seconds since some time in the past. */
double rates_clock(void);
/* Sleeps; false if a signal came. */
int rates_wait(double seconds);

#endif
