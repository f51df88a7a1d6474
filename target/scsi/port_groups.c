/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPORT TARGET PORT GROUPS (SPC-4 6.37): each portal group of the target is a
 * target port group with one port. All are active/optimized; states change
 * implicitly only.
 */
#include "target/scsi/port_groups.h"

#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

#include <string.h>

enum {
	GROUP_BYTES = 12,
	GROUP_ACTIVE_OPTIMIZED = 0,
	GROUP_SUPPORTS_ACTIVE = 1,
};
_Static_assert(8 + PORT_GROUPS_MOST * GROUP_BYTES <= BUF_MIN_BYTES,
	"all groups fit into the smallest buffer");

static unsigned portal_count(const struct scsi_nexus *nexus)
{
	return nexus->target->portals ? nexus->target->portals
				      : nexus->table->portals;
}

static uint16_t portal_group(const struct scsi_nexus *nexus, unsigned i)
{
	return nexus->target->portals ? nexus->target->portal[i]->group
				      : nexus->table->portal[i]->group;
}

static bool group_known(const uint16_t *group, unsigned count, uint16_t wanted)
{
	for (unsigned i = 0; i < count; i++)
		if (group[i] == wanted)
			return true;
	return false;
}

unsigned scsi_port_groups(
	const struct scsi_nexus *nexus, uint16_t group[PORT_GROUPS_MOST])
{
	unsigned count = 1, portals = portal_count(nexus);

	group[0] = nexus->initiator.target_portal_group;
	for (unsigned i = 0; i < portals && count < PORT_GROUPS_MOST; i++)
		if (!group_known(group, count, portal_group(nexus, i)))
			group[count++] = portal_group(nexus, i);
	return count;
}

bool scsi_has_port_group(const struct scsi_nexus *nexus, uint16_t wanted)
{
	uint16_t group[PORT_GROUPS_MOST];
	unsigned count = scsi_port_groups(nexus, group);

	return group_known(group, count, wanted);
}

static uint8_t *put_group(uint8_t *to, uint16_t group)
{
	memset(to, 0, GROUP_BYTES);
	to[0] = GROUP_ACTIVE_OPTIMIZED;
	to[1] = GROUP_SUPPORTS_ACTIVE;
	put_be16(to + 2, group);
	to[7] = 1; /* port */
	put_be16(to + 10, group); /* its relative identifier */
	return to + GROUP_BYTES;
}

uint32_t scsi_target_port_groups(struct scsi_task *task, uint8_t *to)
{
	unsigned format = task->cdb[1] >> 5, count;
	uint16_t group[PORT_GROUPS_MOST];
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
		at = put_group(at, group[i]);
	put_be32(to, (uint32_t)(at - to) - 4);
	return (uint32_t)(at - to);
}
