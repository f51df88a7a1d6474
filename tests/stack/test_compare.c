/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COMPARE_AND_WRITE: matches and differences, across lanes and aliases, while a
 * source becomes tracked. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "blockcore/base/list.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>

#define LANES 3u

static void command_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments)
{
	struct err err = {0};
	FILE *out = fopen("/dev/null", "w");

	CHECK_INT(spec_command_co(source, "f", verb,
			  arguments ? stack_rig_doc(rig, arguments) : NULL, out,
			  &err),
		0);
	fclose(out);
}

static void check_tracked(struct block_source *source, bool tracked)
{
	char *status = stack_rig_status(source);

	CHECK(strstr(
		status, tracked ? "\"tracked\": true" : "\"tracked\": false"));
	free(status);
}

/* Its own, for the data is twice the length: what is expected, what is new. */
static void compare_submit(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *request, unsigned flags, uint64_t offset,
	uint64_t length, void *data)
{
	stack_rig_submit(source, lane, request, BLOCK_COMPARE_AND_WRITE, flags,
		offset, length, data);
	request->iov.iov_len = 2 * length;
}

static void match_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: stats}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request;
	uint8_t data[4096] = {0}, read[2048];

	(void)argument;
	memset(data + 2048, 'n', 2048);
	compare_submit(source, lane, &request, 0, 512, 2048, data);
	CHECK_INT(stack_rig_wait_co(&request), 0);
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_READ, 0, 512, 2048, read),
		0);
	CHECK(!memcmp(read, data + 2048, 2048));
	/* The same again: the first byte differs now. */
	compare_submit(source, lane, &request, 0, 512, 2048, data);
	CHECK_INT(stack_rig_wait_co(&request), -EILSEQ);
	CHECK_INT(request.request.miscompare_bytes, 0);
	/* All but one as expected: nothing is written. */
	memset(data, 'n', 2048);
	data[777] = 'x';
	memset(data + 2048, 'z', 2048);
	compare_submit(source, lane, &request, 0, 512, 2048, data);
	CHECK_INT(stack_rig_wait_co(&request), -EILSEQ);
	CHECK_INT(request.request.miscompare_bytes, 777);
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_READ, 0, 512, 2048, read),
		0);
	CHECK(read[0] == 'n' && read[777] == 'n');
	check_tracked(source, true);
	block_source_put_co(source);
}

/* Data in many pieces of odd lengths, over the middle of the two halves. */
static void pieces_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request;
	struct iovec iov[5];
	uint8_t data[1024] = {0}, read[512];
	const unsigned cut[] = {0, 100, 511, 600, 1000, 1024};

	(void)argument;
	for (unsigned i = 512; i < 1024; i++)
		data[i] = (uint8_t)i;
	for (unsigned i = 0; i < 5; i++)
		iov[i] = (struct iovec){data + cut[i], cut[i + 1] - cut[i]};
	compare_submit(source, lane, &request, 0, 0, 0,
		NULL); /* nothing to do: fills the struct */
	CHECK_INT(stack_rig_wait_co(&request), 0);
	request.done = false;
	void (*done)(struct block_request *) = request.request.done;
	block_request_init(&request.request, lane);
	request.request.done = done;
	request.request.length_bytes = 512;
	request.request.iov = iov;
	request.request.iov_count = 5;
	block_submit(source, &request.request);
	CHECK_INT(stack_rig_wait_co(&request), 0);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_READ, 0, 0, 512, read),
		0);
	CHECK(!memcmp(read, data + 512, 512));
	block_source_put_co(source);
}

/* -- counting, on all lanes ----------------------------------------------- */

#define TURNS 60u

struct counter_task {
	struct stack_rig_task task;
	struct block_source *source;
	uint64_t done;
};

/* One up, by compare and write; true if nobody was faster. */
static bool count_up_co(struct counter_task *counter, uint8_t *data)
{
	struct stack_rig_request request;

	CHECK_INT(block_transfer_co(counter->source, counter->task.lane,
			  BLOCK_READ, 0, 0, 512, data),
		0);
	memcpy(data + 512, data, 512);
	uint64_t value = get_be64(data);
	put_be64(data + 512, value + 1);
	compare_submit(
		counter->source, counter->task.lane, &request, 0, 0, 512, data);
	int result = stack_rig_wait_co(&request);
	CHECK(result == 0 || result == -EILSEQ);
	return result == 0;
}

