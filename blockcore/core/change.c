/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing a generation.
 *
 * Without a gate ("observe"): each lane gets the new generation; old requests
 * finish in the old one. That is all for listeners that may miss requests, and
 * for every change of the front, whose requests are pinned there anyway.
 *
 * With a gate:	close on each lane (new requests park, all listeners of the back
 *		part let go of what they hold)
 *		wait until no lane has requests in the back part, or until late
 *		durable_co
 *		publish and open on each lane
 *
 * A change of stack is a message to each lane, so a lane's channel and counters
 * are never touched by another thread: the fast path pays nothing for it.
 */
#include "blockcore/core/change.h"

#include "blockcore/base/trace.h"
#include "blockcore/core/driver.h"
#include "blockcore/core/park.h"
#include "blockcore/core/request.h"
#include "blockcore/core/stack.h"
#include "blockcore/core/watch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What one lane still had in the back part when the deadline passed. */
struct change_report {
	uint32_t running, held;
	/* The first that is held: who has it, and what it is. */
	char holder[BLOCK_NAME_BYTES];
	enum block_opcode op;
	uint64_t offset_bytes, length_bytes;
};

struct change_run {
	const struct block_change *change;
	struct block_source *source;
	struct block_stack *old, *next;
	/* Drivers that let go of what they hold: those that leave, and with a
	 * gate all of the back part. */
	uint8_t quiet_count;
	struct block_driver *quiet[BLOCK_MAX_DRIVERS];
	struct loop_timer timer;
	bool late;
	struct change_report report[]; /* one for each lane */
};

static struct block_channel *change_channel(
	struct change_run *run, struct block_lane *lane)
{
	return &run->source->channel[lane->index];
}

/* -- who lets go ---------------------------------------------------------- */

static bool change_stays(
	const struct change_run *run, const struct block_driver *driver)
{
	for (unsigned i = 0; run->next && i < run->next->count; i++) {
		if (run->next->driver[i] == driver)
			return true;
	}
	return false;
}

static void change_quiet(struct change_run *run)
{
	for (unsigned i = 0; run->old && i < run->old->count; i++) {
		struct block_driver *driver = run->old->driver[i];

		if (change_stays(run, driver) &&
			!(run->change->gate && i >= run->old->front_count))
			continue;
		driver->released = true;
		run->quiet[run->quiet_count++] = driver;
	}
}

/* Who stays may hold requests again; `all`: also who was to leave. */
static void change_unquiet(struct change_run *run, bool all)
{
	for (unsigned i = 0; i < run->quiet_count; i++) {
		if (all || change_stays(run, run->quiet[i]))
			run->quiet[i]->released = false;
	}
}

static void change_release_lane(
	struct change_run *run, struct block_lane *lane, enum block_part part)
{
	for (unsigned i = 0; i < run->quiet_count; i++) {
		struct block_driver *driver = run->quiet[i];

		if (driver->kind->part == part && driver->kind->release)
			driver->kind->release(driver, lane);
	}
}

/* -- publish -------------------------------------------------------------- */

static void change_open_lane(struct change_run *run, struct block_lane *lane)
{
	struct block_channel *channel = change_channel(run, lane);
	struct block_request *request;
	unsigned parked = 0;

	channel->closed = false;
	while ((request = TAILQ_FIRST(&channel->parked))) {
		block_unpark(&channel->parked, request);
		block_request_gate(request);
		parked++;
	}
	if (run->change->gate)
		trace(source_gate_open, run->source, parked);
}

/* The source is closing: nobody will settle it any more. */
static void change_refuse_unsettled(struct block_channel *channel)
{
	struct block_request *request;

	while ((request = TAILQ_FIRST(&channel->unsettled))) {
		block_unpark(&channel->unsettled, request);
		block_complete(request, -ENODEV);
	}
}

static void change_publish_lane(struct block_lane *lane, void *argument)
{
	struct change_run *run = argument;
	struct block_channel *channel = change_channel(run, lane);

	channel->stack = run->next;
	trace(source_swap, run->source, run->next ? run->next->generation : 0);
	if (!run->next)
		change_refuse_unsettled(channel);
	/* Lets go before the old one counts as retired on this lane: a driver
	 * is not closed while its hook is looking. */
	change_release_lane(run, lane, BLOCK_FRONT);
	if (!run->change->gate)
		change_release_lane(run, lane, BLOCK_BACK);
	change_open_lane(run, lane);
	if (run->old)
		block_stack_retire_lane(run->old, lane);
}

