/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unit promises about sizes, in one place: VPD pages, READ CAPACITY and
 * the commands themselves read the same numbers. In blocks of the host.
 */
#ifndef TARGET_SCSI_LIMITS_H
#define TARGET_SCSI_LIMITS_H

#include "target/scsi/scsi.h"

enum {
	/* UNMAP in one command: 1 Mi blocks, in at most 256 descriptors. */
	SCSI_UNMAP_BLOCKS = 1u << 20,
	SCSI_UNMAP_DESCRIPTORS = 256,
	SCSI_SAME_BLOCKS = 1u << 15,
	SCSI_COMPARE_BLOCKS = 255, /* the field is one byte */
};

struct scsi_limits {
	uint64_t blocks;
	bool thin; /* UNMAP, WRITE SAME with UNMAP, GET LBA STATUS */
	bool write_cache_possible, rotational;
	uint8_t physical_exponent;
	uint32_t max_transfer, optimal_transfer, optimal_granularity;
	uint32_t unmap_granularity;
};

/* Zeroes while the volume is offline. */
void scsi_limits_read(const struct scsi_task *task, struct scsi_limits *limits);

#endif
