/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC32C (Castagnoli), computed by ISA-L. iSCSI digests (RFC 7143 13.1),
 * NVMe/TCP digests and our own metadata use it.
 */
#ifndef BLOCKCORE_BASE_CRC32C_H
#define BLOCKCORE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with 0; feed the result of one call to the next to go on. The value is
 * the finished checksum at every step (initial and final inversion inside). */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
