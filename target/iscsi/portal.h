/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of portals; how one is opened stands in iscsi.h. Control lane.
 */
#ifndef TARGET_ISCSI_PORTAL_H
#define TARGET_ISCSI_PORTAL_H

#include "target/iscsi/server_state.h"

/* Stops listening. Connections refer to portals until they are freed. */
void portal_close_all(struct iscsi_server *server);
void portal_free_all(struct iscsi_server *server);

#endif
