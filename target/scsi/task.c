/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task from begin to done: looking the CDB up, the checks before data is asked for
 * and before it runs, order within the unit, ending.
 *
 * Order (SAM-5 8.6), by the place in nexus->tasks, which is the order of begin:
 * an ORDERED task waits for all earlier ones of its unit, every other one waits
 * for earlier ORDERED ones, HEAD OF QUEUE for nothing. Units without ORDERED
 * tasks pay one comparison.
 */
#include "target/scsi/task.h"

#include "blockcore/base/trace.h"

#include <assert.h>

/* -- begin ---------------------------------------------------------------- */

/* The first attention becomes the result, and is told by that. */
static void task_attend(struct scsi_task *task)
{
	scsi_sense_attention(task, volume_nexus_told(task->logical_unit));
}

static bool task_owes_attention(const struct scsi_task *task)
{
	return task->logical_unit && task->logical_unit->attentions &&
		!(task->command &&
			task->command->flags & SCSI_KEEPS_ATTENTION) &&
		volume_nexus_owed(task->logical_unit);
}

/* Refused: sense is set, but an attention comes first. */
static bool task_refuse(struct scsi_task *task)
{
	if (task_owes_attention(task))
		task_attend(task);
	task->direction = SCSI_NO_DATA;
	task->data_bytes = 0;
	task->state = SCSI_CONCLUDED;
	scsi_figures_end(task);
	return false;
}

static bool task_check_unit(struct scsi_task *task);

/* Of what the CDB shows to be wrong no data is asked for. What else stands in the way
 * comes first. */
static bool task_accept(struct scsi_task *task)
{
	bool (*check)(struct scsi_task *) = task->command->check;

	if (task->direction != SCSI_DATA_OUT || !check || check(task))
		return true;
	scsi_figures_begin(task);
	task->status = SCSI_GOOD;
	task->sense_bytes = 0;
	if (task_check_unit(task))
		check(task);
	return false;
}

