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

#include "target/control/appliance.h"
#include "tests/lib/stack_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define TARGET "iqn.2026-11.example.cairn:t"

struct box {
	struct stack_rig *rig;
	struct settings settings;
	struct access_portal portal;
	char root[64];
	struct state *state;
	struct iscsi_server *server;
	struct appliance *appliance;
};

static void nobody(
	struct iscsi_watcher *watcher, const struct iscsi_session_info *info)
{
	(void)watcher;
	check_fail(__FILE__, __LINE__, "session of %s", info->initiator);
}

static struct iscsi_watcher watcher = {.session_up = nobody};

static void box_start(struct box *box)
{
	struct err err = {0};
	struct appliance_world world = {.core = box->rig->core,
		.state = box->state,
		.server = box->server,
		.settings = &box->settings,
		.secrets_directory = box->root};
	box->appliance = appliance_new(&world, &err);
	CHECK(box->appliance);
}

static void box_open(struct box *box, struct stack_rig *rig)
{
	struct err err = {0};
	memset(box, 0, sizeof *box);
	box->rig = rig;
	box->portal = (struct access_portal){
		.name = "main", .address = "127.0.0.1", .group = 1};
	box->settings.portal = &box->portal;
	box->settings.portals = 1;
	box->settings.naming_authority = "iqn.2026-11.example.cairn";
	iscsi_settings_defaults(&box->settings.iscsi);
	snprintf(box->root, sizeof box->root, "/tmp/cairn-appliance.XXXXXX");
	CHECK(mkdtemp(box->root));
	box->state = state_open(box->root, &err);
	CHECK(box->state);
	box->server = iscsi_server_new(
		rig->core, &box->settings.iscsi, &watcher, &err);
	CHECK(box->server);
	CHECK_INT(iscsi_lane_start(
			  box->server, block_core_lane(rig->core, 0), &err),
		0);
	box_start(box);
}

static void box_close_co(struct box *box)
{
	char command[128];
	iscsi_server_stop_co(box->server, NS_PER_S);
	appliance_close_co(box->appliance);
	iscsi_server_free(box->server);
	state_close(box->state);
	snprintf(command, sizeof command, "rm -rf %s", box->root);
	CHECK_INT(system(command), 0);
}

/* Volumes (a YAML list in one line) each as a LUN in turn, for any host. */
static int apply_co(
	struct box *box, const char *volumes, bool strict, struct err *err)
{
	char text[2048];
	int used = snprintf(text, sizeof text,
		"volumes: [%s]\n"
		"hosts: [{name: any, iscsi: {iqn: ['*']}}]\n"
		"targets: [{name: t}]\n"
		"exports:\n",
		volumes);
	unsigned lun = 0;
	for (const char *at = volumes; (at = strstr(at, "{name: ")); at++)
		used += snprintf(text + used, sizeof text - (size_t)used,
			"- {volume: %.1s, target: t, lun: %u, hosts: [any]}\n",
			at + 7, lun++);
	struct doc *tree = doc_parse("test", text, (size_t)used, err);
	CHECK(tree);
	struct document *document = document_read(tree, &box->settings, err);
	CHECK(document);
	return appliance_apply_co(box->appliance, document, strict, err);
}

static void must_apply_co(struct box *box, const char *volumes)
{
	struct err err = {0};
	if (apply_co(box, volumes, true, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static struct volume *volume_at(const struct box *box, unsigned lun)
{
	const struct access_table *table = appliance_table(box->appliance);
	const struct access_target *target = access_find_target(table, TARGET);
	const struct access_export *export =
		access_find_lun(target, &table->host[0], (uint16_t)lun);
	return export ? export->volume : NULL;
}

static uint64_t size_at(const struct box *box, unsigned lun)
{
	struct block_info info;
	if (!volume_info(volume_at(box, lun),
		    block_core_lane(box->rig->core, 0), &info))
		return 0;
	return info.size_bytes;
}

static void wait_co(struct box *box, unsigned s)
{
	loop_sleep_co(block_core_lane(box->rig->core, 0)->loop, s * NS_PER_S);
}

#define FILE_OF(name, size) \
	"{name: " name ", source: {protocol: {type: file, path: " name \
	".raw, size: " size "}}}"
#define MEM_OF(name, size) \
	"{name: " name ", source: {protocol: {type: mem, size: " size "}}}"

/* -- tests ------------------------------------------------------------------ */

static void test_what_stays_is_not_touched_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	(void)argument;
	box_open(&box, rig);
	must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("b", "2M"));
	struct volume *a = volume_at(&box, 0);
	struct block_source *source = atomic_load(&a->source);
	CHECK_INT(size_at(&box, 0), 1 << 20);
	CHECK_INT(size_at(&box, 1), 2 << 20);

	must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("c", "3M"));
	CHECK(volume_at(&box, 0) == a);
	CHECK(atomic_load(&a->source) == source);
	CHECK_INT(size_at(&box, 1), 3 << 20);
	CHECK(!volume_at(&box, 2));
	must_apply_co(&box, FILE_OF("a", "1M"));
	CHECK(volume_at(&box, 0) == a);
	CHECK(!volume_at(&box, 1));
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
	must_apply_co(&box, FILE_OF("a", "1M"));
	memcpy(serial, volume_at(&box, 0)->serial, sizeof serial);
	must_apply_co(&box,
		"{name: a, read_only: true, source: {listeners: [{type: stats, "
		"name: s}], protocol: {type: file, path: a.raw}}}");
	CHECK(!strcmp(volume_at(&box, 0)->serial, serial));
	CHECK(volume_read_only(volume_at(&box, 0)));
	CHECK_INT(size_at(&box, 0), 1 << 20);
	box_close_co(&box);
}

