/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change that needs the gate while a host's I/O is slow: it is made when that has
 * ended, or refused in time with what is slow; and no other request ever waits for
 * longer than a gate may be closed. In the simulator, so that seconds take no time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/co.h"
#include "tests/lib/appliance_box.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES 4096u
#define OFFSET 8192u
#define NS_PER_MS 1000000ull

/* Writes are slow below the image, in a source of its own: this gate cannot let them go. */
#define SLOW(listeners, delay_us) \
	"{name: a, source: {listeners: [" listeners "], format: {type: raw, " \
	"file: {listeners: [{type: fault, name: slow, rules: [{op: write, " \
	"delay_us: " delay_us "}]}], protocol: {type: mem, size: 1M}}}}}"
#define GATED "{type: fault, name: f}"

/* A host that reads all the time, beside. */
struct reader {
	struct stack_rig *rig;
	struct block_source *source;
	struct co *waiter;
	bool stop, ended;
	uint64_t longest_ns;
	unsigned reads;
};

static struct loop *loop_of(const struct stack_rig *rig)
{
	return block_core_lane(rig->core, 0)->loop;
}

static void read_co(void *argument)
{
	struct reader *self = argument;
	struct block_lane *lane = block_core_lane(self->rig->core, 0);
	struct stack_rig_request request;
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	while (!self->stop) {
		uint64_t begun_ns = loop_now_ns(lane->loop);
		stack_rig_submit(self->source, lane, &request, BLOCK_READ, 0, 0,
			BYTES, data);
		CHECK_INT(stack_rig_wait_co(&request), 0);
		uint64_t took_ns = loop_now_ns(lane->loop) - begun_ns;
		if (took_ns > self->longest_ns)
			self->longest_ns = took_ns;
		self->reads++;
		loop_sleep_co(lane->loop, NS_PER_MS);
	}
	free(data);
	self->ended = true;
	if (self->waiter)
		co_resume(self->waiter);
}

struct slow {
	struct box box;
	struct reader reader;
	struct stack_rig_request write;
	uint8_t *data;
};

/* A volume whose write takes that long, with one under way. */
static void begin_co(
	struct slow *slow, struct stack_rig *rig, const char *volume)
{
	struct block_source *source;
	box_open(&slow->box, rig);
	box_must_apply_co(&slow->box, volume);
	source = atomic_load(&box_volume_at(&slow->box, 0)->source);
	slow->data = stack_rig_pattern(BYTES, 2);
	stack_rig_submit(source, block_core_lane(rig->core, 0), &slow->write,
		BLOCK_WRITE, 0, OFFSET, BYTES, slow->data);
	slow->reader = (struct reader){.rig = rig, .source = source};
	CHECK(co_start(read_co, &slow->reader));
}

/* No read has waited for longer than a gate may be closed. */
static void end_co(struct slow *slow)
{
	struct reader *reader = &slow->reader;
	CHECK_INT(stack_rig_wait_co(&slow->write), 0);
	reader->stop = true;
	reader->waiter = co_self();
	while (!reader->ended)
		co_yield ();
	CHECK(reader->reads > 100);
	CHECK(reader->longest_ns > 0);
	CHECK(reader->longest_ns <= SPEC_GATE_DEADLINE_NS + 2 * NS_PER_MS);
	free(slow->data);
	box_close_co(&slow->box);
}

static void test_made_when_it_has_ended_co(
	struct stack_rig *rig, void *argument)
{
	struct slow slow;
	struct err err = {0};
	(void)argument;
	begin_co(&slow, rig, SLOW("", "700000"));
	uint64_t begun_ns = loop_now_ns(loop_of(rig));
	CHECK_INT(
		box_apply_co(&slow.box, SLOW(GATED, "700000"), true, &err), 0);
	uint64_t took_ns = loop_now_ns(loop_of(rig)) - begun_ns;
	CHECK(took_ns >= 600 * NS_PER_MS);
	CHECK(took_ns <= 2000 * NS_PER_MS);
	end_co(&slow);
}

static void test_refused_in_time_co(struct stack_rig *rig, void *argument)
{
	struct slow slow;
	struct err err = {0};
	(void)argument;
	begin_co(&slow, rig, SLOW("", "30000000"));
	uint64_t begun_ns = loop_now_ns(loop_of(rig));
	CHECK_INT(box_apply_co(&slow.box, SLOW(GATED, "30000000"), true, &err),
		-ETIMEDOUT);
	uint64_t took_ns = loop_now_ns(loop_of(rig)) - begun_ns;
	CHECK(took_ns >= SPEC_PATIENCE_NS / 2);
	CHECK(took_ns <= SPEC_PATIENCE_NS + SPEC_GATE_DEADLINE_NS);
	CHECK_FIND(err.text, "a write of 4096 bytes at 8192");
	CHECK_FIND(err.text, "nothing was changed");
	CHECK_FIND(err.text, "tried ");
	CHECK_INT(stack_rig_wait_co(&slow.write), 0);
	box_must_apply_co(&slow.box, SLOW(GATED, "30000000"));
	end_co(&slow);
}

#define PATIENCE_CASE(name) \
	STACK_RIG_CASE(name, simulated, .world = "simulated", .lanes = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PATIENCE_CASE(test_made_when_it_has_ended_co),
		PATIENCE_CASE(test_refused_in_time_co),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
