/* SPDX-License-Identifier: Apache-2.0 */
/* The names of kinds; see object.h. */
#include "target/control/config/object.h"

static const struct {
	const char *name, *list;
} kinds[] = {
	[CONFIG_VOLUME] = {"volume", "volumes"},
	[CONFIG_HOST] = {"host", "hosts"},
	[CONFIG_TARGET] = {"target", "targets"},
	[CONFIG_EXPORT] = {"export", "exports"},
	[CONFIG_PORTAL] = {"portal", "portals"},
	[CONFIG_SCHEDULE] = {"schedule", "schedules"},
};

const char *config_kind_name(enum config_kind kind)
{
	return kinds[kind].name;
}

const char *config_kind_list(enum config_kind kind)
{
	return kinds[kind].list;
}
