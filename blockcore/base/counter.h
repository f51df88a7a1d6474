/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures that one thread counts and others read: a plain load, add and store
 * on the path that counts, no torn value for who looks.
 *
 * Invariant: a counter has one writer, the thread of its lane. Readers see each
 * counter whole, but not several at one moment.
 */
#ifndef BLOCKCORE_BASE_COUNTER_H
#define BLOCKCORE_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
	_Atomic uint64_t value;
};

static inline uint64_t counter_get(const struct counter *counter)
{
	return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* Its writer only; `amount` may be negative by wrapping. */
static inline void counter_add(struct counter *counter, uint64_t amount)
{
	uint64_t value = counter_get(counter) + amount;

	atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

/* Histograms whose buckets double: number n of `buckets` is for values up to
 * unit << n, the last one for all that are larger. */
static inline unsigned counter_bucket(
	uint64_t value, uint64_t unit, unsigned buckets)
{
	uint64_t times = value ? (value - 1) / unit : 0;
	unsigned bucket = times ? 64u - (unsigned)__builtin_clzll(times) : 0;

	return bucket < buckets ? bucket : buckets - 1;
}
/* The largest value in a bucket; 0: it has no bound. */
static inline uint64_t counter_bucket_bound(
	unsigned bucket, uint64_t unit, unsigned buckets)
{
	return bucket < buckets - 1 ? unit << bucket : 0;
}

#endif
