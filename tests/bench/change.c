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
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

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

static _Noreturn void die(const char *text, const char *more)
{
	fprintf(stderr, "change: %s %s\n", text, more);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

static int connect_to(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof to.sun_path)
		die("too long:", path);
	strcpy(to.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
		die(path, strerror(errno));
	return fd;
}

/* Reads one answer with Content-Length, or 204 without. */
static void read_answer(int fd, const struct step *step)
{
	static char text[1 << 20];
	size_t used = 0;
	for (;;) {
		ssize_t got = read(fd, text + used, sizeof text - 1 - used);
		if (got <= 0)
			die(step->name, "connection closed");
		used += (size_t)got;
		text[used] = '\0';
		const char *body = strstr(text, "\r\n\r\n");
		if (!body)
			continue;
		const char *length = strcasestr(text, "\r\nContent-Length:");
		size_t whole = (size_t)(body + 4 - text) +
			(length && length < body
					? strtoul(length + 17, NULL, 10)
					: 0);
		if (used < whole)
			continue;
		if (strncmp(text, "HTTP/1.1 20", 11) != 0)
			die(step->name, text);
		return;
	}
}

static uint32_t ask(int fd, const struct step *step)
{
	char text[1024];
	uint64_t begun = now_us();
	int bytes = snprintf(text, sizeof text,
		"%s %s HTTP/1.1\r\nHost: cairn\r\nIf-Match: *\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
		"%s",
		step->method, step->path, step->body ? strlen(step->body) : 0,
		step->body ? step->body : "");
	if (write(fd, text, (size_t)bytes) != bytes)
		die(step->name, strerror(errno));
	read_answer(fd, step);
	return (uint32_t)(now_us() - begun);
}

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
			uint32_t us = ask(daemons[d].fd, &steps[s]);
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
			die("options:", "[--rounds N] VOLUMES=SOCKET...");
		rounds = (unsigned)atoi(optarg);
	}
	if (!rounds || rounds > MAX_ROUNDS)
		die("rounds:", "1 to 1000");
	for (; optind < argc && count < MAX_DAEMONS; optind++) {
		char *path = strchr(argv[optind], '=');
		if (!path)
			die("no VOLUMES=SOCKET:", argv[optind]);
		*path++ = '\0';
		daemons[count].volumes = argv[optind];
		daemons[count++].fd = connect_to(path);
	}
	for (unsigned round = 0; round < rounds; round++)
		run_round(round, count);
	for (unsigned d = 0; d < count; d++)
		print(&daemons[d], rounds);
	return 0;
}
