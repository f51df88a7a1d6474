/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers in wire and disk structures: get and put at any alignment, big and
 * little endian. Nothing in Cairn casts bytes to a struct; everything that
 * leaves the process or comes from outside goes through these.
 */
#ifndef BLOCKCORE_BASE_BYTES_H
#define BLOCKCORE_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const void *from)
{
	uint16_t v;
	memcpy(&v, from, sizeof v);
	return __builtin_bswap16(v);
}

static inline uint32_t get_be24(const void *from)
{
	const uint8_t *p = from;
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t get_be32(const void *from)
{
	uint32_t v;
	memcpy(&v, from, sizeof v);
	return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const void *from)
{
	uint64_t v;
	memcpy(&v, from, sizeof v);
	return __builtin_bswap64(v);
}

static inline uint16_t get_le16(const void *from)
{
	uint16_t v;
	memcpy(&v, from, sizeof v);
	return v;
}

static inline uint32_t get_le32(const void *from)
{
	uint32_t v;
	memcpy(&v, from, sizeof v);
	return v;
}

static inline uint64_t get_le64(const void *from)
{
	uint64_t v;
	memcpy(&v, from, sizeof v);
	return v;
}

static inline void put_be16(void *to, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(to, &v, sizeof v);
}

static inline void put_be24(void *to, uint32_t v)
{
	uint8_t *p = to;
	p[0] = (uint8_t)(v >> 16);
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)v;
}

static inline void put_be32(void *to, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(to, &v, sizeof v);
}

static inline void put_be64(void *to, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(to, &v, sizeof v);
}

static inline void put_le16(void *to, uint16_t v)
{
	memcpy(to, &v, sizeof v);
}

static inline void put_le32(void *to, uint32_t v)
{
	memcpy(to, &v, sizeof v);
}

static inline void put_le64(void *to, uint64_t v)
{
	memcpy(to, &v, sizeof v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	"the accessors above are written for little-endian machines");

#endif
