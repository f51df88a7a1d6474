/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See vpd.h. Each row of the table makes what follows the four bytes of a page's
 * header; those about identity are in vpd_identity.c.
 */
#include "target/scsi/vpd.h"

#include "blockcore/base/bytes.h"
#include "target/scsi/limits.h"
#include "target/scsi/provisioning.h"
#include "target/scsi/task.h"

#include <string.h>

struct vpd_page {
	uint8_t code;
	/* Bytes of the page, written at `to`, which is zeroed. */
	uint32_t (*fill)(const struct scsi_task *task, uint8_t *to);
	bool (*there)(const struct scsi_task *task); /* NULL: always */
};

static const struct vpd_page vpd_pages[];
static const unsigned vpd_page_count;

/* -- 86h, 87h: what the device server does -------------------------------- */

static uint32_t vpd_extended(const struct scsi_task *task, uint8_t *to)
{
	(void)task;
	to[1] = 0x01 | 0x02 | 0x04; /* SIMPSUP, ORDSUP, HEADSUP */
	to[2] = 0x01; /* V_SUP: a volatile cache may be there */
	to[3] = 0x01; /* LUICLR: clears what is its own only */
	return 60;
}

/* One policy for all pages: shared by every nexus (SPC-4 7.8.12). */
static uint32_t vpd_mode_policy(const struct scsi_task *task, uint8_t *to)
{
	(void)task;
	to[0] = 0x3f;
	to[1] = 0xff;
	to[2] = 0;
	return 4;
}

/* -- B0h, B1h, B2h: the medium -------------------------------------------- */

static uint32_t vpd_block_limits(const struct scsi_task *task, uint8_t *to)
{
	struct scsi_limits limits;
	uint8_t *page = to - 4; /* offsets below are SBC-3's */

	scsi_limits_read(task, &limits);
	page[4] = 0; /* WSNZ: WRITE SAME of 0 blocks goes to the end */
	page[5] = SCSI_COMPARE_BLOCKS;
	put_be16(page + 6, (uint16_t)limits.optimal_granularity);
	put_be32(page + 8, limits.max_transfer);
	put_be32(page + 12, limits.optimal_transfer);
	if (limits.thin) {
		put_be32(page + 20, SCSI_UNMAP_BLOCKS);
		put_be32(page + 24, SCSI_UNMAP_DESCRIPTORS);
		put_be32(page + 28, limits.unmap_granularity);
		put_be32(page + 32, 0x80000000u); /* UGAVALID, aligned at 0 */
	}
	put_be64(page + 36, SCSI_SAME_BLOCKS);
	return 0x3c;
}

static uint32_t vpd_characteristics(const struct scsi_task *task, uint8_t *to)
{
	struct scsi_limits limits;

	scsi_limits_read(task, &limits);
	put_be16(to, limits.rotational ? 0 : 1); /* not reported, or none */
	return 0x3c;
}

static uint32_t vpd_provisioning(const struct scsi_task *task, uint8_t *to)
{
	struct scsi_limits limits;

	scsi_limits_read(task, &limits);
	if (!limits.thin)
		return 4;
	to[0] = scsi_threshold_exponent(task);
	to[1] = 0x80 | 0x40 | 0x20 | 0x04; /* LBPU, LBPWS, LBPWS10, LBPRZ 1 */
	to[2] = 2; /* thin */
	return 4;
}

/* ------------------------------------------------------------------------- */

static bool page_there(
	const struct scsi_task *task, const struct vpd_page *page)
{
	return !page->there || page->there(task);
}

static uint32_t vpd_supported(const struct scsi_task *task, uint8_t *to)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < vpd_page_count; i++)
		if (page_there(task, &vpd_pages[i]))
			to[bytes++] = vpd_pages[i].code;
	return bytes;
}

static const struct vpd_page vpd_pages[] = {
	{0x00, vpd_supported, NULL},
	{0x80, vpd_serial, NULL},
	{0x83, vpd_identification, NULL},
	{0x85, vpd_management, vpd_management_there},
	{0x86, vpd_extended, NULL},
	{0x87, vpd_mode_policy, NULL},
	{0x88, vpd_ports, NULL},
	{0xb0, vpd_block_limits, NULL},
	{0xb1, vpd_characteristics, NULL},
	{0xb2, vpd_provisioning, NULL},
};
static const unsigned vpd_page_count = sizeof vpd_pages / sizeof *vpd_pages;

#define VPD_ZEROED_BYTES 1024u

uint32_t scsi_vpd(struct scsi_task *task, uint8_t *to)
{
	uint32_t bytes;

	for (unsigned i = 0; task->logical_unit && i < vpd_page_count; i++) {
		if (vpd_pages[i].code != task->cdb[2] ||
			!page_there(task, &vpd_pages[i]))
			continue;
		memset(to, 0, VPD_ZEROED_BYTES);
		bytes = vpd_pages[i].fill(task, to + VPD_HEADER_BYTES);
		to[0] = scsi_peripheral(task);
		to[1] = task->cdb[2];
		put_be16(to + 2, (uint16_t)bytes);
		return VPD_HEADER_BYTES + bytes;
	}
	scsi_sense_cdb(task, 2, 7);
	return 0;
}
