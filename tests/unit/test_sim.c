/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated disks: equal seeds give equal runs, operations behave as ring.h
 * says. What survives power cuts is in test_sim_power.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "blockcore/base/iov.h"
#include "blockcore/base/prng.h"
#include "tests/lib/sim_rig.h"

#define KIB 1024u
#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)

static void fill(uint8_t *data, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(seed * 37 + i / 512 * 11 + 1);
}

/* -- equal seeds -------------------------------------------------------------- */

#define LANES 3
#define BUSY_OPS 60

/* Random operations on several lanes; returns the run's hash. */
static uint64_t busy_run(uint64_t seed, bool cut)
{
	struct sim_rig *rig = sim_rig_new(seed, NULL);
	struct sim_rig lanes[LANES];
	static struct sim_rig_op ops[LANES][BUSY_OPS];
	static uint8_t data[LANES][BUSY_OPS][4 * KIB]
		__attribute__((aligned(512)));
	struct ring_file *file =
		sim_rig_open(rig, "disk", MAKE | RING_OPEN_DIRECT, 64 * KIB);
	if (cut)
		sim_world_cut_at(rig->world, 100);
	for (int i = 0; i < LANES; i++) {
		lanes[i] = *rig;
		lanes[i].loop = sim_loop_new(rig->sim);
		ring_new(rig->world, lanes[i].loop, &lanes[i].ring, NULL);
		for (int k = 0; k < BUSY_OPS; k++) {
			uint64_t at = sim_below(rig->sim, 16) * 4 * KIB;
			fill(data[i][k], 4 * KIB, (unsigned)(i * BUSY_OPS + k));
			sim_rig_op(&ops[i][k], file,
				(enum ring_opcode)sim_below(rig->sim, 6),
				data[i][k], 4 * KIB, at);
			sim_rig_queue(&lanes[i], &ops[i][k]);
		}
	}
	sim_run(rig->sim);
	ring_file_close(file);
	static uint8_t content[64 * KIB];
	assert_true(
		sim_world_get(rig->world, "disk", 0, content, sizeof content));
	for (size_t i = 0; i < sizeof content; i++)
		sim_note(rig->sim, content[i]);
	uint64_t hash = sim_hash(rig->sim);
	for (int i = 0; i < LANES; i++) {
		ring_free(lanes[i].ring);
		sim_loop_free(lanes[i].loop);
	}
	sim_rig_free(rig);
	return hash;
}

static void test_equal_seeds_give_equal_runs(void **state)
{
	(void)state;
	uint64_t last = 0;
	for (uint64_t seed = 0; seed < 20; seed++) {
		bool cut = seed % 2;
		uint64_t hash = busy_run(seed, cut);
		assert_true(hash == busy_run(seed, cut));
		assert_true(hash != last);
		last = hash;
	}
}

/* -- operations --------------------------------------------------------------- */

#define MODEL_BYTES (32 * KIB)

/* One operation after the other against an array. */
static void test_content_follows_a_model(void **state)
{
	(void)state;
	struct sim_rig *rig = sim_rig_new(7, NULL);
	struct ring_file *file = sim_rig_open(rig, "disk", MAKE, MODEL_BYTES);
	static uint8_t model[MODEL_BYTES], data[MODEL_BYTES];
	memset(model, 0, sizeof model);
	uint64_t random = 5;
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t at = prng_below(&random, MODEL_BYTES - 1);
		uint64_t bytes = 1 +
			prng_below(&random,
				MODEL_BYTES - at < 5000 ? MODEL_BYTES - at
							: 5000);
		enum ring_opcode opcode =
			(enum ring_opcode)prng_below(&random, 6);
		fill(data, bytes, i);
		int32_t result =
			sim_rig_do(rig, file, opcode, 0, data, bytes, at);
		assert_int_equal(result, opcode <= RING_WRITE ? (int)bytes : 0);
		if (opcode == RING_READ)
			assert_memory_equal(data, model + at, bytes);
		else if (opcode == RING_WRITE)
			memcpy(model + at, data, bytes);
		else if (opcode == RING_PUNCH || opcode == RING_ZERO_RANGE)
			memset(model + at, 0, bytes);
	}
	assert_true(sim_world_get(rig->world, "disk", 0, data, MODEL_BYTES));
	assert_memory_equal(data, model, MODEL_BYTES);
	ring_file_close(file);
	sim_rig_free(rig);
}

static void test_operations_overtake_each_other(void **state)
{
	(void)state;
	static uint8_t data[2][512] __attribute__((aligned(512)));
	unsigned last[2] = {0, 0};
	fill(data[0], 512, 1);
	fill(data[1], 512, 2);
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct sim_rig *rig = sim_rig_new(seed, NULL);
		struct ring_file *file =
			sim_rig_open(rig, "disk", MAKE, 64 * KIB);
		struct sim_rig_op ops[2];
		for (int i = 0; i < 2; i++) {
			sim_rig_op(&ops[i], file, RING_WRITE, data[i], 512, 0);
			sim_rig_queue(rig, &ops[i]);
		}
		sim_rig_wait_all(rig);
		uint8_t got[512];
		sim_world_get(rig->world, "disk", 0, got, 512);
		for (int i = 0; i < 2; i++)
			last[i] += !memcmp(got, data[i], 512);
		ring_file_close(file);
		sim_rig_free(rig);
	}
	assert_int_equal(last[0] + last[1], 60);
	assert_true(last[0] > 5 && last[1] > 5);
}