static bool change_info_equal(
	const struct block_info *a, const struct block_info *b)
{
	return a->size_bytes == b->size_bytes &&
		a->physical_block_bytes == b->physical_block_bytes &&
		a->discard_bytes == b->discard_bytes &&
		a->optimal_io_bytes == b->optimal_io_bytes &&
		a->ops == b->ops && a->read_only == b->read_only &&
		a->volatile_cache == b->volatile_cache &&
		a->rotational == b->rotational;
}

/* What changes from now on, those that leave do not see. */
static void change_detach(struct change_run *run)
{
	for (unsigned i = 0; run->next && i < run->old->count; i++) {
		if (!change_stays(run, run->old->driver[i]))
			run->old->driver[i]->detached = true;
	}
}

static void change_publish_co(struct change_run *run)
{
	struct block_source *source = run->source;
	bool tell = false;

	if (run->old) {
		change_detach(run);
		block_stack_retire(run->old);
		tell = run->next &&
			!change_info_equal(&run->old->info, &run->next->info);
	}
	if (run->next) {
		run->next->published = true;
		TAILQ_INSERT_TAIL(&source->stacks, run->next, link);
	}
	source->current = run->next;
	block_broadcast_co(source->core, change_publish_lane, run);
	if (tell)
		block_source_tell(source);
}

/* -- the gate ------------------------------------------------------------- */

static void change_late(struct loop_timer *timer)
{
	struct change_run *run = container_of(timer, struct change_run, timer);

	run->late = true;
	block_source_wake(run->source);
}

static void change_close_lane(struct block_lane *lane, void *argument)
{
	struct change_run *run = argument;

	change_channel(run, lane)->closed = true;
	trace(source_gate_close, run->source, run->old->generation);
	change_release_lane(run, lane, BLOCK_BACK);
	block_stack_gate_lane(run->old, lane);
}

/* Counts what is in the back part here, by who holds it. */
static void change_report_lane(struct change_run *run, struct block_lane *lane)
{
	struct change_report *report = &run->report[lane->index];
	const struct block_request *request;

	report->running = run->old->lane[lane->index].count[BLOCK_BACK];
	TAILQ_FOREACH (request, &lane->private->held, held_link) {
		const struct block_stack *back = request->back;

		if (!back || back->source != run->source ||
			report->held == report->running)
			continue;
		if (report->held++)
			continue;
		report->op = request->op;
		report->offset_bytes = request->offset_bytes;
		report->length_bytes = request->length_bytes;
		snprintf(report->holder, sizeof(report->holder), "%s",
			request->position > back->front_count
				? back->driver[request->position - 1]->name
				: "range lock");
	}
}

static void change_reopen_lane(struct block_lane *lane, void *argument)
{
	struct change_run *run = argument;

	change_report_lane(run, lane);
	block_stack_ungate_lane(run->old, lane);
	change_open_lane(run, lane);
}

/* "2 requests did not finish within 100 ms, 1 of them held by 'delay', first a write of
 * 4096 bytes at 8192" */
static int change_late_error(struct change_run *run, struct err *err)
{
	uint32_t running = 0, held = 0;
	const struct change_report *first = NULL;

	for (unsigned i = 0; i < run->source->core->lane_count; i++) {
		running += run->report[i].running;
		held += run->report[i].held;
		if (!first && run->report[i].held)
			first = &run->report[i];
	}
	uint64_t ms = run->change->deadline_ns / 1000000;
	if (!first)
		return err_set(err, ETIMEDOUT,
			"source '%s': %u requests did not finish in '%s' "
			"within %llu ms; nothing was changed",
			run->source->name, running,
			block_stack_bottom(run->old)->name,
			(unsigned long long)ms);
	return err_set(err, ETIMEDOUT,
		"source '%s': %u requests did not finish within %llu ms, %u of "
		"them held by '%s', first a %s of %" PRIu64 " bytes at %" PRIu64
		"; nothing was changed",
		run->source->name, running, (unsigned long long)ms, held,
		first->holder, block_op_name(first->op), first->length_bytes,
		first->offset_bytes);
}

