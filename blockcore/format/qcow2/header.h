/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a qcow2 image, as it lies in the file and as the format uses it.
 * Pure: bytes in, struct out, and back.
 *
 * Invariants
 *  1. What qcow2_header_parse lets through is within the limits below, so that
 *     nobody after it has to fear a size that it computes from the header.
 *  2. An incompatible feature that is not known here is refused by the name that
 *     the image itself gives it.
 *  3. qcow2_header_patch changes known fields in the first 104 bytes only:
 *     extensions, known and unknown, stay as they lie. All of them are in one
 *     sector, so a power cut leaves the old header or the new one.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_HEADER_H
#define BLOCKCORE_FORMAT_QCOW2_HEADER_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_HEADER_BYTES 112u /* that this writes; read: 72 or more */
#define QCOW2_HEADER_SECTOR 512u
#define QCOW2_CLUSTER_BITS_MIN 9u
#define QCOW2_CLUSTER_BITS_MAX 21u
#define QCOW2_EXTENDED_BITS_MIN 14u
#define QCOW2_L1_BYTES_MAX (32u << 20)
#define QCOW2_REFTABLE_BYTES_MAX (8u << 20)
#define QCOW2_SNAPSHOTS_MAX 65536u
#define QCOW2_NAME_BYTES 1024u
#define QCOW2_SIZE_MAX (1ull << 62)

enum qcow2_incompatible {
	QCOW2_DIRTY = 1 << 0,
	QCOW2_CORRUPT = 1 << 1,
	QCOW2_DATA_FILE = 1 << 2,
	QCOW2_COMPRESSION = 1 << 3,
	QCOW2_EXTENDED_L2 = 1 << 4,
};
enum qcow2_compatible { QCOW2_LAZY_REFCOUNTS = 1 };
enum qcow2_compression { QCOW2_DEFLATE, QCOW2_ZSTD };

enum qcow2_extension {
	QCOW2_EXT_END = 0,
	QCOW2_EXT_BACKING_FORMAT = 0xe2792aca,
	QCOW2_EXT_FEATURES = 0x6803f857,
	QCOW2_EXT_BITMAPS = 0x23852875,
};

struct qcow2_header {
	unsigned version, cluster_bits, refcount_order, compression;
	uint32_t l1_entries, reftable_clusters, snapshots, header_bytes;
	uint64_t size_bytes, l1_offset, reftable_offset, snapshots_offset;
	uint64_t incompatible, compatible, autoclear;
	bool has_bitmaps; /* an extension that names clusters of its own */
	char backing[QCOW2_NAME_BYTES]; /* "": none */
	char backing_format[32]; /* "": not said */
};

/* The size of a cluster, to know how much of the file the header may use. 0 or
 * -errno: no image, or one that cannot be read. */
int qcow2_header_probe(const uint8_t *bytes, size_t count,
	unsigned *cluster_bits, struct err *err);

/* `bytes`: the first cluster, or as much of it as the file has. */
int qcow2_header_parse(const uint8_t *bytes, size_t count,
	struct qcow2_header *header, struct err *err);

/* The fields that change in use: into the first sector of an image. */
void qcow2_header_patch(const struct qcow2_header *header, uint8_t *sector);

/* A whole new header of version 3 with its extensions and the name of the
 * backing file; `room` bytes, zeroed before. -ENOSPC if it does not fit. */
int qcow2_header_write(
	const struct qcow2_header *header, uint8_t *bytes, size_t room);

/* -- header_backing.c: another backing file ------------------------------- */

/* Where its name lies: in the first sector, or in later ones. */
struct qcow2_name_place {
	size_t at, bytes; /* 0, 0: none */
};
/* `bytes`: the first `count` bytes of an image, sectors within its first cluster, whose
 * fields are up to date. They become those of one with header->backing ("": none) and
 * header->backing_format; other extensions stay, but may lie elsewhere. -ENOSPC, and
 * nothing is changed. */
int qcow2_header_rename(uint8_t *bytes, size_t count,
	const struct qcow2_header *header, struct qcow2_name_place *place,
	struct err *err);

#endif
