/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of a portal.
 */
#ifndef TARGET_ISCSI_PORTAL_SOCKET_H
#define TARGET_ISCSI_PORTAL_SOCKET_H

#include "target/volume/access.h"

/* A socket that is bound and, if it `listens`, listens; or -errno with *err.
 * *bound_port: what port 0 became. Any thread. */
int portal_socket_open(const struct access_portal *portal, bool listens,
	uint16_t *bound_port, struct err *err);

#endif
