/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents that are applied while the appliance runs: what stays is not touched,
 * what goes is freed, what is refused changes nothing, what is not there comes
 * back. In the simulator, so that five seconds take no time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/appliance_box.h"
#include "tests/lib/sim_ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- tests ------------------------------------------------------------------ */

static void test_what_stays_is_not_touched_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("b", "2M"));
	struct volume *a = box_volume_at(&box, 0);
	struct block_source *source = atomic_load(&a->source);
	CHECK_INT(box_size_at(&box, 0), 1 << 20);
	CHECK_INT(box_size_at(&box, 1), 2 << 20);

	box_must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("c", "3M"));
	CHECK(box_volume_at(&box, 0) == a);
	CHECK(atomic_load(&a->source) == source);
	CHECK_INT(box_size_at(&box, 1), 3 << 20);
	CHECK(!box_volume_at(&box, 2));
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	CHECK(box_volume_at(&box, 0) == a);
	CHECK(!box_volume_at(&box, 1));
	box_close_co(&box);
}

static void test_settings_change_as_it_runs_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	struct volume *a = box_volume_at(&box, 0);
	struct block_source *source = atomic_load(&a->source);
	box_must_apply_co(&box,
		"{name: a, thin: true, space_wait: 20, source: {protocol: "
		"{type: file, path: a.raw, size: 1M}}}");
	CHECK(box_volume_at(&box, 0) == a);
	CHECK(atomic_load(&a->source) == source);
	CHECK(a->settings.thin);
	CHECK_INT(a->settings.space_wait_s, 20);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	CHECK(box_volume_at(&box, 0) == a);
	CHECK(!a->settings.thin);
	box_close_co(&box);
}

/* The file can be open once only, so the old source must go before the new. */
static void test_change_keeps_the_identity_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	char serial[33];
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	memcpy(serial, box_volume_at(&box, 0)->serial, sizeof serial);
	box_must_apply_co(&box,
		"{name: a, read_only: true, source: {listeners: [{type: stats, "
		"name: s}], protocol: {type: file, path: a.raw}}}");
	CHECK(!strcmp(box_volume_at(&box, 0)->serial, serial));
	CHECK(volume_read_only(box_volume_at(&box, 0)));
	CHECK_INT(box_size_at(&box, 0), 1 << 20);
	box_close_co(&box);
}

static void test_refused_changes_nothing_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("b", "1M"));
	const struct access_table *table = appliance_table(box.appliance);
	struct volume *a = box_volume_at(&box, 0);
	/* a would change, b would go, c is not there. */
	CHECK(box_apply_co(&box,
		      "{name: a, thin: true, source: {protocol: {type: file, "
		      "path: a.raw}}}, {name: c, source: {protocol: {type: "
		      "file, path: none.raw}}}",
		      true, &err) < 0);
	CHECK_FIND(err.text, "volume c");
	CHECK_FIND(err.text, "none.raw");
	CHECK(appliance_table(box.appliance) == table);
	CHECK(box_volume_at(&box, 0) == a);
	CHECK_INT(box_size_at(&box, 0), 1 << 20);
	CHECK_INT(box_size_at(&box, 1), 1 << 20);
	box_close_co(&box);
}

static void test_missing_one_comes_back_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	CHECK_INT(box_apply_co(&box,
			  MEM_OF("b", "1M") ", {name: m, source: {protocol: "
					    "{type: file, path: m.raw}}}",
			  false, &err),
		0);
	CHECK_INT(box_size_at(&box, 0), 1 << 20);
	CHECK_INT(box_size_at(&box, 1), 0);
	CHECK(strstr(box_volume_at(&box, 1)->offline_reason, "m.raw"));
	box_wait_co(&box, 20);
	CHECK_INT(box_size_at(&box, 1), 0);
	struct block_source *made = stack_rig_source_co(
		rig, "{protocol: {type: file, path: m.raw, size: 4M}}");
	block_source_put_co(made);
	box_wait_co(&box, 6);
	CHECK_INT(box_size_at(&box, 1), 4 << 20);
	box_close_co(&box);
}

/* A mistake that only opening finds is no reason to wait. */
static void test_mistake_is_refused_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	CHECK(box_apply_co(&box,
		      "{name: a, source: {listeners: [{type: fault, name: f, "
		      "rules: [{op: read, length: x}]}], protocol: {type: mem, "
		      "size: 1M}}}",
		      false, &err) < 0);
	CHECK_FIND(err.text, "volumes[0].source.listeners[0].rules[0]");
	CHECK(!appliance_table(box.appliance));
	box_close_co(&box);
}

static void test_restart_brings_all_back_co(
	struct stack_rig *rig, void *argument)
{
	static const char key[] = "some key";
	struct box box;
	struct err err = {0};
	char serial[33];
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("b", "2M"));
	memcpy(serial, box_volume_at(&box, 0)->serial, sizeof serial);
	/* b's reservations are damaged on disk. */
	CHECK_INT(state_save_blob(box.state,
			  box_volume_at(&box, 1)->settings.uuid, "reservation",
			  key, sizeof key, &err),
		0);
	box_restart_co(&box);
	CHECK_INT(config_restore_co(box.config, &err), 0);
	CHECK_INT(box_size_at(&box, 0), 1 << 20);
	CHECK(!strcmp(box_volume_at(&box, 0)->serial, serial));
	CHECK_INT(box_size_at(&box, 1), 0);
	CHECK_FIND(box_volume_at(&box, 1)->offline_reason, "durable");
	CHECK_FIND(box_volume_at(&box, 1)->offline_reason, "make it again");
	box_close_co(&box);
}

