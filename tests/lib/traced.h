/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the calling thread's flight recorder holds, for tests that drive all of their
 * world on their own thread.
 */
#ifndef TESTS_LIB_TRACED_H
#define TESTS_LIB_TRACED_H

#include "blockcore/base/trace.h"

/* How many records of `point` were made since trace_recorder.next was `since`; *last
 * is the latest. */
static inline unsigned traced_since(
	uint32_t since, enum trace_point point, struct trace_record *last)
{
	unsigned count = 0;

	for (uint32_t i = since; i != trace_recorder.next; i++) {
		const struct trace_record *record =
			&trace_recorder.records[i % TRACE_RECORDS];

		if (record->sequence == i && record->point == point) {
			*last = *record;
			count++;
		}
	}
	return count;
}

#endif
