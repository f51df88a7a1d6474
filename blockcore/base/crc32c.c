/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC32C. ISA-L's crc32_iscsi neither inverts its start value nor its result
 * and takes an int for the length; both are hidden here.
 */
#include "blockcore/base/crc32c.h"

#include <isa-l/crc.h>

#define STEP_BYTES (1u << 30)

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
	/* ISA-L only reads, but its prototype lacks the const. */
	unsigned char *from = (unsigned char *)(uintptr_t)data;
	uint32_t state = ~crc;

	while (bytes > STEP_BYTES) {
		state = crc32_iscsi(from, STEP_BYTES, state);
		from += STEP_BYTES;
		bytes -= STEP_BYTES;
	}
	if (bytes)
		state = crc32_iscsi(from, (int)bytes, state);
	return ~state;
}
