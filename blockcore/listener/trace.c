/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener trace: remembers the last requests, each with its time, place,
 * result and latency. The verb `save` writes what is remembered to a new file in
 * the data directory, which `cairn-stack replay` plays; `clear` forgets it. The
 * format: blockcore/core/recording.h.
 *
 * Invariants
 *  1. Each lane has a ring of its own, allocated before its first request:
 *     recording is a few stores. Who saves asks each lane for a copy.
 *  2. Memory is bounded: `records` for each lane. What is overwritten is counted.
 *  3. A request is recorded when it ends; it stands at the top, so time in a
 *     throttle or at a gate is in its latency.
 *  4. Files are made beside the volumes and nowhere else, and replace nothing:
 *     whoever may give orders to a listener may not write where he likes.
 */
#include "blockcore/base/co.h"
#include "blockcore/base/counter.h"
#include "blockcore/core/plain_file.h"
#include "blockcore/core/recording.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_LEAST 16u
#define RECORDS_MOST (1u << 20)

struct trace_options {
	uint64_t records;
};

struct trace_lane {
	struct recording_entry *ring;
	uint64_t room, next; /* next: recorded since the start or `clear` */
	struct counter recorded, cleared;
};

static const struct opt_spec options[] = {
	{.name = "records",
		.type = OPT_UINT,
		.offset = offsetof(struct trace_options, records),
		.min = RECORDS_LEAST,
		.max = RECORDS_MOST,
		.fallback = "16384",
		.help = "requests that each "
			"thread remembers, "
			"40 bytes each"},
	OPT_END};

static bool trace_done(struct block_request *request, struct block_frame *frame)
{
	struct trace_lane *lane = frame->context;

	lane->ring[lane->next++ % lane->room] = (struct recording_entry){
		.submitted_ns = frame->value,
		.took_ns = loop_now_ns(request->lane->loop) - frame->value,
		.offset_bytes = request->offset_bytes,
		.length_bytes = request->length_bytes,
		.result = request->result,
		.flags = request->flags,
		.op = request->op,
		.lane = (uint8_t)request->lane->index,
	};
	counter_add(&lane->recorded, 1);
	return true;
}

static void trace_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct trace_lane *lane = block_driver_lane(driver, request->lane);

	block_push(request, trace_done, lane, loop_now_ns(request->lane->loop));
	block_pass(request);
}

static int trace_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct trace_lane *l = block_driver_lane(driver, lane);
	const struct trace_options *o = driver->options;

	l->room = o->records;
	l->ring = calloc(l->room, sizeof *l->ring);
	return l->ring ? 0 : -ENOMEM;
}

static void trace_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct trace_lane *l = block_driver_lane(driver, lane);

	free(l->ring);
	l->ring = NULL;
}

/* -- save, clear ---------------------------------------------------------- */

struct trace_saving {
	struct block_driver *driver;
	struct recording recording;
	uint64_t room; /* of each lane, in recording.entry */
	uint64_t taken[BLOCK_MAX_LANES], overwritten[BLOCK_MAX_LANES];
	char *path;
	struct err err;
};

/* On each lane: its own, into its part. */
static void copy_lane(struct block_lane *lane, void *argument)
{
	struct trace_saving *s = argument;
	struct trace_lane *l = block_driver_lane(s->driver, lane);
	struct recording_entry *to = s->recording.entry + lane->index * s->room;
	uint64_t count = l->next < l->room ? l->next : l->room;

	memcpy(to, l->ring, count * sizeof *to);
	s->taken[lane->index] = count;
	s->overwritten[lane->index] = l->next - count;
}

static void join_lanes(struct trace_saving *s)
{
	struct recording *r = &s->recording;
	unsigned lanes = block_core_lanes(s->driver->core);

	for (unsigned i = 0; i < lanes; i++) {
		memmove(r->entry + r->count, r->entry + i * s->room,
			s->taken[i] * sizeof *r->entry);
		r->count += s->taken[i];
		r->overwritten += s->overwritten[i];
	}
}

static int save_work(void *argument)
{
	struct trace_saving *s = argument;

	return recording_write(&s->recording, s->path, &s->err);
}

static int refuse_verb(const char *verb, struct err *err)
{
	return err_set(
		err, EINVAL, "%s: no such verb; there are save, clear", verb);
}

