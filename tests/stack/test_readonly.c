/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener readonly: nothing changes below it, everything can be read, and
 * the source says so while it is attached.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES 4096u

static int change_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint8_t *data)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);

	return block_transfer_co(
		source, lane, op, 0, 0, BYTES, op == BLOCK_WRITE ? data : NULL);
}

static void test_refuses_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: readonly, name: lock}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BYTES, 1);

	(void)argument;
	CHECK(block_source_info(source, lane).read_only);
	CHECK_INT(change_co(rig, source, BLOCK_WRITE, data), -EROFS);
	CHECK_INT(change_co(rig, source, BLOCK_WRITE_ZEROES, data), -EROFS);
	CHECK_INT(change_co(rig, source, BLOCK_DISCARD, data), -EROFS);
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_FLUSH, 0, 0, 0, NULL), 0);
	stack_rig_expect_co(rig, source, 0, BYTES, NULL);
	free(data);
	block_source_put_co(source);
}

static void test_live_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "{protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	const struct doc *listener =
		stack_rig_doc(rig, "{type: readonly, name: lock}");
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	struct err err = {0};

	(void)argument;
	CHECK_INT(change_co(rig, source, BLOCK_WRITE, data), 0);
	CHECK_INT(spec_attach_co(source, listener, NULL, &err), 0);
	CHECK(block_source_info(source, lane).read_only);
	CHECK_INT(change_co(rig, source, BLOCK_DISCARD, data), -EROFS);
	stack_rig_expect_co(rig, source, 0, BYTES, data);
	CHECK_INT(
		spec_detach_co(source, "lock", SPEC_GATE_DEADLINE_NS, &err), 0);
	CHECK(!block_source_info(source, lane).read_only);
	CHECK_INT(change_co(rig, source, BLOCK_DISCARD, data), 0);
	stack_rig_expect_co(rig, source, 0, BYTES, NULL);
	free(data);
	block_source_put_co(source);
}

/* Below one source, read-only for another: an alias for one host. */
static void test_alias_co(struct stack_rig *rig, void *argument)
{
	struct block_source *volume =
		stack_rig_source_co(rig, "{protocol: {type: mem, size: 1M}}");
	struct block_source *alias;
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	char document[256];

	(void)argument;
	snprintf(document, sizeof document,
		"{listeners: [{type: readonly, name: lock}], source: %s}",
		block_source_name(volume));
	alias = stack_rig_source_co(rig, document);
	CHECK_INT(change_co(rig, volume, BLOCK_WRITE, data), 0);
	CHECK_INT(change_co(rig, alias, BLOCK_WRITE, data), -EROFS);
	stack_rig_expect_co(rig, alias, 0, BYTES, data);
	block_source_put_co(alias);
	block_source_put_co(volume);
	free(data);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 2), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 2, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_refuses_co),
		ROWS(test_live_co),
		ROWS(test_alias_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
