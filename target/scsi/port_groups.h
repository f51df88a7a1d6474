/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target port groups that a nexus could come in by: REPORT TARGET PORT GROUPS
 * and VPD page 88h tell the same list.
 */
#ifndef TARGET_SCSI_PORT_GROUPS_H
#define TARGET_SCSI_PORT_GROUPS_H

#include "target/scsi/scsi.h"

#define PORT_GROUPS_MOST 256u

/* Fills in the portal group tags of the nexus's target, its own first, none twice;
 * returns how many (1..PORT_GROUPS_MOST). Each is a target port group with one
 * port, whose relative identifier is the tag as well. */
unsigned scsi_port_groups(
	const struct scsi_nexus *nexus, uint16_t group[PORT_GROUPS_MOST]);

/* True if the target is reached by it. */
bool scsi_has_port_group(const struct scsi_nexus *nexus, uint16_t wanted);

#endif
