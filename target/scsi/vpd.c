/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See vpd.h. Each row of the table makes what follows the four bytes of a page's
 * header.
 */
#include "target/scsi/vpd.h"

#include "blockcore/base/bytes.h"
#include "target/scsi/limits.h"
#include "target/scsi/task.h"

#include <string.h>

struct vpd_page {
	uint8_t code;
	/* Bytes written at `to`, which is zeroed. */
	uint32_t (*fill)(const struct scsi_task *task, uint8_t *to);
};

static const struct vpd_page vpd_pages[];
static const unsigned vpd_page_count;

/* -- 80h, 83h: identity --------------------------------------------------- */

static uint32_t vpd_serial(const struct scsi_task *task, uint8_t *to)
{
	memcpy(to, scsi_volume(task)->serial, 32);
	return 32;
}

enum { /* SPC-4 7.8.6.1 */
	DESIGNATOR_BINARY = 1,
	DESIGNATOR_ASCII = 2,
	DESIGNATOR_UTF8 = 3,
	DESIGNATOR_OF_PORT = 0x10,
	DESIGNATOR_PIV = 0x80,
	DESIGNATOR_ISCSI = 0x50,
};

static uint8_t *put_designator(uint8_t *to, uint8_t code_set, uint8_t type,
	const void *data, size_t bytes)
{
	to[0] = code_set;
	to[1] = type;
	if (type & DESIGNATOR_OF_PORT) {
		to[0] |= DESIGNATOR_ISCSI;
		to[1] |= DESIGNATOR_PIV;
	}
	to[3] = (uint8_t)bytes;
	memcpy(to + 4, data, bytes);
	return to + 4 + bytes;
}

static uint8_t *put_t10_designator(const struct volume *volume, uint8_t *to)
{
	uint8_t text[8 + 32];

	scsi_put_text(text, volume->settings.vendor, 8);
	memcpy(text + 8, volume->serial, 32);
	return put_designator(to, DESIGNATOR_ASCII, 1, text, sizeof text);
}

/* A SCSI name string ends with 1 to 4 NULs, on a multiple of four. */
static uint8_t *put_name_designator(const char *name, uint8_t type, uint8_t *to)
{
	uint8_t text[256] = {0};
	size_t length = strnlen(name, 252);

	memcpy(text, name, length);
	return put_designator(
		to, DESIGNATOR_UTF8, type, text, (length / 4 + 1) * 4);
}

static uint8_t *put_port_designators(
	const struct volume_initiator *port, uint8_t *to)
{
	uint8_t number[4] = {0};

	put_be16(number + 2, port->relative_target_port);
	to = put_designator(to, DESIGNATOR_BINARY, DESIGNATOR_OF_PORT | 4,
		number, sizeof number);
	put_be16(number + 2, port->target_portal_group);
	to = put_designator(to, DESIGNATOR_BINARY, DESIGNATOR_OF_PORT | 5,
		number, sizeof number);
	return put_name_designator(
		port->target_port, DESIGNATOR_OF_PORT | 8, to);
}

static uint32_t vpd_identification(const struct scsi_task *task, uint8_t *to)
{
	const struct volume *volume = scsi_volume(task);
	uint8_t *at = to;

	at = put_designator(at, DESIGNATOR_BINARY, 3, volume->naa, 8);
	at = put_t10_designator(volume, at);
	at = put_port_designators(&task->nexus->initiator, at);
	return (uint32_t)(at - to);
}

/* -- 86h, 87h, 88h: what the device server does --------------------------- */

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

static uint32_t vpd_ports(const struct scsi_task *task, uint8_t *to)
{
	const struct volume_initiator *port = &task->nexus->initiator;
	uint8_t *end = put_name_designator(
		port->target_port, DESIGNATOR_OF_PORT | 8, to + 12);

	put_be16(to + 2, port->relative_target_port);
	put_be16(to + 10, (uint16_t)(end - to - 12));
	return (uint32_t)(end - to);
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
	to[1] = 0x80 | 0x40 | 0x20 | 0x04; /* LBPU, LBPWS, LBPWS10, LBPRZ 1 */
	to[2] = 2; /* thin */
	return 4;
}

/* ------------------------------------------------------------------------- */

static uint32_t vpd_supported(const struct scsi_task *task, uint8_t *to)
{
	(void)task;
	for (unsigned i = 0; i < vpd_page_count; i++)
		to[i] = vpd_pages[i].code;
	return vpd_page_count;
}

static const struct vpd_page vpd_pages[] = {
	{0x00, vpd_supported},
	{0x80, vpd_serial},
	{0x83, vpd_identification},
	{0x86, vpd_extended},
	{0x87, vpd_mode_policy},
	{0x88, vpd_ports},
	{0xb0, vpd_block_limits},
	{0xb1, vpd_characteristics},
	{0xb2, vpd_provisioning},
};
static const unsigned vpd_page_count = sizeof vpd_pages / sizeof *vpd_pages;

enum { VPD_HEADER_BYTES = 4, VPD_MOST_BYTES = 1024 };

uint32_t scsi_vpd(struct scsi_task *task, uint8_t *to)
{
	uint32_t bytes;

	for (unsigned i = 0; task->logical_unit && i < vpd_page_count; i++) {
		if (vpd_pages[i].code != task->cdb[2])
			continue;
		memset(to, 0, VPD_MOST_BYTES);
		bytes = vpd_pages[i].fill(task, to + VPD_HEADER_BYTES);
		to[0] = scsi_peripheral(task);
		to[1] = task->cdb[2];
		put_be16(to + 2, (uint16_t)bytes);
		return VPD_HEADER_BYTES + bytes;
	}
	scsi_sense_cdb(task, 2, 7);
	return 0;
}