static int save_arguments(struct trace_saving *s, const struct doc *arguments,
	const char **name, struct err *err)
{
	const struct doc *file = doc_find(arguments, "file");
	int error = file ? doc_text(file, name, err) : 0;

	if (error)
		return error;
	if (!file)
		return err_set(err, EINVAL,
			"save: give file: a name for the recording");
	error = plain_file_check(file, *name, err);
	if (error)
		return error;
	s->path = plain_file_path(s->driver->core, *name, err);
	return s->path ? 0 : -ENOMEM;
}

static int save_run_co(struct trace_saving *s, struct err *err)
{
	struct block_core *core = s->driver->core;

	s->room = ((const struct trace_options *)s->driver->options)->records;
	s->recording.entry = calloc(
		block_core_lanes(core) * s->room, sizeof *s->recording.entry);
	if (!s->recording.entry)
		return err_set(err, ENOMEM, "no memory for the recording");
	block_broadcast_co(core, copy_lane, s);
	join_lanes(s);
	int error = loop_work_co(block_core_lane(core, 0)->loop, save_work, s);
	if (error)
		*err = s->err;
	return error;
}

static int trace_save_co(struct block_driver *driver,
	const struct doc *arguments, FILE *out, struct err *err)
{
	struct trace_saving *s = calloc(1, sizeof *s);
	const char *name = NULL;

	if (!s)
		return err_set(err, ENOMEM, "no memory for the recording");
	s->driver = driver;
	int error = save_arguments(s, arguments, &name, err);
	if (!error)
		error = save_run_co(s, err);
	if (!error)
		fprintf(out,
			"\"file\": \"%s\", \"requests\": %llu, "
			"\"overwritten\": %llu",
			name, (unsigned long long)s->recording.count,
			(unsigned long long)s->recording.overwritten);
	free(s->recording.entry);
	free(s->path);
	free(s);
	return error;
}

static int trace_rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err)
{
	struct trace_saving s = {.driver = driver};
	const char *name = NULL;

	if (!strcmp(verb, "clear"))
		return 0;
	if (strcmp(verb, "save"))
		return refuse_verb(verb, err);
	int error = save_arguments(&s, arguments, &name, err);
	free(s.path);
	return error;
}

static void clear_lane(struct block_lane *lane, void *argument)
{
	struct trace_lane *l = block_driver_lane(argument, lane);

	l->next = 0;
	counter_add(&l->cleared,
		counter_get(&l->recorded) - counter_get(&l->cleared));
}

static int trace_command_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err)
{
	if (!strcmp(verb, "save"))
		return trace_save_co(driver, arguments, out, err);
	if (strcmp(verb, "clear"))
		return refuse_verb(verb, err);
	block_broadcast_co(driver->core, clear_lane, driver);
	fputs("\"remembered\": 0", out);
	return 0;
}

static void trace_status(struct block_driver *driver, FILE *out)
{
	const struct trace_options *o = driver->options;
	uint64_t recorded = 0, remembered = 0;

	for (unsigned i = 0; i < block_core_lanes(driver->core); i++) {
		struct trace_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));
		uint64_t cleared = counter_get(&lane->cleared);
		uint64_t now = counter_get(&lane->recorded);
		uint64_t since = now - cleared;

		recorded += now;
		remembered += since < o->records ? since : o->records;
	}
	fprintf(out, "\"recorded\": %llu, \"remembered\": %llu",
		(unsigned long long)recorded, (unsigned long long)remembered);
}

const struct block_kind trace_kind = {
	.name = "trace",
	.help = "remember the last requests, save them for a replay",
	.role = BLOCK_LISTENER,
	.part = BLOCK_FRONT,
	.anchor = BLOCK_HEAD,
	.band = BAND_STATS,
	.observes = true,
	.handles = BLOCK_OPS_ALL,
	.options = options,
	.options_bytes = sizeof(struct trace_options),
	.driver_bytes = sizeof(struct block_driver),
	.lane_bytes = sizeof(struct trace_lane),
	.lane_start = trace_lane_start,
	.lane_stop = trace_lane_stop,
	.submit = trace_submit,
	.command_co = trace_command_co,
	.rehearse_co = trace_rehearse_co,
	.status = trace_status,
};
