/* SPDX-License-Identifier: Apache-2.0 */
/* See trust_rig.h. */
#include "tests/lib/trust_rig.h"

#include "blockcore/base/co.h"
#include "blockcore/base/log.h"
#include "target/control/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG2_N 2 /* what takes time is tested with the real one elsewhere */

static int64_t now_of(void *arg)
{
	return ((struct trust_rig *)arg)->now_ms;
}

void trust_rig_start(struct trust_rig *rig)
{
	rig->state = state_open(rig->state_path, &rig->err);
	if (!rig->state)
		fail_msg("%s", rig->err.text);
	struct trust_world world = {.state = rig->state,
		.loop = rig->loop,
		.run_directory = rig->run_path,
		.now_ms = now_of,
		.now_arg = rig,
		.scrypt_log2_n = rig->dear ? 0 : LOG2_N,
		.client_certificates = true};
	rig->trust = trust_open(&world, &rig->err);
	if (!rig->trust)
		fail_msg("%s", rig->err.text);
}

int trust_rig_setup(void **state)
{
	struct trust_rig *rig = calloc(1, sizeof *rig);
	assert_non_null(rig);
	*state = rig;
	log_set_level(LOG_ERROR);
	snprintf(rig->root, sizeof rig->root, "/tmp/cairn-trust.XXXXXX");
	assert_non_null(mkdtemp(rig->root));
	snprintf(
		rig->state_path, sizeof rig->state_path, "%s/state", rig->root);
	snprintf(rig->run_path, sizeof rig->run_path, "%s/run", rig->root);
	assert_int_equal(directory_make(rig->run_path, 0700, &rig->err), 0);
	rig->now_ms = 1795600000000;
	rig->sim = sim_new(1);
	rig->loop = sim_loop_new(rig->sim);
	trust_rig_start(rig);
	return 0;
}

void trust_rig_stop(struct trust_rig *rig)
{
	trust_close(rig->trust);
	state_close(rig->state);
}

int trust_rig_teardown(void **state)
{
	struct trust_rig *rig = *state;
	char command[128];
	trust_rig_stop(rig);
	sim_loop_free(rig->loop);
	sim_free(rig->sim);
	snprintf(command, sizeof command, "rm -rf %s", rig->root);
	free(rig);
	co_thread_fini();
	return system(command);
}

void trust_rig_restart(struct trust_rig *rig)
{
	trust_rig_stop(rig);
	trust_rig_start(rig);
}

struct call {
	struct trust_rig *rig;
	int (*run)(struct trust_rig *, void *);
	void *arg;
	int result;
	bool done;
};

static void call_co(void *arg)
{
	struct call *call = arg;
	call->result = call->run(call->rig, call->arg);
	call->done = true;
}

int trust_rig_run(struct trust_rig *rig, int (*run)(struct trust_rig *, void *),
	void *arg)
{
	struct call call = {rig, run, arg, 0, false};
	rig->err = (struct err){0};
	assert_true(co_start(call_co, &call));
	assert_true(call.done || sim_run_until(rig->sim, &call.done));
	return call.result;
}

struct setup {
	const char *token, *password;
};

static int setup_call(struct trust_rig *rig, void *arg)
{
	struct setup *s = arg;
	struct trust_attempt attempt = {.user = "admin",
		.password = s->password,
		.address = "192.0.2.1",
		.request_id = "1"};
	return trust_setup_co(rig->trust, s->token, &attempt, &rig->in,
		&rig->wait_s, &rig->err);
}

int trust_rig_setup_admin(
	struct trust_rig *rig, const char *token, const char *password)
{
	struct setup setup = {token, password};
	return trust_rig_run(rig, setup_call, &setup);
}

static int create_call(struct trust_rig *rig, void *arg)
{
	return trust_user_create_co(
		rig->trust, arg, TRUST_RIG_PASSWORD, &rig->err);
}

int trust_rig_create(
	struct trust_rig *rig, const char *name, enum trust_role role)
{
	struct trust_user user = {.role = role, .enabled = true};
	snprintf(user.name, sizeof user.name, "%s", name);
	return trust_rig_run(rig, create_call, &user);
}

static int sign_in_call(struct trust_rig *rig, void *arg)
{
	return trust_sign_in_co(
		rig->trust, arg, &rig->in, &rig->wait_s, &rig->err);
}

int trust_rig_sign_in(struct trust_rig *rig, const char *user,
	const char *password, const char *address)
{
	struct trust_attempt attempt = {.user = user,
		.password = password,
		.address = address,
		.request_id = "7"};
	return trust_rig_run(rig, sign_in_call, &attempt);
}

static int verify_call(struct trust_rig *rig, void *arg)
{
	return audit_verify_co(
		trust_audit(rig->trust), rig->loop, arg, &rig->err);
}

int trust_rig_verify(struct trust_rig *rig, struct audit_verdict *verdict)
{
	return trust_rig_run(rig, verify_call, verdict);
}

void trust_rig_admin(struct trust_rig *rig)
{
	char token[64];
	snprintf(token, sizeof token, "%s", trust_bootstrap_token(rig->trust));
	if (trust_rig_setup_admin(rig, token, TRUST_RIG_PASSWORD))
		fail_msg("%s", rig->err.text);
}
