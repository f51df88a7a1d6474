/* SPDX-License-Identifier: Apache-2.0 */
/*
 * People and scripts who look while hosts work: so many requests a second over the
 * unix socket, on one connection, until it is ended.
 *
 *	rest --socket PATH [--rate 50] [--seconds 0] URL...
 *
 * The URLs are asked for in turn, each at its time: one that is late does not move
 * the others. Prints requests=N late=N p50_us=X p99_us=Y. An answer that is not 200
 * ends it with status 1.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define HISTOGRAM 100000u /* of 10 us */

static uint32_t histogram[HISTOGRAM];
static uint64_t requests, late;
static volatile sig_atomic_t ended;

static _Noreturn void die(const char *text, const char *more)
{
	fprintf(stderr, "rest: %s %s\n", text, more);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void end(int signal)
{
	(void)signal;
	ended = 1;
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

/* The end of the head, NULL if it is not there yet. */
static const char *end_of_head(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");
	return end ? end + 4 : NULL;
}

/* Reads one answer with Content-Length. */
static void read_answer(int fd, const char *url)
{
	static char text[8 << 20];
	size_t used = 0, whole = 0;
	while (!whole || used < whole) {
		ssize_t got = read(fd, text + used, sizeof text - 1 - used);
		if (got <= 0)
			die(url, got ? strerror(errno) : "connection closed");
		used += (size_t)got;
		text[used] = '\0';
		const char *body = whole ? NULL : end_of_head(text);
		if (!body)
			continue;
		const char *length = strcasestr(text, "\r\nContent-Length:");
		if (strncmp(text, "HTTP/1.1 200", 12) != 0 || !length)
			die(url, text);
		whole = (size_t)(body - text) + strtoul(length + 17, NULL, 10);
	}
}

static void ask(int fd, const char *url)
{
	char text[1024];
	uint64_t begun = now_ns();
	int bytes = snprintf(text, sizeof text,
		"GET %s HTTP/1.1\r\nHost: cairn\r\n\r\n", url);
	if (write(fd, text, (size_t)bytes) != bytes)
		die(url, strerror(errno));
	read_answer(fd, url);
	uint64_t slot = (now_ns() - begun) / 10000;
	histogram[slot < HISTOGRAM ? slot : HISTOGRAM - 1]++;
	requests++;
}

static unsigned percentile_us(double part)
{
	uint64_t seen = 0;
	unsigned i = 0;
	while (i < HISTOGRAM - 1 &&
		(double)(seen += histogram[i]) < part * (double)requests)
		i++;
	return (i + 1) * 10;
}

static void run(int fd, unsigned rate, double seconds, char *const *url)
{
	uint64_t begun = now_ns(), next = begun;
	for (unsigned i = 0; !ended; i = url[i + 1] ? i + 1 : 0) {
		struct timespec at = {.tv_sec = (time_t)(next / SECOND_NS),
			.tv_nsec = (long)(next % SECOND_NS)};
		if (seconds > 0 &&
			(double)(next - begun) >= seconds * (double)SECOND_NS)
			break;
		late += now_ns() > next + SECOND_NS / rate;
		if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL))
			break;
		ask(fd, url[i]);
		next += SECOND_NS / rate;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"rate", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	const char *path = NULL;
	unsigned rate = 50;
	double seconds = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 's')
			path = optarg;
		else if (c == 'r')
			rate = (unsigned)atoi(optarg);
		else if (c == 't')
			seconds = atof(optarg);
		else
			die("options:", "--socket PATH --rate N --seconds S");
	}
	if (!path || !rate || optind == argc)
		die("needed:", "--socket PATH URL...");
	struct sigaction action = {.sa_handler = end};
	sigaction(SIGTERM, &action, NULL);
	run(connect_to(path), rate, seconds, argv + optind);
	printf("requests=%llu late=%llu p50_us=%u p99_us=%u\n",
		(unsigned long long)requests, (unsigned long long)late,
		percentile_us(0.5), percentile_us(0.99));
	return 0;
}