static bool task_look_up(struct scsi_task *task)
{
	bool known;

	task->command = scsi_command_find(task->cdb, &known);
	if (!task->logical_unit &&
		!(task->command && task->command->flags & SCSI_WITHOUT_UNIT))
		scsi_sense_set(
			task, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
	else if (!task->command && known)
		scsi_sense_cdb(task, 1, 4);
	else if (!task->command || task->command->cdb_bytes > task->cdb_bytes)
		scsi_sense_set(task, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
	else
		return true;
	return false;
}

bool scsi_task_begin(struct scsi_task *task)
{
	struct scsi_logical_unit *unit = scsi_unit_find(task->nexus, task->lun);

	trace(scsi_start, (uintptr_t)task, task->cdb[0]);
	task->logical_unit = (struct volume_nexus *)unit;
	task->direction = SCSI_NO_DATA;
	task->data_bytes = 0;
	task->data = NULL;
	task->out_received = 0;
	task->status = SCSI_GOOD;
	task->sense_bytes = 0;
	task->in_bytes = 0;
	task->state = SCSI_BEGUN;
	task->aborted = task->aborted_by_other = task->submitted = false;
	task->counted = task->timed = task->formats = false;
	task->waits_for_space = false;
	task->cached = false;
	task->space_deadline_ns = 0;
	task->changed_bytes = 0;
	task->step = 0;
	task->scratch = NULL;
	task->order = NULL;
	task->awaited_by = NULL;
	if (!task_look_up(task) || !scsi_measure(task))
		return task_refuse(task);
	scsi_figures_arrive(task);
	if (!task_accept(task))
		return task_refuse(task);
	TAILQ_INSERT_TAIL(&task->nexus->tasks, task, link);
	if (unit && task->attribute == SCSI_ORDERED)
		unit->ordered++;
	return true;
}

/* -- before it runs ------------------------------------------------------- */

/* What stands in the way of a command, but for attentions. */
static bool task_check_unit(struct scsi_task *task)
{
	const struct scsi_command *command = task->command;

	if (!scsi_check_path(task) || !scsi_check_format(task))
		return false;
	if (!reservation_permits(task->logical_unit, command->access)) {
		task->status = SCSI_RESERVATION_CONFLICT;
		return false;
	}
	if (!(command->flags & SCSI_WITHOUT_MEDIUM) && !scsi_check_ready(task))
		return false;
	if (command->flags & SCSI_CHANGES_MEDIUM &&
		scsi_write_protected(task->logical_unit)) {
		scsi_sense_set(task, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
		return false;
	}
	return true;
}

static bool task_check(struct scsi_task *task)
{
	if (!task->logical_unit)
		return true;
	if (!task_owes_attention(task))
		return task_check_unit(task);
	task_attend(task);
	return false;
}

/* A reply is made in the buffer (at least 4 KiB) or, when the host asks for no
 * byte of it, only to find what is wrong with the command. */
static void task_reply(struct scsi_task *task)
{
	uint8_t nothing[BUF_MIN_BYTES];
	uint32_t bytes;

	assert(!task->data || task->data->capacity >= BUF_MIN_BYTES);
	bytes = task->command->reply(
		task, task->data ? task->data->data : nothing);
	if (task->status == SCSI_GOOD)
		task->in_bytes =
			bytes < task->data_bytes ? bytes : task->data_bytes;
	scsi_finish(task);
}

static void task_run(struct scsi_task *task)
{
	task->state = SCSI_RUNNING;
	if (task->logical_unit)
		task->logical_unit->tasks++;
	if (!task_check(task))
		scsi_finish(task);
	else if (task->command->reply)
		task_reply(task);
	else
		task->command->execute(task);
}

/* True if a task before this one in its unit is in its way. */
static bool task_has_earlier(const struct scsi_task *task, bool only_ordered)
{
	const struct scsi_task *earlier;

	TAILQ_FOREACH (earlier, &task->nexus->tasks, link) {
		if (earlier == task)
			return false;
		if (earlier->logical_unit == task->logical_unit &&
			(!only_ordered || earlier->attribute == SCSI_ORDERED))
			return true;
	}
	return false;
}

static bool task_must_wait(const struct scsi_task *task)
{
	const struct scsi_logical_unit *unit = scsi_unit(task);

	if (!unit)
		return false;
	if (unit->nexus.draining)
		return true;
	if (!unit->ordered || task->attribute == SCSI_HEAD)
		return false;
	return task_has_earlier(task, task->attribute != SCSI_ORDERED);
}

void scsi_task_execute(struct scsi_task *task)
{
	struct scsi_private *private = task->nexus->private;

	assert(task->state == SCSI_BEGUN);
	scsi_figures_begin(task);
	if (task_must_wait(task)) {
		task->state = SCSI_BLOCKED;
		scsi_unit(task)->blocked++;
		return;
	}
	private->inside++;
	task_run(task);
	private->inside--;
}

void scsi_unit_wake(struct volume_nexus *nexus)
{
	struct scsi_logical_unit *unit = nexus->command_set;
	struct scsi_nexus *owner = unit->owner;
	struct scsi_task *task, *next;

	owner->private->inside++;
	TAILQ_FOREACH_SAFE (task, &owner->tasks, link, next) {
		if (!unit->blocked)
			break;
		if (task->logical_unit != nexus || task_must_wait(task) ||
			task->state != SCSI_BLOCKED)
			continue;
		unit->blocked--;
		task_run(task);
	}
	owner->private->inside--;
}

/* -- the end -------------------------------------------------------------- */

static void task_leave(struct scsi_task *task)
{
	if (task->logical_unit && task->attribute == SCSI_ORDERED)
		scsi_unit(task)->ordered--;
	if (task->formats)
		scsi_format_end(task);
	if (task->scratch)
		buf_put(task->scratch);
	task->scratch = NULL;
}

static void task_settle_aborted(struct scsi_task *task)
{
	bool tell = task->aborted_by_other && task->logical_unit &&
		volume_flags(scsi_volume(task)) & VOLUME_TASK_ABORTED;

	task->status = tell ? SCSI_TASK_ABORTED : SCSI_ABORTED;
	task->sense_bytes = 0;
	task->in_bytes = 0;
}

/* What waits for the unit's tasks hears of it. */
static void unit_settle(struct volume_nexus *nexus)
{
	struct scsi_logical_unit *unit = nexus->command_set;

	if (nexus->draining && !nexus->tasks)
		volume_nexus_drained(nexus);
	else if (unit->blocked)
		scsi_unit_wake(nexus);
	if (unit->owner->private->retiring)
		scsi_nexus_post(unit->owner);
}

/* The task is on no list any more. */
static void task_conclude(struct scsi_task *task)
{
	struct volume_nexus *nexus = task->logical_unit;
	struct scsi_management *awaited_by = task->awaited_by;

	task_leave(task);
	task->state = SCSI_CONCLUDED;
	if (task->aborted)
		task_settle_aborted(task);
	scsi_figures_end(task);
	if (nexus)
		nexus->tasks--;
	trace(scsi_done, (uintptr_t)task, task->status);
	task->done(task);
	if (awaited_by)
		scsi_manage_answer(awaited_by);
	if (nexus)
		unit_settle(nexus);
}

void scsi_finish(struct scsi_task *task)
{
	struct scsi_nexus *nexus = task->nexus;

	assert(task->state == SCSI_RUNNING);
	if (scsi_owes_flush(task)) {
		scsi_flush(task);
		return;
	}
	task->state = SCSI_FINISHED;
	TAILQ_REMOVE(&nexus->tasks, task, link);
	if (!nexus->private->inside) {
		task_conclude(task);
		return;
	}
	TAILQ_INSERT_TAIL(&nexus->private->finished, task, link);
	scsi_nexus_post(nexus);
}

void scsi_nexus_post(struct scsi_nexus *nexus)
{
	if (nexus->private->posted)
		return;
	nexus->private->posted = true;
	loop_post(nexus->lane->loop, &nexus->private->message);
}

/* Runs what has finished; from the turn of nexus.c. */
void scsi_nexus_conclude(struct scsi_nexus *nexus)
{
	struct scsi_task_list batch = TAILQ_HEAD_INITIALIZER(batch);
	struct scsi_task *task;

	/* What these bring to an end waits for the next turn. */
	TAILQ_CONCAT(&batch, &nexus->private->finished, link);
	while ((task = TAILQ_FIRST(&batch))) {
		TAILQ_REMOVE(&batch, task, link);
		task_conclude(task);
	}
}

/* A task that the transport takes back before it ran. */
void scsi_task_drop(struct scsi_task *task)
{
	struct volume_nexus *nexus = task->logical_unit;

	assert(task->state == SCSI_BEGUN);
	task->state = SCSI_CONCLUDED;
	TAILQ_REMOVE(&task->nexus->tasks, task, link);
	task_leave(task);
	if (nexus)
		unit_settle(nexus);
}

void scsi_task_refuse(struct scsi_task *task, enum scsi_status status)
{
	scsi_figures_begin(task);
	scsi_task_drop(task);
	task->status = (uint8_t)status;
	task->sense_bytes = 0;
	scsi_figures_end(task);
}

void scsi_task_fail(struct scsi_task *task, uint8_t key, uint16_t asc_ascq)
{
	scsi_sense_set(task, key, asc_ascq);
	scsi_task_drop(task);
}

/* It ends as soon as what it waits for lets go of it. */
static void task_interrupt(struct scsi_task *task)
{
	if (task->order)
		reservation_withdraw(task->order);
	else if (!scsi_space_abort(task) && task->submitted)
		block_cancel(&task->block);
}

void scsi_task_abort(struct scsi_task *task, bool by_other)
{
	struct scsi_private *private = task->nexus->private;

	if (task->state >= SCSI_FINISHED || task->aborted)
		return;
	task->aborted = true;
	task->aborted_by_other = by_other;
	if (task->state == SCSI_RUNNING) {
		task_interrupt(task);
		return;
	}
	if (task->state == SCSI_BLOCKED)
		scsi_unit(task)->blocked--;
	task->state = SCSI_RUNNING;
	if (task->logical_unit)
		task->logical_unit->tasks++;
	private->inside++;
	scsi_finish(task);
	private->inside--;
}

void scsi_unit_abort(struct volume_nexus *nexus, bool by_other)
{
	struct scsi_logical_unit *unit = nexus->command_set;
	struct scsi_task *task, *next;

	TAILQ_FOREACH_SAFE (task, &unit->owner->tasks, link, next)
		if (task->logical_unit == nexus)
			scsi_task_abort(task, by_other);
}
