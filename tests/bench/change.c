/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change costs: the same changes over the unix sockets of several daemons,
 * in turn.
 *
 *	change [--rounds N] [--usual] VOLUMES=SOCKET...
 *
 * A round makes, alters and removes one of each kind of object that a configuration
 * and its users have (`steps`); with --usual only what is usual. Prints for each daemon
 * change volumes=VOLUMES us=MEAN of a round's usual requests, median of all rounds, and
 * the same for each kind of request. An answer that is not 2xx ends it with status 1.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/rest_asker.h"

#define MAX_ROUNDS 1000u
#define MAX_DAEMONS 4u

#define TARGET "/api/v1/targets/iqn.2026-11.example.cairn%3Abench"
#define BENCH "/api/v1/volumes/bench"
#define IMAGE "/api/v1/volumes/image"

#define STEP(name_, method_, path_, body_, ...) \
	{ \
		.name = name_, .method = method_, .path = path_, \
		.body = body_, __VA_ARGS__ \
	}
#define USUAL(...) STEP(__VA_ARGS__, .usual = true)
#define MAKES(...) STEP(__VA_ARGS__, .makes_id = true)
static const struct step {
	const char *name, *method, *path, *body; /* path: {id} is `id` */
	bool usual; /* counts for us=MEAN */
	bool makes_id;
} steps[] = {
	USUAL("create", "POST", "/api/v1/volumes",
		"{\"name\": \"bench\", \"source\": {\"protocol\": {\"type\": "
		"\"file\", \"path\": \"bench.raw\", \"size\": \"1M\"}}, "
		"\"export\": {\"hosts\": "
		"[\"web1\"]}}"),
	USUAL("listener", "POST", BENCH "/listeners",
		"{\"type\": \"throttle\", \"name\": \"limit\", \"iops\": 500}"),
	USUAL("host", "PATCH", "/api/v1/hosts/web1",
		"{\"addresses\": [\"192.0.2.0/24\"]}"),
	USUAL("host-back", "PATCH", "/api/v1/hosts/web1",
		"{\"addresses\": null}"),
	/* volumes and their listeners */
	STEP("dry-run", "PATCH", BENCH "?dryRun=true", "{\"thin\": true}"),
	STEP("volume-alter", "PATCH", BENCH, "{\"thin\": true}"),
	STEP("volume-resize", "POST", BENCH "/resize", "{\"size\": \"2M\"}"),
	STEP("listener-alter", "PATCH", BENCH "/listeners/limit",
		"{\"iops\": 600}"),
	STEP("listener-detach", "DELETE", BENCH "/listeners/limit", NULL),
	STEP("source", "PUT", BENCH "/source",
		"{\"listeners\": [{\"type\": \"delay\", \"name\": \"d\"}], "
		"\"protocol\": {\"type\": \"file\", \"path\": "
		"\"bench.raw\"}}"),
	STEP("qos", "PUT", BENCH "/qos", "{\"iops\": 700}"),
	STEP("qos-remove", "DELETE", BENCH "/qos", NULL),
	STEP("fault", "POST", BENCH "/faults",
		"{\"op\": \"flush\", \"error\": \"EIO\", \"count\": 1, "
		"\"duration_seconds\": 600}"),
	STEP("fault-remove", "DELETE", BENCH "/faults", NULL),
	/* hosts, targets, LUN maps, portals */
	STEP("host-create", "POST", "/api/v1/hosts",
		"{\"name\": \"bench\", \"iscsi\": {\"iqn\": "
		"[\"iqn.1993-08.org.debian:01:bench\"]}}"),
	STEP("host-secret", "PUT", "/api/v1/hosts/bench/secret",
		"{\"user\": \"bench\", \"secret\": \"a secret of bench\"}"),
	STEP("host-no-secret", "DELETE", "/api/v1/hosts/bench/secret", NULL),
	STEP("target-create", "POST", "/api/v1/targets",
		"{\"name\": \"other\"}"),
	STEP("target-alter", "PATCH", TARGET, "{\"alias\": \"bench\"}"),
	MAKES("lun-map", "POST", "/api/v1/exports",
		"{\"volume\": \"bench\", \"target\": "
		"\"iqn.2026-11.example.cairn:other\", \"lun\": 5, \"hosts\": "
		"[\"web1\"]}"),
	STEP("lun-map-alter", "PATCH", "/api/v1/exports/{id}",
		"{\"hosts\": [\"web1\", \"bench\"]}"),
	STEP("lun-map-remove", "DELETE", "/api/v1/exports/{id}", NULL),
	STEP("host-delete", "DELETE", "/api/v1/hosts/bench", NULL),
	STEP("portal-create", "POST", "/api/v1/portals",
		"{\"name\": \"bench\", \"address\": \"127.0.0.1\", "
		"\"port\": 0}"),
	STEP("portal-alter", "PATCH", "/api/v1/portals/bench",
		"{\"advertised\": \"192.0.2.1:3260\"}"),
	STEP("portal-delete", "DELETE", "/api/v1/portals/bench", NULL),
	/* images and snapshots */
	STEP("image-create", "POST", "/api/v1/volumes",
		"{\"name\": \"image\", \"source\": {\"format\": {\"type\": "
		"\"qcow2\", \"size\": \"1M\", \"file\": {\"protocol\": "
		"{\"type\": \"mem\", \"size\": \"8M\"}}}}}"),
	STEP("snapshot", "POST", IMAGE "/snapshots", "{\"name\": \"s\"}"),
	STEP("snapshot-delete", "DELETE", IMAGE "/snapshots/s", NULL),
	STEP("image-delete", "DELETE", IMAGE, NULL),
	STEP("schedule", "POST", "/api/v1/schedules",
		"{\"name\": \"bench\", \"volumes\": [\"bench\"], \"every\": "
		"\"day\", \"at\": \"02:30\", \"keep\": "
		"{\"daily\": 2}}"),
	STEP("schedule-alter", "PATCH", "/api/v1/schedules/bench",
		"{\"enabled\": false}"),
	STEP("schedule-delete", "DELETE", "/api/v1/schedules/bench", NULL),
	/* people; a password costs half a second of scrypt */
	STEP("user", "POST", "/api/v1/users",
		"{\"name\": \"bench\", \"role\": \"operator\", "
		"\"password\": \"a password of bench\"}"),
	STEP("user-alter", "PATCH", "/api/v1/users/bench",
		"{\"role\": \"viewer\"}"),
	MAKES("token", "POST", "/api/v1/tokens",
		"{\"comment\": \"bench\", \"user\": \"bench\", \"role\": "
		"\"viewer\", \"expires_seconds\": 600}"),
	STEP("token-revoke", "DELETE", "/api/v1/tokens/{id}", NULL),
	STEP("user-delete", "DELETE", "/api/v1/users/bench", NULL),
	/* the rest of what is usual */
	USUAL("delete", "DELETE", BENCH "?cascade=true&purge=true", NULL),
	USUAL("target", "DELETE", TARGET, NULL),
	STEP("target-delete", "DELETE",
		"/api/v1/targets/iqn.2026-11.example.cairn%3Aother", NULL),
};
#define STEPS (sizeof steps / sizeof *steps)

