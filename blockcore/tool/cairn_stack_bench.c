/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairn-stack's command `bench`: so many requests, so many at a time, at places in
 * random order, no place twice before each had its turn. With -S, each is so many
 * bytes after the last instead, round and round, as with qemu-img bench: the same
 * places in the same order, or a device that guesses what comes next helps only
 * one. With -f, a flush after each so many, for which all that is out is waited.
 *
 * Nothing is allocated while it runs; all on lane 0.
 */
#include "blockcore/tool/cairn_stack_tool.h"

#include "blockcore/base/co.h"
#include "blockcore/base/prng.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX (1u << 24)
#define DEPTH_MAX 1024u
#define COUNT_MAX (1u << 26)

struct bench;

struct bench_slot {
	struct block_request request;
	struct iovec iov;
	struct bench *bench;
	uint64_t started_ns;
};

struct bench {
	struct tool *tool;
	enum block_opcode op;
	uint64_t bytes, depth, count, flush_every, length_bytes, seed,
		step_bytes;
	/* running */
	uint32_t *place, places;
	uint32_t *taken_ns10; /* of each request, in 10 ns */
	struct bench_slot *slot;
	uint8_t *data;
	uint64_t begun, ended,
		until; /* requests; until: before the next flush */
	struct co *waiter;
	int result;
};

/* -- running -------------------------------------------------------------- */

static void bench_next(struct bench_slot *slot)
{
	struct bench *b = slot->bench;

	slot->request.offset_bytes = b->place[b->begun % b->places] * b->bytes;
	slot->started_ns = loop_now_ns(b->tool->lane->loop);
	b->begun++;
	block_submit(b->tool->source, &slot->request);
}

static void bench_done(struct block_request *request)
{
	struct bench_slot *slot =
		container_of(request, struct bench_slot, request);
	struct bench *b = slot->bench;
	uint64_t ns = loop_now_ns(b->tool->lane->loop) - slot->started_ns;

	b->taken_ns10[b->ended++] =
		ns / 10 < UINT32_MAX ? (uint32_t)(ns / 10) : UINT32_MAX;
	if (request->result && !b->result)
		b->result = request->result;
	if (b->begun < b->until && !b->result)
		bench_next(slot);
	else if (b->ended == b->begun)
		co_resume(b->waiter);
}

/* Up to the next flush, or to the end. */
static void bench_batch_co(struct bench *b)
{
	uint64_t left = b->count - b->begun;

	if (b->flush_every && b->flush_every < left)
		left = b->flush_every;
	b->until = b->begun + left;
	for (uint64_t i = 0; i < b->depth && b->begun < b->until; i++)
		bench_next(&b->slot[i]);
	co_yield ();
	if (b->flush_every && !b->result)
		b->result = block_transfer_co(b->tool->source, b->tool->lane,
			BLOCK_FLUSH, 0, 0, 0, NULL);
}

/* -- memory --------------------------------------------------------------- */

static void bench_shuffle(struct bench *b)
{
	uint64_t random = b->seed;

	for (uint32_t i = 0; i < b->places; i++) {
		uint32_t j = (uint32_t)prng_below(&random, i + 1);

		b->place[i] = b->place[j];
		b->place[j] = i;
	}
}

static void bench_steps(struct bench *b)
{
	uint64_t step = b->step_bytes / b->bytes % b->places, at = 0;

	for (uint32_t i = 0; i < b->places; i++) {
		b->place[i] = (uint32_t)at;
		at = (at + step) % b->places;
	}
}

static void bench_slot_init(struct bench *b, struct bench_slot *slot, void *at)
{
	struct block_request *request = &slot->request;

	slot->bench = b;
	slot->iov = (struct iovec){at, b->bytes};
	block_request_init(request, b->tool->lane);
	request->op = (uint8_t)b->op;
	request->flags = 0;
	request->length_bytes = b->bytes;
	request->iov = &slot->iov;
	request->iov_count = 1;
	request->done = bench_done;
}

static int bench_prepare(struct bench *b, struct err *err)
{
	b->places = (uint32_t)(b->length_bytes / b->bytes);
	b->place = calloc(b->places, sizeof *b->place);
	b->taken_ns10 = calloc(b->count, sizeof *b->taken_ns10);
	b->slot = calloc(b->depth, sizeof *b->slot);
	b->data = aligned_alloc(4096, (b->depth * b->bytes + 4095) & ~4095ull);
	if (!b->place || !b->taken_ns10 || !b->slot || !b->data)
		return err_set(err, ENOMEM, "no memory for bench");
	memset(b->data, 0xcd, b->depth * b->bytes);
	if (b->step_bytes)
		bench_steps(b);
	else
		bench_shuffle(b);
	for (uint64_t i = 0; i < b->depth; i++)
		bench_slot_init(b, &b->slot[i], b->data + i * b->bytes);
	return 0;
}

