/* SPDX-License-Identifier: Apache-2.0 */
#include "blockcore/base/bits.h"

uint64_t bits_set(_Atomic uint64_t *words, uint64_t first, uint64_t last)
{
	uint64_t fresh = 0;

	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t mask = bits_mask(word, first, last);

		if ((atomic_load(&words[word]) & mask) == mask)
			continue;
		mask &= ~atomic_fetch_or(&words[word], mask);
		fresh += (uint64_t)__builtin_popcountll(mask);
	}
	return fresh;
}

uint64_t bits_clear(_Atomic uint64_t *words, uint64_t first, uint64_t last)
{
	uint64_t gone = 0;

	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t mask = bits_mask(word, first, last);

		if (!(atomic_load(&words[word]) & mask))
			continue;
		mask &= atomic_fetch_and(&words[word], ~mask);
		gone += (uint64_t)__builtin_popcountll(mask);
	}
	return gone;
}

bool bits_all(_Atomic uint64_t *words, uint64_t first, uint64_t last)
{
	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t mask = bits_mask(word, first, last);

		if ((atomic_load(&words[word]) & mask) != mask)
			return false;
	}
	return true;
}

bool bits_any(_Atomic uint64_t *words, uint64_t first, uint64_t last)
{
	for (uint64_t word = first / 64; word <= last / 64; word++) {
		if (atomic_load(&words[word]) & bits_mask(word, first, last))
			return true;
	}
	return false;
}

uint64_t bits_next(
	_Atomic uint64_t *words, uint64_t from, uint64_t end, bool set)
{
	while (from < end) {
		uint64_t word = atomic_load(&words[from / 64]);
		uint64_t wanted =
			(set ? word : ~word) & UINT64_MAX << from % 64;

		if (wanted) {
			from = from / 64 * 64 +
				(uint64_t)__builtin_ctzll(wanted);
			break;
		}
		from = (from / 64 + 1) * 64;
	}
	return from < end ? from : end;
}

uint64_t bits_count(_Atomic uint64_t *words, uint64_t bits)
{
	uint64_t count = 0;

	for (uint64_t word = 0; word < BITS_WORDS(bits); word++)
		count += (uint64_t)__builtin_popcountll(
			atomic_load(&words[word]) &
			bits_mask(word, word * 64, bits - 1));
	return count;
}
