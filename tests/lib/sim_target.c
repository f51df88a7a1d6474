/* SPDX-License-Identifier: Apache-2.0 */
/* See sim_target.h. */
#include "tests/lib/sim_target.h"

#include "blockcore/base/list.h"
#include "target/iscsi/framing.h"
#include "target/iscsi/lifecycle.h"
#include "tests/lib/stack_sim.h"
#include "tests/lib/tables.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DEADLINE_NS (24 * 3600 * 1000000000ull) /* virtual */

void sim_target_defaults(struct sim_target_setup *setup)
{
	memset(setup, 0, sizeof *setup);
	iscsi_settings_defaults(&setup->settings);
	setup->settings.ping_interval_s = 0;
	setup->iqn = WIRE_TARGET;
	setup->source = "{protocol: {type: mem, size: 4M}}";
	setup->pool_bytes = 16u << 20;
}

/* -- the target ------------------------------------------------------------- */

static void session_down(struct iscsi_watcher *watcher,
	const struct iscsi_session_info *info, const char *reason)
{
	struct sim_target *target =
		container_of(watcher, struct sim_target, watcher);

	(void)info;
	target->sessions_down++;
	snprintf(target->reason, sizeof target->reason, "%s", reason);
}

/* There are no descriptors in the simulation: sim_target_poll is the loop. */
static int no_watch(struct loop *loop, struct loop_watch *watch)
{
	(void)loop;
	(void)watch;
	return 0;
}

static void make_volume_co(struct sim_target *target, const char *source)
{
	struct volume_settings settings = {
		.name = "v", .block_bytes = 512, .uuid = {1}, .thin = true};
	struct err err;

	target->volume = volume_new(target->rig->core, &settings, NULL, &err);
	CHECK(target->volume);
	volume_online(target->volume, stack_rig_source_co(target->rig, source));
}

static void make_table(
	struct sim_target *target, const struct sim_target_setup *setup)
{
	static const struct tables_host hosts[] = {{.name = "h", .iqns = "*"},
		{.name = "nobody", .iqns = "iqn.nobody"}, {.name = NULL}};
	static const struct tables_portal portals[] = {
		{.name = "main", .address = "0.0.0.0", .group = 1},
		{.name = NULL}};
	unsigned last = setup->hidden;
	struct tables_target *targets = calloc(last + 2, sizeof *targets);
	char(*names)[64] = calloc(last + 1, sizeof *names);

	for (unsigned i = 0; i < last; i++) {
		snprintf(names[i], sizeof names[i], "iqn.hidden:%u", i);
		targets[i] = (struct tables_target){
			.iqn = names[i], .hosts = "nobody"};
	}
	targets[last] = (struct tables_target){.iqn = setup->iqn, .hosts = "h"};
	target->table = tables_build(hosts, portals, targets);
	target->table->target[last]->export[0].volume = target->volume;
	target->portal = (struct access_portal){
		.name = "main", .address = "0.0.0.0", .group = 1};
	free(targets);
	free(names);
}

struct start {
	struct sim_target *target;
	const struct sim_target_setup *setup;
};

static void start_co(struct stack_rig *rig, void *argument)
{
	const struct start *start = argument;
	struct sim_target *target = start->target;
	struct err err;

	target->server = iscsi_server_new(
		rig->core, &start->setup->settings, &target->watcher, &err);
	CHECK(target->server);
	make_volume_co(target, start->setup->source);
	make_table(target, start->setup);
	iscsi_server_publish(target->server, target->table);
	CHECK_INT(iscsi_lane_start(target->server, target->lane, &err), 0);
}

struct sim_target *sim_target_new(const struct sim_target_setup *setup)
{
	const struct stack_rig_setup stack = {.world = "simulated",
		.lanes = 1,
		.pool_bytes = setup->pool_bytes};
	struct sim_target *target = calloc(1, sizeof *target);
	struct start start = {target, setup};

	CHECK(target);
	target->rig = stack_rig_new(&stack);
	target->sim = stack_sim(target->rig);
	target->lane = block_core_lane(target->rig->core, 0);
	target->watcher.session_down = session_down;
	target->ops = *target->lane->loop->ops;
	target->ops.watch = no_watch;
	target->lane->loop->ops = &target->ops;
	stack_rig_run(target->rig, start_co, &start);
	return target;
}

