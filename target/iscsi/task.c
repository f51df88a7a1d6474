/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of wire tasks: object, tag, buffer. All constant time but for the walk
 * along a bucket, which the command window bounds.
 */
#include "target/iscsi/task.h"

#include "target/iscsi/shortage.h"

#include <assert.h>

/* Hosts count their tags up, or put an age into the upper half. */
static struct iscsi_task **bucket_of(
	const struct iscsi_connection *connection, uint32_t tag)
{
	uint32_t mixed = tag ^ tag >> 8 ^ tag >> 16;

	return &connection->bucket[mixed % CONNECTION_BUCKETS];
}

static void init_task(struct iscsi_task *task)
{
	struct scsi_task *scsi = &task->scsi;

	scsi->data = NULL;
	scsi->out_received = 0;
	scsi->data_bytes = 0;
	scsi->in_bytes = 0;
	scsi->sense_bytes = 0;
	scsi->direction = SCSI_NO_DATA;
	task->buffer_bytes = 0;
	task->state = TASK_NEW;
	task->unsolicited = task->silenced = task->failing = false;
	task->wanted = task->received = task->burst_end = 0;
	task->data_sn = task->r2t_sn = task->r2ts_answered = 0;
	task->in_next = task->in_end = task->in_sn = 0;
	task->outs = 0;
}

struct iscsi_task *task_get(
	struct iscsi_connection *connection, uint32_t tag, bool immediate)
{
	struct iscsi_task *task = slab_get(&connection->lane->tasks);
	struct iscsi_task **bucket;

	if (!task)
		return NULL;
	init_task(task);
	task->connection = connection;
	task->scsi.nexus = &connection->nexus;
	task->scsi.tag = tag;
	task->immediate = immediate;
	bucket = bucket_of(connection, tag);
	task->next = *bucket;
	*bucket = task;
	connection->tasks++;
	if (immediate)
		connection->immediate++;
	else
		connection->running++;
	return task;
}

struct iscsi_task *task_find(
	const struct iscsi_connection *connection, uint32_t tag)
{
	struct iscsi_task *task = *bucket_of(connection, tag);

	while (task && task->scsi.tag != tag)
		task = task->next;
	return task;
}

/* Forgets that data or a buffer was to come for it. */
static void stop_waiting(struct iscsi_task *task)
{
	struct iscsi_connection *connection = task->connection;

	if (task->state == TASK_WAITING)
		STAILQ_REMOVE(
			&connection->waiting, task, iscsi_task, wait_link);
	if (task->state == TASK_RECEIVING)
		connection->incoming--;
	if (connection->receive.task == task)
		connection->receive.task = NULL;
}

void task_leave(struct iscsi_task *task)
{
	struct iscsi_connection *connection = task->connection;
	struct iscsi_task **at = bucket_of(connection, task->scsi.tag);

	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	stop_waiting(task);
	task->state = TASK_ANSWERING;
	if (task->immediate)
		connection->immediate--;
	else
		connection->running--;
}

/* Data for it is still on its way into the buffer, which lasts until then. */
static void leave_to_receiver(const struct iscsi_task *task)
{
	struct connection_receive *receive = &task->connection->receive;

	if (receive->hold == task->scsi.data &&
		(receive->step == RECEIVE_DATA ||
			receive->step == RECEIVE_TAIL))
		receive->own_bytes = task->scsi.data->capacity;
}

void task_put(struct iscsi_task *task)
{
	struct iscsi_connection *connection = task->connection;

	assert(task->state == TASK_ANSWERING && task->outs == 0);
	if (task->scsi.data) {
		connection->held_bytes -= task->scsi.data->capacity;
		leave_to_receiver(task);
		buf_put(task->scsi.data);
	}
	connection->tasks--;
	slab_put(&connection->lane->tasks, task);
}

bool task_take_buffer(struct iscsi_task *task)
{
	struct iscsi_connection *connection = task->connection;
	struct buf_pool *pool = connection->lane->lane->pool;
	size_t would_hold = connection->held_bytes + task->buffer_bytes;

	if (task->buffer_bytes == 0)
		return true;
	/* One command always fits, whatever its size. */
	if (connection->held_bytes &&
		would_hold > connection->lane->quota_bytes) {
		buf_wait(pool, &connection->waiter);
		return false;
	}
	task->scsi.data =
		buf_get_or_wait(pool, task->buffer_bytes, &connection->waiter);
	if (!task->scsi.data) {
		shortage_begin(connection);
		return false;
	}
	shortage_end(connection);
	connection->held_bytes += task->scsi.data->capacity;
	return true;
}

void task_execute(struct iscsi_task *task)
{
	if (task->state == TASK_RECEIVING)
		task->connection->incoming--;
	task->state = TASK_EXECUTING;
	if (task->scsi.aborted)
		return; /* its end is on the way */
	task->scsi.out_received =
		task->received < task->wanted ? task->received : task->wanted;
	scsi_task_execute(&task->scsi);
}
