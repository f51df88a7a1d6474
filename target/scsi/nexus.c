/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I_T nexus and the logical units it sees: opening, finding by LUN,
 * refreshing when exports change, closing.
 *
 * A unit that leaves is taken out of the array at once and retires in steps, one
 * in each turn of the loop that finds it ready: its tasks end, an old reservation
 * of its nexus is dropped, it is closed.
 */
#include "target/scsi/space_wait.h"
#include "target/scsi/task.h"

#include "blockcore/base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- finding -------------------------------------------------------------- */

/* SAM-5 4.7.7: peripheral addressing and flat space, one level. We tell of LUNs from
 * 256 on in flat space; libiscsi, with it QEMU, and LIO number on where the first form
 * has a bus. There are no buses here, so that is no other unit's number. */
static int lun_decode(const uint8_t *lun)
{
	uint64_t value = get_be64(lun);
	unsigned first = (unsigned)(value >> 48);

	return value << 16 || first >> 15 ? -1 : (int)(first & 0x3fff);
}

bool scsi_lun_same(const uint8_t *one, const uint8_t *other)
{
	return !memcmp(one, other, 8) ||
		(lun_decode(one) >= 0 && lun_decode(one) == lun_decode(other));
}

/* Of units in order of their LUNs. */
static struct scsi_logical_unit *units_search(
	struct scsi_logical_unit *const *unit, unsigned units, unsigned lun)
{
	unsigned low = 0, high = units;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (unit[middle]->lun == lun)
			return unit[middle];
		if (unit[middle]->lun < lun)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static struct scsi_logical_unit *unit_search(
	const struct scsi_nexus *nexus, unsigned lun)
{
	return units_search(nexus->unit, nexus->units, lun);
}

struct scsi_logical_unit *scsi_unit_find(
	const struct scsi_nexus *nexus, const uint8_t *lun)
{
	int number = lun_decode(lun);

	if (number < 0)
		return NULL;
	/* LUNs without a gap from 0 on are found at once. */
	if ((unsigned)number < nexus->units &&
		nexus->unit[number]->lun == number)
		return nexus->unit[number];
	return unit_search(nexus, (unsigned)number);
}

bool scsi_nexus_sees(
	const struct scsi_nexus *nexus, const struct volume *volume)
{
	for (unsigned i = 0; i < nexus->units; i++)
		if (nexus->unit[i]->nexus.volume == volume)
			return true;
	return false;
}

/* -- making the list ------------------------------------------------------ */

static struct scsi_logical_unit *unit_new(
	struct scsi_nexus *nexus, const struct access_export *export)
{
	struct scsi_logical_unit *unit = calloc(1, sizeof *unit);

