/* SPDX-License-Identifier: Apache-2.0 */
/* See scsi_rig.h. */
#include "tests/lib/scsi_rig.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "tests/lib/tables.h"

#include <stdlib.h>
#include <string.h>

/* -- the store ------------------------------------------------------------- */

static struct scsi_rig_blob *rig_blob(struct scsi_rig *rig, const char *kind)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!rig->blob[i].kind[0])
			snprintf(rig->blob[i].kind, sizeof rig->blob[i].kind,
				"%s", kind);
		if (!strcmp(rig->blob[i].kind, kind))
			return &rig->blob[i];
	}
	check_fail(__FILE__, __LINE__, "a blob of kind %s", kind);
}

static int rig_save_co(struct volume_store *store, const uint8_t *uuid,
	const char *kind, const void *data, size_t bytes, struct err *err)
{
	struct scsi_rig *rig = container_of(store, struct scsi_rig, store);
	struct scsi_rig_blob *blob = rig_blob(rig, kind);

	(void)uuid;
	(void)err;
	rig->storing = co_self();
	while (rig->store_holds)
		co_yield ();
	rig->storing = NULL;
	if (rig->store_result)
		return rig->store_result;
	free(blob->data);
	blob->data = malloc(bytes + 1);
	if (bytes)
		memcpy(blob->data, data, bytes);
	blob->bytes = bytes;
	return 0;
}

void scsi_rig_hold_store(struct scsi_rig *rig)
{
	rig->store_holds = true;
}

void scsi_rig_await_store_co(struct scsi_rig *rig)
{
	while (!rig->storing)
		scsi_rig_settle_co(rig);
}

void scsi_rig_release_store(struct scsi_rig *rig)
{
	rig->store_holds = false;
	if (rig->storing)
		co_resume(rig->storing);
}

/* -- from lane 0 to another and back ---------------------------------------- */

struct rig_hop {
	struct block_lane *home;
	void (*there)(struct rig_hop *hop);
	void *argument;
	struct loop_message message;
	struct co *waiter;
	bool done;
};

static void hop_home(struct loop_message *message)
{
	struct rig_hop *hop = container_of(message, struct rig_hop, message);

	hop->done = true;
	if (hop->waiter)
		co_resume(hop->waiter);
}

/* On the other lane, when it is done there. */
static void hop_back(struct rig_hop *hop)
{
	hop->message.run = hop_home;
	loop_post(hop->home->loop, &hop->message);
}

static void hop_there(struct loop_message *message)
{
	struct rig_hop *hop = container_of(message, struct rig_hop, message);

	hop->there(hop);
}

static void hop_start(
	struct scsi_rig *rig, struct block_lane *lane, struct rig_hop *hop)
{
	hop->home = block_core_lane(rig->stack->core, 0);
	hop->message.run = hop_there;
	loop_post(lane->loop, &hop->message);
}

static void hop_end_co(struct rig_hop *hop)
{
	hop->waiter = co_self();
	while (!hop->done)
		co_yield ();
}

static void hop_co(
	struct scsi_rig *rig, struct block_lane *lane, struct rig_hop *hop)
{
	hop_start(rig, lane, hop);
	hop_end_co(hop);
}

void scsi_rig_settle_co(struct scsi_rig *rig)
{
	for (unsigned i = 0; i < SCSI_RIG_LANES; i++) {
		struct rig_hop hop = {.there = hop_back};

		hop_co(rig, block_core_lane(rig->stack->core, i), &hop);
	}
}

/* -- hosts ----------------------------------------------------------------- */

static void login_there(struct rig_hop *hop)
{
	CHECK_INT(scsi_nexus_open(hop->argument, NULL), 0);
	hop_back(hop);
}

struct scsi_nexus *scsi_rig_login_co(struct scsi_rig *rig, unsigned host)
{
	struct scsi_nexus *nexus = &rig->nexus[host];
	struct volume_initiator *port = &nexus->initiator;
	struct rig_hop hop = {.there = login_there, .argument = nexus};

