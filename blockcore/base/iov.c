/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scatter lists. Every walk over a part of a list uses one cursor, which yields
 * contiguous pieces.
 */
#include "blockcore/base/iov.h"

#include <assert.h>
#include <isa-l/mem_routines.h>
#include <string.h>

struct cursor {
	const struct iovec *iov;
	unsigned count;
	size_t skip; /* into the first slice that is left */
	size_t left; /* bytes still wanted */
};

/* The next piece of the part, false at its end or at the end of the list. */
static bool next_piece(struct cursor *c, struct iovec *piece)
{
	while (c->left && c->count) {
		size_t length = c->iov->iov_len;
		if (c->skip < length) {
			size_t have = length - c->skip;
			piece->iov_base = (char *)c->iov->iov_base + c->skip;
			piece->iov_len = have < c->left ? have : c->left;
			c->left -= piece->iov_len;
			c->skip = 0;
			c->iov++;
			c->count--;
			return true;
		}
		c->skip -= length;
		c->iov++;
		c->count--;
	}
	return false;
}

size_t iov_bytes(const struct iovec *iov, unsigned count)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

size_t iov_to_flat(const struct iovec *iov, unsigned count, size_t skip,
	void *to, size_t bytes)
{
	struct cursor c = {iov, count, skip, bytes};
	struct iovec piece;
	char *p = to;

	while (next_piece(&c, &piece)) {
		memcpy(p, piece.iov_base, piece.iov_len);
		p += piece.iov_len;
	}
	return bytes - c.left;
}

size_t iov_from_flat(const struct iovec *iov, unsigned count, size_t skip,
	const void *from, size_t bytes)
{
	struct cursor c = {iov, count, skip, bytes};
	struct iovec piece;
	const char *p = from;

	while (next_piece(&c, &piece)) {
		memcpy(piece.iov_base, p, piece.iov_len);
		p += piece.iov_len;
	}
	return bytes - c.left;
}

void iov_zero(
	const struct iovec *iov, unsigned count, size_t skip, size_t bytes)
{
	struct cursor c = {iov, count, skip, bytes};
	struct iovec piece;

	while (next_piece(&c, &piece))
		memset(piece.iov_base, 0, piece.iov_len);
	assert(c.left == 0);
}

unsigned iov_slice(struct iovec *out, unsigned room, const struct iovec *iov,
	unsigned count, size_t skip, size_t bytes)
{
	struct cursor c = {iov, count, skip, bytes};
	struct iovec piece;
	unsigned used = 0;

	while (next_piece(&c, &piece)) {
		if (used == room)
			return 0;
		out[used++] = piece;
	}
	assert(c.left == 0);
	return used;
}

bool iov_aligned(const struct iovec *iov, unsigned count, size_t align)
{
	uintptr_t bits = 0;

	for (unsigned i = 0; i < count; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return (bits & (align - 1)) == 0;
}

/* Only called where the pieces are known to differ. */
static size_t first_difference(const uint8_t *a, const uint8_t *b)
{
	size_t i = 0;

	while (a[i] == b[i])
		i++;
	return i;
}

size_t iov_compare(const struct iovec *iov, unsigned count, size_t skip,
	const void *flat, size_t bytes)
{
	struct cursor c = {iov, count, skip, bytes};
	const uint8_t *p = flat;
	struct iovec piece;
	size_t done = 0;

	while (next_piece(&c, &piece)) {
		if (memcmp(piece.iov_base, p + done, piece.iov_len) != 0)
			return done +
				first_difference(piece.iov_base, p + done);
		done += piece.iov_len;
	}
	assert(c.left == 0);
	return bytes;
}

bool bytes_are_zero(const void *data, size_t bytes)
{
	/* ISA-L only reads, but its prototype lacks the const. */
	return bytes == 0 ||
		isal_zero_detect((void *)(uintptr_t)data, bytes) == 0;
}
