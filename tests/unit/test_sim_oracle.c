/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's disks against an oracle: many writes are out at once, on a few
 * sectors; at every point the power is cut in a copy of the world, and each sector
 * must hold what had become durable, or anything that was submitted since, whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/sim_rig.h"

#define SECTORS 8
#define ROUNDS 40
#define WRITES 4

struct oracle {
	struct sim_rig *rig;
	struct ring_file *file;
	uint8_t durable[SECTORS]; /* number of the write, 0: none */
	uint8_t submitted; /* writes are numbered from 1 */
	uint8_t sector_of[ROUNDS * WRITES + 1];
	unsigned looked;
	bool stale; /* seen: something older than the newest */
};

static void oracle_look(void *arg, uint64_t point)
{
	struct oracle *oracle = arg;
	struct sim *after = sim_new(point);
	struct ring_world *left =
		sim_world_after_cut(oracle->rig->world, after);
	for (unsigned i = 0; i < SECTORS; i++) {
		uint8_t got[512], number;
		assert_true(sim_world_get(left, "disk", i * 512, got, 512));
		number = got[0];
		for (unsigned k = 1; k < 512; k++)
			assert_int_equal(
				got[k], number); /* a sector is whole */
		assert_true(number >= oracle->durable[i]);
		assert_true(number <= oracle->submitted);
		assert_true(!number || oracle->sector_of[number] == i);
		oracle->stale |= number < oracle->submitted;
	}
	oracle->looked++;
	ring_world_free(left);
	sim_free(after);
}

static void oracle_round(struct oracle *oracle, uint64_t *random)
{
	static uint8_t data[WRITES][512] __attribute__((aligned(512)));
	struct sim_rig_op ops[WRITES];
	uint64_t first = prng_below(random, SECTORS);
	for (unsigned i = 0; i < WRITES; i++) {
		uint8_t sector = (uint8_t)((first + i) % SECTORS);
		uint8_t number = ++oracle->submitted;
		oracle->sector_of[number] = sector;
		memset(data[i], number, 512);
		sim_rig_op(&ops[i], oracle->file, RING_WRITE, data[i], 512,
			sector * 512u);
		if (prng_below(random, 4) == 0)
			ops[i].op.flags = RING_DSYNC;
		sim_rig_queue(oracle->rig, &ops[i]);
	}
	sim_rig_wait_all(oracle->rig);
	for (unsigned i = 0; i < WRITES; i++)
		if (ops[i].op.flags & RING_DSYNC)
			oracle->durable[ops[i].op.offset_bytes / 512] =
				data[i][0];
	if (prng_below(random, 3))
		return;
	assert_int_equal(sim_rig_do(oracle->rig, oracle->file, RING_DATASYNC, 0,
				 NULL, 0, 0),
		0);
	for (unsigned i = 1; i <= oracle->submitted; i++)
		oracle->durable[oracle->sector_of[i]] = (uint8_t)i;
}

static void test_cut_leaves_what_the_oracle_allows(void **state)
{
	(void)state;
	unsigned looked = 0;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct oracle oracle = {.rig = sim_rig_new(seed, NULL)};
		oracle.file = sim_rig_open(oracle.rig, "disk",
			RING_OPEN_WRITABLE | RING_OPEN_CREATE, 8 * 512);
		uint64_t random = seed;
		sim_world_watch(oracle.rig->world, oracle_look, &oracle);
		for (unsigned i = 0; i < ROUNDS; i++)
			oracle_round(&oracle, &random);
		assert_true(oracle.stale);
		looked += oracle.looked;
		sim_world_watch(oracle.rig->world, NULL, NULL);
		ring_file_close(oracle.file);
		sim_rig_free(oracle.rig);
	}
	assert_true(looked >= 20 * ROUNDS * WRITES * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_leaves_what_the_oracle_allows),
	};
	return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
