/* SPDX-License-Identifier: Apache-2.0 */
/* See times.h. */
#include "blockcore/times.h"

#include <assert.h>

void block_times_add(struct block_times *times, uint64_t took_ns)
{
	counter_add(&times->total_ns, took_ns);
	counter_add(&times->bucket[counter_bucket(
			    took_ns, BLOCK_TIMES_NS, BLOCK_TIMES_BUCKETS)],
		1);
}

void block_times_sum(
	const struct block_times *times, struct block_times_sum *sum)
{
	sum->total_ns += counter_get(&times->total_ns);
	for (unsigned i = 0; i < BLOCK_TIMES_BUCKETS; i++) {
		uint64_t count = counter_get(&times->bucket[i]);

		sum->bucket[i] += count;
		sum->requests += count;
	}
}

uint64_t block_times_bound_ns(unsigned bucket)
{
	assert(bucket < BLOCK_TIMES_BUCKETS);
	return counter_bucket_bound(
		bucket, BLOCK_TIMES_NS, BLOCK_TIMES_BUCKETS);
}
