/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tables for tests, from a short description in static arrays.
 */
#ifndef TESTS_LIB_TABLES_H
#define TESTS_LIB_TABLES_H

#include "target/volume/access.h"

/* Lists are separated by blanks; NULL or "" is empty. */
struct tables_host {
	const char *name, *iqns, *networks;
	const char *user, *secret, *mutual_user, *mutual_secret;
	enum access_weak weak;
};

struct tables_portal {
	const char *name, *address;
	uint16_t port, group;
	const char *advertised;
};

struct tables_target {
	const char *iqn, *alias;
	const char *hosts; /* of the export with LUN 0 */
	const char *more_hosts; /* of the export with LUN 1, if any */
	const char *portals;
};

/* Arrays end with an entry whose first member is NULL. The exports have no
 * volume. One reference, for the caller. */
struct access_table *tables_build(const struct tables_host *hosts,
	const struct tables_portal *portals,
	const struct tables_target *targets);

/* The export that `host` sees as `lun`, NULL if none. */
const struct access_export *tables_find_lun(const struct access_target *target,
	const struct access_host *host, uint16_t lun);

#endif
