/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SplitMix64 (Steele, Lea, Flood 2014): random numbers for jitter, tests and
 * the simulator. The state is one integer, any value is a valid seed, and equal
 * seeds give equal sequences on every machine. Not for secrets.
 */
#ifndef BLOCKCORE_BASE_PRNG_H
#define BLOCKCORE_BASE_PRNG_H

#include <stdint.h>

static inline uint64_t prng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0 to `count` - 1; `count` is small (the bias is count / 2^64). */
static inline uint64_t prng_below(uint64_t *state, uint64_t count)
{
	return prng_next(state) % count;
}

#endif
