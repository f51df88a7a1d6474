/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mode pages and MODE SENSE(6) and (10) (SPC-4 6.13, 6.14).
 */
#include "target/scsi/mode.h"

#include "blockcore/base/bytes.h"
#include "target/scsi/limits.h"
#include "target/scsi/provisioning.h"
#include "target/scsi/task.h"

#include <string.h>

enum {
	PAGE_RECOVERY = 0x01,
	PAGE_FORMAT = 0x03,
	PAGE_GEOMETRY = 0x04,
	PAGE_EXCEPTIONS = 0x1c,
	SUBPAGE_PROVISIONING = 0x02,
	GEOMETRY_HEADS = 255,
	GEOMETRY_SECTORS = 63,
};

const struct mode_page mode_pages[] = {
	/* read-write error recovery: AWRE, ARRE; LBPERE: see fill_provisioning */
	{PAGE_RECOVERY, 0x00, 12, {[2] = 0xc0}, {{0}}},
	/* disconnect-reconnect */
	{0x02, 0x00, 16, {0}, {{0}}},
	/* format device, rigid disk geometry: see fill_geometry */
	{PAGE_FORMAT, 0x00, 24, {[14] = 1, [20] = 0x40}, {{0}}},
	{PAGE_GEOMETRY, 0x00, 24, {[5] = GEOMETRY_HEADS}, {{0}}},
	/* caching: RCD is 0, the target has no read cache of its own */
	{0x08, 0x00, 20, {0}, {{2, 0x04, VOLUME_WRITE_CACHE}}},
	/* control: GLTSD; unrestricted reordering; busy time-out unlimited */
	{0x0a, 0x00, 12, {[2] = 0x02, [3] = 0x10, [8] = 0xff, [9] = 0xff},
		{{2, 0x04, VOLUME_DESCRIPTOR_SENSE},
			{4, 0x08, VOLUME_WRITE_PROTECT},
			{5, 0x40, VOLUME_TASK_ABORTED}}},
	/* control extension */
	{0x0a, 0x01, 32, {0}, {{0}}},
	/* power condition */
	{0x1a, 0x00, 40, {0}, {{0}}},
	/* informational exceptions: DEXCPT */
	{PAGE_EXCEPTIONS, 0x00, 12, {[2] = 0x08}, {{0}}},
	/* logical block provisioning: one threshold, on what is available */
	{PAGE_EXCEPTIONS, SUBPAGE_PROVISIONING, 24,
		{[SENSE_THRESHOLD_AT + 1] = 0x01},
		{{4, 0x01, VOLUME_SINGLE_ATTENTION},
			{SENSE_THRESHOLD_AT, 0x80, VOLUME_THRESHOLD}}},
};
const unsigned mode_page_count = sizeof mode_pages / sizeof *mode_pages;

static bool is_provisioning(const struct mode_page *page)
{
	return page->code == PAGE_EXCEPTIONS &&
		page->subcode == SUBPAGE_PROVISIONING;
}

bool mode_page_there(const struct scsi_task *task, const struct mode_page *page)
{
	return !is_provisioning(page) || scsi_is_thin(task);
}

unsigned mode_changeable(const struct scsi_task *task)
{
	unsigned changeable = VOLUME_MODE_FLAGS;
	struct scsi_limits limits;

	/* They are the volume's: who may not write to it does not change them. */
	if (task->logical_unit->read_only)
		return 0;
	scsi_limits_read(task, &limits);
	if (!limits.write_cache_possible)
		changeable &= ~(unsigned)VOLUME_WRITE_CACHE;
	if (scsi_volume(task)->settings.read_only)
		changeable &= ~(unsigned)VOLUME_WRITE_PROTECT;
	if (!scsi_has_threshold(task))
		changeable &= ~(unsigned)VOLUME_THRESHOLD_FLAGS;
	return changeable;
}

static unsigned mode_effective(const struct scsi_task *task, unsigned flags)
{
	struct scsi_limits limits;

	scsi_limits_read(task, &limits);
	if (!limits.write_cache_possible)
		flags &= ~(unsigned)VOLUME_WRITE_CACHE;
	if (!scsi_has_threshold(task))
		flags &= ~(unsigned)VOLUME_THRESHOLD_FLAGS;
	return flags & VOLUME_MODE_FLAGS;
}

unsigned mode_current(const struct scsi_task *task)
{
	return mode_effective(task, volume_flags(scsi_volume(task)));
}

/* What a disk of old would have said, for those who still compute with it: the
 * geometry that BIOSes use for large disks. It is no more than that; nothing here
 * has tracks. */
static void fill_geometry(
	const struct scsi_task *task, const struct mode_page *page, uint8_t *to)
{
	uint64_t cylinders = scsi_capacity_blocks(task) /
		(GEOMETRY_HEADS * GEOMETRY_SECTORS);

	if (page->code == PAGE_FORMAT) {
		put_be16(to + 10, GEOMETRY_SECTORS);
		put_be16(to + 12, (uint16_t)scsi_block_bytes(task));
	} else if (page->code == PAGE_GEOMETRY) {
		put_be24(to + 2,
			cylinders > 0xffffff ? 0xffffff : (uint32_t)cylinders);
	}
}

