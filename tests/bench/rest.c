/* SPDX-License-Identifier: Apache-2.0 */
/*
 * People and scripts who look while hosts work: so many requests a second over the
 * unix socket, on one connection, until it is ended.
 *
 *	rest --socket PATH [--rate 50] [--seconds 0] URL...
 *
 * The URLs are asked for in turn, each at its time: one that is late does not move
 * the others. Prints requests=N late=N p50_us=X p99_us=Y. An answer that is no success
 * ends it with status 1.
 */
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/rest_asker.h"

#define SECOND_NS 1000000000ull
#define HISTOGRAM 100000u /* of 10 us */

static uint32_t histogram[HISTOGRAM];
static uint64_t requests, late;
static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void ask(int fd, const char *url)
{
	uint64_t slot = rest_asker_ask(fd, "GET", url, NULL) / 10000;
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
	uint64_t begun = rest_asker_now_ns(), next = begun;
	for (unsigned i = 0; !ended; i = url[i + 1] ? i + 1 : 0) {
		struct timespec at = {.tv_sec = (time_t)(next / SECOND_NS),
			.tv_nsec = (long)(next % SECOND_NS)};
		if (seconds > 0 &&
			(double)(next - begun) >= seconds * (double)SECOND_NS)
			break;
		late += rest_asker_now_ns() > next + SECOND_NS / rate;
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
			rest_asker_die("options:",
				"--socket PATH --rate N --seconds S");
	}
	if (!path || !rate || optind == argc)
		rest_asker_die("needed:", "--socket PATH URL...");
	struct sigaction action = {.sa_handler = end};
	sigaction(SIGTERM, &action, NULL);
	run(rest_asker_connect(path), rate, seconds, argv + optind);
	printf("requests=%llu late=%llu p50_us=%u p99_us=%u\n",
		(unsigned long long)requests, (unsigned long long)late,
		percentile_us(0.5), percentile_us(0.99));
	return 0;
}
