/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change costs: the same changes over the unix sockets of several daemons,
 * in turn.
 *
 *	change [--rounds N] VOLUMES=SOCKET...
 *
 * A round makes a volume with its target and export, attaches a throttle to it,
 * changes its export and a host, and removes all of it again. Prints for each daemon
 * change volumes=VOLUMES us=MEAN of a round's requests, median of all rounds, and
 * the same for each kind of request. An answer that is not 2xx ends it with status 1.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/rest_asker.h"

#define MAX_ROUNDS 1000u
#define MAX_DAEMONS 4u

static const struct step {
	const char *name, *method, *path, *body;
} steps[] = {
	{"create", "POST", "/api/v1/volumes",
		"{\"name\": \"bench\", \"source\": {\"protocol\": {\"type\": "
		"\"mem\", \"size\": \"1M\"}}, \"export\": {\"hosts\": "
		"[\"web1\"]}}"},
	{"listener", "POST", "/api/v1/volumes/bench/listeners",
		"{\"type\": \"throttle\", \"name\": \"limit\", \"iops\": 500}"},
	{"host", "PATCH", "/api/v1/hosts/web1",
		"{\"addresses\": [\"192.0.2.0/24\"]}"},
	{"host-back", "PATCH", "/api/v1/hosts/web1", "{\"addresses\": null}"},
	{"delete", "DELETE", "/api/v1/volumes/bench?cascade=true", NULL},
	{"target", "DELETE",
		"/api/v1/targets/iqn.2026-11.example.cairn%3Abench", NULL},
};
#define STEPS (sizeof steps / sizeof *steps)

static struct daemon {
	const char *volumes;
	int fd;
	uint32_t us[STEPS + 1][MAX_ROUNDS]; /* the last: the mean of all */
} daemons[MAX_DAEMONS];

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static uint32_t median(uint32_t *us, unsigned count)
{
	qsort(us, count, sizeof *us, compare);
	return us[count / 2];
}

/* The daemons take turns, step by step. */
static void run_round(unsigned round, unsigned count)
{
	for (unsigned d = 0; d < count; d++)
		daemons[d].us[STEPS][round] = 0;
	for (unsigned s = 0; s < STEPS; s++) {
		for (unsigned d = 0; d < count; d++) {
			const struct step *step = &steps[s];
			uint32_t us =
				(uint32_t)(rest_asker_ask(daemons[d].fd,
						   step->method, step->path,
						   step->body) /
					1000);
			daemons[d].us[s][round] = us;
			daemons[d].us[STEPS][round] += us / STEPS;
		}
	}
}

static void print(struct daemon *daemon, unsigned rounds)
{
	printf("change volumes=%s us=%u", daemon->volumes,
		median(daemon->us[STEPS], rounds));
	for (unsigned s = 0; s < STEPS; s++)
		printf(" %s=%u", steps[s].name, median(daemon->us[s], rounds));
	printf("\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"rounds", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	unsigned rounds = 7, count = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c != 'r')
			rest_asker_die(
				"options:", "[--rounds N] VOLUMES=SOCKET...");
		rounds = (unsigned)atoi(optarg);
	}
	if (!rounds || rounds > MAX_ROUNDS)
		rest_asker_die("rounds:", "1 to 1000");
	for (; optind < argc && count < MAX_DAEMONS; optind++) {
		char *path = strchr(argv[optind], '=');
		if (path) {
			*path = '\0';
			daemons[count].volumes = argv[optind];
			daemons[count++].fd = rest_asker_connect(path + 1);
		} else
			rest_asker_die("no VOLUMES=SOCKET:", argv[optind]);
	}
	for (unsigned round = 0; round < rounds; round++)
		run_round(round, count);
	for (unsigned d = 0; d < count; d++)
		print(&daemons[d], rounds);
	return 0;
}