static bool change_drained(const struct change_run *run)
{
	return run->old->gate_left == 0 && !block_stacks_old_busy(run->source);
}

static void change_tell_content(struct change_run *run)
{
	uint64_t old = run->old->info.size_bytes;
	uint64_t bytes = run->next->info.size_bytes;

	if (bytes < old)
		bytes = old;
	for (unsigned i = 0; i + 1 < run->next->count; i++) {
		struct block_driver *driver = run->next->driver[i];

		if (driver->kind->content_changed)
			driver->kind->content_changed(driver, 0, bytes);
	}
}

static int change_behind_gate_co(struct change_run *run, struct err *err)
{
	const struct block_change *change = run->change;
	struct block_stack *next = run->next;

	if (run->late)
		return -ETIMEDOUT; /* the text is made when lanes have told */
	int error = change->content_changed
		? block_drivers_changing_co(next->driver, next->count, err)
		: 0;
	if (!error && change->durable_co)
		error = change->durable_co(change->argument, err);
	if (error)
		return error;
	next->info = block_stack_info(next->driver, next->count);
	if (change->content_changed)
		change_tell_content(run);
	return 0;
}

static void change_note_gate(
	struct change_run *run, uint64_t closed_ns, uint64_t drained_ns)
{
	struct block_gates *gates = &run->source->gates;
	uint64_t now_ns = loop_now_ns(block_core_control(run->source->core));
	unsigned i = 0;

	gates->closed++;
	gates->late += run->late;
	gates->last_ns = now_ns - closed_ns;
	gates->behind_ns = now_ns - drained_ns;
	if (gates->last_ns > gates->most_ns)
		gates->most_ns = gates->last_ns;
	while (i + 1 < BLOCK_GATE_BUCKETS &&
		gates->last_ns >= BLOCK_GATE_FIRST_NS << i)
		i++;
	gates->bucket[i]++;
}

static int change_gate_co(struct change_run *run, struct err *err)
{
	struct block_source *source = run->source;
	struct loop *loop = block_core_control(source->core);
	uint64_t closed_ns = loop_now_ns(loop), drained_ns;

	run->old->gate_left = source->core->lane_count;
	run->timer.expired = change_late;
	loop_timer_set(loop, &run->timer, run->change->deadline_ns);
	block_broadcast_co(source->core, change_close_lane, run);
	while (!change_drained(run) && !run->late)
		block_source_wait_co(source);
	loop_timer_clear(loop, &run->timer);
	if (change_drained(run))
		run->late = false;
	drained_ns = loop_now_ns(loop);
	int error = change_behind_gate_co(run, err);
	change_unquiet(run, error != 0);
	if (!error) {
		change_publish_co(run);
		change_note_gate(run, closed_ns, drained_ns);
		return 0;
	}
	block_broadcast_co(source->core, change_reopen_lane, run);
	change_note_gate(run, closed_ns, drained_ns);
	if (run->late)
		change_late_error(run, err);
	return error;
}

int block_change_co(struct block_change *change, struct err *err)
{
	struct block_source *source = change->source;
	size_t reports =
		source->core->lane_count * sizeof(struct change_report);
	struct change_run *run = calloc(1, sizeof(*run) + reports);
	int error = 0;

	assert(source->change.locked);
	assert(change->next || !change->gate);
	/* Closing must not fail: it may wait for memory. */
	while (!run && !change->next) {
		loop_sleep_co(block_core_control(source->core), LOOP_AGAIN_NS);
		run = calloc(1, sizeof(*run) + reports);
	}
	if (!run) {
		block_stack_discard_co(change->next);
		return err_set(
			err, ENOMEM, "no memory to change '%s'", source->name);
	}
	run->change = change;
	run->source = source;
	run->old = source->current;
	run->next = change->next;
	change_quiet(run);
	uint64_t old_generation = run->old ? run->old->generation : 0;
	if (change->gate)
		error = change_gate_co(run, err);
	else
		change_publish_co(run);
	if (error)
		block_stack_discard_co(run->next);
	else if (change->gate)
		while (block_stacks_back_open(source, old_generation))
			block_source_wait_co(source);
	free(run);
	return error;
}
