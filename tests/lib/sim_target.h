/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole iSCSI target on the simulated loop: one lane, one thread, a virtual clock.
 * Its hosts are the other ends of socket pairs. For what depends on time or on what
 * happens in one turn of the loop; everything else is better shown by target_rig.h.
 *
 * LUN 0 of the target is a thin `mem` volume, which any host may use.
 *
 * Invariant: nothing happens but in sim_target_poll, in steps of the simulation, and
 * while a wire of sim_target_connect receives.
 */
#ifndef TESTS_LIB_SIM_TARGET_H
#define TESTS_LIB_SIM_TARGET_H

#include "target/iscsi/connection.h"
#include "tests/lib/sim_loop.h"
#include "tests/lib/stack_rig.h"
#include "tests/lib/wire.h"

struct sim_target_setup {
	struct iscsi_settings settings; /* sim_target_defaults: no pings */
	const char *iqn;
	const char *source; /* of the volume: a document */
	size_t pool_bytes;
	unsigned hidden; /* targets more, which nobody may see, before it */
};
void sim_target_defaults(struct sim_target_setup *setup);

struct sim_target {
	struct stack_rig *rig;
	struct sim *sim;
	struct block_lane *lane;
	struct iscsi_server *server;
	struct iscsi_watcher watcher; /* counts: */
	unsigned sessions_down;
	char reason[128]; /* why the last one ended */
	struct volume *volume;
	struct access_table *table;
	struct access_portal portal;
	struct loop_ops ops;
};
struct sim_target *sim_target_new(const struct sim_target_setup *setup);
/* The hosts have closed their ends, or are dropped. */
void sim_target_free(struct sim_target *target);

/* A new connection: the host's end of it. */
int sim_target_accept(struct sim_target *target);
/* The same for a wire, which then receives in virtual time. */
void sim_target_connect(struct sim_target *target, struct wire *wire);
/* Logs in, too, and tests the unit until it is ready. */
void sim_target_open(
	struct sim_target *target, struct wire *wire, const char *keys);

/* Looks at the sockets as a loop does at the beginning of a turn. */
void sim_target_poll(struct sim_target *target);
/* Polls and steps until the clock has moved by so much. */
void sim_target_run_for(struct sim_target *target, uint64_t ns);
/* The same until all connections are gone, and the watcher knows. */
void sim_target_until_gone(struct sim_target *target);

#endif