/* LBPERE, and the count of the threshold; see provisioning.h. */
static void fill_provisioning(
	const struct scsi_task *task, const struct mode_page *page, uint8_t *to)
{
	if (page->code == PAGE_RECOVERY && scsi_is_thin(task))
		to[7] = 0x80;
	if (is_provisioning(page))
		put_be32(to + SENSE_THRESHOLD_AT + 4,
			scsi_threshold_count(task));
}

void mode_page_fill(const struct scsi_task *task, const struct mode_page *page,
	bool constants, unsigned flags, uint8_t *to)
{
	bool saveable = scsi_volume(task)->store && page->bit[0].flag;

	memset(to, 0, page->bytes);
	if (constants) {
		memcpy(to, page->constant, page->bytes);
		fill_geometry(task, page, to);
		fill_provisioning(task, page, to);
	}
	to[0] = (uint8_t)((saveable ? 0x80 : 0) | page->code);
	if (page->subcode) {
		to[0] |= 0x40; /* SPF */
		to[1] = page->subcode;
		put_be16(to + 2, (uint16_t)(page->bytes - 4));
	} else {
		to[1] = (uint8_t)(page->bytes - 2);
	}
	for (unsigned i = 0; i < 3 && page->bit[i].flag; i++)
		if (flags & page->bit[i].flag)
			to[page->bit[i].byte] |= page->bit[i].mask;
}

/* -- MODE SENSE ----------------------------------------------------------- */

enum mode_control { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED };

static unsigned sense_flags(
	const struct scsi_task *task, enum mode_control control)
{
	struct volume *volume = scsi_volume(task);

	switch (control) {
	case MODE_CURRENT: break;
	case MODE_CHANGEABLE: return mode_changeable(task);
	case MODE_DEFAULT: return mode_effective(task, volume->default_flags);
	case MODE_SAVED:
		return mode_effective(task, atomic_load(&volume->saved_flags));
	}
	return mode_current(task);
}

static bool page_wanted(const struct mode_page *page, const uint8_t *cdb)
{
	unsigned code = cdb[2] & 0x3f, subcode = cdb[3];

	return (code == 0x3f || code == page->code) &&
		(subcode == 0xff || subcode == page->subcode);
}

/* Bytes of pages put at `to`; 0 if there is no such page. */
static uint32_t sense_pages(
	const struct scsi_task *task, enum mode_control control, uint8_t *to)
{
	unsigned flags = sense_flags(task, control);
	uint32_t bytes = 0;

	for (unsigned i = 0; i < mode_page_count; i++) {
		if (!page_wanted(&mode_pages[i], task->cdb) ||
			!mode_page_there(task, &mode_pages[i]))
			continue;
		mode_page_fill(task, &mode_pages[i], control != MODE_CHANGEABLE,
			flags, to + bytes);
		bytes += mode_pages[i].bytes;
	}
	return bytes;
}

/* SBC-3 6.5.2: short or long block descriptor. */
static uint32_t sense_block_descriptor(
	const struct scsi_task *task, bool long_form, uint8_t *to)
{
	uint64_t blocks = scsi_capacity_blocks(task);

	memset(to, 0, 16);
	if (long_form) {
		put_be64(to, blocks);
		put_be32(to + 12, scsi_block_bytes(task));
		return 16;
	}
	put_be32(to, blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks);
	put_be24(to + 5, scsi_block_bytes(task));
	return 8;
}

/* WP, and DPOFUA: both bits are honoured. */
static uint8_t sense_device_specific(const struct scsi_task *task)
{
	struct block_info info = {0};
	bool protected = scsi_write_protected(task->logical_unit);

	volume_info(scsi_way(task), task->nexus->lane, &info);
	return (uint8_t)((protected || info.read_only ? 0x80 : 0) | 0x10);
}

static bool sense_check(struct scsi_task *task)
{
	unsigned code = task->cdb[2] & 0x3f, subcode = task->cdb[3];

	if (task->cdb[2] >> 6 == MODE_SAVED && !scsi_volume(task)->store) {
		scsi_sense_set(
			task, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
		return false;
	}
	if (code == 0x3f && subcode && subcode != 0xff) {
		scsi_sense_cdb(task, 3, 7);
		return false;
	}
	return true;
}

uint32_t scsi_mode_sense(struct scsi_task *task, uint8_t *to)
{
	bool ten = task->cdb[0] == 0x5a, long_form = ten && task->cdb[1] & 0x10;
	uint32_t header = ten ? 8 : 4, descriptor = 0, pages;

	if (!sense_check(task))
		return 0;
	memset(to, 0, header);
	if (!(task->cdb[1] & 8)) /* DBD */
		descriptor =
			sense_block_descriptor(task, long_form, to + header);
	pages = sense_pages(task, task->cdb[2] >> 6, to + header + descriptor);
	if (!pages) {
		scsi_sense_cdb(
			task, task->cdb[3] ? 3 : 2, task->cdb[3] ? 7 : 5);
		return 0;
	}
	if (ten) {
		put_be16(to, (uint16_t)(header + descriptor + pages - 2));
		to[3] = sense_device_specific(task);
		to[4] = long_form && descriptor;
		put_be16(to + 6, (uint16_t)descriptor);
	} else {
		to[0] = (uint8_t)(header + descriptor + pages - 1);
		to[2] = sense_device_specific(task);
		to[3] = (uint8_t)descriptor;
	}
	return header + descriptor + pages;
}