static void test_refused_changes_nothing_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("b", "1M"));
	const struct access_table *table = appliance_table(box.appliance);
	struct volume *a = volume_at(&box, 0);
	/* a would change, b would go, c is not there. */
	CHECK(apply_co(&box,
		      "{name: a, thin: true, source: {protocol: {type: file, "
		      "path: a.raw}}}, {name: c, source: {protocol: {type: "
		      "file, path: none.raw}}}",
		      true, &err) < 0);
	CHECK_FIND(err.text, "volume c");
	CHECK_FIND(err.text, "none.raw");
	CHECK(appliance_table(box.appliance) == table);
	CHECK(volume_at(&box, 0) == a);
	CHECK_INT(size_at(&box, 0), 1 << 20);
	CHECK_INT(size_at(&box, 1), 1 << 20);
	box_close_co(&box);
}

static void test_missing_one_comes_back_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	CHECK_INT(apply_co(&box,
			  MEM_OF("b", "1M") ", {name: m, source: {protocol: "
					    "{type: file, path: m.raw}}}",
			  false, &err),
		0);
	CHECK_INT(size_at(&box, 0), 1 << 20);
	CHECK_INT(size_at(&box, 1), 0);
	CHECK(strstr(volume_at(&box, 1)->offline_reason, "m.raw"));
	wait_co(&box, 20);
	CHECK_INT(size_at(&box, 1), 0);
	struct block_source *made = stack_rig_source_co(
		rig, "{protocol: {type: file, path: m.raw, size: 4M}}");
	block_source_put_co(made);
	wait_co(&box, 6);
	CHECK_INT(size_at(&box, 1), 4 << 20);
	box_close_co(&box);
}

/* A mistake that only opening finds is no reason to wait. */
static void test_mistake_is_refused_co(struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	CHECK(apply_co(&box,
		      "{name: a, source: {listeners: [{type: fault, name: f, "
		      "rules: [{op: read, length: x}]}], protocol: {type: mem, "
		      "size: 1M}}}",
		      false, &err) < 0);
	CHECK_FIND(err.text, "volume a");
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
	must_apply_co(&box, FILE_OF("a", "1M") "," MEM_OF("b", "2M"));
	memcpy(serial, volume_at(&box, 0)->serial, sizeof serial);
	/* b's reservations are damaged on disk. */
	CHECK_INT(state_save_blob(box.state, volume_at(&box, 1)->settings.uuid,
			  "reservation", key, sizeof key, &err),
		0);
	iscsi_server_stop_co(box.server, 0);
	appliance_close_co(box.appliance);
	iscsi_server_free(box.server);
	box.server = iscsi_server_new(
		rig->core, &box.settings.iscsi, &watcher, &err);
	CHECK_INT(iscsi_lane_start(
			  box.server, block_core_lane(rig->core, 0), &err),
		0);
	box_start(&box);
	CHECK_INT(appliance_restore_co(box.appliance, &err), 0);
	CHECK_INT(size_at(&box, 0), 1 << 20);
	CHECK(!strcmp(volume_at(&box, 0)->serial, serial));
	CHECK_INT(size_at(&box, 1), 0);
	CHECK(strstr(volume_at(&box, 1)->offline_reason, "durable"));
	box_close_co(&box);
}

static void test_empty_appliance_starts_co(
	struct stack_rig *rig, void *argument)
{
	struct box box;
	struct err err = {0};
	(void)argument;
	box_open(&box, rig);
	CHECK_INT(appliance_restore_co(box.appliance, &err), 0);
	CHECK_INT(appliance_table(box.appliance)->targets, 0);
	box_close_co(&box);
}

#define APPLIANCE_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		APPLIANCE_CASE(test_what_stays_is_not_touched_co),
		APPLIANCE_CASE(test_change_keeps_the_identity_co),
		APPLIANCE_CASE(test_refused_changes_nothing_co),
		APPLIANCE_CASE(test_missing_one_comes_back_co),
		APPLIANCE_CASE(test_mistake_is_refused_co),
		APPLIANCE_CASE(test_restart_brings_all_back_co),
		APPLIANCE_CASE(test_empty_appliance_starts_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
