/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/rates.h"
#include "webui/cli/output.h"

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
	};
}

json_t *rates_json(const char *volume, const struct rates *rates)
{
	return json_pack("{ss, sf, sf, sf, sf, sf, sf, sf}", "volume", volume,
		"read_per_s", rates->read_per_s, "write_per_s",
		rates->write_per_s, "read_bytes_per_s", rates->read_bytes_per_s,
		"write_bytes_per_s", rates->write_bytes_per_s, "read_us",
		rates->read_us, "write_us", rates->write_us, "in_flight",
		rates->in_flight);
}

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