static int flush_co(struct box *box, unsigned lun)
{
	struct volume *volume = box_volume_at(box, lun);
	return volume_flushed(volume,
		block_transfer_co(atomic_load(&volume->source),
			block_core_lane(box->rig->core, 0), BLOCK_FLUSH, 0, 0,
			0, NULL));
}

/* The file driver promises nothing any more after an fdatasync that failed, so
 * only one that is opened anew helps. */
static void test_repair_opens_anew_co(struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {
		.opcodes = 1u << RING_DATASYNC, .times = 1, .error = -EIO};
	struct box box;
	struct err err = {0};
	bool reopens;
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	struct volume *a = box_volume_at(&box, 0);
	CHECK_INT(appliance_repair_co(box.appliance, "a", &err), -EALREADY);
	CHECK_INT(appliance_repair_co(box.appliance, "none", &err), -EALREADY);
	sim_world_fail(rig->world, &fault);
	CHECK_INT(flush_co(&box, 0), -EIO);
	sim_world_heal(rig->world, &fault);
	CHECK(volume_flags(a) & VOLUME_FAILED);
	CHECK_INT(flush_co(&box, 0), -EIO);
	CHECK_INT(
		appliance_repair_check(box.appliance, "a", &reopens, &err), 0);
	CHECK(reopens);
	/* Not under the feet of others. */
	struct block_source *held = atomic_load(&a->source);
	block_source_get(held);
	CHECK_INT(appliance_repair_co(box.appliance, "a", &err), -EBUSY);
	CHECK_FIND(err.text, "volume a");
	CHECK(volume_flags(a) & VOLUME_FAILED);
	block_source_put_co(held);
	CHECK_INT(appliance_repair_co(box.appliance, "a", &err), 0);
	CHECK(box_volume_at(&box, 0) == a);
	CHECK(!(volume_flags(a) & VOLUME_FAILED));
	CHECK_INT(flush_co(&box, 0), 0);
	box_close_co(&box);
}

/* What cannot be opened is offline with its reason, and comes back well. */
static void test_repair_of_what_does_not_open_co(
	struct stack_rig *rig, void *argument)
{
	struct sim_fault fault = {
		.opcodes = 1u << RING_DATASYNC, .times = 1, .error = -EIO};
	struct sim_fault unread = {.opcodes = 1u << RING_READ, .error = -EIO};
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box,
		"{name: a, source: {format: {type: qcow2, size: 1M, file: "
		"{protocol: {type: file, path: a.qcow2, size: 1M}}}}}");
	struct volume *a = box_volume_at(&box, 0);
	sim_world_fail(rig->world, &fault);
	CHECK_INT(flush_co(&box, 0), -EIO);
	sim_world_heal(rig->world, &fault);
	sim_world_fail(rig->world, &unread);
	CHECK_INT(appliance_repair_co(box.appliance, "a", &err), -EIO);
	CHECK_FIND(err.text, "volume a");
	CHECK_FIND(err.text, a->offline_reason);
	CHECK_INT(box_size_at(&box, 0), 0);
	sim_world_heal(rig->world, &unread);
	box_wait_co(&box, 6);
	CHECK_INT(box_size_at(&box, 0), 1 << 20);
	CHECK(!(volume_flags(a) & VOLUME_FAILED));
	CHECK_INT(flush_co(&box, 0), 0);
	box_close_co(&box);
}

#define BARE "{name: a, source: {protocol: {type: file, path: a.raw}}}"
#define HALF \
	"{name: a, source: {protocol: {type: file, path: a.raw, size: 512K}}}"

/* A file that no document gives a size is cut while the daemon stands: the volume does
 * not come back as less than it was, until somebody says that it is to be. */
static void test_cut_file_is_known_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	box_must_apply_co(&box, FILE_OF("a", "1M"));
	box_must_apply_co(&box, BARE);
	box_restart_co(&box);
	struct block_source *file = stack_rig_source_co(
		rig, "{protocol: {type: file, path: a.raw}}");
	CHECK_INT(spec_resize_co(file, 512 << 10, &err), 0);
	block_source_put_co(file);
	CHECK_INT(config_restore_co(box.config, &err), 0);
	CHECK_INT(box_size_at(&box, 0), 0);
	CHECK_FIND(box_volume_at(&box, 0)->offline_reason,
		"has 524288 bytes only, when it was used last it had 1048576");
	box_must_apply_co(&box, HALF);
	CHECK_INT(box_size_at(&box, 0), 512 << 10);
	box_must_apply_co(&box, BARE);
	box_restart_co(&box);
	CHECK_INT(config_restore_co(box.config, &err), 0);
	CHECK_INT(box_size_at(&box, 0), 512 << 10);
	box_close_co(&box);
}

static void test_empty_appliance_starts_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	CHECK_INT(config_restore_co(box.config, &err), 0);
	CHECK_INT(appliance_table(box.appliance)->targets, 0);
	box_close_co(&box);
}

#define APPLIANCE_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		APPLIANCE_CASE(test_what_stays_is_not_touched_co),
		APPLIANCE_CASE(test_settings_change_as_it_runs_co),
		APPLIANCE_CASE(test_change_keeps_the_identity_co),
		APPLIANCE_CASE(test_refused_changes_nothing_co),
		APPLIANCE_CASE(test_missing_one_comes_back_co),
		APPLIANCE_CASE(test_mistake_is_refused_co),
		APPLIANCE_CASE(test_restart_brings_all_back_co),
		APPLIANCE_CASE(test_repair_opens_anew_co),
		APPLIANCE_CASE(test_repair_of_what_does_not_open_co),
		APPLIANCE_CASE(test_cut_file_is_known_co),
		APPLIANCE_CASE(test_empty_appliance_starts_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
