/* SPDX-License-Identifier: Apache-2.0 */
/* See space_wait.h. */
#include "target/scsi/space_wait.h"

#include <errno.h>

#define NS_PER_S 1000000000ull

static struct scsi_private *private_of(const struct scsi_task *task)
{
	return task->nexus->private;
}

static void take_out(struct scsi_task *task)
{
	struct scsi_private *private = private_of(task);

	task->waits_for_space = false;
	private->waiting--;
	TAILQ_REMOVE(&private->waiters, task, space_link);
	if (!private->waiting)
		loop_timer_clear(
			task->nexus->lane->loop, &private->space_timer);
}

static void retry(struct loop_timer *timer)
{
	struct scsi_private *private =
		container_of(timer, struct scsi_private, space_timer);
	struct scsi_task *task;

	/* Those that wait now, once: who is refused again stands behind them. */
	for (unsigned n = private->waiting;
		n && (task = TAILQ_FIRST(&private->waiters)); n--) {
		take_out(task);
		scsi_submit_again(task);
	}
}

static void put_in(struct scsi_task *task)
{
	struct scsi_private *private = private_of(task);

	task->waits_for_space = true;
	task->submitted = false;
	TAILQ_INSERT_TAIL(&private->waiters, task, space_link);
	if (!private->waiting++)
		loop_timer_set(task->nexus->lane->loop, &private->space_timer,
			SPACE_RETRY_NS);
}

static bool buffers_run_short(const struct block_lane *lane)
{
	size_t bytes;
	void *base;

	buf_pool_region(lane->pool, &base, &bytes);
	return buf_pool_used_bytes(lane->pool) > bytes / 2;
}

static bool time_is_over(struct scsi_task *task)
{
	struct volume *volume = scsi_volume(task);
	uint64_t now = loop_now_ns(task->nexus->lane->loop);

	if (!task->space_deadline_ns) {
		task->space_deadline_ns =
			now + volume->settings.space_wait_s * NS_PER_S;
		volume_waits_for_space(volume, task->nexus->lane);
	}
	return now >= task->space_deadline_ns;
}

bool scsi_space_waits(const struct scsi_task *task, enum block_opcode op)
{
	return scsi_volume(task)->settings.space_wait_s &&
		(op == BLOCK_WRITE || op == BLOCK_WRITE_ZEROES) &&
		!task->formats;
}

void scsi_space_done(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);

	if (request->result != -ENOSPC || task->aborted || time_is_over(task)) {
		task->space_done(request);
	} else if (buffers_run_short(task->nexus->lane)) {
		request->result = -EBUSY;
		task->space_done(request);
	} else {
		put_in(task);
	}
}

bool scsi_space_abort(struct scsi_task *task)
{
	struct scsi_private *private = private_of(task);

	if (!task->waits_for_space)
		return false;
	take_out(task);
	task->block.result = -ECANCELED;
	private->inside++;
	task->space_done(&task->block);
	private->inside--;
	return true;
}

void scsi_space_open(struct scsi_private *private)
{
	TAILQ_INIT(&private->waiters);
	private->space_timer.expired = retry;
}
