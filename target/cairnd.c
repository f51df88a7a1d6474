/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairnd: the command line, limits of the process, and the exit status.
 *
 *	0  ended by a signal, or the check found nothing
 *	1  could not start, or the check found a mistake
 *	2  wrong use
 */
#include "blockcore/base/log.h"
#include "blockcore/base/trace.h"
#include "blockcore/spec.h"
#include "target/control/daemon.h"
#include "target/control/document/document.h"
#include "webui/api/api.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct command_line {
	const char *config, *document, *port_file;
	bool only_first, check, help, version;
};

static const char usage[] =
	"usage: cairnd --config FILE [--apply FILE | --init FILE] "
	"[--port-file FILE]\n"
	"       cairnd --config FILE [--apply FILE] --check-config\n"
	"\n"
	"  --config FILE     settings of the daemon, such as etc/cairn.yaml\n"
	"  --apply FILE      appliance document to put in force and to keep;\n"
	"                    without it the one that is kept\n"
	"  --init FILE       the same, but only if nothing was ever kept: so\n"
	"                    what was changed meanwhile stays\n"
	"  --port-file FILE  is written when it is ready: NAME=ADDRESS:PORT,\n"
	"                    a line for each portal, and one for api\n"
	"  --check-config    read both files, say what is wrong, do no more\n"
	"  --help            this, every key of both files, all drivers\n"
	"  --version         which cairnd this is\n";

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"apply", required_argument, NULL, 'a'},
	{"init", required_argument, NULL, 'i'},
	{"port-file", required_argument, NULL, 'p'},
	{"check-config", no_argument, NULL, 'k'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

static bool parse(int argc, char **argv, struct command_line *line)
{
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c': line->config = optarg; break;
		case 'a':
		case 'i':
			line->document = optarg;
			line->only_first = option == 'i';
			break;
		case 'p': line->port_file = optarg; break;
		case 'k': line->check = true; break;
		case 'h': line->help = true; break;
		case 'v': line->version = true; break;
		default: return false;
		}
	}
	if (line->help || line->version)
		return true;
	if (optind < argc)
		fprintf(stderr, "cairnd: \"%s\" belongs to no option\n",
			argv[optind]);
	else if (!line->config)
		fprintf(stderr, "cairnd: --config FILE is missing\n");
	return line->config && optind == argc;
}

static int help(void)
{
	fputs(usage, stdout);
	fputc('\n', stdout);
	settings_print_help(stdout);
	fputc('\n', stdout);
	document_print_help(stdout);
	fputs("\nSources: what a volume stands on\n\n", stdout);
	spec_print_help(stdout);
	return 0;
}

/* Connections, files and registered buffers need more than a shell allows. */
static void raise_limits(void)
{
	static const int what[] = {RLIMIT_NOFILE, RLIMIT_MEMLOCK};
	for (int i = 0; i < 2; i++) {
		struct rlimit limit;
		if (getrlimit(what[i], &limit))
			continue;
		limit.rlim_cur = limit.rlim_max;
		setrlimit(what[i], &limit);
		if (what[i] != RLIMIT_MEMLOCK)
			continue;
		/* Root may have more. */
		limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
		setrlimit(what[i], &limit);
	}
}

static int fail(const struct err *err)
{
	fprintf(stderr, "cairnd: %s\n", err->text);
	return 1;
}

static int check(const struct command_line *line,
	const struct daemon_orders *orders, struct err *err)
{
	if (daemon_check(orders, err))
		return fail(err);
	printf("%s: ok\n", line->config);
	if (line->document)
		printf("%s: ok\n", line->document);
	return 0;
}

static int run(const struct command_line *line)
{
	struct settings settings;
	struct err err = {0};
	if (settings_load(line->config, &settings, &err))
		return fail(&err);
	struct daemon_orders orders = {.settings = &settings,
		.document = line->document,
		.only_first = line->only_first,
		.port_file = line->port_file,
		.face = &api_face};
	int status;
	log_set_level(settings.log_level);
	if (line->check) {
		status = check(line, &orders, &err);
	} else {
		umask(077);
		log_set_times(!getenv("JOURNAL_STREAM"));
		raise_limits();
		trace_install_crash_handler();
		status = daemon_run(&orders, &err) ? fail(&err) : 0;
	}
	settings_free(&settings);
	return status;
}

int main(int argc, char **argv)
{
	struct command_line line = {.config = NULL};
	if (!parse(argc, argv, &line)) {
		fputs("try: cairnd --help\n", stderr);
		return 2;
	}
	if (line.help)
		return help();
	if (line.version) {
		puts("cairnd " CAIRN_VERSION);
		return 0;
	}
	return run(&line);
}
