/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairn-stack's command `replay`: plays a recording that the listener trace made
 * on this stack, as fast as it can or (-t) in its time.
 *
 * Invariants
 *  1. What one request could know of another stays: a request starts only when
 *     all have ended that had ended before it was submitted when it was recorded.
 *     So a flush covers here what it covered there.
 *  2. At most DEPTH requests are out (-d); fewer than were recorded makes it
 *     slower, not wrong.
 *  3. Data is not recorded: what is written is a pattern; COMPARE_AND_WRITE is
 *     played as a write if it wrote, as a read if it found a difference.
 *  4. A request that failed there is no more expected to fail here than others:
 *     results that differ are counted.
 */
#include "blockcore/core/recording.h"
#include "blockcore/tool/cairn_stack_tool.h"

#include "blockcore/base/co.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 256u
#define EXTENTS 32u

struct replay;

struct replay_slot {
	struct block_request request;
	struct iovec iov;
	struct block_extents extents;
	struct block_extent extent[EXTENTS];
	const struct recording_entry *entry; /* NULL: free */
	struct replay *replay;
	uint64_t started_ns;
};

struct replay {
	struct tool *tool;
	const char *path;
	struct recording recording;
	struct err err; /* of the reading */
	uint64_t depth;
	bool timed;
	/* running */
	struct replay_slot *slot;
	uint8_t *data; /* what is written, */
	uint8_t *read; /* and where is read to, which nobody looks at */
	size_t data_bytes;
	uint64_t out, started_ns, took_ns, took_there_ns, failed, differ;
	struct co *waiter; /* NULL: it does not wait for requests */
};

static bool has_data(unsigned op)
{
	return op == BLOCK_READ || op == BLOCK_WRITE ||
		op == BLOCK_COMPARE_AND_WRITE;
}

/* -- one request ---------------------------------------------------------- */

static void replay_done(struct block_request *request)
{
	struct replay_slot *slot =
		container_of(request, struct replay_slot, request);
	struct replay *r = slot->replay;

	r->took_ns += loop_now_ns(r->tool->lane->loop) - slot->started_ns;
	r->took_there_ns += slot->entry->took_ns;
	r->failed += request->result != 0;
	r->differ += (request->result != 0) != (slot->entry->result != 0);
	slot->entry = NULL;
	r->out--;
	if (r->waiter)
		co_resume(r->waiter);
}

static enum block_opcode played_as(const struct recording_entry *entry)
{
	if (entry->op != BLOCK_COMPARE_AND_WRITE)
		return entry->op;
	return entry->result == -EILSEQ ? BLOCK_READ : BLOCK_WRITE;
}

static void replay_start(
	struct replay_slot *slot, const struct recording_entry *entry)
{
	struct replay *r = slot->replay;
	struct block_request *request = &slot->request;

	block_request_init(request, r->tool->lane);
	request->op = (uint8_t)played_as(entry);
	request->flags = entry->flags & (BLOCK_FUA | BLOCK_MAY_UNMAP);
	if (request->op == BLOCK_READ)
		request->flags = 0;
	request->offset_bytes = entry->offset_bytes;
	request->length_bytes = entry->length_bytes;
	slot->iov =
		(struct iovec){request->op == BLOCK_READ ? r->read : r->data,
			entry->length_bytes};
	request->iov = &slot->iov;
	request->iov_count = has_data(request->op) && entry->length_bytes;
	slot->extents = (struct block_extents){slot->extent, EXTENTS, 0};
	request->miscompare_bytes = 0;
	if (request->op == BLOCK_EXTENTS)
		request->extents = &slot->extents;
	request->done = replay_done;
	slot->entry = entry;
	slot->started_ns = loop_now_ns(r->tool->lane->loop);
	r->out++;
	block_submit(r->tool->source, request);
}

/* -- in order ------------------------------------------------------------- */

/* A free slot, if `entry` may start now; else NULL. */
static struct replay_slot *replay_may_start(
	struct replay *r, const struct recording_entry *entry)
{
	struct replay_slot *found = NULL;

	for (uint64_t i = 0; i < r->depth; i++) {
		const struct recording_entry *other = r->slot[i].entry;

		if (!other)
			found = &r->slot[i];
		else if (other->submitted_ns + other->took_ns <=
			entry->submitted_ns)
			return NULL;
	}
	return found;
}