static void test_ends_of_files(void **state)
{
	(void)state;
	struct sim_rig *rig = sim_rig_new(3, NULL);
	static uint8_t data[8 * KIB] __attribute__((aligned(512)));
	struct ring_file *file = sim_rig_open(rig, "disk", MAKE, 5000);
	struct err err;
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 4096, 4096), 904);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 4096, 8192), 0);
	assert_int_equal(
		sim_rig_do(rig, file, RING_WRITE, 0, data, 512, 7000), 512);
	assert_int_equal(sim_world_size_bytes(rig->world, "disk"), 7512);
	assert_int_equal(file->size_bytes, 5000); /* as opened */
	assert_int_equal(
		sim_rig_do(rig, file, RING_PUNCH, 0, NULL, 4096, 7000), 0);
	assert_int_equal(sim_world_size_bytes(rig->world, "disk"), 7512);
	assert_int_equal(
		sim_rig_do(rig, file, RING_ZERO_RANGE, 0, NULL, 1000, 7000), 0);
	assert_int_equal(sim_world_size_bytes(rig->world, "disk"), 8000);
	assert_int_equal(
		sim_rig_do(rig, file, RING_ALLOCATE, 0, NULL, 1000, 8000), 0);
	assert_int_equal(sim_world_size_bytes(rig->world, "disk"), 9000);
	/* Shorter and longer again: zeros, not what was there. */
	fill(data, 4096, 1);
	assert_int_equal(
		sim_rig_do(rig, file, RING_WRITE, 0, data, 4096, 0), 4096);
	assert_int_equal(ring_file_resize(file, 100, &err), 0);
	assert_int_equal(ring_file_resize(file, 8192, &err), 0);
	assert_int_equal(file->size_bytes, 8192);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 8192, 0), 8192);
	assert_true(data[99] != 0);
	assert_true(bytes_are_zero(data + 100, 8092));
	ring_file_close(file);
	sim_rig_free(rig);
}

static void test_extents(void **state)
{
	(void)state;
	struct sim_rig *rig = sim_rig_new(3, NULL);
	static uint8_t data[4 * KIB] __attribute__((aligned(512)));
	struct ring_file *file = sim_rig_open(rig, "disk", MAKE, 64 * KIB);
	assert_int_equal(
		sim_rig_do(rig, file, RING_WRITE, 0, data, 4096, 8192), 4096);
	uint64_t length;
	bool is_data;
	assert_int_equal(ring_file_extent(file, 0, &length, &is_data), 0);
	assert_int_equal(length, 8192);
	assert_false(is_data);
	assert_int_equal(ring_file_extent(file, 8192, &length, &is_data), 0);
	assert_int_equal(length, 4096);
	assert_true(is_data);
	assert_int_equal(
		ring_file_extent(file, 64 * KIB, &length, &is_data), 0);
	assert_int_equal(length, 0);
	ring_file_close(file);
	sim_rig_free(rig);
}

static void test_refusals(void **state)
{
	(void)state;
	struct sim_world_options options = {.direct_align_bytes = 4096,
		.memory_align_bytes = 1024,
		.no_punch = true};
	struct sim_rig *rig = sim_rig_new(3, &options);
	static uint8_t data[8 * KIB] __attribute__((aligned(4096)));
	struct ring_file *file =
		sim_rig_open(rig, "disk", MAKE | RING_OPEN_DIRECT, 64 * KIB);
	assert_false(file->can_punch);
	assert_true(file->can_zero_range);
	assert_int_equal(
		sim_rig_do(rig, file, RING_WRITE, 0, data, 512, 0), -EINVAL);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 4096, 512), -EINVAL);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data + 512, 4096, 0),
		-EINVAL);
	assert_int_equal(sim_rig_do(rig, file, RING_PUNCH, 0, NULL, 4096, 0),
		-EOPNOTSUPP);
	ring_file_close(file);
	file = sim_rig_open(rig, "disk", 0, 0);
	assert_int_equal(
		sim_rig_do(rig, file, RING_WRITE, 0, data, 512, 0), -EBADF);
	ring_file_close(file);
	struct err err = {0};
	assert_int_equal(
		ring_file_open(rig->world, "none", 0, 0, &file, &err), -ENOENT);
	sim_rig_free(rig);
}

