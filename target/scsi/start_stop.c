/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TEST UNIT READY (SPC-4 6.47), START STOP UNIT (SBC-3 5.28), PREVENT ALLOW
 * MEDIUM REMOVAL (SBC-3 5.13).
 *
 * Ejecting concerns every host, so a host that may only read cannot. There is no
 * motor: stopping (START 0 without LOEJ) makes durable what is cached and leaves the
 * unit ready, for the others use it; power conditions change nothing, also those that
 * the standard has none of (which libiscsi's suite counts on).
 */
#include "target/scsi/task.h"
#include "target/volume/drain.h"

#include <errno.h>

/* The checks before it are all of it. */
void scsi_test_unit_ready(struct scsi_task *task)
{
	scsi_finish(task);
}

enum { START_START = 1, START_LOEJ = 2, START_NO_FLUSH = 4 };

/* In the task's scratch buffer. */
struct start_work {
	struct volume_call call;
	struct scsi_task *task;
};

static void start_attend(struct volume_nexus *nexus, void *argument)
{
	const struct start_work *work = argument;

	if (!volume_initiator_same(
		    nexus->initiator, work->task->logical_unit->initiator))
		volume_nexus_attend(nexus, ASC_MEDIUM_MAY_HAVE_CHANGED);
}

static void start_told(struct loop_message *message)
{
	scsi_finish(
		container_of(message, struct start_work, call.message)->task);
}

static void start_tell_co(struct volume_call *call)
{
	struct start_work *work = container_of(call, struct start_work, call);

	volume_tell_co(scsi_volume(work->task), start_attend, work);
	call->message.run = start_told;
	volume_answer(work->task->nexus->lane, &call->message);
}

/* A medium that comes may be another one, for all others at least. */
static void start_load(struct scsi_task *task)
{
	struct volume *volume = scsi_volume(task);
	struct start_work *work;

	if (!(volume_flags(volume) & VOLUME_EJECTED) ||
		!scsi_scratch(task, sizeof *work)) {
		scsi_finish(task);
		return;
	}
	atomic_fetch_and(&volume->flags, ~(unsigned)VOLUME_EJECTED);
	work = (void *)task->scratch->data;
	*work = (struct start_work){
		.call.entry_co = start_tell_co, .task = task};
	volume_on_control(volume, &work->call);
}

static void stop_now(struct scsi_task *task)
{
	if (task->cdb[4] & START_LOEJ)
		atomic_fetch_or(&scsi_volume(task)->flags, VOLUME_EJECTED);
}

static void stop_flushed(struct block_request *request)
{
	struct scsi_task *task = scsi_task_of(request);
	int result = volume_flushed(scsi_way(task), request->result);

	task->submitted = false;
	if (result)
		scsi_sense_errno(task, result, true);
	else if (!task->aborted)
		stop_now(task);
	scsi_finish(task);
}

static void stop_start(struct scsi_task *task)
{
	bool online = atomic_load(&scsi_way(task)->source);

	if (online && !(task->cdb[4] & START_NO_FLUSH)) {
		scsi_submit(task, BLOCK_FLUSH, 0, 0, 0, 0, stop_flushed);
		return;
	}
	stop_now(task);
	scsi_finish(task);
}

static bool start_check(struct scsi_task *task)
{
	unsigned condition = task->cdb[4] >> 4;
	bool moves = !condition && task->cdb[4] & START_LOEJ;

	if (moves && !scsi_volume(task)->settings.removable)
		scsi_sense_cdb(task, 4, 1);
	else if (moves && task->logical_unit->read_only)
		scsi_sense_set(task, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
	else if (moves && atomic_load(&scsi_volume(task)->removal_prevented))
		scsi_sense_set(
			task, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
	/* START=1 is allowed under any reservation, all else a change. */
	else if ((condition || !(task->cdb[4] & START_START)) &&
		!reservation_permits(task->logical_unit, RESERVATION_WRITES))
		task->status = SCSI_RESERVATION_CONFLICT;
	else
		return true;
	return false;
}

void scsi_start_stop(struct scsi_task *task)
{
	task->lba = 0;
	if (!start_check(task) || task->cdb[4] >> 4)
		scsi_finish(task);
	else if (task->cdb[4] & START_START)
		start_load(task);
	else
		stop_start(task);
}

void scsi_prevent_allow(struct scsi_task *task)
{
	bool prevent = task->cdb[4] & 1;

	if (prevent &&
		!reservation_permits(task->logical_unit, RESERVATION_WRITES))
		task->status = SCSI_RESERVATION_CONFLICT;
	else if (task->cdb[4] & 2) /* obsolete */
		scsi_sense_cdb(task, 4, 1);
	else
		volume_nexus_prevent(task->logical_unit, prevent);
	scsi_finish(task);
}
