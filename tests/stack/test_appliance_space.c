/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems under volumes that run full: looked at every ten seconds and at once
 * when a host was refused, one warning for all volumes, over when there is really
 * room again. On the simulator's clock, with its disk of 1 MiB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "target/control/appliance/appliance_space.h"
#include "tests/lib/appliance_box.h"
#include "tests/lib/sim_ring.h"

#include <errno.h>
#include <string.h>

#define DISK_BYTES (1u << 20)

static struct box box;
static struct {
	struct appliance_space_watcher watcher;
	unsigned reached, back;
	char name[RING_SPACE_NAME_BYTES];
} heard;

static void changed(struct appliance_space_watcher *watcher,
	const struct appliance_file_system *fs)
{
	CHECK(watcher == &heard.watcher);
	memcpy(heard.name, fs->name, sizeof heard.name);
	if (fs->reached)
		heard.reached++;
	else
		heard.back++;
}

static void open_box(struct stack_rig *rig)
{
	memset(&heard, 0, sizeof heard);
	heard.watcher.changed = changed;
	box_open(&box, rig);
	appliance_watch_space(box.appliance, &heard.watcher);
}

/* `percent` of the disk are taken by others. */
static void others_take(unsigned percent)
{
	sim_world_limit(box.rig->world, DISK_BYTES, DISK_BYTES / 100 * percent);
}

static void room_of(unsigned lun, struct volume_room *room)
{
	volume_space_get(&box_volume_at(&box, lun)->space, room);
}

static void expect_heard(unsigned reached, unsigned back)
{
	CHECK_INT(heard.reached, reached);
	CHECK_INT(heard.back, back);
}

static void period_co(struct stack_rig *rig, void *argument)
{
	struct volume_room room;
	(void)argument;
	open_box(rig);
	others_take(50);
	box_must_apply_co(&box,
		FILE_OF("a", "1M") "," FILE_OF("b", "1M") "," MEM_OF(
			"m", "1M"));
	box_wait_co(&box, 2);
	room_of(0, &room);
	CHECK_INT(room.total_bytes, DISK_BYTES);
	CHECK_INT(room.threshold_percent, 80);
	CHECK(room.free_bytes > DISK_BYTES / 100 * 45);
	room_of(2, &room);
	CHECK_INT(room.total_bytes, 0);
	expect_heard(0, 0);
	others_take(85);
	box_wait_co(&box, 11);
	expect_heard(1, 0); /* once, for two volumes */
	CHECK(!strcmp(heard.name, "/simulated"));
	room_of(0, &room);
	CHECK(room.reached);
	room_of(1, &room);
	CHECK(room.reached);
	box_wait_co(&box, 60);
	expect_heard(1, 0);
	others_take(76);
	box_wait_co(&box, 11);
	expect_heard(1, 0); /* not by enough */
	others_take(70);
	box_wait_co(&box, 11);
	expect_heard(1, 1);
	room_of(0, &room);
	CHECK(!room.reached);
	others_take(90);
	box_wait_co(&box, 11);
	expect_heard(2, 1); /* armed again */
	box_close_co(&box);
}

/* Both are named, and a volume that comes later is warned of, too; what lies in
 * memory or has all its space grows nowhere. */
static void who_grows_co(struct stack_rig *rig, void *argument)
{
	const struct appliance_file_system *fs;
	struct volume_room room;
	(void)argument;
	open_box(rig);
	others_take(85);
	box_must_apply_co(&box, FILE_OF("a", "64K") "," MEM_OF("m", "1M"));
	box_wait_co(&box, 1);
	fs = appliance_next_file_system(box.appliance, NULL);
	CHECK(fs && fs->reached);
	CHECK(appliance_next_file_system(box.appliance, fs) == NULL);
	CHECK(appliance_grows_on(box_volume_at(&box, 0), fs));
	CHECK(!appliance_grows_on(box_volume_at(&box, 1), fs));
	CHECK(appliance_file_system_of(box.appliance, box_volume_at(&box, 0)) ==
		fs);
	CHECK(!appliance_file_system_of(box.appliance, box_volume_at(&box, 1)));
	CHECK_INT(appliance_file_system_percent(fs), 85);
	box_must_apply_co(&box, FILE_OF("a", "64K") "," FILE_OF("c", "64K"));
	box_wait_co(&box, 2);
	room_of(1, &room);
	CHECK(room.reached);
	expect_heard(1, 0);
	box_must_apply_co(&box, MEM_OF("m", "1M"));
	box_wait_co(&box, 2);
	CHECK(appliance_next_file_system(box.appliance, NULL) == NULL);
	box_close_co(&box);
}

/* A change asks the volumes that it brings, not all others: those at their time. */
static void only_new_co(struct stack_rig *rig, void *argument)
{
	struct volume_room old, fresh;
	(void)argument;
	open_box(rig);
	others_take(20);
	box_must_apply_co(&box, FILE_OF("a", "64K"));
	box_wait_co(&box, 2);
	others_take(60);
	box_must_apply_co(&box, FILE_OF("a", "64K") "," FILE_OF("c", "64K"));
	box_wait_co(&box, 2);
	room_of(0, &old);
	room_of(1, &fresh);
	CHECK(old.free_bytes > DISK_BYTES / 100 * 70);
	CHECK(fresh.free_bytes && fresh.free_bytes < DISK_BYTES / 100 * 41);
	box_wait_co(&box, 9);
	room_of(0, &old);
	CHECK_INT(old.free_bytes, fresh.free_bytes);
	box_close_co(&box);
}

/* Not before a second has passed since the last look, and once for many. */
static void refused_co(struct stack_rig *rig, void *argument)
{
	struct volume *a;
	(void)argument;
	open_box(rig);
	others_take(10);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	box_wait_co(&box, 2);
	a = box_volume_at(&box, 0);
	others_take(95);
	for (unsigned i = 0; i < 1000; i++)
		volume_trouble(a, block_core_lane(rig->core, 0), -EIO, true);
	box_wait_co(&box, 1);
	expect_heard(0, 0);
	for (unsigned i = 0; i < 1000; i++)
		volume_trouble(a, block_core_lane(rig->core, 0), -ENOSPC, true);
	box_wait_co(&box, 1);
	expect_heard(1, 0);
	others_take(10);
	volume_space_short(&a->space);
	box_wait_co(&box, 2);
	expect_heard(1, 1);
	box_close_co(&box);
}

/* With a look asked for and under way all can be closed. */
static void closing_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	open_box(rig);
	others_take(95);
	box_must_apply_co(&box, FILE_OF("a", "1M") "," FILE_OF("b", "1M"));
	volume_space_short(&box_volume_at(&box, 0)->space);
	loop_sleep_co(block_core_lane(rig->core, 0)->loop, 0);
	box_close_co(&box);
}

static void off_co(struct stack_rig *rig, void *argument)
{
	struct volume_room room;
	(void)argument;
	open_box(rig);
	box.settings.space_threshold_percent = 0;
	box_restart_co(&box);
	appliance_watch_space(box.appliance, &heard.watcher);
	others_take(100);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	box_wait_co(&box, 30);
	expect_heard(0, 0);
	room_of(0, &room);
	CHECK_INT(room.total_bytes, DISK_BYTES);
	CHECK(room.free_bytes < 4096);
	CHECK_INT(room.threshold_percent, 0);
	box_close_co(&box);
}

#define SPACE_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPACE_CASE(period_co),
		SPACE_CASE(who_grows_co),
		SPACE_CASE(only_new_co),
		SPACE_CASE(refused_co),
		SPACE_CASE(closing_co),
		SPACE_CASE(off_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