static void test_locks(void **state)
{
	(void)state;
	struct sim_rig *rig = sim_rig_new(3, NULL);
	struct ring_file *a = sim_rig_open(rig, "disk", MAKE, 512);
	struct ring_file *b = sim_rig_open(rig, "disk", MAKE, 0);
	struct err err = {0};
	assert_int_equal(ring_file_lock(a, 3, 2, &err), 0);
	assert_int_equal(ring_file_lock(b, 3, 0, &err), -EBUSY);
	assert_int_equal(ring_file_lock(b, 1, 2, &err), -EBUSY);
	assert_int_equal(ring_file_lock(b, 1, 0, &err), 0);
	ring_file_close(a);
	assert_int_equal(ring_file_lock(b, 3, 2, &err), 0);
	ring_file_close(b);
	sim_rig_free(rig);
}

/* -- errors ------------------------------------------------------------------- */

static void test_errors_come_where_they_are_put(void **state)
{
	(void)state;
	struct sim_rig *rig = sim_rig_new(3, NULL);
	static uint8_t data[4 * KIB] __attribute__((aligned(512)));
	struct ring_file *file = sim_rig_open(rig, "disk", MAKE, 64 * KIB);
	struct sim_fault fault = {.opcodes = 1 << RING_WRITE,
		.skip = 2,
		.times = 1,
		.error = -EIO};
	sim_world_fail(rig->world, &fault);
	for (int i = 0; i < 5; i++)
		assert_int_equal(
			sim_rig_do(rig, file, RING_WRITE, 0, data, 4096, 0),
			i == 2 ? -EIO : 4096);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 4096, 0), 4096);
	assert_int_equal(fault.hits, 5);
	sim_world_heal(rig->world, &fault);

	/* A bad place, and only there. */
	fault = (struct sim_fault){.opcodes = 1 << RING_READ,
		.offset_bytes = 8192,
		.length_bytes = 512,
		.error = -EIO};
	sim_world_fail(rig->world, &fault);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 4096, 4096), 4096);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 4096, 8192), -EIO);
	assert_int_equal(
		sim_rig_do(rig, file, RING_READ, 0, data, 4096, 12288), 4096);
	sim_world_heal(rig->world, &fault);
	ring_file_close(file);
	sim_rig_free(rig);
}

static void test_full_disk(void **state)
{
	(void)state;
	struct sim_world_options options = {.capacity_bytes = 16 * KIB};
	struct sim_rig *rig = sim_rig_new(3, &options);
	static uint8_t data[4 * KIB];
	struct ring_file *file = sim_rig_open(rig, "disk", MAKE, 64 * KIB);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(sim_rig_do(rig, file, RING_WRITE, 0, data,
					 4096, i * 8192),
			i < 4 ? 4096 : -ENOSPC);
	struct ring_space space;
	assert_int_equal(ring_file_space(file, &space), 0);
	assert_int_equal(space.used_bytes, 16 * KIB);
	assert_int_equal(space.total_bytes, 16 * KIB);
	assert_int_equal(space.free_bytes, 0);
	/* What has its place can be overwritten, and given back. */
	assert_int_equal(
		sim_rig_do(rig, file, RING_WRITE, 0, data, 4096, 0), 4096);
	assert_int_equal(
		sim_rig_do(rig, file, RING_ALLOCATE, 0, NULL, 4096, 40000),
		-ENOSPC);
	assert_int_equal(
		sim_rig_do(rig, file, RING_PUNCH, 0, NULL, 4096, 0), 0);
	assert_int_equal(
		sim_rig_do(rig, file, RING_WRITE, 0, data, 4096, 32768), 4096);
	/* Others take what is left, and a larger disk has room again. */
	sim_world_limit(rig->world, 64 * KIB, 40 * KIB);
	assert_int_equal(ring_file_space(file, &space), 0);
	assert_int_equal(space.total_bytes, 64 * KIB);
	assert_int_equal(space.free_bytes, 8 * KIB);
	ring_file_close(file);
	sim_rig_free(rig);
}

/* -- to and from real files --------------------------------------------------- */

static void test_export_and_import(void **state)
{
	(void)state;
	char path[] = "/tmp/cairn-sim-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	struct sim_rig *rig = sim_rig_new(3, NULL);
	static uint8_t data[64 * KIB], got[64 * KIB];
	memset(data, 0, sizeof data);
	fill(data + 20000, 3000, 5);
	sim_world_put(rig->world, "a", data, sizeof data);
	assert_true(sim_world_is_durable(rig->world, "a"));
	assert_int_equal(sim_world_export(rig->world, "a", path), 0);
	assert_int_equal(sim_world_import(rig->world, "b", path), 0);
	assert_int_equal(sim_world_size_bytes(rig->world, "b"), sizeof data);
	assert_true(sim_world_get(rig->world, "b", 0, got, sizeof got));
	assert_memory_equal(got, data, sizeof data);
	sim_world_remove(rig->world, "b");
	assert_false(sim_world_get(rig->world, "b", 0, got, 1));
	sim_rig_free(rig);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_seeds_give_equal_runs),
		cmocka_unit_test(test_content_follows_a_model),
		cmocka_unit_test(test_operations_overtake_each_other),
		cmocka_unit_test(test_ends_of_files),
		cmocka_unit_test(test_extents),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_errors_come_where_they_are_put),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_export_and_import),
	};
	return cmocka_run_group_tests_name("simulator", tests, NULL, NULL);
}