	memset(nexus, 0, sizeof *nexus);
	nexus->lane = block_core_lane(rig->stack->core, host % SCSI_RIG_LANES);
	nexus->table = access_get(rig->table);
	nexus->target = rig->table->target[0];
	nexus->host = rig->table->host[0];
	snprintf(port->port, sizeof port->port, "iqn.host:%u,i,0x00000000000%u",
		host, host);
	snprintf(port->target_port, sizeof port->target_port,
		"iqn.target,t,0x0001");
	port->relative_target_port = port->target_portal_group = 1;
	hop_co(rig, nexus->lane, &hop);
	return nexus;
}

struct rig_logout {
	struct rig_hop hop;
	struct scsi_nexus *nexus;
};
static struct rig_logout *rig_leaving; /* one at a time */

static void logout_closed(struct scsi_nexus *nexus)
{
	CHECK(nexus == rig_leaving->nexus);
	hop_back(&rig_leaving->hop);
}

static void logout_there(struct rig_hop *hop)
{
	scsi_nexus_close(container_of(hop, struct rig_logout, hop)->nexus,
		logout_closed);
}

void scsi_rig_logout_co(struct scsi_rig *rig, unsigned host)
{
	struct rig_logout logout = {
		.hop = {.there = logout_there}, .nexus = &rig->nexus[host]};

	if (!logout.nexus->private)
		return;
	rig_leaving = &logout;
	hop_co(rig, logout.nexus->lane, &logout.hop);
	access_put(logout.nexus->table);
}

/* -- opening and closing --------------------------------------------------- */

static struct access_table *rig_make_table(
	struct scsi_rig *rig, bool first, bool second)
{
	const struct tables_host hosts[] = {
		{.name = "host", .iqns = "*"}, {.name = NULL}};
	const struct tables_portal portals[] = {
		{.name = "a", .address = "192.0.2.1", .group = 1},
		{.name = "b", .address = "192.0.2.2", .group = 2},
		{.name = NULL}};
	const struct tables_target targets[] = {
		{.iqn = "iqn.target",
			.hosts = first ? "host" : "",
			.more_hosts = second ? "host" : ""},
		{.iqn = NULL}};
	struct access_table *table = tables_build(hosts, portals, targets);

	for (unsigned i = 0; i < table->target[0]->exports; i++)
		table->target[0]->export[i].volume = rig->volume;
	return table;
}

struct rig_refresh {
	struct rig_hop hop;
	struct scsi_nexus *nexus;
	struct access_table *table;
};
static struct rig_refresh *rig_refreshing; /* one at a time */

static void refreshed(struct scsi_nexus *nexus)
{
	CHECK(nexus == rig_refreshing->nexus);
	hop_back(&rig_refreshing->hop);
}

static void refresh_there(struct rig_hop *hop)
{
	struct rig_refresh *refresh =
		container_of(hop, struct rig_refresh, hop);
	struct access_table *table = refresh->table;

	CHECK_INT(scsi_nexus_refresh(refresh->nexus, table, table->target[0],
			  table->host[0], refreshed),
		0);
}

static void rig_take_table_co(
	struct scsi_rig *rig, unsigned host, struct access_table *table)
{
	struct rig_refresh refresh = {
		.hop = {.there = refresh_there},
		.nexus = &rig->nexus[host],
		.table = table,
	};

	rig_refreshing = &refresh;
	hop_co(rig, refresh.nexus->lane, &refresh.hop);
}

void scsi_rig_refresh_co(
	struct scsi_rig *rig, unsigned host, bool first, bool second)
{
	rig_take_table_co(rig, host, rig_make_table(rig, first, second));
}

void scsi_rig_protect_co(struct scsi_rig *rig, unsigned host)
{
	struct access_table *table = rig_make_table(rig, true, false);

	for (unsigned i = 0; i < table->target[0]->exports; i++)
		table->target[0]->export[i].read_only = true;
	rig_take_table_co(rig, host, table);
}

static void rig_start_co(
	struct scsi_rig *rig, const struct scsi_rig_setup *setup)
{
	struct volume_settings settings = {
		.name = "volume",
		.block_bytes = setup->block_bytes ? setup->block_bytes : 512,
		.physical_block_bytes = setup->physical_block_bytes,
		.read_only = setup->read_only,
		.removable = setup->removable,
		.thin = !setup->thick,
		.space_wait_s = setup->space_wait_s,
	};
	struct err err = {0};

