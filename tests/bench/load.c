/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator of `make bench`: one iSCSI session, a fixed number of
 * commands in flight, a spinning thread, so that what is measured is the target.
 *
 *	load --port N --target IQN [--address A] [--write] [--bytes 4096]
 *	     [--depth 32] [--seconds 2] [--pid PID] [--span BYTES]
 *	     [--lun 0] [--verify]
 *
 * Prints one line: iops, mbps (10^6 bytes/s), p50 and p99 in us, and with --pid
 * the target's CPU time per I/O in us. --verify, on a disk that holds zeroes to
 * begin with, writes a pattern that tells its place and generation, reads at random
 * and compares: a unit that was never written holds zeroes.
 */
#include "tests/lib/initiator.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u
#define HISTOGRAM 200000u /* us */

struct load {
	const char *address, *target;
	uint16_t port;
	bool write, verify, sequential;
	uint32_t bytes, depth;
	double seconds;
	int pid, lun;
	uint64_t span;

	struct initiator initiator;
	struct initiator_io io[INITIATOR_DEPTH];
	uint64_t at[INITIATOR_DEPTH]; /* unit that the slot works on */
	uint32_t idle[INITIATOR_DEPTH];
	unsigned idles;
	uint64_t random, errors, done;
	uint32_t *generation; /* of each unit, for --verify */
	uint32_t histogram[HISTOGRAM];
};
static struct load load = {.address = "127.0.0.1",
	.port = 3260,
	.bytes = 4096,
	.depth = 32,
	.seconds = 2,
	.span = 256u << 20,
	.random = 88172645463325252u};

static _Noreturn void die(const char *text, const char *more)
{
	fprintf(stderr, "load: %s %s\n", text, more);
	exit(1);
}

/* CPU time of a process in microseconds, all threads; the kernel counts it in
 * ticks of 10 ms, so a measurement takes a second at least. */
