/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MODE SELECT(6) and (10) (SPC-4 6.11, 6.12): the list is checked whole, then the
 * flags it changes are set at once on the control lane, and the other nexuses
 * are told.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/mode.h"
#include "target/scsi/task.h"
#include "target/volume/drain.h"

#include <string.h>

/* -- checking the list ---------------------------------------------------- */

struct select_list {
	struct scsi_task *task;
	const uint8_t *data;
	uint32_t bytes, at;
	unsigned mask, flags; /* what the pages say */
};

static bool select_too_short(struct select_list *list)
{
	scsi_sense_set(
		list->task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
	return false;
}

static bool select_bad_byte(struct select_list *list, uint32_t byte)
{
	scsi_sense_list(list->task, byte, 7);
	return false;
}

/* It may say what is so already, or nothing (SBC-3 6.5.2). */
static bool select_descriptor(
	struct select_list *list, uint32_t bytes, bool long_form)
{
	const uint8_t *from = list->data + list->at;
	uint64_t capacity = scsi_capacity_blocks(list->task);
	uint64_t blocks, every = long_form ? UINT64_MAX : UINT32_MAX;
	uint32_t block;

	if (!bytes)
		return true;
	if (bytes != (long_form ? 16u : 8u))
		return select_bad_byte(list, list->at - 1);
	if (list->at + bytes > list->bytes)
		return select_too_short(list);
	blocks = long_form ? get_be64(from) : get_be32(from);
	block = long_form ? get_be32(from + 12) : get_be24(from + 5);
	if (blocks && blocks != every && blocks != capacity)
		return select_bad_byte(list, list->at);
	if (block != scsi_block_bytes(list->task))
		return select_bad_byte(list, list->at + (long_form ? 12 : 5));
	list->at += bytes;
	return true;
}

static bool select_header(struct select_list *list)
{
	bool ten = list->task->cdb[0] == 0x55;
	uint32_t header = ten ? 8 : 4, descriptor;

	if (list->bytes < header)
		return select_too_short(list);
	descriptor = ten ? get_be16(list->data + 6) : list->data[3];
	list->at = header;
	return select_descriptor(list, descriptor, ten && list->data[4] & 1);
}

static const struct mode_page *select_find(
	const struct scsi_task *task, const uint8_t *from)
{
	bool sub = from[0] & 0x40;

	for (unsigned i = 0; i < mode_page_count; i++)
		if (mode_pages[i].code == (from[0] & 0x3f) &&
			mode_pages[i].subcode == (sub ? from[1] : 0) &&
			sub == (mode_pages[i].subcode != 0) &&
			mode_page_there(task, &mode_pages[i]))
			return &mode_pages[i];
	return NULL;
}

/* Bits that cannot be changed must be as MODE SENSE shows them. */
static bool select_page_bytes(
	struct select_list *list, const struct mode_page *page)
{
	const uint8_t *from = list->data + list->at;
	uint8_t now[MODE_PAGE_BYTES], changeable[MODE_PAGE_BYTES];
	uint32_t header = page->subcode ? 4 : 2;

	mode_page_fill(list->task, page, true, mode_current(list->task), now);
	mode_page_fill(list->task, page, false, mode_changeable(list->task),
		changeable);
	for (uint32_t i = header; i < page->bytes; i++)
		if ((from[i] ^ now[i]) & ~changeable[i])
			return select_bad_byte(list, list->at + i);
	for (unsigned i = 0; i < 3 && page->bit[i].flag; i++) {
		const struct mode_bit *bit = &page->bit[i];

		if (!(changeable[bit->byte] & bit->mask))
			continue;
		list->mask |= bit->flag;
		list->flags &= ~bit->flag;
		if (from[bit->byte] & bit->mask)
			list->flags |= bit->flag;
	}
	return true;
}

static bool select_page(struct select_list *list)
{
	const uint8_t *from = list->data + list->at;
	uint32_t left = list->bytes - list->at;
	const struct mode_page *page;
	uint32_t header, said;

	if (left < 4)
		return select_too_short(list);
	page = select_find(list->task, from);
	if (!page)
		return select_bad_byte(list, list->at);
	header = page->subcode ? 4 : 2;
	said = page->subcode ? get_be16(from + 2) : from[1];
	if (said != page->bytes - header)
		return select_bad_byte(list, list->at + (header == 4 ? 2 : 1));
	if (left < page->bytes)
		return select_too_short(list);
	if (!select_page_bytes(list, page))
		return false;
	list->at += page->bytes;
	return true;
}

/* -- carrying it out ------------------------------------------------------ */

/* In the task's scratch buffer. */
struct select_order {
	struct volume_call call;
	struct scsi_task *task;
	unsigned mask, flags;
	int result;
};

static void select_attend(struct volume_nexus *nexus, void *argument)
{
	const struct select_order *order = argument;

	if (nexus != order->task->logical_unit)
		volume_nexus_attend(nexus, ASC_MODE_PARAMETERS_CHANGED);
}

static void select_done(struct loop_message *message)
{
	struct select_order *order =
		container_of(message, struct select_order, call.message);

	if (order->result)
		scsi_sense_set(order->task, SENSE_HARDWARE_ERROR,
			ASC_INTERNAL_FAILURE);
	scsi_finish(order->task);
}

static void select_run_co(struct volume_call *call)
{
	struct select_order *order =
		container_of(call, struct select_order, call);
	struct volume *volume = scsi_volume(order->task);
	unsigned before = volume_flags(volume) & order->mask;

	order->result = volume_change_modes_co(
		volume, order->mask, order->flags, order->task->cdb[1] & 1);
	if (before != (volume_flags(volume) & order->mask))
		volume_tell_co(volume, select_attend, order);
	call->message.run = select_done;
	volume_answer(order->task->nexus->lane, &call->message);
}

static void select_start(struct scsi_task *task, const struct select_list *list)
{
	struct select_order *order;

	if (!list->mask || !scsi_scratch(task, sizeof *order)) {
		scsi_finish(task);
		return;
	}
	order = (void *)task->scratch->data;
	memset(order, 0, sizeof *order);
	order->task = task;
	order->mask = list->mask;
	order->flags = list->flags;
	order->call.entry_co = select_run_co;
	volume_on_control(scsi_volume(task), &order->call);
}

bool scsi_check_mode_select(struct scsi_task *task)
{
	if (!(task->cdb[1] & 0x10)) /* PF: pages, not vendor's bytes */
		scsi_sense_cdb(task, 1, 4);
	else if (task->cdb[1] & 1 && !scsi_volume(task)->store)
		scsi_sense_cdb(task, 1, 0);
	else
		return true;
	return false;
}

static bool select_check(struct scsi_task *task)
{
	if (!scsi_check_mode_select(task))
		return false;
	if (task->out_received == task->data_bytes)
		return true;
	scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
	return false;
}

void scsi_mode_select(struct scsi_task *task)
{
	struct select_list list = {.task = task, .bytes = task->data_bytes};
	bool right = select_check(task);

	if (right && task->data_bytes) {
		list.data = task->data->data;
		right = select_header(&list);
		while (right && list.at < list.bytes)
			right = select_page(&list);
	}
	if (right)
		select_start(task, &list);
	else
		scsi_finish(task);
}
