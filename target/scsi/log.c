/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOG SENSE (SPC-4 6.8): the list of pages, temperature, logical block
 * provisioning.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/provisioning.h"
#include "target/scsi/task.h"

#include <string.h>

struct log_page {
	uint8_t code;
	uint8_t flags; /* of byte 0: 80h is DS */
	uint32_t (*fill)(const struct scsi_task *task, uint8_t *to);
	bool (*there)(const struct scsi_task *task); /* NULL: always */
};

static uint32_t log_supported(const struct scsi_task *task, uint8_t *to);

/* One parameter: its code, list format, so many bytes of value. */
static uint8_t *put_parameter(uint8_t *to, uint16_t code, uint8_t bytes)
{
	put_be16(to, code);
	to[2] = 0x03; /* binary list parameter */
	to[3] = bytes;
	memset(to + 4, 0, bytes);
	return to + 4;
}

/* SPC-4 7.3.21: there is no thermometer. */
static uint32_t log_temperature(const struct scsi_task *task, uint8_t *to)
{
	uint8_t *value = put_parameter(to, 0x0000, 2);

	(void)task;
	value[1] = 0xff;
	value = put_parameter(to + 6, 0x0001, 2);
	value[1] = 0xff;
	return 12;
}

static const struct log_page log_pages[] = {
	{0x00, 0, log_supported, NULL},
	{0x0c, 0x80, scsi_provisioning_log, scsi_provisioning_log_there},
	{0x0d, 0, log_temperature, NULL},
};
#define LOG_PAGES (sizeof log_pages / sizeof *log_pages)

static bool log_there(const struct scsi_task *task, const struct log_page *page)
{
	return !page->there || page->there(task);
}

static uint32_t log_supported(const struct scsi_task *task, uint8_t *to)
{
	uint32_t pages = 0;

	for (unsigned i = 0; i < LOG_PAGES; i++)
		if (log_there(task, &log_pages[i]))
			to[pages++] = log_pages[i].code;
	return pages;
}

/* PARAMETER POINTER: the parameters from that code on, which come in order. 0: there
 * are none. */
static uint32_t log_from_pointer(
	const struct scsi_task *task, uint8_t *to, uint32_t bytes)
{
	uint16_t pointer = get_be16(task->cdb + 5);
	uint32_t at = 0;

	if (pointer && !(task->cdb[2] & 0x3f)) /* page 00 has no parameters */
		return 0;
	while (at < bytes && pointer && get_be16(to + at) < pointer)
		at += 4u + to[at + 3];
	memmove(to, to + at, bytes - at);
	return bytes - at;
}

uint32_t scsi_log_sense(struct scsi_task *task, uint8_t *to)
{
	uint32_t bytes;

	if (task->cdb[1] & 1) { /* SP: nothing can be saved */
		scsi_sense_cdb(task, 1, 0);
		return 0;
	}
	for (unsigned i = 0; !task->cdb[3] && i < LOG_PAGES; i++) {
		if (log_pages[i].code != (task->cdb[2] & 0x3f) ||
			!log_there(task, &log_pages[i]))
			continue;
		bytes = log_pages[i].fill(task, to + 4);
		bytes = log_from_pointer(task, to + 4, bytes);
		if (!bytes) {
			scsi_sense_cdb(task, 5, 7);
			return 0;
		}
		to[0] = log_pages[i].code | log_pages[i].flags;
		to[1] = 0;
		put_be16(to + 2, (uint16_t)bytes);
		return 4 + bytes;
	}
	scsi_sense_cdb(task, task->cdb[3] ? 3 : 2, task->cdb[3] ? 7 : 5);
	return 0;
}