static void replay_wait_co(struct replay *r)
{
	r->waiter = co_self();
	co_yield ();
	r->waiter = NULL;
}

static void replay_run_co(struct replay *r)
{
	struct loop *loop = r->tool->lane->loop;

	r->started_ns = loop_now_ns(loop);
	for (uint64_t i = 0; i < r->recording.count; i++) {
		const struct recording_entry *entry = &r->recording.entry[i];
		uint64_t now_ns = loop_now_ns(loop) - r->started_ns;
		struct replay_slot *slot;

		if (r->timed && entry->submitted_ns > now_ns)
			loop_sleep_co(loop, entry->submitted_ns - now_ns);
		while (!(slot = replay_may_start(r, entry)))
			replay_wait_co(r);
		replay_start(slot, entry);
	}
	while (r->out)
		replay_wait_co(r);
}

/* -- the command ---------------------------------------------------------- */

static int replay_read_work(void *argument)
{
	struct replay *r = argument;

	return recording_read(&r->recording, r->path, &r->err);
}

/* The largest request's data: all write the same, so all share it; so do those that
 * read, which must not change what others write. */
static int replay_prepare(struct replay *r, struct err *err)
{
	for (uint64_t i = 0; i < r->recording.count; i++) {
		const struct recording_entry *entry = &r->recording.entry[i];

		if (!has_data(entry->op))
			continue;
		if (entry->length_bytes > BLOCK_MAX_DATA_BYTES)
			return err_set(err, EINVAL,
				"%s: request %" PRIu64 " has more than %u "
				"bytes",
				r->path, i, BLOCK_MAX_DATA_BYTES);
		if (entry->length_bytes > r->data_bytes)
			r->data_bytes = entry->length_bytes;
	}
	size_t bytes = (r->data_bytes + 8191) & ~4095ull;
	r->data = aligned_alloc(4096, bytes);
	r->read = aligned_alloc(4096, bytes);
	r->slot = calloc(r->depth, sizeof *r->slot);
	if (!r->data || !r->read || !r->slot)
		return err_set(err, ENOMEM, "no memory for replay");
	memset(r->data, 0xcd, r->data_bytes);
	for (uint64_t i = 0; i < r->depth; i++)
		r->slot[i].replay = r;
	return 0;
}

static void replay_print(const struct replay *r)
{
	uint64_t ns = loop_now_ns(r->tool->lane->loop) - r->started_ns;
	uint64_t count = r->recording.count;
	double n = count ? (double)count : 1;

	fprintf(r->tool->out,
		"replay requests=%" PRIu64 " failed=%" PRIu64
		" results_differ=%" PRIu64 " overwritten=%" PRIu64
		" seconds=%.6f iops=%.0f mean_us=%.1f mean_us_recorded=%.1f\n",
		count, r->failed, r->differ, r->recording.overwritten,
		(double)ns / 1e9, (double)count * 1e9 / (double)(ns ? ns : 1),
		(double)r->took_ns / n / 1e3,
		(double)r->took_there_ns / n / 1e3);
}

static int replay_arguments(
	struct replay *r, const struct tool_line *line, struct err *err)
{
	int error = 0;

	for (unsigned i = 2; i < line->count && !error; i++) {
		if (!strcmp(line->word[i], "-t"))
			r->timed = true;
		else if (!strcmp(line->word[i], "-d") && i + 1 < line->count)
			error = tool_size(line->word[++i], &r->depth, err);
		else
			return err_set(err, EINVAL,
				"replay: '%s' is no option, or has no value",
				line->word[i]);
	}
	if (!error && (!r->depth || r->depth > DEPTH_MAX))
		return err_set(err, EINVAL, "-d: 1 to %u", DEPTH_MAX);
	return error;
}

int tool_replay_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	struct replay r = {
		.tool = tool, .path = line->word[1], .depth = DEPTH_MAX};
	int error = replay_arguments(&r, line, err);

	if (!error) {
		error = loop_work_co(tool->lane->loop, replay_read_work, &r);
		if (error)
			*err = r.err;
	}
	if (!error)
		error = replay_prepare(&r, err);
	if (!error) {
		replay_run_co(&r);
		replay_print(&r);
		if (r.differ)
			error = err_set(err, EIO,
				"replay: %" PRIu64 " requests ended otherwise "
				"than they were recorded",
				r.differ);
	}
	free(r.recording.entry);
	free(r.slot);
	free(r.data);
	free(r.read);
	return error;
}