/* -- arguments ------------------------------------------------------------ */

static int bench_check(struct bench *b, struct err *err)
{
	uint64_t size =
		block_source_info(b->tool->source, b->tool->lane).size_bytes;

	if (!b->length_bytes)
		b->length_bytes = size;
	if (b->length_bytes > size)
		return err_set(
			err, ERANGE, "-l: there are %" PRIu64 " bytes", size);
	if (!b->bytes || b->bytes % BLOCK_SECTOR_BYTES ||
		b->bytes > BLOCK_MAX_DATA_BYTES)
		return err_set(err, EINVAL, "-b: multiples of 512 up to %u",
			BLOCK_MAX_DATA_BYTES);
	if (b->step_bytes % b->bytes)
		return err_set(err, EINVAL, "-S: multiples of -b");
	if (!b->depth || b->depth > DEPTH_MAX)
		return err_set(err, EINVAL, "-d: 1 to %u", DEPTH_MAX);
	if (!b->count || b->count > COUNT_MAX)
		return err_set(err, EINVAL, "-n: 1 to %u", COUNT_MAX);
	if (b->length_bytes / b->bytes > PLACES_MAX ||
		b->length_bytes < b->bytes)
		return err_set(err, EINVAL,
			"-l: 1 to %u times the bytes of a request", PLACES_MAX);
	return 0;
}

static int bench_arguments(
	struct bench *b, const struct tool_line *line, struct err *err)
{
	const struct {
		const char *name;
		uint64_t *value;
	} options[] = {{"-b", &b->bytes}, {"-d", &b->depth}, {"-n", &b->count},
		{"-f", &b->flush_every}, {"-l", &b->length_bytes},
		{"-s", &b->seed}, {"-S", &b->step_bytes}};
	const unsigned known = sizeof options / sizeof *options;
	int error = 0;

	if (strcmp(line->word[1], "read") && strcmp(line->word[1], "write"))
		return err_set(err, EINVAL, "bench: read or write, not '%s'",
			line->word[1]);
	b->op = line->word[1][0] == 'r' ? BLOCK_READ : BLOCK_WRITE;
	for (unsigned i = 2; i < line->count && !error; i += 2) {
		unsigned o = 0;

		while (o < known && strcmp(options[o].name, line->word[i]))
			o++;
		if (o == known || i + 1 == line->count)
			return err_set(err, EINVAL,
				"bench: '%s' is no option, or has no value",
				line->word[i]);
		error = tool_size(line->word[i + 1], options[o].value, err);
	}
	return error ? error : bench_check(b, err);
}

/* -- the command ---------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void bench_print(struct bench *b, uint64_t ns)
{
	uint32_t *taken = b->taken_ns10;

	qsort(taken, b->ended, sizeof *taken, by_time);
	fprintf(b->tool->out,
		"bench %s bytes=%" PRIu64 " depth=%" PRIu64
		" flush_every=%" PRIu64 " requests=%" PRIu64
		" seconds=%.6f iops=%.0f p50_us=%.1f p99_us=%.1f\n",
		b->op == BLOCK_READ ? "read" : "write", b->bytes, b->depth,
		b->flush_every, b->ended, (double)ns / 1e9,
		(double)b->ended * 1e9 / (double)ns,
		(double)taken[b->ended / 2] / 100,
		(double)taken[b->ended - 1 - b->ended / 100] / 100);
}

static int bench_run_co(struct bench *b, struct err *err)
{
	uint64_t started = loop_now_ns(b->tool->lane->loop);

	b->waiter = co_self();
	while (b->begun < b->count && !b->result)
		bench_batch_co(b);
	if (b->result)
		return err_set(
			err, -b->result, "bench: %s", strerror(-b->result));
	bench_print(b, loop_now_ns(b->tool->lane->loop) - started);
	return 0;
}

int tool_bench_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	struct bench b = {.tool = tool,
		.bytes = 4096,
		.depth = 32,
		.count = 10000,
		.seed = 1};
	int error = bench_arguments(&b, line, err);

	if (!error)
		error = bench_prepare(&b, err);
	if (!error)
		error = bench_run_co(&b, err);
	free(b.place);
	free(b.taken_ns10);
	free(b.slot);
	free(b.data);
	return error;
}
