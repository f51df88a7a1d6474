/* SPDX-License-Identifier: Apache-2.0 */
/* See appliance_box.h. */
#include "tests/lib/appliance_box.h"

#include "tests/lib/check.h"
#include "tests/lib/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	box->config = config_open(&world, box->appliance, &err);
	CHECK(box->config);
}

void box_open(struct box *box, struct stack_rig *rig)
{
	struct err err = {0};
	memset(box, 0, sizeof *box);
	box->rig = rig;
	box->portal = (struct access_portal){
		.name = "main", .address = "127.0.0.1", .group = 1};
	box->settings.portal = &box->portal;
	box->settings.portals = 1;
	box->settings.space_threshold_percent = 80;
	box->settings.naming_authority = "iqn.2026-11.example.cairn";
	box->settings.api.url = "https://san.example:8443";
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

void box_close_co(struct box *box)
{
	char command[128];
	iscsi_server_stop_co(box->server, NS_PER_S);
	appliance_close_co(box->appliance);
	config_close(box->config);
	iscsi_server_free(box->server);
	state_close(box->state);
	snprintf(command, sizeof command, "rm -rf %s", box->root);
	CHECK_INT(system(command), 0);
}

/* Volumes (a YAML list in one line) each as a LUN in turn, for any host. */
int box_apply_co(
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
	struct config_outcome outcome;
	struct config_whole whole = {.root = tree,
		.who = "test",
		.title = "applied",
		.strict = strict};
	int failed = config_replace_co(box->config, &whole, &outcome, err);
	config_outcome_free(&outcome);
	return failed;
}

void box_must_apply_co(struct box *box, const char *volumes)
{
	struct err err = {0};
	if (box_apply_co(box, volumes, true, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

struct volume *box_volume_at(const struct box *box, unsigned lun)
{
	const struct access_table *table = appliance_table(box->appliance);
	const struct access_target *target =
		access_find_target(table, BOX_TARGET);
	const struct access_export *export =
		tables_find_lun(target, table->host[0], (uint16_t)lun);
	return export ? export->volume : NULL;
}

uint64_t box_size_at(const struct box *box, unsigned lun)
{
	struct block_info info;
	if (!volume_info(box_volume_at(box, lun),
		    block_core_lane(box->rig->core, 0), &info))
		return 0;
	return info.size_bytes;
}

void box_wait_co(struct box *box, unsigned s)
{
	loop_sleep_co(block_core_lane(box->rig->core, 0)->loop, s * NS_PER_S);
}

void box_restart_co(struct box *box)
{
	struct err err = {0};
	iscsi_server_stop_co(box->server, 0);
	appliance_close_co(box->appliance);
	config_close(box->config);
	iscsi_server_free(box->server);
	box->server = iscsi_server_new(
		box->rig->core, &box->settings.iscsi, &watcher, &err);
	CHECK_INT(iscsi_lane_start(box->server,
			  block_core_lane(box->rig->core, 0), &err),
		0);
	box_start(box);
}
