/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state directory with trust on it, on the simulator's loop and a wall clock of
 * its own that only the test moves.
 */
#ifndef TESTS_LIB_TRUST_RIG_H
#define TESTS_LIB_TRUST_RIG_H

#include "target/control/trust/audit.h"
#include "target/control/trust/trust.h"
#include "tests/lib/sim_loop.h"

#define TRUST_RIG_PASSWORD "four words of our own"

struct trust_rig {
	char root[64], state_path[96], run_path[96];
	struct sim *sim;
	struct loop *loop;
	struct state *state;
	struct trust *trust;
	int64_t now_ms;
	bool dear; /* from the next start: passwords cost what they do in the daemon */
	struct err err;
	uint32_t wait_s; /* of the last sign in */
	struct trust_signed_in in;
};

/* For cmocka: *state is the rig. */
int trust_rig_setup(void **state);
int trust_rig_teardown(void **state);
/* Closes and opens everything, as a restart does. */
void trust_rig_restart(struct trust_rig *rig);

void trust_rig_stop(struct trust_rig *rig);
void trust_rig_start(struct trust_rig *rig);

/* The calls that wait, run to their end. */
int trust_rig_setup_admin(
	struct trust_rig *rig, const char *token, const char *password);
/* By the bootstrap token: "admin", with TRUST_RIG_PASSWORD. */
void trust_rig_admin(struct trust_rig *rig);
int trust_rig_create(
	struct trust_rig *rig, const char *name, enum trust_role role);
int trust_rig_sign_in(struct trust_rig *rig, const char *user,
	const char *password, const char *address);
int trust_rig_verify(struct trust_rig *rig, struct audit_verdict *verdict);
/* Any other: `call` runs in a coroutine and returns its result. */
int trust_rig_run(struct trust_rig *rig,
	int (*call)(struct trust_rig *, void *), void *arg);

#endif
