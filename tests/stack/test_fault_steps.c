/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener fault: rules that strike one step of a format by its name, and rules
 * that are bound to a state that others set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/fault_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES FAULT_RIG_BYTES

/* What is to do nothing does nothing: the write arrives. */
static void test_passed_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(rig,
		"{op: write, error: none, count: 1}, "
		"{op: write, event: complete, error: EROFS}");
	uint8_t *data = stack_rig_pattern(BYTES, 1);

	(void)argument;
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, 0, 0, BYTES, data),
		-EROFS);
	stack_rig_expect_co(rig, source, 0, BYTES, data);
	free(data);
	block_source_put_co(source);
}

/* A request that says what it is for meets the rules of that, and of any. */
static int ask_for_co(struct stack_rig *rig, struct block_source *source,
	enum block_purpose purpose)
{
	static uint8_t data[BYTES] __attribute__((aligned(4096)));
	struct stack_rig_request request;

	stack_rig_submit_as(source, block_core_lane(rig->core, 0), &request,
		BLOCK_READ, purpose, 0, BYTES, data);
	return stack_rig_wait_co(&request);
}

static void test_purpose_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(rig,
		"{purpose: l2_update, error: EROFS}, "
		"{purpose: flush_to_disk, error: ENOSPC}");
	struct err err = {0};

	(void)argument;
	CHECK_INT(ask_for_co(rig, source, PURPOSE_L2_UPDATE), -EROFS);
	CHECK_INT(ask_for_co(rig, source, PURPOSE_FLUSH_TO_DISK), -ENOSPC);
	CHECK_INT(ask_for_co(rig, source, PURPOSE_L1_UPDATE), 0);
	CHECK_INT(ask_for_co(rig, source, PURPOSE_NONE), 0);
	fault_rig_verb_co(rig, source, "add", "{error: ENODEV}");
	CHECK_INT(ask_for_co(rig, source, PURPOSE_L1_UPDATE), -ENODEV);
	CHECK_INT(spec_command_co(source, "bad", "add",
			  stack_rig_doc(rig, "{purpose: sleep}"), stderr, &err),
		-EINVAL);
	CHECK_ERR(&err, "sleep");
	block_source_put_co(source);
}

/* Every purpose has a name of its own, which is what rules and lists say. */
static void test_purpose_names_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = fault_rig_source_co(rig, "");
	char rule[80];

	(void)argument;
	for (int i = 1; i < PURPOSES; i++) {
		snprintf(rule, sizeof rule, "{purpose: %s, error: EROFS}",
			block_purpose_names[i]);
		fault_rig_verb_co(rig, source, "add", rule);
		CHECK_INT(
			ask_for_co(rig, source, (enum block_purpose)i), -EROFS);
		CHECK_INT(ask_for_co(rig, source, i == 1 ? 2 : i - 1), 0);
		snprintf(rule, sizeof rule, "\"purpose\": \"%s\"",
			block_purpose_names[i]);
		char *status = stack_rig_status(source);
		CHECK(strstr(status, rule) != NULL);
		free(status);
		fault_rig_verb_co(rig, source, "clear", NULL);
	}
	CHECK(block_purpose_names[PURPOSES] == NULL);
	block_source_put_co(source);
}

static void expect_state(struct block_source *source, unsigned state)
{
	char *status = stack_rig_status(source), figure[64];

	snprintf(figure, sizeof figure, "\"held\": 0, \"state\": %u,", state);
	CHECK(strstr(status, figure) != NULL);
	free(status);
}

/* The read that follows a write fails, no other; clear begins anew. */
static void test_state_co(struct stack_rig *rig, void *argument)
{
	static const char rules[] =
		"{op: write, new_state: 7}, "
		"{op: read, state: 7, error: EROFS, new_state: 1}, "
		"{op: flush, state: 1, error: ENOSPC, count: 1}";
	struct block_source *source = fault_rig_source_co(rig, rules);

	(void)argument;
	expect_state(source, 1);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_FLUSH, 0), -ENOSPC);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), 0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), 0);
	expect_state(source, 7);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), 0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), -EROFS);
	expect_state(source, 1);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_READ, 0), 0);
	CHECK_INT(fault_rig_ask_co(rig, source, BLOCK_WRITE, 0), 0);
	fault_rig_verb_co(rig, source, "clear", NULL);
	expect_state(source, 1);
	block_source_put_co(source);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 2, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_passed_co),
		ROWS(test_purpose_co),
		ROWS(test_purpose_names_co),
		ROWS(test_state_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
