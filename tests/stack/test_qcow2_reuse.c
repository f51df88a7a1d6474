/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: a cluster that is set free is not used again while a request that had
 * looked it up is on its way: a read that takes 5 s (of the virtual clock) never
 * shows what others have written meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/stack_rig.h"

#include <stdlib.h>
#include <string.h>

#define CLUSTER 4096u
#define OTHERS 64u

/* Data lies behind the first four clusters. */
static const char document[] =
	"format: {type: qcow2, pool: 16K, size: 1M, subclusters: \"off\","
	" cluster_size: 4K, file: {listeners: [{type: fault, name: slow,"
	" rules: [{op: read, offset: 16K, length: 1G, delay_us: 5000000}]}],"
	" protocol: {type: file, path: disk, size: 4K}}}";

static void transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset, uint64_t bytes, void *data)
{
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0), op,
			  0, offset, bytes, data),
		0);
}

/* More clusters than the pool has; the one that was freed is among them if it is
 * to be had. */
static void write_others_co(struct stack_rig *rig, struct block_source *source)
{
	uint8_t *data = stack_rig_pattern(CLUSTER, 9);
	unsigned i;

	for (i = 1; i <= OTHERS; i++) {
		transfer_co(
			rig, source, BLOCK_WRITE, i * CLUSTER, CLUSTER, data);
		transfer_co(rig, source, BLOCK_FLUSH, 0, 0, NULL);
	}
	free(data);
}

static void test_read_in_flight_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	uint8_t *old = stack_rig_pattern(CLUSTER, 1);
	uint8_t *data = stack_rig_pattern(CLUSTER, 2);
	static const uint8_t zeroes[CLUSTER];
	struct stack_rig_request read;

	(void)argument; /* the last lane reads; with one, home does */
	transfer_co(rig, source, BLOCK_WRITE, 0, CLUSTER, old);
	transfer_co(rig, source, BLOCK_FLUSH, 0, 0, NULL);
	stack_rig_submit(source, block_core_lane(rig->core, rig->lanes - 1),
		&read, BLOCK_READ, 0, 0, CLUSTER, data);
	transfer_co(rig, source, BLOCK_DISCARD, 0, CLUSTER, NULL);
	transfer_co(rig, source, BLOCK_FLUSH, 0, 0, NULL);
	write_others_co(rig, source);
	CHECK(!read.done);
	CHECK_INT(stack_rig_wait_co(&read), 0);
	CHECK(!memcmp(data, old, CLUSTER) || !memcmp(data, zeroes, CLUSTER));
	free(old);
	free(data);
	block_source_put_co(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE(test_read_in_flight_co, simulated,
			.world = "simulated", .lanes = 1),
		STACK_RIG_CASE(test_read_in_flight_co, lanes,
			.world = "simulated", .lanes = 3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
