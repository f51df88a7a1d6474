/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PERSISTENT RESERVE IN (SPC-4 6.15): the table as this lane sees it now.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"
#include "target/scsi/transport_id.h"

#include <string.h>

/* Writes what fits and counts all (SPC-4 4.2.5.6: the length is of the whole). */
struct report {
	uint8_t *to;
	uint32_t room, bytes;
};

static void report_put(struct report *report, const void *from, uint32_t bytes)
{
	uint32_t left =
		report->bytes < report->room ? report->room - report->bytes : 0;

	if (left)
		memcpy(report->to + report->bytes, from,
			bytes < left ? bytes : left);
	report->bytes += bytes;
}

typedef void report_fill(const struct scsi_task *task,
	const struct reservation_table *table, struct report *report);

static void report_keys(const struct scsi_task *task,
	const struct reservation_table *table, struct report *report)
{
	uint8_t key[8];

	(void)task;
	for (unsigned i = 0; table && i < table->registrants; i++) {
		put_be64(key, table->registrant[i].key);
		report_put(report, key, sizeof key);
	}
}

static void report_reservation(const struct scsi_task *task,
	const struct reservation_table *table, struct report *report)
{
	uint8_t to[16] = {0};

	(void)task;
	if (!table || table->type == RESERVATION_NONE)
		return;
	for (unsigned i = 0; !reservation_all_registrants(table->type) &&
		i < table->registrants;
		i++)
		if (table->registrant[i].holder)
			put_be64(to, table->registrant[i].key);
	to[13] = (uint8_t)table->type;
	report_put(report, to, sizeof to);
}

static void report_status(const struct scsi_task *task,
	const struct reservation_table *table, struct report *report)
{
	uint8_t to[24 + TRANSPORT_ID_BYTES];

	(void)task;
	for (unsigned i = 0; table && i < table->registrants; i++) {
		const struct reservation_registrant *entry =
			&table->registrant[i];
		uint32_t bytes =
			transport_id_put(entry->initiator.port, to + 24);

		memset(to, 0, 24);
		put_be64(to, entry->key);
		to[12] = (uint8_t)((entry->all_target_ports ? 2 : 0) |
			(entry->holder ? 1 : 0));
		to[13] = entry->holder ? (uint8_t)table->type : 0;
		put_be16(to + 18, entry->initiator.relative_target_port);
		put_be32(to + 20, bytes);
		report_put(report, to, 24 + bytes);
	}
}

/* CRH, SIP_C, ATP_C, PTPL_C; TMV and the types; ALLOW COMMANDS 0: nothing said. */
static uint32_t report_capabilities(const struct scsi_task *task,
	const struct reservation_table *table, uint8_t *to)
{
	bool durable = scsi_volume(task)->store;

	memset(to, 0, 8);
	put_be16(to, 8);
	to[2] = (uint8_t)(0x10 | 0x08 | 0x04 | (durable ? 1 : 0));
	to[3] = (uint8_t)(0x80 | (table && table->aptpl ? 1 : 0));
	to[4] = 0xea;
	to[5] = 0x01;
	return 8;
}

static uint32_t report_table(const struct scsi_task *task,
	const struct reservation_table *table, report_fill *fill, uint8_t *to)
{
	struct report report = {.to = to, .room = task->data_bytes, .bytes = 8};

	if (report.room < BUF_MIN_BYTES)
		report.room = BUF_MIN_BYTES;
	fill(task, table, &report);
	put_be32(to, table ? table->generation : 0);
	put_be32(to + 4, report.bytes - 8);
	return report.bytes;
}

uint32_t scsi_persistent_in(struct scsi_task *task, uint8_t *to)
{
	static report_fill *const fills[] = {[0] = report_keys,
		[1] = report_reservation,
		[3] = report_status};
	unsigned action = task->cdb[1] & 0x1f;
	const struct reservation_table *table = atomic_load_explicit(
		&scsi_volume(task)->reservations, memory_order_acquire);

	if (action == 2)
		return report_capabilities(task, table, to);
	return report_table(task, table, fills[action], to);
}
