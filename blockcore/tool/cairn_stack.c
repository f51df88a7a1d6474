/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairn-stack: builds one source from a document, without a daemon, and runs
 * commands on it, from the command line or from standard input. Stacks can so be
 * looked at, measured, broken and repaired by hand and by scripts.
 *
 * Exit status: 0 all commands succeeded, 1 a command failed (the others ran),
 * 2 wrong usage or a document that cannot be built.
 */
#include "blockcore/base/co.h"
#include "blockcore/base/log.h"
#include "blockcore/base/thread.h"
#include "blockcore/base/trace.h"
#include "blockcore/loop/loop_epoll.h"
#include "blockcore/memory.h"
#include "blockcore/ring.h"
#include "blockcore/spec.h"
#include "blockcore/tool/cairn_stack_tool.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define POOL_BYTES \
	(64u << 20) /* of data buffers per lane; reserved, not used */
#define MAX_COMMANDS 256u
#define TABLE_BYTES_MIN (1u << 20)

struct session {
	bool create; /* what the document says is made, and that is all */
	const char *document, *directory, *ring;
	unsigned lanes;
	uint64_t table_bytes; /* of all images in memory; 0: as the core says */
	const char *command[MAX_COMMANDS];
	unsigned commands;
	struct ring_world *world;
	struct loop *loop[BLOCK_MAX_LANES];
	pthread_t thread[BLOCK_MAX_LANES];
	struct tool tool;
	int status;
};

/* -- lanes ---------------------------------------------------------------- */

struct lane_start {
	struct session *session;
	unsigned index;
	struct err err;
	int error;
	sem_t started;
};

static void *lane_thread(void *argument)
{
	struct lane_start *start = argument;
	struct session *session = start->session;
	unsigned index = start->index;
	struct loop *loop = session->loop[index];

	start->error = block_lane_start(
		session->tool.core, index, loop, POOL_BYTES, &start->err);
	bool run = start->error == 0;
	sem_post(&start->started); /* `start` is not touched after this */
	if (run) {
		loop_epoll_run(loop);
		block_lane_stop(block_core_lane(session->tool.core, index));
		co_thread_fini();
	}
	return NULL;
}

static int lane_new(struct session *session, unsigned index, struct err *err)
{
	struct lane_start start = {.session = session, .index = index};

	session->loop[index] = loop_epoll_new(err);
	if (!session->loop[index])
		return -err->code;
	if (index == 0)
		return block_lane_start(session->tool.core, 0, session->loop[0],
			POOL_BYTES, err);
	sem_init(&start.started, 0, 0);
	int error = thread_start(
		&session->thread[index], NULL, lane_thread, &start);
	if (error)
		return err_set(err, error, "thread: %s", strerror(error));
	while (sem_wait(&start.started))
		;
	sem_destroy(&start.started);
	if (start.error)
		*err = start.err;
	return start.error;
}

static int session_open(struct session *session, struct err *err)
{
	session->world = ring_world_real(session->ring, err);
	if (!session->world)
		return -err->code;
	session->tool.core = block_core_new(
		session->world, session->lanes, session->directory, err);
	if (!session->tool.core)
		return -err->code;
	if (session->table_bytes)
		block_memory_limit(session->tool.core, session->table_bytes);
	for (unsigned i = 0; i < session->lanes; i++) {
		int error = lane_new(session, i, err);

		if (error)
			return error; /* the process ends; so do the threads */
	}
	return 0;
}

static void session_close(struct session *session)
{
	for (unsigned i = 1; i < session->lanes; i++) {
		loop_epoll_stop(session->loop[i]);
		pthread_join(session->thread[i], NULL);
	}
	block_lane_stop(block_core_lane(session->tool.core, 0));
	co_thread_fini();
	block_core_free(session->tool.core);
	ring_world_free(session->world);
	for (unsigned i = 0; i < session->lanes; i++)
		loop_epoll_free(session->loop[i]);
}

/* -- commands ------------------------------------------------------------- */

static void session_command_co(struct session *session, const char *command)
{
	struct err err = {0};

	if (tool_run_co(&session->tool, command, &err)) {
		fprintf(stderr, "cairn-stack: %s\n", err.text);
		session->status = 1;
	}
	fflush(session->tool.out);
}

struct input {
	char *line;
	size_t room;
};

/* On the worker pool: the loop goes on while somebody types. */
static int input_read(void *argument)
{
	struct input *input = argument;

	return getline(&input->line, &input->room, stdin) < 0 ? -1 : 0;
}

static void session_commands_co(struct session *session)
{
	struct input input = {0};

	for (unsigned i = 0; i < session->commands; i++)
		session_command_co(session, session->command[i]);
	if (session->commands || session->create)
		return;
	while (loop_work_co(session->loop[0], input_read, &input) == 0)
		session_command_co(session, input.line);
	free(input.line);
}