static void counter_co(struct stack_rig_task *task)
{
	struct counter_task *counter =
		container_of(task, struct counter_task, task);
	uint8_t data[1024];

	while (counter->done < TURNS)
		counter->done += count_up_co(counter, data);
}

/* Half of them by way of an alias: the locks are the shared source's. */
static void counting_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 1M}");
	struct block_source *alias = stack_rig_source_co(
		rig, "{listeners: [{type: fault, name: f}], source: source-1}");
	struct counter_task counter[LANES * 2];
	uint8_t data[512];

	(void)argument;
	for (unsigned i = 0; i < LANES * 2; i++) {
		counter[i] =
			(struct counter_task){.source = i % 2 ? alias : source,
				.task.run_co = counter_co};
		stack_rig_start(rig, i % LANES, &counter[i].task);
	}
	for (unsigned i = 0; i < LANES * 2; i++)
		stack_rig_join_co(&counter[i].task);
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, 0, 512, data),
		0);
	CHECK_INT(get_be64(data), LANES * 2 * TURNS);
	check_tracked(source, true);
	check_tracked(alias, false);
	block_source_put_co(alias);
	block_source_put_co(source);
}

/* -- becoming tracked ----------------------------------------------------- */

#define HOLDER \
	"{listeners: [{type: fault, name: f}], " \
	"protocol: {type: mem, size: 1M}}"

/* A write of before, without a lock, is still held below: COMPARE_AND_WRITE
 * waits for it, all else goes on, and the holder can be told to let go. */
static void settle_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, HOLDER);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request write, compare, cancelled;
	uint8_t data[512], expected[1024] = {0};
	struct err err = {0};

	(void)argument;
	memset(data, 'w', sizeof(data));
	command_co(rig, source, "hold", "{op: write, count: 1}");
	stack_rig_submit(source, lane, &write, BLOCK_WRITE, 0, 0, 512, data);
	compare_submit(source, lane, &compare, 0, 0, 512, expected);
	compare_submit(source, lane, &cancelled, 0, 0, 512, expected);
	CHECK_INT(block_transfer_co(
			  source, lane, BLOCK_WRITE, 0, 4096, 512, data),
		0);
	loop_sleep_co(lane->loop, 2000000);
	CHECK(!compare.done);
	block_cancel(&cancelled.request);
	CHECK_INT(stack_rig_wait_co(&cancelled), -ECANCELED);
	CHECK_INT(spec_detach_co(source, "f", 10000000000ull, &err), 0);
	CHECK_INT(stack_rig_wait_co(&write), 0);
	CHECK_INT(stack_rig_wait_co(&compare), -EILSEQ); /* it saw the write */
	CHECK_INT(compare.request.miscompare_bytes, 0);
	block_source_put_co(source);
}

/* Closed before it could become tracked: what waits is refused. */
static void settle_closed_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, HOLDER);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request compare;
	uint8_t expected[1024] = {0};

	(void)argument;
	compare_submit(source, lane, &compare, 0, 0, 512, expected);
	block_source_put_co(source);
	CHECK_INT(stack_rig_wait_co(&compare), -ENODEV);
}

/* Errors of the read and of the write come through, and unlock. */
static void errors_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, HOLDER);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request compare;
	uint8_t data[1024] = {0};
	const char *rules[] = {"{op: read, count: 1, error: EIO}",
		"{op: write, count: 1, error: EIO}"};

	(void)argument;
	for (unsigned i = 0; i < 3; i++) {
		if (i < 2)
			command_co(rig, source, "add", rules[i]);
		compare_submit(source, lane, &compare, BLOCK_FUA, 0, 512, data);
		CHECK_INT(stack_rig_wait_co(&compare), i < 2 ? -EIO : 0);
	}
	/* Held at its write, then cancelled. */
	command_co(rig, source, "hold", "{op: write, count: 1}");
	compare_submit(source, lane, &compare, 0, 0, 512, data);
	stack_rig_until_co(rig, source, "held", 1);
	block_cancel(&compare.request);
	CHECK_INT(stack_rig_wait_co(&compare), -ECANCELED);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE, 0, 0, 512, data),
		0);
	block_source_put_co(source);
}

/* On threads, and in the simulator, where every interleaving is repeatable. */
#define ROW(body) \
	STACK_RIG_CASE(body, threads, .world = "threads", .lanes = LANES), \
		STACK_RIG_CASE(body, simulated, .world = "simulated", \
			.lanes = LANES, .seed = 7)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(match_co),
		ROW(pieces_co),
		ROW(counting_co),
		ROW(settle_co),
		ROW(settle_closed_co),
		ROW(errors_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
