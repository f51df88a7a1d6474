/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's life, as two stories: what the main thread sets up before and
 * takes down after the control reactor runs, and one coroutine on that reactor
 * that starts the rest, waits for a signal and stops it again.
 */
#include "target/control/daemon.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "blockcore/memory.h"
#include "blockcore/ring.h"
#include "target/control/appliance/appliance.h"
#include "target/control/appliance/appliance_flush.h"
#include "target/control/appliance/pivots.h"
#include "target/control/config/config.h"
#include "target/control/directory.h"
#include "target/control/lanes.h"
#include "target/control/own_audit.h"
#include "target/control/report.h"
#include "target/control/tries.h"
#include "target/control/trust/trust.h"
#include "target/reactor/reactor.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define GRACE_NS NS_PER_S
#define TWIN_NS (NS_PER_S / 5)
#define FLUSH_NS (10 * NS_PER_S)

struct daemon {
	const struct daemon_orders *orders;
	struct settings *settings;
	char secrets_directory[4096];

	struct state *state;
	int run_lock_fd; /* -1: the state's lock is that of both */
	struct ring_world *world;
	struct reactor *control;
	struct lanes *lanes;
	struct block_core *core;
	struct iscsi_server *server;
	struct appliance *appliance;
	struct config *config;
	struct trust *trust;
	struct pivots pivots;
	struct tries tries;
	void *face;

	struct loop_message begin;
	struct co *story; /* while it waits for a signal */
	bool stopping;
	int failed;
	struct err *err;
};

/* -- signals ---------------------------------------------------------------- */

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};

static uint64_t stopped_ns; /* when the first one came */

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The second signal, in signal context. One key may arrive twice (timeout(1)
 * signals its child and then its group), so a twin of the first is no second. */
static void end_at_once(int number)
{
	static const char text[] = "\ncairnd: ended at once; hosts will find "
				   "their sessions gone\n";
	if (now_ns() - stopped_ns < TWIN_NS)
		return;
	ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
	(void)written;
	_exit(128 + number);
}

/* From here on the kernel itself, not the loop, acts on the next signal. */
static void arm_second_signal(void)
{
	struct sigaction action = {.sa_handler = end_at_once};
	stopped_ns = now_ns();
	for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals; i++)
		sigaction(stop_signals[i], &action, NULL);
}

static void signal_caught(int number, void *argument)
{
	struct daemon *daemon = argument;
	struct co *story = daemon->story;
	if (daemon->stopping)
		return;
	daemon->stopping = true;
	arm_second_signal();
	log_info("cairnd", "stop", "%s: ending sessions, closing volumes",
		strsignal(number));
	daemon->story = NULL;
	if (story)
		co_resume(story);
}

static int catch_signals(struct daemon *daemon, struct err *err)
{
	for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals;
		i++) {
		int failed = reactor_on_signal(daemon->control, stop_signals[i],
			signal_caught, daemon);
		if (failed)
			return err_set(err, -failed,
				"signals cannot be caught: %s",
				strerror(-failed));
	}
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

/* -- ready ------------------------------------------------------------------ */

static void print_port(
	FILE *out, const char *name, const char *address, uint16_t port)
{
	fprintf(out, strchr(address, ':') ? "%s=[%s]:%u\n" : "%s=%s:%u\n", name,
		address, port);
}

/* Appears whole or not at all. */
static int write_port_file(const struct daemon *daemon, struct err *err)
{
	const char *path = daemon->orders->port_file;
	char draft[4096];
	if (!path)
		return 0;
	snprintf(draft, sizeof draft, "%s.new", path);
	FILE *out = fopen(draft, "we");
	const struct access_table *table = appliance_table(daemon->appliance);
	for (unsigned i = 0; out && i < table->portals; i++) {
		const struct access_portal *p = table->portal[i];
		if (!atomic_load(&p->closed))
			print_port(out, p->name, p->address, p->port);
	}
	if (out && daemon->face && daemon->settings->api.enabled)
		print_port(out, "api", daemon->settings->api.address,
			daemon->settings->api.port);
	if (!out || fclose(out) || rename(draft, path))
		return err_set(
			err, errno, "port file %s: %s", path, strerror(errno));
	return 0;
}

/* Not strict: one disk that is missing must not keep the others from hosts. */
static int apply_file_co(struct daemon *daemon, struct err *err)
{
	struct config_outcome outcome;
	struct own_audit audit;
	struct config_whole whole = {
		.root = document_load_tree(daemon->orders->document, err),
		.who = "apply",
		.title = "document applied at the start",
		.witness = own_audit_witness(
			&audit, daemon->trust, "applyAtStart", "config")};
	if (!whole.root)
		return -EINVAL;
	int failed = config_replace_co(daemon->config, &whole, &outcome, err);
	config_outcome_free(&outcome);
	return failed;
}

