/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPORT TARGET PORT GROUPS (SPC-4 6.37), and what a state allows (SPC-4 5.15.2.4).
 * Each portal group of the target is a target port group with one port. States change
 * implicitly only.
 */
#include "target/scsi/port_groups.h"

#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

#include <string.h>

enum { /* SPC-4 tables 306, 308 */
	GROUP_BYTES = 12,
	GROUP_SUPPORTS_ALL = 0x8f, /* all five states that there are */
	GROUP_STATUS_IMPLICIT = 2,
};
_Static_assert(8 + VOLUME_PATHS_MOST * GROUP_BYTES <= BUF_MIN_BYTES,
	"all groups fit into the smallest buffer");

static const struct path_row {
	uint8_t state; /* SPC-4 table 307 */
	uint16_t code; /* of NOT READY */
	uint8_t permitted; /* flag of the commands that are still done */
} path_rows[] = {
	[VOLUME_PATH_OPTIMIZED] = {0x0, ASC_NONE, 0},
	[VOLUME_PATH_NON_OPTIMIZED] = {0x1, ASC_NONE, 0},
	[VOLUME_PATH_STANDBY] = {0x2, ASC_PATH_STANDBY, SCSI_ON_STANDBY},
	[VOLUME_PATH_UNAVAILABLE] = {0x3, ASC_PATH_UNAVAILABLE,
		SCSI_ON_ANY_PATH},
	[VOLUME_PATH_TRANSITIONING] = {0xf, ASC_PATH_TRANSITION,
		SCSI_ON_ANY_PATH},
};

/* -- groups ----------------------------------------------------------------- */

unsigned scsi_port_groups(
	const struct scsi_nexus *nexus, uint16_t group[VOLUME_PATHS_MOST])
{
	return volume_path_groups(nexus->table, nexus->target,
		nexus->initiator.target_portal_group, group);
}

bool scsi_has_port_group(const struct scsi_nexus *nexus, uint16_t wanted)
{
	uint16_t group[VOLUME_PATHS_MOST];
	unsigned count = scsi_port_groups(nexus, group);

	for (unsigned i = 0; i < count; i++)
		if (group[i] == wanted)
			return true;
	return false;
}

static uint8_t *put_group(
	const struct volume *volume, uint16_t group, uint8_t *to)
{
	struct volume_path path = volume_path_get(volume, group);

	memset(to, 0, GROUP_BYTES);
	to[0] = path_rows[path.state].state;
	to[1] = GROUP_SUPPORTS_ALL;
	put_be16(to + 2, group);
	to[5] = path.changed ? GROUP_STATUS_IMPLICIT : 0;
	to[7] = 1; /* port */
	put_be16(to + 10, group); /* its relative identifier */
	return to + GROUP_BYTES;
}

uint32_t scsi_target_port_groups(struct scsi_task *task, uint8_t *to)
{
	unsigned format = task->cdb[1] >> 5, count;
	uint16_t group[VOLUME_PATHS_MOST];
	uint8_t *at = to + 4;

	if (format > 1) {
		scsi_sense_cdb(task, 1, 7);
		return 0;
	}
	if (format) { /* extended header: no transition time */
		memset(at, 0, 4);
		at[0] = 0x10;
		at += 4;
	}
	count = scsi_port_groups(task->nexus, group);
	for (unsigned i = 0; i < count; i++)
		at = put_group(scsi_volume(task), group[i], at);
	put_be32(to, (uint32_t)(at - to) - 4);
	return (uint32_t)(at - to);
}

/* -- the way of a nexus ------------------------------------------------------ */

static unsigned path_state(const struct volume_nexus *nexus)
{
	return volume_path_get(
		nexus->volume, nexus->initiator->target_portal_group)
		.state;
}

uint16_t scsi_path_code(const struct volume_nexus *nexus)
{
	return path_rows[path_state(nexus)].code;
}

bool scsi_path_unavailable(const struct volume_nexus *nexus)
{
	return path_state(nexus) == VOLUME_PATH_UNAVAILABLE;
}

bool scsi_path_permits(struct scsi_task *task)
{
	const struct path_row *row = &path_rows[path_state(task->logical_unit)];
	unsigned flags = task->command->flags;

	if (!row->permitted || flags & (row->permitted | SCSI_ON_ANY_PATH))
		return true;
	scsi_sense_set(task, SENSE_NOT_READY, row->code);
	return false;
}