static struct daemon {
	const char *volumes;
	int fd;
	char id[32];
	uint32_t us[STEPS + 1][MAX_ROUNDS]; /* the last: the mean of usual */
} daemons[MAX_DAEMONS];
static bool usual_only;

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

static bool left_out(const struct step *step)
{
	return usual_only && !step->usual;
}

static uint32_t ask(struct daemon *daemon, const struct step *step)
{
	char path[128];
	const char *id = strstr(step->path, "{id}");
	snprintf(path, sizeof path, "%.*s%s",
		(int)(id ? id - step->path : (long)strlen(step->path)),
		step->path, id ? daemon->id : "");
	uint64_t ns =
		rest_asker_ask(daemon->fd, step->method, path, step->body);
	if (step->makes_id)
		rest_asker_answer("id", daemon->id, sizeof daemon->id);
	return (uint32_t)(ns / 1000);
}

/* The daemons take turns, step by step. */
static void run_round(unsigned round, unsigned count)
{
	unsigned usual = 0;
	for (unsigned d = 0; d < count; d++)
		daemons[d].us[STEPS][round] = 0;
	for (unsigned s = 0; s < STEPS; s++) {
		usual += steps[s].usual;
		for (unsigned d = 0; d < count && !left_out(&steps[s]); d++) {
			uint32_t us = ask(&daemons[d], &steps[s]);
			daemons[d].us[s][round] = us;
			daemons[d].us[STEPS][round] += us * steps[s].usual;
		}
	}
	for (unsigned d = 0; d < count; d++)
		daemons[d].us[STEPS][round] /= usual;
}

static void print(struct daemon *daemon, unsigned rounds)
{
	printf("change volumes=%s us=%u", daemon->volumes,
		median(daemon->us[STEPS], rounds));
	for (unsigned s = 0; s < STEPS; s++) {
		if (!left_out(&steps[s]))
			printf(" %s=%u", steps[s].name,
				median(daemon->us[s], rounds));
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"rounds", required_argument, NULL, 'r'},
		{"usual", no_argument, NULL, 'u'}, {NULL, 0, NULL, 0}};
	unsigned rounds = 7, count = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'r')
			rounds = (unsigned)atoi(optarg);
		else if (c == 'u')
			usual_only = true;
		else
			rest_asker_die("options:",
				"[--rounds N] [--usual] VOLUMES=SOCKET...");
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
