/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management (SAM-5 clause 7, RFC 7143 11.5). What concerns other nexuses
 * runs as a coroutine on the control lane and visits each of them on its lane;
 * the answer comes when the last affected task has ended. The nexus's own tasks are
 * aborted at once, so that what its host sends behind the function is not.
 *
 *	ABORT TASK		one task of this nexus
 *	ABORT TASK SET		this nexus's tasks in one unit
 *	CLEAR TASK SET		everybody's tasks in one unit; others: 2Fh/00h
 *	LOGICAL UNIT RESET	the same, RESERVE and PREVENT end, mode pages are as
 *				they were saved; others: 29h/03h
 *	TARGET RESETs		a reset of every unit of the target that the host sees
 */
#include "target/scsi/task.h"
#include "target/volume/drain.h"

#include <string.h>

/* -- one nexus ------------------------------------------------------------ */

struct manage_visit {
	struct scsi_management *management;
	/* The only nexus concerned, or NULL for all. */
	const struct scsi_nexus *only;
	uint16_t attention; /* for the others */
	bool reset;
};

static bool manage_tell(struct volume_nexus *nexus, void *argument)
{
	const struct manage_visit *visit = argument;
	const struct scsi_logical_unit *unit = nexus->command_set;
	bool own = unit->owner == visit->management->nexus;
	bool had_tasks = nexus->tasks || unit->blocked;

	if (visit->only && unit->owner != visit->only)
		return false;
	if (!own && nexus->abort_tasks)
		nexus->abort_tasks(nexus, true);
	if (visit->reset)
		volume_nexus_prevent(nexus, false);
	if (visit->attention && (visit->reset || (!own && had_tasks)))
		volume_nexus_attend(nexus, visit->attention);
	return true;
}

/* -- a volume ------------------------------------------------------------- */

struct manage_release {
	struct reservation_order order;
	struct co *co;
};

static void manage_released(struct reservation_order *order)
{
	co_resume(container_of(order, struct manage_release, order)->co);
}

/* An old reservation ends with a reset (SPC-2 5.5.1); persistent ones stay. */
static void manage_release_co(struct volume *volume)
{
	const struct reservation_table *table =
		atomic_load(&volume->reservations);
	struct manage_release release = {
		.order = {.volume = volume,
			.lane = block_core_lane(volume->core, 0),
			.action = RESERVATION_LUN_RESET,
			.done = manage_released},
		.co = co_self(),
	};

	if (!table || !table->legacy)
		return;
	reservation_submit(&release.order);
	co_yield ();
}

static void manage_volume_co(
	struct scsi_management *management, struct volume *volume)
{
	struct manage_visit visit = {.management = management};

	switch (management->function) {
	case SCSI_ABORT_TASK:
	case SCSI_ABORT_TASK_SET: visit.only = management->nexus; break;
	case SCSI_CLEAR_TASK_SET: visit.attention = ASC_COMMANDS_CLEARED; break;
	default:
		visit.reset = true;
		visit.attention = ASC_BUS_DEVICE_RESET;
		break;
	}
	if (visit.reset)
		volume_format_stop_co(volume);
	volume_visit_co(volume, manage_tell, &visit);
	if (!visit.reset)
		return;
	manage_release_co(volume);
	volume_reset_modes_co(volume);
}

/* -- the function --------------------------------------------------------- */

static void manage_answer(struct loop_message *message)
{
	struct scsi_management *management =
		container_of(message, struct scsi_management, call.message);

	access_put(management->table);
	management->done(management);
}

/* The units of the target that the host may use: those of others are none of
 * its business. */
static void manage_target_co(struct scsi_management *management)
{
	const struct access_target *target = management->target;

	for (unsigned i = 0; i < target->exports; i++) {
		const struct access_export *export = &target->export[i];

		if (access_names(export, management->host))
			manage_volume_co(management, export->volume);
	}
}

static void manage_run_co(struct volume_call *call)
{
	struct scsi_management *management =
		container_of(call, struct scsi_management, call);

	if (management->volume)
		manage_volume_co(management, management->volume);
	else
		manage_target_co(management);
	call->message.run = manage_answer;
	volume_answer(management->nexus->lane, &call->message);
}

void scsi_manage_answer(struct scsi_management *management)
{
	struct scsi_management *next;

	for (; management; management = next) {
		next = management->next;
		management->call.message.run = manage_answer;
		volume_answer(
			management->nexus->lane, &management->call.message);
	}
}

static void manage_refuse(struct scsi_management *management, uint8_t response)
{
	management->response = response;
	scsi_manage_answer(management);
}

/* The answer comes when the task has ended, whatever its I/O does until then. */
static void manage_abort_task(struct scsi_management *management)
{
	struct scsi_task *task = management->task;

	if (!task || task->state == SCSI_CONCLUDED) {
		manage_refuse(management, SCSI_NO_TASK);
		return;
	}
	management->next = task->awaited_by;
	task->awaited_by = management;
	scsi_task_abort(task, false);
}

static bool manage_one_unit(struct scsi_management *management,
	const struct scsi_logical_unit *unit)
{
	if (!unit) {
		manage_refuse(management, SCSI_NO_LUN);
		return false;
	}
	management->volume = unit->nexus.volume;
	return true;
}

/* A target without units has nobody to reset. */
static bool manage_all_units(struct scsi_management *management)
{
	if (management->target->exports)
		return true;
	manage_refuse(management, SCSI_FUNCTION_COMPLETE);
	return false;
}

/* What runs in the nexus itself, in each unit that shows the volume. */
static void manage_abort_own(struct scsi_management *management)
{
	struct scsi_nexus *nexus = management->nexus;

	for (unsigned i = 0; i < nexus->units; i++) {
		struct volume_nexus *unit = &nexus->unit[i]->nexus;

		if (!management->volume || unit->volume == management->volume)
			scsi_unit_abort(unit, false);
	}
}

void scsi_manage(struct scsi_management *management)
{
	struct scsi_nexus *nexus = management->nexus;
	const struct scsi_logical_unit *unit =
		scsi_unit_find(nexus, management->lun);
	bool go = false;

	management->table = access_get(nexus->table);
	management->target = nexus->target;
	management->host = nexus->host;
	management->volume = NULL;
	management->next = NULL;
	management->response = SCSI_FUNCTION_COMPLETE;
	switch (management->function) {
	case SCSI_ABORT_TASK: manage_abort_task(management); break;
	case SCSI_ABORT_TASK_SET:
	case SCSI_CLEAR_TASK_SET:
	case SCSI_LUN_RESET: go = manage_one_unit(management, unit); break;
	case SCSI_TARGET_WARM_RESET:
	case SCSI_TARGET_COLD_RESET: go = manage_all_units(management); break;
	default: manage_refuse(management, SCSI_NOT_SUPPORTED); break;
	}
	if (!go)
		return;
	manage_abort_own(management);
	management->call.entry_co = manage_run_co;
	volume_on_control(management->volume
			? management->volume
			: management->target->export[0].volume,
		&management->call);
}