	memcpy(settings.uuid, "0123456789abcdef", 16);
	rig->volume = volume_new(rig->stack->core, &settings,
		setup->without_store ? NULL : &rig->store, &err);
	CHECK(rig->volume);
	block_source_get(rig->source);
	volume_online(rig->volume, rig->source);
	rig->table = rig_make_table(rig, true, false);
}

/* Every host hears of the 29h that a new nexus begins with. */
static void rig_login_all_co(struct scsi_rig *rig)
{
	struct scsi_rig_command command;

	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++) {
		scsi_rig_login_co(rig, i);
		SCSI_RIG_FAILS(rig, i, &command, 0x062900, 0x00);
	}
}

void scsi_rig_open_co(struct scsi_rig *rig, struct stack_rig *stack,
	const struct scsi_rig_setup *setup)
{
	memset(rig, 0, sizeof *rig);
	rig->stack = stack;
	rig->store.save_co = rig_save_co;
	rig->source = stack_rig_source_co(stack,
		setup->document ? setup->document
				: "{protocol: {type: mem, size: 4M}}");
	rig_start_co(rig, setup);
	rig_login_all_co(rig);
}

static void rig_stop_co(struct scsi_rig *rig)
{
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		scsi_rig_logout_co(rig, i);
	access_put(rig->table);
	volume_free_co(rig->volume);
}

void scsi_rig_restart_co(
	struct scsi_rig *rig, const struct scsi_rig_setup *setup)
{
	struct scsi_rig_blob *reservation = rig_blob(rig, "reservation");
	struct scsi_rig_blob *modes = rig_blob(rig, "modepages");
	struct err err = {0};

	rig_stop_co(rig);
	rig_start_co(rig, setup);
	CHECK_INT(reservation_restore(rig->volume, reservation->data,
			  reservation->bytes, &err),
		0);
	if (modes->bytes)
		CHECK_INT(volume_restore_modes(
				  rig->volume, modes->data, modes->bytes, &err),
			0);
	rig_login_all_co(rig);
}

void scsi_rig_close_co(struct scsi_rig *rig)
{
	rig_stop_co(rig);
	block_source_put_co(rig->source);
	free(rig->blob[0].data);
	free(rig->blob[1].data);
}

/* -- others ---------------------------------------------------------------- */

static struct rig_management {
	struct rig_hop hop;
	struct scsi_management management;
} rig_managing;

static void managed(struct scsi_management *management)
{
	hop_back(&container_of(management, struct rig_management, management)
			  ->hop);
}

static void manage_there(struct rig_hop *hop)
{
	scsi_manage(&container_of(hop, struct rig_management, hop)->management);
}

void scsi_rig_manage(struct scsi_rig *rig, unsigned host, uint8_t function,
	struct scsi_task *task)
{
	rig_managing = (struct rig_management){
		.hop = {.there = manage_there},
		.management = {.nexus = &rig->nexus[host],
			.function = function,
			.task = task,
			.done = managed},
	};
	hop_start(rig, rig->nexus[host].lane, &rig_managing.hop);
}

uint8_t scsi_rig_managed_co(void)
{
	hop_end_co(&rig_managing.hop);
	return rig_managing.management.response;
}

uint8_t scsi_rig_manage_co(struct scsi_rig *rig, unsigned host,
	uint8_t function, struct scsi_task *task)
{
	scsi_rig_manage(rig, host, function, task);
	return scsi_rig_managed_co();
}

void scsi_rig_fault_co(
	struct scsi_rig *rig, const char *verb, const char *arguments)
{
	struct err err = {0};
	FILE *out = fopen("/dev/null", "w");
	int result = spec_command_co(rig->source, "fault", verb,
		arguments ? stack_rig_doc(rig->stack, arguments) : NULL, out,
		&err);

	if (result)
		check_fail(__FILE__, __LINE__, "%s: %s", verb, err.text);
	fclose(out);
}
