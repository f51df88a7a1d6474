/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET LBA STATUS (SBC-3 5.6): extents of the source as descriptors of blocks. A
 * block of which any part is allocated counts as mapped.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

#include <string.h>

enum {
	STATUS_HEADER_BYTES = 8,
	STATUS_DESCRIPTOR_BYTES = 16,
	STATUS_MAPPED = 0,
	STATUS_DEALLOCATED = 1,
	STATUS_EXTENTS = 128,
};
/* Never asked for more at once: the answer may cover less than the rest. */
#define STATUS_BLOCKS (1u << 31)

/* In the task's scratch buffer. */
struct status_work {
	struct block_extents extents;
	struct block_extent extent[STATUS_EXTENTS];
};
_Static_assert(sizeof(struct status_work) <= BUF_MIN_BYTES,
	"the extents fit into the smallest buffer");

struct status_reply {
	uint8_t *to;
	unsigned count, room;
	uint64_t next; /* block after the last descriptor */
	int provisioning; /* of the last descriptor */
};

static uint8_t *status_last(const struct status_reply *reply)
{
	return reply->to + STATUS_HEADER_BYTES +
		(reply->count - 1) * STATUS_DESCRIPTOR_BYTES;
}

/* False when there is no room for more. */
static bool status_add(
	struct status_reply *reply, uint64_t end, uint8_t provisioning)
{
	uint8_t *last;

	if (!reply->count || reply->provisioning != provisioning) {
		if (reply->count == reply->room)
			return false;
		reply->count++;
		last = status_last(reply);
		memset(last, 0, STATUS_DESCRIPTOR_BYTES);
		put_be64(last, reply->next);
		last[12] = provisioning;
		reply->provisioning = provisioning;
	}
	last = status_last(reply);
	put_be32(last + 8, (uint32_t)(end - get_be64(last)));
	reply->next = end;
	return true;
}

static void status_describe(
	const struct scsi_task *task, struct status_reply *reply)
{
	const struct status_work *work = (void *)task->scratch->data;
	uint32_t block = scsi_block_bytes(task);

	for (uint32_t i = 0; i < work->extents.count; i++) {
		const struct block_extent *extent = &work->extent[i];
		uint64_t end = extent->offset_bytes + extent->length_bytes;
		bool mapped = extent->flags & BLOCK_EXTENT_DATA;

		end = (end + (mapped ? block - 1 : 0)) / block;
		if (end > reply->next &&
			!status_add(reply, end,
				mapped ? STATUS_MAPPED : STATUS_DEALLOCATED))
			return;
	}
}

static void status_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);
	struct status_reply reply = {.to = task->data->data, .next = task->lba};
	uint32_t bytes = STATUS_HEADER_BYTES;

	task->submitted = false;
	if (request->result) {
		scsi_sense_errno(task, request->result, false);
		scsi_finish(task);
		return;
	}
	reply.room = task->data_bytes / STATUS_DESCRIPTOR_BYTES + 1;
	memset(reply.to, 0, STATUS_HEADER_BYTES);
	status_describe(task, &reply);
	bytes += reply.count * STATUS_DESCRIPTOR_BYTES;
	put_be32(reply.to, bytes - 4);
	task->in_bytes = bytes < task->data_bytes ? bytes : task->data_bytes;
	scsi_finish(task);
}

void scsi_lba_status(struct scsi_task *task)
{
	uint32_t block = scsi_block_bytes(task);
	struct status_work *work;
	uint64_t blocks;

	if (!scsi_check_range(task, task->lba, 1) || !task->data ||
		!scsi_scratch(task, sizeof *work)) {
		scsi_finish(task);
		return;
	}
	blocks = scsi_capacity_blocks(task) - task->lba;
	if (blocks > STATUS_BLOCKS)
		blocks = STATUS_BLOCKS;
	work = (void *)task->scratch->data;
	work->extents.extent = work->extent;
	work->extents.room = STATUS_EXTENTS;
	work->extents.count = 0;
	scsi_submit(task, BLOCK_EXTENTS, 0, task->lba * block, blocks * block,
		0, status_done);
}