static int open_config_co(struct daemon *daemon, struct err *err)
{
	const struct daemon_orders *orders = daemon->orders;
	struct appliance_world world = {.core = daemon->core,
		.state = daemon->state,
		.trust = daemon->trust,
		.server = daemon->server,
		.settings = daemon->settings,
		.secrets_directory = daemon->secrets_directory};
	daemon->appliance = appliance_new(&world, err);
	if (!daemon->appliance)
		return -ENOMEM;
	daemon->config = config_open(&world, daemon->appliance, err);
	if (!daemon->config)
		return -EIO;
	pivots_open(&daemon->pivots, &world, daemon->appliance, daemon->config,
		daemon->trust);
	bool kept = orders->only_first && config_generation(daemon->config);
	bool applies = orders->document && !kept;
	if (orders->document && kept)
		log_info("document", "kept",
			"what is kept is in force, %s not applied; to apply "
			"it: cairn apply -f %s",
			orders->document, orders->document);
	return applies ? apply_file_co(daemon, err)
		       : config_restore_co(daemon->config, err);
}

static int open_face_co(struct daemon *daemon, struct err *err)
{
	struct daemon_parts parts = {.settings = daemon->settings,
		.control = daemon->control,
		.core = daemon->core,
		.server = daemon->server,
		.state = daemon->state,
		.appliance = daemon->appliance,
		.config = daemon->config,
		.trust = daemon->trust,
		.pivots = &daemon->pivots,
		.tries = &daemon->tries};
	const struct daemon_face *face = daemon->orders->face;
	return face ? face->start_co(&parts, &daemon->face, err) : 0;
}

/* The first administrator comes over REST, so without it there is no need. */
static int open_trust(struct daemon *daemon, struct err *err)
{
	struct trust_world world = {.state = daemon->state,
		.loop = reactor_loop(daemon->control),
		.run_directory = daemon->orders->face
			? daemon->settings->run_directory
			: NULL,
		.client_certificates = daemon->settings->api.client_ca};
	daemon->trust = trust_open(&world, err);
	if (!daemon->trust)
		return -EIO;
	if (trust_bootstrap_token(daemon->trust))
		own_audit_note(
			daemon->trust, "makeBootstrapToken", "bootstrap-token");
	tries_init(&daemon->tries, daemon->trust);
	return 0;
}

/* What REST asks may take milliseconds; where there are fewer CPUs than threads, a
 * thread that carries I/O and wakes up must not wait for that: SCHED_BATCH does not
 * preempt others as it wakes. The threads of the lanes have begun and keep what they
 * have; workers that begin later compute for us. Not where threads of ours do the I/O,
 * nor where somebody has chosen for the whole process. */
static void give_way(const struct daemon *daemon)
{
	const struct sched_param none = {0};
	if (strcmp(daemon->world->ops->name, "io_uring") != 0 ||
		sched_getscheduler(0) != SCHED_OTHER)
		return;
	if (sched_setscheduler(0, SCHED_BATCH, &none))
		log_debug("cairnd", "scheduling", "as all threads: %s",
			strerror(errno));
}

/* The story as far as "ready". Portals are opened with the document. */
static int start_co(struct daemon *daemon, struct err *err)
{
	int failed = open_trust(daemon, err);
	if (failed)
		return failed;
	daemon->server = iscsi_server_new(daemon->core,
		&daemon->settings->iscsi, &daemon->tries.watcher, err);
	if (!daemon->server)
		return -ENOMEM;
	failed = lanes_start_co(daemon->lanes, daemon->server,
		daemon->settings->buffer_bytes, err);
	if (failed)
		return failed;
	give_way(daemon);
	failed = open_config_co(daemon, err);
	if (!failed)
		failed = open_face_co(daemon, err);
	if (!failed)
		failed = write_port_file(daemon, err);
	return failed;
}

static void stop_co(struct daemon *daemon)
{
	struct report_end end = {0};
	if (daemon->server)
		end.connections = iscsi_server_connections(daemon->server);
	if (daemon->appliance)
		block_core_let_go_co(daemon->core);
	if (daemon->face)
		daemon->orders->face->stop_co(daemon->face);
	if (daemon->server)
		iscsi_server_stop_co(daemon->server, GRACE_NS);
	pivots_close(&daemon->pivots);
	if (daemon->appliance) {
		appliance_flush_co(
			daemon->appliance, FLUSH_NS, report_end_late, &end);
		report_end_look(&end, daemon->appliance);
		appliance_close_co(daemon->appliance);
	}
	config_close(daemon->config);
	if (daemon->server)
		iscsi_server_free(daemon->server);
	trust_close(daemon->trust);
	lanes_stop_co(daemon->lanes);
	report_end(&end);
	reactor_stop(daemon->control);
}

