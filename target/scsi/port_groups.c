/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPORT TARGET PORT GROUPS (SPC-4 6.37): each portal group of the target is a
 * target port group with one port. All are active/optimized; states change
 * implicitly only.
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/task.h"

#include <string.h>

enum {
	GROUP_BYTES = 12,
	GROUPS_MOST = 256,
	GROUP_ACTIVE_OPTIMIZED = 0,
	GROUP_SUPPORTS_ACTIVE = 1,
};

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

static unsigned portal_count(const struct scsi_nexus *nexus)
{
	return nexus->target->portals ? nexus->target->portals
				      : nexus->table->portals;
}

static uint16_t portal_group(const struct scsi_nexus *nexus, unsigned i)
{
	return nexus->target->portals ? nexus->target->portal[i]->group
				      : nexus->table->portal[i].group;
}

static bool portal_group_seen(const struct scsi_nexus *nexus, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (portal_group(nexus, j) == portal_group(nexus, i))
			return true;
	return portal_group(nexus, i) == nexus->initiator.target_portal_group;
}

/* The group of this nexus, then the others of the target. */
static uint8_t *put_groups(const struct scsi_nexus *nexus, uint8_t *to)
{
	unsigned groups = 1;

	to = put_group(to, nexus->initiator.target_portal_group);
	for (unsigned i = 0; i < portal_count(nexus) && groups < GROUPS_MOST;
		i++) {
		if (portal_group_seen(nexus, i))
			continue;
		to = put_group(to, portal_group(nexus, i));
		groups++;
	}
	return to;
}

uint32_t scsi_target_port_groups(struct scsi_task *task, uint8_t *to)
{
	unsigned format = task->cdb[1] >> 5;
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
	at = put_groups(task->nexus, at);
	put_be32(to, (uint32_t)(at - to) - 4);
	return (uint32_t)(at - to);
}
