/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scatter lists: helpers over arrays of struct iovec. Nothing here allocates;
 * lengths are in bytes, and a list that is shorter than asked for is a bug of
 * the caller (asserted): peers' lengths are checked long before.
 */
#ifndef BLOCKCORE_BASE_IOV_H
#define BLOCKCORE_BASE_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

size_t iov_bytes(const struct iovec *iov, unsigned count);

/* Copy out of / into the list, starting `skip` bytes into it. Returns the bytes
 * copied: less than `bytes` only where the list ends. */
size_t iov_to_flat(const struct iovec *iov, unsigned count, size_t skip,
	void *to, size_t bytes);
size_t iov_from_flat(const struct iovec *iov, unsigned count, size_t skip,
	const void *from, size_t bytes);

void iov_zero(
	const struct iovec *iov, unsigned count, size_t skip, size_t bytes);

/* Fills `out` (room for `room` slices) with the part [skip, skip + bytes) of
 * the list. Returns the number of slices, 0 if `room` is too small. */
unsigned iov_slice(struct iovec *out, unsigned room, const struct iovec *iov,
	unsigned count, size_t skip, size_t bytes);

/* True if all slices start and end on a multiple of `align` (a power of 2). */
bool iov_aligned(const struct iovec *iov, unsigned count, size_t align);

/* Offset of the first byte that differs from `flat`, or `bytes` if none. */
size_t iov_compare(const struct iovec *iov, unsigned count, size_t skip,
	const void *flat, size_t bytes);

/* True if all `bytes` at `data` are zero. */
bool bytes_are_zero(const void *data, size_t bytes);

#endif