static double cpu_us(int pid)
{
	char path[64], line[1024];
	unsigned long user, system;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f || !fgets(line, sizeof line, f))
		die("no such process:", path);
	fclose(f);
	const char *rest = strrchr(line, ')');
	if (!rest ||
		sscanf(rest + 2,
			"%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			&user, &system) != 2)
		die("cannot read", path);
	return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static uint64_t next_random(void)
{
	load.random ^= load.random << 13;
	load.random ^= load.random >> 7;
	load.random ^= load.random << 17;
	return load.random;
}

static void fill(uint8_t *data, uint64_t unit, uint32_t generation)
{
	for (uint32_t at = 0; at < load.bytes; at += 16) {
		uint64_t place = unit * load.bytes + at;
		memcpy(data + at, &place, 8);
		memcpy(data + at + 8, &generation, 4);
		memcpy(data + at + 12, &load.bytes, 4);
	}
}

static void check(const struct initiator_io *io, uint64_t unit)
{
	static uint8_t *expected;

	if (!expected && !(expected = malloc(load.bytes)))
		die("out of memory", "");
	if (load.generation[unit])
		fill(expected, unit, load.generation[unit]);
	else
		memset(expected, 0, load.bytes);
	if (memcmp(expected, io->data, load.bytes)) {
		load.errors++;
		fprintf(stderr, "load: unit %llu differs\n",
			(unsigned long long)unit);
	}
}

static unsigned ended(
	struct initiator *initiator, struct initiator_io *io, void *argument)
{
	uint64_t us = (io->ended_ns - io->started_ns) / 1000;

	(void)initiator;
	(void)argument;
	if (io->status)
		load.errors++;
	else if (load.verify && !io->write)
		check(io, load.at[io->slot]);
	load.histogram[us < HISTOGRAM ? us : HISTOGRAM - 1]++;
	load.done++;
	load.idle[load.idles++] = io->slot;
	return 0;
}

/* With --verify a unit has one slot (unit mod depth), so that no two commands
 * in flight touch the same place; writes and reads alternate at random. */
static void start(uint32_t slot)
{
	struct initiator_io *io = &load.io[slot];
	uint64_t units = load.span / load.bytes;
	uint64_t unit = next_random() % units;
	bool write = load.write;

	if (load.verify) {
		unit = unit / load.depth * load.depth + slot;
		if (unit >= units)
			unit = slot;
		write = next_random() & 1;
		if (write)
			fill(io->data, unit, ++load.generation[unit]);
	}
	load.at[slot] = unit;
	initiator_io_read_write(io, write, unit * (load.bytes / BLOCK),
		load.bytes / BLOCK, BLOCK, io->data);
	io->slot = slot;
}

static void run(double seconds)
{
	uint64_t until = initiator_now_ns() + (uint64_t)(seconds * 1e9);

	while (initiator_now_ns() < until) {
		while (load.idles && initiator_has_room(&load.initiator)) {
			uint32_t slot = load.idle[--load.idles];
			start(slot);
			initiator_queue(&load.initiator, &load.io[slot]);
		}
		if (initiator_turn(&load.initiator))
			die("connection:", load.initiator.error);
	}
}

static void drain(void)
{
	uint64_t limit = initiator_now_ns() + 30000000000u;

	while (load.idles < load.depth) {
		if (initiator_turn(&load.initiator))
			die("connection:", load.initiator.error);
		if (initiator_now_ns() > limit)
			die("commands do not end", "");
	}
}

static unsigned percentile(double part)
{
	uint64_t sum = 0, wanted = (uint64_t)((double)load.done * part);

	for (unsigned us = 0; us < HISTOGRAM; us++)
		if ((sum += load.histogram[us]) > wanted)
			return us;
	return HISTOGRAM;
}

static void measure(void)
{
	run(0.2); /* warm */
	memset(load.histogram, 0, sizeof load.histogram);
	load.done = 0;
	double cpu = load.pid ? cpu_us(load.pid) : 0;
	uint64_t begun = initiator_now_ns();
	run(load.seconds);
	double took = (double)(initiator_now_ns() - begun) / 1e9;
	uint64_t done = load.done;
	cpu = load.pid ? cpu_us(load.pid) - cpu : 0;
	drain();
	printf("iops=%.0f mbps=%.0f p50_us=%u p99_us=%u cpu_us=%.3f "
	       "errors=%llu\n",
		(double)done / took, (double)done * load.bytes / took / 1e6,
		percentile(0.5), percentile(0.99),
		done ? cpu / (double)done : 0, (unsigned long long)load.errors);
}

static void options(int argc, char **argv)
{
	static const struct option known[] = {{"address", 1, 0, 'a'},
		{"port", 1, 0, 'p'}, {"target", 1, 0, 't'},
		{"write", 0, 0, 'w'}, {"bytes", 1, 0, 'b'},
		{"depth", 1, 0, 'd'}, {"seconds", 1, 0, 's'},
		{"pid", 1, 0, 'P'}, {"span", 1, 0, 'S'}, {"verify", 0, 0, 'v'},
		{"lun", 1, 0, 'l'}, {0, 0, 0, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (c) {
		case 'a': load.address = optarg; break;
		case 'p': load.port = (uint16_t)atoi(optarg); break;
		case 't': load.target = optarg; break;
		case 'w': load.write = true; break;
		case 'b': load.bytes = (uint32_t)atoi(optarg); break;
		case 'd': load.depth = (uint32_t)atoi(optarg); break;
		case 's': load.seconds = atof(optarg); break;
		case 'P': load.pid = atoi(optarg); break;
		case 'S': load.span = strtoull(optarg, NULL, 0); break;
		case 'v': load.verify = true; break;
		case 'l': load.lun = atoi(optarg); break;
		default: exit(2);
		}
	if (!load.target || !load.depth || load.depth > INITIATOR_DEPTH ||
		load.bytes < BLOCK || load.bytes % BLOCK ||
		load.span / load.bytes < load.depth)
		die("wrong options:", "see the head of tests/bench/load.c");
}

int main(int argc, char **argv)
{
	options(argc, argv);
	if (initiator_connect(&load.initiator, load.address, load.port,
		    "iqn.2026-11.example.cairn:load", load.target))
		die("login:", load.initiator.error);
	load.initiator.lun = (uint8_t)load.lun;
	if (initiator_ready(&load.initiator))
		die("unit:", load.initiator.error);
	load.initiator.done = ended;
	load.initiator.discard_reads = !load.verify;
	load.generation = calloc(load.span / load.bytes, 4);
	for (uint32_t slot = 0; slot < load.depth; slot++) {
		load.io[slot].data = calloc(1, load.bytes);
		load.idle[load.idles++] = slot;
	}
	measure();
	initiator_close(&load.initiator);
	return load.errors ? 1 : 0;
}