	if (!unit)
		return NULL;
	unit->owner = nexus;
	unit->lun = export->lun;
	unit->nexus.volume = export->volume;
	unit->nexus.lane = nexus->lane;
	unit->nexus.initiator = &nexus->initiator;
	unit->nexus.lun = export->lun;
	unit->nexus.abort_tasks = scsi_unit_abort;
	unit->nexus.wake = scsi_unit_wake;
	unit->nexus.command_set = unit;
	return unit;
}

static int unit_compare(const void *a, const void *b)
{
	const struct scsi_logical_unit *const *first = a, *const *second = b;

	return (int)(*first)->lun - (int)(*second)->lun;
}

struct unit_list {
	struct scsi_logical_unit **unit;
	unsigned units;
};

static struct scsi_logical_unit *list_known(
	const struct scsi_nexus *nexus, const struct access_export *export)
{
	struct scsi_logical_unit *unit = unit_search(nexus, export->lun);

	return unit && unit->nexus.volume == export->volume ? unit : NULL;
}

/* New units that were not opened yet are freed again. */
static void list_drop(const struct scsi_nexus *nexus, struct unit_list *list)
{
	for (unsigned i = 0; i < list->units; i++)
		if (unit_search(nexus, list->unit[i]->lun) != list->unit[i])
			free(list->unit[i]);
	free(list->unit);
}

/* What the nexus shall see: units it has, and new ones not opened yet. */
static int list_make(const struct scsi_nexus *nexus,
	const struct access_target *target, const struct access_host *host,
	struct unit_list *list)
{
	list->units = 0;
	list->unit = calloc(target->exports + 1, sizeof *list->unit);
	if (!list->unit)
		return -ENOMEM;
	for (unsigned i = 0; i < target->exports; i++) {
		const struct access_export *export = &target->export[i];
		struct scsi_logical_unit *unit;

		if (!access_names(export, host))
			continue;
		unit = list_known(nexus, export);
		if (!unit)
			unit = unit_new((struct scsi_nexus *)nexus, export);
		if (!unit) {
			list_drop(nexus, list);
			return -ENOMEM;
		}
		unit->next_way =
			export->through ? export->through : export->volume;
		unit->read_only =
			export->read_only || unit->next_way->settings.read_only;
		list->unit[list->units++] = unit;
	}
	qsort(list->unit, list->units, sizeof *list->unit, unit_compare);
	return 0;
}

static void list_apply(struct scsi_nexus *nexus, struct unit_list *list)
{
	for (unsigned i = 0; i < list->units; i++) {
		struct scsi_logical_unit *unit = list->unit[i];
		bool changed = unit->nexus.read_only != unit->read_only;

		unit->nexus.read_only = unit->read_only;
		unit->way = unit->next_way;
		if (unit_search(nexus, unit->lun) == unit) {
			if (changed)
				volume_nexus_attend(&unit->nexus,
					ASC_MODE_PARAMETERS_CHANGED);
			continue;
		}
		volume_nexus_open(&unit->nexus, nexus->host->name);
		volume_nexus_attend(&unit->nexus, ASC_RESET);
	}
}

/* -- retiring ------------------------------------------------------------- */

static void unit_retire(struct scsi_logical_unit *unit)
{
	struct scsi_private *private = unit->owner->private;

	scsi_unit_abort(&unit->nexus, false);
	unit->next_retiring = private->retiring;
	private->retiring = unit;
}

static void retire_unreserved(struct reservation_order *order)
{
	struct scsi_private *private =
		container_of(order, struct scsi_private, order);

	private->ordering = false;
	scsi_nexus_post(private->retiring->owner);
}

static bool unit_holds_legacy(const struct scsi_logical_unit *unit)
{
	const struct reservation_table *table = atomic_load_explicit(
		&unit->nexus.volume->reservations, memory_order_acquire);

	return table && table->legacy &&
		volume_initiator_same(
			&table->legacy_holder, unit->nexus.initiator);
}

/* True if the first retiring unit is gone, false if something is waited for. */
static bool retire_first(struct scsi_private *private)
{
	struct scsi_logical_unit *unit = private->retiring;

	if (unit->nexus.tasks || private->ordering)
		return false;
	if (unit_holds_legacy(unit)) {
		private->order = (struct reservation_order){
			.volume = unit->nexus.volume,
			.lane = unit->nexus.lane,
			.action = RESERVATION_NEXUS_LOST,
			.initiator = *unit->nexus.initiator,
			.done = retire_unreserved,
		};
		private->ordering = true;
		reservation_submit(&private->order);
		return false;
	}
	private->retiring = unit->next_retiring;
	volume_nexus_close(&unit->nexus);
	free(unit);
	return true;
}

static void nexus_refreshed(struct scsi_nexus *nexus)
{
	struct scsi_private *private = nexus->private;
	void (*refreshed)(struct scsi_nexus *) = private->refreshed;

	access_put(private->old_table);
	private->old_table = NULL;
	private->refreshed = NULL;
	if (refreshed)
		refreshed(nexus);
}

static void nexus_closed(struct scsi_nexus *nexus)
{
	struct scsi_private *private = nexus->private;
	void (*closed)(struct scsi_nexus *) = private->closed;

	free(nexus->unit);
	nexus->unit = NULL;
	nexus->private = NULL;
	free(private);
	closed(nexus);
}

/* Once in a turn after scsi_nexus_post. */
static void nexus_turn(struct loop_message *message)
{
	struct scsi_private *private =
		container_of(message, struct scsi_private, message);
	struct scsi_nexus *nexus = private->nexus;

	private->posted = false;
	scsi_nexus_conclude(nexus);
	while (private->retiring)
		if (!retire_first(private))
			return;
	if (private->old_table)
		nexus_refreshed(nexus);
	if (private->closed && !private->posted &&
		TAILQ_EMPTY(&private->finished) && TAILQ_EMPTY(&nexus->tasks))
		nexus_closed(nexus);
}

/* -- the door ------------------------------------------------------------- */

int scsi_nexus_open(struct scsi_nexus *nexus, struct err *err)
{
	struct unit_list list;

	TAILQ_INIT(&nexus->tasks);
	nexus->unit = NULL;
	nexus->units = 0;
	nexus->private = calloc(1, sizeof *nexus->private);
	if (!nexus->private ||
		list_make(nexus, nexus->target, nexus->host, &list)) {
		free(nexus->private);
		return err_set(err, ENOMEM, "a session: out of memory");
	}
	TAILQ_INIT(&nexus->private->finished);
	scsi_space_open(nexus->private);
	nexus->private->message.run = nexus_turn;
	nexus->private->nexus = nexus;
	list_apply(nexus, &list);
	nexus->unit = list.unit;
	nexus->units = list.units;
	return 0;
}

static bool list_holds(
	const struct unit_list *list, const struct scsi_logical_unit *unit)
{
	return units_search(list->unit, list->units, unit->lun) == unit;
}

/* The host sees the LUNs that it saw. */
static bool list_is_known(
	const struct unit_list *list, const struct scsi_nexus *nexus)
{
	if (list->units != nexus->units)
		return false;
	for (unsigned i = 0; i < list->units; i++)
		if (list->unit[i] != nexus->unit[i]) /* both in order */
			return false;
	return true;
}

int scsi_nexus_refresh(struct scsi_nexus *nexus, struct access_table *table,
	const struct access_target *target, const struct access_host *host,
	void (*done)(struct scsi_nexus *nexus))
{
	struct scsi_private *private = nexus->private;
	struct unit_list list;
	bool known;

	assert(!private->old_table);
	if (list_make(nexus, target, host, &list))
		return -ENOMEM;
	known = list_is_known(&list, nexus);
	private->old_table = nexus->table;
	private->refreshed = done;
	nexus->table = table;
	nexus->target = target;
	nexus->host = host;
	list_apply(nexus, &list);
	for (unsigned i = 0; i < nexus->units; i++)
		if (known)
			continue;
		else if (list_holds(&list, nexus->unit[i]))
			volume_nexus_attend(&nexus->unit[i]->nexus,
				ASC_REPORTED_LUNS_CHANGED);
		else
			unit_retire(nexus->unit[i]);
	free(nexus->unit);
	nexus->unit = list.unit;
	nexus->units = list.units;
	scsi_nexus_post(nexus);
	return 0;
}

void scsi_nexus_close(
	struct scsi_nexus *nexus, void (*closed)(struct scsi_nexus *nexus))
{
	struct scsi_private *private = nexus->private;
	struct scsi_task *task, *next;

	private->closed = closed;
	TAILQ_FOREACH_SAFE (task, &nexus->tasks, link, next)
		scsi_task_abort(task, false);
	for (unsigned i = 0; i < nexus->units; i++)
		unit_retire(nexus->unit[i]);
	nexus->units = 0;
	scsi_nexus_post(nexus);
}
