/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The families of metrics about what runs; those about REST itself are the
 * server's.
 */
#ifndef WEBUI_API_LIVE_LIVE_METRICS_H
#define WEBUI_API_LIVE_LIVE_METRICS_H

#include "target/control/daemon.h"
#include "webui/api/server/exposition.h"

/* In a coroutine on the control lane. */
void live_metrics_print_co(
	struct exposition *exposition, const struct daemon_parts *parts);

/* Of mirrors: live_mirrors.c. */
void live_caches_print(
	struct exposition *exposition, const struct daemon_parts *parts);
void live_mirrors_print(
	struct exposition *exposition, const struct appliance *appliance);

#endif
