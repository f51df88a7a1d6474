/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of scsi_rig.h: to the lane of the session, and back. */
#include "tests/lib/scsi_rig.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/co.h"
#include "blockcore/base/list.h"

#include <string.h>

static void rig_take_data(struct scsi_rig_command *command)
{
	struct scsi_task *task = &command->task;

	if (task->data) {
		CHECK(task->in_bytes <= task->data_bytes);
		memcpy(command->data, task->data->data,
			task->in_bytes < sizeof command->data
				? task->in_bytes
				: sizeof command->data);
		buf_put(task->data);
		task->data = NULL;
	}
}

static void rig_arrived(struct loop_message *message)
{
	struct scsi_rig_command *command =
		container_of(message, struct scsi_rig_command, message);

	command->done = true;
	if (command->waiter)
		co_resume(command->waiter);
}

static void rig_done(struct scsi_task *task)
{
	struct scsi_rig_command *command =
		container_of(task, struct scsi_rig_command, task);
	struct block_core *core = task->nexus->lane->core;

	rig_take_data(command);
	command->message.run = rig_arrived;
	loop_post(block_core_lane(core, 0)->loop, &command->message);
}

static void rig_fill(struct scsi_task *task, const void *out, uint32_t bytes)
{
	if (!task->data_bytes)
		return;
	task->data = buf_get(task->nexus->lane->pool, task->data_bytes);
	CHECK(task->data);
	/* Other rubbish each time: what is not written shows as a difference. */
	memset(task->data->data, (int)(0xee + 37 * task->tag) & 0xff,
		task->data->capacity);
	if (task->direction != SCSI_DATA_OUT)
		return;
	task->out_received =
		bytes < task->data_bytes ? bytes : task->data_bytes;
	if (task->out_received)
		memcpy(task->data->data, out, task->out_received);
}

static void rig_begin(struct loop_message *message)
{
	struct scsi_rig_command *command =
		container_of(message, struct scsi_rig_command, message);
	struct scsi_task *task = &command->task;

	if (!scsi_task_begin(task)) {
		rig_done(task);
		return;
	}
	rig_fill(task, command->out, command->out_bytes);
	scsi_task_execute(task);
}

void scsi_rig_send(struct scsi_rig *rig, unsigned host,
	struct scsi_rig_command *command, const uint8_t *cdb, const void *out,
	uint32_t out_bytes)
{
	static uint32_t tag;
	struct scsi_task *task = &command->task;
	uint8_t attribute = task->attribute;

	memset(task, 0, sizeof *task);
	task->attribute = attribute;
	task->nexus = &rig->nexus[host];
	memcpy(task->cdb, cdb, 16);
	task->cdb_bytes = 16;
	task->tag = ++tag;
	task->expected_bytes = out_bytes;
	task->done = rig_done;
	command->out = out;
	command->out_bytes = out_bytes;
	command->waiter = NULL;
	command->done = false;
	command->message.run = rig_begin;
	loop_post(task->nexus->lane->loop, &command->message);
}

uint8_t scsi_rig_wait_co(struct scsi_rig_command *command)
{
	command->waiter = co_self();
	while (!command->done)
		co_yield ();
	command->waiter = NULL;
	return command->task.status;
}

uint8_t scsi_rig_do_co(struct scsi_rig *rig, unsigned host,
	struct scsi_rig_command *command, const uint8_t *cdb, const void *out,
	uint32_t out_bytes)
{
	command->task.attribute = SCSI_SIMPLE;
	scsi_rig_send(rig, host, command, cdb, out, out_bytes);
	return scsi_rig_wait_co(command);
}

uint32_t scsi_rig_sense(const struct scsi_rig_command *command)
{
	const uint8_t *sense = command->task.sense;

	if (!command->task.sense_bytes)
		return 0;
	if ((sense[0] & 0x7f) == 0x72)
		return get_be32(sense) & 0xffffff;
	return (uint32_t)(sense[2] & 0xf) << 16 | get_be16(sense + 12);
}