static void story_co(void *argument)
{
	struct daemon *daemon = argument;
	daemon->failed = start_co(daemon, daemon->err);
	if (!daemon->failed && !daemon->stopping) {
		report_start(stdout, daemon->settings,
			block_core_lane(daemon->core, 0),
			daemon->world->ops->name,
			appliance_table(daemon->appliance));
		report_setup(stdout, daemon->settings,
			trust_bootstrap_token(daemon->trust));
		own_audit_note(daemon->trust, "startDaemon", NULL);
		daemon->story = co_self();
		co_yield ();
		own_audit_note(daemon->trust, "stopDaemon", NULL);
	}
	daemon->stopping = true;
	stop_co(daemon);
}

static void begin(struct loop_message *message)
{
	struct daemon *daemon = container_of(message, struct daemon, begin);
	if (co_start(story_co, daemon))
		return;
	daemon->failed = err_set(daemon->err, ENOMEM, "out of memory");
	reactor_stop(daemon->control);
}

/* -- before and after the control reactor ----------------------------------- */

static int name_secrets(struct daemon *daemon, struct err *err)
{
	if (snprintf(daemon->secrets_directory,
		    sizeof daemon->secrets_directory, "%s/secrets",
		    daemon->settings->state_directory) >=
		(int)sizeof daemon->secrets_directory)
		return err_set(err, ENAMETOOLONG, "%s: too long",
			daemon->settings->state_directory);
	return 0;
}

/* Socket and bootstrap token in it are one daemon's. */
static int take_run_directory(struct daemon *daemon, struct err *err)
{
	const struct settings *settings = daemon->settings;
	const char *path = settings->run_directory;
	int failed = directory_make(path, 0755, err);
	if (failed || directory_is_same(path, settings->state_directory))
		return failed;
	daemon->run_lock_fd = directory_lock(path, "run_directory", err);
	return daemon->run_lock_fd < 0 ? daemon->run_lock_fd : 0;
}

static int set_up(struct daemon *daemon, struct err *err)
{
	struct settings *settings = daemon->settings;
	daemon->state = state_open(settings->state_directory, err);
	if (!daemon->state)
		return -EIO;
	int failed = directory_make(daemon->secrets_directory, 0700, err);
	if (!failed)
		failed = directory_make(settings->data_directory, 0700, err);
	if (!failed && daemon->orders->face)
		failed = take_run_directory(daemon, err);
	if (failed)
		return failed;
	daemon->world = ring_world_real(settings->ring, err);
	if (!daemon->world)
		return -EIO;
	daemon->control = reactor_new("control", 0, err);
	if (!daemon->control)
		return -ENOMEM;
	failed = catch_signals(daemon, err);
	if (failed)
		return failed;
	daemon->core = block_core_new(daemon->world, settings->reactors + 1,
		settings->data_directory, err);
	if (!daemon->core)
		return -ENOMEM;
	block_memory_limit(daemon->core, settings->table_cache_bytes);
	block_cache_limit(daemon->core, settings->read_cache_bytes);
	daemon->lanes = lanes_new(daemon->core, daemon->control, settings, err);
	return daemon->lanes ? 0 : -ENOMEM;
}

static void take_down(struct daemon *daemon)
{
	if (daemon->lanes)
		lanes_free(daemon->lanes);
	if (daemon->core)
		block_core_free(daemon->core);
	co_thread_fini();
	reactor_free(daemon->control);
	if (daemon->world)
		ring_world_free(daemon->world);
	if (daemon->run_lock_fd >= 0)
		close(daemon->run_lock_fd);
	state_close(daemon->state);
}

int daemon_run(const struct daemon_orders *orders, struct err *err)
{
	struct daemon daemon = {.orders = orders,
		.settings = orders->settings,
		.run_lock_fd = -1,
		.begin.run = begin,
		.err = err};
	int failed = name_secrets(&daemon, err);
	if (!failed)
		failed = set_up(&daemon, err);
	if (!failed) {
		loop_post(reactor_loop(daemon.control), &daemon.begin);
		reactor_run(daemon.control);
		failed = daemon.failed;
	}
	take_down(&daemon);
	return failed;
}

int daemon_check(const struct daemon_orders *orders, struct err *err)
{
	struct daemon daemon = {.settings = orders->settings};
	if (!orders->document)
		return 0;
	struct document *document =
		document_load(orders->document, orders->settings, err);
	if (!document)
		return -EINVAL;
	int failed = name_secrets(&daemon, err);
	if (!failed)
		failed = document_find_secrets(
			document, NULL, daemon.secrets_directory, err);
	document_free(document);
	return failed;
}
