/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server counts of itself. A line for each operation and status that
 * occurred; both come from tables of ours, so there are few.
 */
#ifndef WEBUI_API_SERVER_COUNTERS_H
#define WEBUI_API_SERVER_COUNTERS_H

#include <stdint.h>
#include <string.h>

#define COUNTERS_MAX 1024u

struct api_counters {
	unsigned counts;
	struct {
		const char *operation;
		int status;
		uint64_t requests, us;
	} count[COUNTERS_MAX];
	uint64_t auth_failures;
};

static inline void api_counters_add(struct api_counters *self,
	const char *operation, int status, uint64_t us)
{
	unsigned i = 0;
	while (i < self->counts &&
		(self->count[i].status != status ||
			strcmp(self->count[i].operation, operation) != 0))
		i++;
	if (i == COUNTERS_MAX)
		return;
	if (i == self->counts) {
		self->counts++;
		self->count[i].operation = operation;
		self->count[i].status = status;
	}
	self->count[i].requests++;
	self->count[i].us += us;
}

#endif
