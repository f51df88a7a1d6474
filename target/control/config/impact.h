/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts would notice of a proposal.
 */
#ifndef TARGET_CONTROL_CONFIG_IMPACT_H
#define TARGET_CONTROL_CONFIG_IMPACT_H

#include "target/control/appliance/appliance.h"
#include "target/control/config/proposal.h"

/* [{object, effect, text, sessions: [id], hosts: [name], parked_ms_max?}] for each
 * change, a new reference; effect is none, live, parked, offline or
 * sessions_closed. In a coroutine on the control lane. */
json_t *impact_list_co(const struct config_proposal *proposal,
	struct iscsi_server *server, const struct appliance *appliance);

/* Adds a host to a list of names, unless it is there: many sessions are one host. */
void impact_add_host(json_t *hosts, const char *name);

#endif
