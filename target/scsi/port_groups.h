/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups (SPC-4 5.15.2): each is a portal group; the states are those of
 * target/volume/paths.h. What they allow is asked for in task.h.
 */
#ifndef TARGET_SCSI_PORT_GROUPS_H
#define TARGET_SCSI_PORT_GROUPS_H

#include "target/scsi/scsi.h"
#include "target/volume/paths.h"

/* The groups by which the nexus could come in, as volume_path_groups has them:
 * REPORT TARGET PORT GROUPS and VPD page 88h tell the same list. */
unsigned scsi_port_groups(
	const struct scsi_nexus *nexus, uint16_t group[VOLUME_PATHS_MOST]);

/* True if the target is reached by it. */
bool scsi_has_port_group(const struct scsi_nexus *nexus, uint16_t wanted);

#endif
