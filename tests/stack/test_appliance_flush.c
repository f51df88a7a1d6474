/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the daemon makes durable what hosts wrote without flushing it: power
 * cuts after it take nothing, a flush that fails marks its volume, one that takes too
 * long is given up and named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "target/control/appliance/appliance_flush.h"
#include "tests/lib/appliance_box.h"
#include "tests/lib/sim_ring.h"

#include <errno.h>
#include <string.h>

#define DATA_BYTES (8u << 10)
#define CACHED(name, listeners) \
	"{name: " name ", source: {listeners: [" listeners "], protocol: " \
	"{type: file, path: " name ".raw, size: 1M, cache: writeback}}}"

static struct box box;
static struct {
	unsigned count;
	char name[BLOCK_NAME_BYTES];
} lates;

static void late(void *argument, const struct volume *volume)
{
	CHECK(argument == &lates);
	lates.count++;
	strcpy(lates.name, volume->settings.name);
}

static void flush_all_co(void)
{
	memset(&lates, 0, sizeof lates);
	appliance_flush_co(box.appliance, 10 * NS_PER_S, late, &lates);
}

static int transfer_co(unsigned lun, enum block_opcode op, uint8_t *data)
{
	return block_transfer_co(atomic_load(&box_volume_at(&box, lun)->source),
		block_core_lane(box.rig->core, 0), op, 0, 0, DATA_BYTES, data);
}

static void write_all_co(void)
{
	uint8_t data[DATA_BYTES];
	memset(data, 0x5a, sizeof data);
	CHECK_INT(transfer_co(0, BLOCK_WRITE, data), 0);
}

/* How many bytes of them are there after a power cut. */
static unsigned survivors_co(const char *volumes)
{
	uint8_t data[DATA_BYTES];
	unsigned found = 0;
	sim_world_cut(box.rig->world);
	box_restart_co(&box);
	sim_world_power_on(box.rig->world);
	box_must_apply_co(&box, volumes);
	CHECK_INT(transfer_co(0, BLOCK_READ, data), 0);
	for (unsigned i = 0; i < DATA_BYTES; i++)
		found += data[i] == 0x5a;
	return found;
}

static void test_nothing_is_lost_co(struct stack_rig *rig, void *argument)
{
	static const char volumes[] = CACHED("a", "");
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, volumes);
	write_all_co();
	CHECK(survivors_co(volumes) < DATA_BYTES); /* without a flush */
	write_all_co();
	flush_all_co();
	CHECK_INT(lates.count, 0);
	CHECK_INT(survivors_co(volumes), DATA_BYTES);
	box_close_co(&box);
}

static bool is_durable(const char *file)
{
	char path[256];
	CHECK(block_core_path(box.rig->core, file, path, sizeof path));
	CHECK(sim_world_size_bytes(box.rig->world, path) == 1 << 20);
	return sim_world_is_durable(box.rig->world, path);
}

/* Many at once, some that cannot or need not. */
static void test_all_volumes_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {
		.opcodes = 1u << RING_DATASYNC, .skip = 1000, .error = -EIO};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box,
		CACHED("a", "") "," FILE_OF("b", "1M") "," MEM_OF("c",
			"1M") "," CACHED("d", "{type: readonly, name: r}"));
	sim_world_fail(rig->world, &fault);
	write_all_co();
	CHECK(!is_durable("a.raw"));
	flush_all_co();
	CHECK(is_durable("a.raw"));
	CHECK_INT(lates.count, 0);
	CHECK_INT(fault.hits, 2); /* a and b */
	sim_world_heal(rig->world, &fault);
	box_close_co(&box);
}

static void test_failure_marks_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {
		.opcodes = 1u << RING_DATASYNC, .error = -EIO};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, CACHED("a", ""));
	sim_world_fail(rig->world, &fault);
	flush_all_co();
	CHECK_INT(lates.count, 0);
	CHECK(volume_flags(box_volume_at(&box, 0)) & VOLUME_FAILED);
	uint64_t before = fault.hits;
	flush_all_co(); /* not asked again */
	CHECK_INT(fault.hits, before);
	sim_world_heal(rig->world, &fault);
	box_close_co(&box);
}

static void test_deadline_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box,
		CACHED("a", "") "," CACHED("s",
			"{type: fault, name: f, rules: [{op: flush, hold: "
			"true}]}"));
	uint64_t begun = loop_now_ns(block_core_lane(rig->core, 0)->loop);
	flush_all_co();
	uint64_t took =
		loop_now_ns(block_core_lane(rig->core, 0)->loop) - begun;
	CHECK_INT(lates.count, 1);
	CHECK(!strcmp(lates.name, "s"));
	CHECK(!(volume_flags(box_volume_at(&box, 1)) & VOLUME_FAILED));
	CHECK(took >= 10 * NS_PER_S && took < 11 * NS_PER_S);
	box_close_co(&box);
}

#define FLUSH_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLUSH_CASE(test_nothing_is_lost_co),
		FLUSH_CASE(test_all_volumes_co),
		FLUSH_CASE(test_failure_marks_co),
		FLUSH_CASE(test_deadline_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