static void stop_co(struct stack_rig *rig, void *argument)
{
	struct sim_target *target = argument;

	(void)rig;
	iscsi_server_stop_co(target->server, 0);
	iscsi_server_free(target->server);
	access_put(target->table);
	volume_offline_co(target->volume, "the test ends");
	volume_free_co(target->volume);
}

void sim_target_free(struct sim_target *target)
{
	stack_rig_run(target->rig, stop_co, target);
	stack_rig_free(target->rig);
	free(target);
}

/* -- hosts ------------------------------------------------------------------- */

int sim_target_accept(struct sim_target *target)
{
	struct connection_arrival arrival = {.portal = &target->portal};
	int pair[2];

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	arrival.fd = pair[0];
	arrival.peer.ss_family = AF_UNIX;
	atomic_fetch_add(&target->server->connections, 1);
	atomic_fetch_add(&target->server->logins, 1);
	lifecycle_open(target->server->lane[0], &arrival, &framing_events);
	return pair[1];
}

/* The next thing happens; there must be one. */
static void step(struct sim_target *target)
{
	sim_target_poll(target);
	if (!sim_step(target->sim))
		check_fail(__FILE__, __LINE__, "all is idle, and waited for");
}

static bool something_came(const struct wire *wire)
{
	struct pollfd ready = {.fd = wire->fd, .events = POLLIN};

	return poll(&ready, 1, 0) == 1;
}

static void run_until_something_came(struct wire *wire)
{
	struct sim_target *target = wire->world;
	uint64_t end_ns = sim_now_ns(target->sim) + DEADLINE_NS;

	while (!something_came(wire)) {
		step(target);
		if (sim_now_ns(target->sim) > end_ns)
			check_fail(__FILE__, __LINE__, "no answer in a day");
	}
}

void sim_target_connect(struct sim_target *target, struct wire *wire)
{
	wire_attach(wire, sim_target_accept(target));
	wire->world = target;
	wire->before_receive = run_until_something_came;
}

void sim_target_open(
	struct sim_target *target, struct wire *wire, const char *keys)
{
	sim_target_connect(target, wire);
	CHECK_INT((int)wire_login(wire, WIRE_TARGET, keys), 0);
	wire_clear_attentions(wire);
}

/* -- turns ------------------------------------------------------------------- */

/* True if there was something. */
static bool look_at(struct loop_watch *watch)
{
	struct pollfd ready = {.fd = watch->fd, .events = POLLIN | POLLOUT};
	bool in, out;

	poll(&ready, 1, 0);
	in = ready.revents & (POLLIN | POLLHUP) &&
		watch->interest & LOOP_READABLE;
	out = ready.revents & POLLOUT && watch->interest & LOOP_WRITABLE;
	if (in)
		watch->ready(watch, LOOP_READABLE);
	if (out && watch->interest & LOOP_WRITABLE)
		watch->ready(watch, LOOP_WRITABLE);
	return in || out;
}

void sim_target_poll(struct sim_target *target)
{
	struct iscsi_connection *connection;
	bool any = false;

	TAILQ_FOREACH (connection, &target->server->lane[0]->connections, link)
		if (!connection->stream.closing)
			any |= look_at(&connection->stream.watch);
	if (any)
		sim_loop_wake(target->lane->loop);
}

/* A moment at which the clock stops even if nothing else happens then. */
struct moment {
	struct sim_event event;
	bool passed;
};

static void pass(struct sim_event *event)
{
	container_of(event, struct moment, event)->passed = true;
}

void sim_target_run_for(struct sim_target *target, uint64_t ns)
{
	struct moment end = {.event = {.run = pass}};

	sim_event_set(target->sim, &end.event, ns);
	while (!end.passed)
		step(target);
}

void sim_target_until_gone(struct sim_target *target)
{
	while (!TAILQ_EMPTY(&target->server->lane[0]->connections))
		step(target);
	sim_run(target->sim); /* and the watcher has been told */
}
