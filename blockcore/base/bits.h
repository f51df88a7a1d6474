/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of bits that several threads set, clear and look at, in words of 64.
 *
 * Invariants
 *  1. Each word is changed atomically, sequentially consistent; a range of several
 *     words is not one step.
 *  2. What is set already is only looked at: no write, no shared line.
 */
#ifndef BLOCKCORE_BASE_BITS_H
#define BLOCKCORE_BASE_BITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BITS_WORDS(bits) (((bits) + 63) / 64)

/* The bits of word `word` that are in first to last (both inclusive, and so below). */
static inline uint64_t bits_mask(uint64_t word, uint64_t first, uint64_t last)
{
	uint64_t mask = UINT64_MAX;

	if (word == first / 64)
		mask &= UINT64_MAX << first % 64;
	if (word == last / 64)
		mask &= UINT64_MAX >> (63 - last % 64);
	return mask;
}

/* Sets (clears) them; returns how many were not (were) set. */
uint64_t bits_set(_Atomic uint64_t *words, uint64_t first, uint64_t last);
uint64_t bits_clear(_Atomic uint64_t *words, uint64_t first, uint64_t last);

bool bits_all(_Atomic uint64_t *words, uint64_t first, uint64_t last);
bool bits_any(_Atomic uint64_t *words, uint64_t first, uint64_t last);

/* The first bit from `from` on that is `set` (or is not), or `end`. */
uint64_t bits_next(
	_Atomic uint64_t *words, uint64_t from, uint64_t end, bool set);
/* Of `bits` bits, how many are set. */
uint64_t bits_count(_Atomic uint64_t *words, uint64_t bits);

#endif
