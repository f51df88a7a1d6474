/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole iSCSI target in the test's process: a block core on threads, volumes,
 * an access table, a server on a port of 127.0.0.1. The test talks to it over
 * sockets, from the thread that cmocka runs on.
 *
 * LUN 0 of WIRE_TARGET is a `mem` volume of 64 MiB whose reads from
 * TARGET_RIG_HELD_LBA on never end of themselves; LUN 1 is a `null` volume of 1 TiB.
 * Any host may use both. "...:other" is a second target with LUN 0 of the first.
 */
#ifndef TESTS_LIB_TARGET_RIG_H
#define TESTS_LIB_TARGET_RIG_H

#include "target/iscsi/iscsi.h"
#include "tests/lib/stack_rig.h"
#include "tests/lib/wire.h"

#define TARGET_RIG_VOLUMES 2u
#define TARGET_RIG_HELD_LBA 65536u

struct target_rig {
	struct stack_rig *stack;
	struct iscsi_server *server;
	struct access_table *table;
	struct volume *volume[TARGET_RIG_VOLUMES];
	struct iscsi_portal *portal; /* that listens there: */
	uint16_t port;
	struct iscsi_watcher watcher;
	_Atomic unsigned sessions_up, sessions_down;
	struct iscsi_settings settings;
};

/* Settings to start from; lanes: with the control lane, at least 2. */
struct target_rig_setup {
	struct iscsi_settings settings;
	unsigned lanes;
	size_t pool_bytes; /* per lane; 0: 32 MiB */
};
void target_rig_defaults(struct target_rig_setup *setup);

struct target_rig *target_rig_new(const struct target_rig_setup *setup);
void target_rig_free(struct target_rig *rig);

/* Stops the server (only), with that grace; target_rig_free may follow. */
void target_rig_stop_server(struct target_rig *rig, uint64_t grace_ns);
/* Publishes a table in which nobody may use anything any more; one in which the
 * host has another name and its exports are as before; one without most LUNs; one
 * like the first. */
void target_rig_withdraw(struct target_rig *rig);
void target_rig_rename_host(struct target_rig *rig);
void target_rig_narrow(struct target_rig *rig);
void target_rig_restore(struct target_rig *rig);
/* Runs `body` in a coroutine on the control lane. */
void target_rig_run(struct target_rig *rig,
	void (*body_co)(struct target_rig *rig, void *argument),
	void *argument);

/* Fixtures for cmocka: *state becomes a struct target_rig with defaults. */
int target_rig_set_up(void **state);
int target_rig_tear_down(void **state);

#endif