static void session_run_co(void *argument)
{
	struct session *session = argument;
	struct tool *tool = &session->tool;
	struct err err = {0};
	struct doc *document = doc_parse_file(session->document, &err);

	tool->lane = block_core_lane(tool->core, 0);
	tool->out = stdout;
	TAILQ_INIT(&tool->running);
	if (!document ||
		(session->create && tool_check_new(tool, document, &err)) ||
		spec_build_co(tool->core, "stack", NULL, document,
			&tool->source, &err)) {
		fprintf(stderr, "cairn-stack: %s\n", err.text);
		session->status = 2;
	} else {
		session_commands_co(session);
		if (tool_io_wait_co(tool, &err)) {
			fprintf(stderr, "cairn-stack: %s\n", err.text);
			session->status = 1;
		}
		tool_stop_jobs_co(tool);
		block_source_put_co(tool->source);
	}
	doc_free(document);
	loop_epoll_stop(session->loop[0]);
}

static void session_start(struct loop_message *message);
static struct session session = {.directory = ".", .lanes = 1};
static struct loop_message session_message = {.run = session_start};

static void session_start(struct loop_message *message)
{
	(void)message;
	if (!co_start(session_run_co, &session)) {
		fputs("cairn-stack: no memory for a coroutine\n", stderr);
		session.status = 2;
		loop_epoll_stop(session.loop[0]);
	}
}

/* -- usage ---------------------------------------------------------------- */

static void print_help(void)
{
	puts("usage: cairn-stack [OPTION]... DOCUMENT.yaml\n"
	     "       cairn-stack [OPTION]... create DOCUMENT.yaml\n"
	     "       cairn-stack drivers | schema\n\n"
	     "Builds the source that the document describes and runs commands "
	     "on it.\n\n"
	     "  -c, --command COMMAND  run this and end (again: one after the "
	     "other);\n"
	     "                         without, commands come from standard "
	     "input\n"
	     "  -d, --directory DIR    where relative paths start (.)\n"
	     "  -l, --lanes N          threads of the block core (1)\n"
	     "  -r, --ring NAME        io_uring or threads (the best there "
	     "is)\n"
	     "  -t, --table-cache SIZE memory for the tables of all images "
	     "(512M)\n"
	     "  -v, --verbose          more in the log\n"
	     "  -h, --help             this\n"
	     "      --version          which cairn-stack this is\n\n"
	     "create: makes the files and the image that it describes, of "
	     "which none may be there;\nwhat they are made of are options of "
	     "the image. drivers: all drivers and their options; schema: JSON "
	     "Schema of "
	     "the document.\n\n"
	     "Exit status: 0 all well, 1 a command failed, 2 wrong usage or "
	     "document.\n\n"
	     "Commands:");
	tool_print_commands(stdout);
}

static int usage_error(const char *text, const char *what)
{
	fprintf(stderr, "cairn-stack: %s%s\ntry: cairn-stack --help\n", text,
		what);
	return 2;
}

static const struct option long_options[] = {
	{"command", required_argument, NULL, 'c'},
	{"directory", required_argument, NULL, 'd'},
	{"lanes", required_argument, NULL, 'l'},
	{"ring", required_argument, NULL, 'r'},
	{"table-cache", required_argument, NULL, 't'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

/* As take_option. */
static int take_table_cache(const char *text)
{
	struct doc *doc = doc_parse("", text, strlen(text), NULL);
	bool is_size = doc &&
		!doc_size(doc, TABLE_BYTES_MIN, INT64_MAX, &session.table_bytes,
			NULL);

	doc_free(doc);
	return is_size ? -1
		       : usage_error("--table-cache: a size of at least 1M, "
				     "like 1G, not ",
				 text);
}

/* -1: go on; else the exit status. */
static int take_option(int option)
{
	switch (option) {
	case 'c':
		if (session.commands == MAX_COMMANDS)
			return usage_error("too many commands", "");
		session.command[session.commands++] = optarg;
		return -1;
	case 'd': session.directory = optarg; return -1;
	case 'l':
		session.lanes = (unsigned)strtoul(optarg, NULL, 10);
		if (!session.lanes || session.lanes > BLOCK_MAX_LANES)
			return usage_error("--lanes: 1 to 64, not ", optarg);
		return -1;
	case 'r': session.ring = optarg; return -1;
	case 't': return take_table_cache(optarg);
	case 'v': log_set_level(LOG_DEBUG); return -1;
	case 'h': print_help(); return 0;
	case 'V': puts("cairn-stack " CAIRN_VERSION); return 0;
	default: fputs("try: cairn-stack --help\n", stderr); return 2;
	}
}

static int run(void)
{
	struct err err = {0};

	if (session_open(&session, &err)) {
		fprintf(stderr, "cairn-stack: %s\n", err.text);
		return 2;
	}
	loop_post(session.loop[0], &session_message);
	loop_epoll_run(session.loop[0]);
	session_close(&session);
	return session.status;
}

int main(int argc, char **argv)
{
	int option;

	trace_install_crash_handler();
	while ((option = getopt_long(argc, argv, "c:d:l:r:t:vh", long_options,
			NULL)) != -1) {
		int status = take_option(option);

		if (status >= 0)
			return status;
	}
	session.create = optind + 2 == argc && !strcmp(argv[optind], "create");
	optind += session.create;
	if (optind + 1 != argc)
		return usage_error("one document is needed", "");
	session.document = argv[optind];
	if (!strcmp(session.document, "drivers")) {
		spec_print_help(stdout);
		return 0;
	}
	if (!strcmp(session.document, "schema")) {
		spec_print_schema(stdout);
		return 0;
	}
	return run();
}
