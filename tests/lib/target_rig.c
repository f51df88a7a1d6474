/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See target_rig.h.
 */
#include "tests/lib/target_rig.h"

#include "blockcore/base/list.h"
#include "tests/lib/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_TARGET "iqn.2026-11.example.cairn:other"

void target_rig_defaults(struct target_rig_setup *setup)
{
	memset(setup, 0, sizeof *setup);
	iscsi_settings_defaults(&setup->settings);
	setup->lanes = 3;
	setup->pool_bytes = 32u << 20;
}

/* -- the parts, on the control lane ---------------------------------------- */

static void session_up(
	struct iscsi_watcher *watcher, const struct iscsi_session_info *info)
{
	struct target_rig *rig =
		container_of(watcher, struct target_rig, watcher);

	(void)info;
	atomic_fetch_add(&rig->sessions_up, 1);
}

static void session_down(struct iscsi_watcher *watcher,
	const struct iscsi_session_info *info, const char *reason)
{
	struct target_rig *rig =
		container_of(watcher, struct target_rig, watcher);

	(void)info;
	(void)reason;
	atomic_fetch_add(&rig->sessions_down, 1);
}

static void make_volume_co(
	struct target_rig *rig, unsigned index, const char *document)
{
	struct volume_settings settings = {.block_bytes = 512, .thin = true};
	struct err err = {0};

	snprintf(settings.name, sizeof settings.name, "volume%u", index);
	memset(settings.uuid, (int)(0x10 + index), sizeof settings.uuid);
	rig->volume[index] =
		volume_new(rig->stack->core, &settings, NULL, &err);
	CHECK(rig->volume[index]);
	volume_online(
		rig->volume[index], stack_rig_source_co(rig->stack, document));
}

/* Who the host is, and who sees the first LUN of the target and the others. */
struct admission {
	const char *iqns, *hosts, *more_hosts;
};
static const struct admission admitted = {"iqn.*", "web1", "web1"};

static struct access_table *make_table(
	struct target_rig *rig, const struct admission *admission)
{
	const struct tables_host hosts[] = {
		{.name = "web1", .iqns = admission->iqns}, {.name = NULL}};
	const struct tables_portal portals[] = {
		{.name = "main", .address = "127.0.0.1", .group = 1},
		{.name = NULL}};
	const struct tables_target targets[] = {
		{.iqn = WIRE_TARGET,
			.hosts = admission->hosts,
			.more_hosts = admission->more_hosts},
		{.iqn = OTHER_TARGET, .hosts = "web1"}, {.iqn = NULL}};
	struct access_table *table = tables_build(hosts, portals, targets);

	for (unsigned i = 0; i < table->targets; i++) {
		for (unsigned j = 0; j < table->target[i]->exports; j++)
			table->target[i]->export[j].volume = rig->volume[j];
	}
	return table;
}

static void start_lane(struct block_lane *lane, void *argument)
{
	struct err err = {0};

	if (lane->index != 0)
		CHECK_INT(iscsi_lane_start(argument, lane, &err), 0);
}

static void start_co(struct stack_rig *stack, void *argument)
{
	struct target_rig *rig = argument;
	struct access_portal portal = {
		.name = "main", .address = "127.0.0.1", .group = 1};
	struct err err = {0};

	rig->server = iscsi_server_new(
		stack->core, &rig->settings, &rig->watcher, &err);
	CHECK(rig->server);
	block_broadcast_co(stack->core, start_lane, rig->server);
	rig->table = make_table(rig, &admitted);
	iscsi_server_publish(rig->server, rig->table);
	CHECK_INT(iscsi_portal_prepare(
			  rig->server, &portal, NULL, &rig->portal, &err),
		0);
	iscsi_portal_start(rig->portal);
	rig->port = iscsi_portal_port(rig->portal);
}

struct call {
	struct target_rig *rig;
	void (*body_co)(struct target_rig *rig, void *argument);
	void *argument;
};

static void call_co(struct stack_rig *stack, void *argument)
{
	struct call *call = argument;

	(void)stack;
	call->body_co(call->rig, call->argument);
}

void target_rig_run(struct target_rig *rig,
	void (*body_co)(struct target_rig *rig, void *argument), void *argument)
{
	struct call call = {rig, body_co, argument};

	stack_rig_run(rig->stack, call_co, &call);
}

static void volumes_co(struct target_rig *rig, void *argument)
{
	(void)argument;
	make_volume_co(rig, 0,
		"{listeners: [{type: fault, name: fault, rules: [{op: read, "
		"offset: 32M, hold: true}]}], "
		"protocol: {type: mem, size: 64M}}");
	make_volume_co(rig, 1, "{protocol: {type: 'null', size: 1T}}");
}

struct target_rig *target_rig_new(const struct target_rig_setup *setup)
{
	const struct stack_rig_setup stack = {.world = "threads",
		.lanes = setup->lanes,
		.pool_bytes = setup->pool_bytes};
	struct target_rig *rig = calloc(1, sizeof *rig);

	CHECK(rig);
	rig->settings = setup->settings;
	rig->watcher.session_up = session_up;
	rig->watcher.session_down = session_down;
	rig->stack = stack_rig_new(&stack);
	target_rig_run(rig, volumes_co, NULL);
	stack_rig_run(rig->stack, start_co, rig);
	return rig;
}

/* -- the end --------------------------------------------------------------- */

static void stop_co(struct target_rig *rig, void *argument)
{
	iscsi_server_stop_co(rig->server, *(uint64_t *)argument);
	iscsi_server_free(rig->server);
	rig->server = NULL;
}

void target_rig_stop_server(struct target_rig *rig, uint64_t grace_ns)
{
	target_rig_run(rig, stop_co, &grace_ns);
}

static void free_volumes_co(struct target_rig *rig, void *argument)
{
	(void)argument;
	access_put(rig->table);
	for (unsigned i = 0; i < TARGET_RIG_VOLUMES; i++) {
		volume_offline_co(rig->volume[i], "the test ends");
		volume_free_co(rig->volume[i]);
	}
}

void target_rig_free(struct target_rig *rig)
{
	if (rig->server)
		target_rig_stop_server(rig, 0);
	target_rig_run(rig, free_volumes_co, NULL);
	stack_rig_free(rig->stack);
	free(rig);
}

static void publish_co(struct target_rig *rig, void *argument)
{
	struct access_table *old = rig->table;

	rig->table = make_table(rig, argument);
	iscsi_server_publish(rig->server, rig->table);
	access_put(old);
}

static void admit(struct target_rig *rig, struct admission admission)
{
	target_rig_run(rig, publish_co, &admission);
}

void target_rig_withdraw(struct target_rig *rig)
{
	admit(rig, (struct admission){"iqn.nobody", "", ""});
}

void target_rig_rename_host(struct target_rig *rig)
{
	admit(rig, (struct admission){"iqn.nobody", "web1", "web1"});
}

void target_rig_narrow(struct target_rig *rig)
{
	admit(rig, (struct admission){"iqn.*", "web1", ""});
}

void target_rig_restore(struct target_rig *rig)
{
	admit(rig, admitted);
}

int target_rig_set_up(void **state)
{
	struct target_rig_setup setup;

	target_rig_defaults(&setup);
	*state = target_rig_new(&setup);
	return 0;
}

int target_rig_tear_down(void **state)
{
	target_rig_free(*state);
	return 0;
}
