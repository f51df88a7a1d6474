/* SPDX-License-Identifier: Apache-2.0 */
/* See limits.h. */
#include "target/scsi/limits.h"

#include "target/scsi/task.h"

#include <string.h>

static uint8_t log2_of(uint32_t value)
{
	uint8_t exponent = 0;

	while (value > 1) {
		value >>= 1;
		exponent++;
	}
	return exponent;
}

static uint32_t in_blocks(uint32_t bytes, uint32_t block_bytes)
{
	return bytes > block_bytes ? bytes / block_bytes : 1;
}

void scsi_limits_read(const struct scsi_task *task, struct scsi_limits *limits)
{
	const struct volume_settings *settings = &scsi_volume(task)->settings;
	uint32_t block = settings->block_bytes;
	uint32_t physical = settings->physical_block_bytes;
	struct block_info info = {0};

	memset(limits, 0, sizeof *limits);
	volume_info(scsi_volume(task), task->nexus->lane, &info);
	limits->blocks = info.size_bytes / block;
	limits->thin = settings->thin && info.ops & BLOCK_OP(BLOCK_DISCARD);
	limits->write_cache_possible = info.volatile_cache;
	limits->rotational = info.rotational;
	if (!physical)
		physical = info.physical_block_bytes;
	limits->physical_exponent = log2_of(in_blocks(physical, block));
	limits->max_transfer = SCSI_MAX_TRANSFER_BYTES / block;
	limits->optimal_transfer = info.optimal_io_bytes / block;
	if (limits->optimal_transfer > limits->max_transfer)
		limits->optimal_transfer = 0;
	limits->unmap_granularity = in_blocks(info.discard_bytes, block);
	/* Smaller writes are taken as they are, aligned ones go better. */
	limits->optimal_granularity = 1u << limits->physical_exponent;
	if (limits->optimal_granularity < limits->unmap_granularity)
		limits->optimal_granularity = limits->unmap_granularity;
}
