/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when a lane's data buffers are all in use: who waits for one is
 * told when one comes back, whatever part of the turn that is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/buf.h"
#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>

#define POOL_BYTES (1u << 20)
#define BUFFERS (POOL_BYTES / BUF_MIN_BYTES)

/* -- a buffer that comes back late in the turn ---------------------------- */

/* As when the data of a read has been sent: nothing else wakes the loop. */
struct sender {
	struct loop_hook hook;
	struct buf_waiter waiter;
	struct buf *buf;
	struct co *co;
};

static bool sender_run(struct loop_hook *hook)
{
	struct sender *sender = container_of(hook, struct sender, hook);

	if (sender->buf)
		buf_put(sender->buf);
	sender->buf = NULL;
	return false;
}

static void sender_ready(struct buf_waiter *waiter)
{
	co_resume(container_of(waiter, struct sender, waiter)->co);
}

static void woken_after_send_co(struct stack_rig *rig, void *argument)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct sender sender = {
		.hook.run = sender_run,
		.waiter.ready = sender_ready,
		.co = co_self(),
	};

	(void)argument;
	sender.buf = buf_get(lane->pool, BUF_MIN_BYTES);
	loop_hook_add(lane->loop, LOOP_SEND, &sender.hook);
	buf_wait(lane->pool, &sender.waiter);
	co_yield ();
	CHECK(!sender.buf);
	/* One that came back before somebody waits for it counts, too. */
	sender.buf = buf_get(lane->pool, BUF_MIN_BYTES);
	buf_put(sender.buf);
	sender.buf = NULL;
	buf_wait(lane->pool, &sender.waiter);
	co_yield ();
	loop_hook_remove(lane->loop, LOOP_SEND, &sender.hook);
}

/* -- COMPARE_AND_WRITE with all buffers in use ---------------------------- */

#define COMPARES 4u

/* Their hosts' data is what fills the pool, so they must not wait for it: they
 * go on one after the other. */
static void compare_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source =
		stack_rig_source_co(rig, "protocol: {type: mem, size: 8M}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request[COMPARES];
	const size_t bytes = (size_t)argument;
	uint8_t *data = stack_rig_pattern(2 * bytes, 3);
	struct buf *taken[BUFFERS];

	memset(data, 0, bytes);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_COMPARE_AND_WRITE, 0, 0,
			  512, data),
		0); /* the source is tracked from now on */
	for (unsigned i = 0; i < BUFFERS; i++)
		CHECK((taken[i] = buf_get(lane->pool, BUF_MIN_BYTES)) != NULL);
	for (unsigned i = 0; i < COMPARES; i++) {
		stack_rig_submit(source, lane, &request[i],
			BLOCK_COMPARE_AND_WRITE, 0, (i + 1) * bytes, bytes,
			data);
		request[i].iov.iov_len = 2 * bytes;
	}
	block_cancel(&request[1].request);
	for (unsigned i = 0; i < COMPARES; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]),
			i == 1 ? -ECANCELED : 0);
	stack_rig_expect_co(rig, source, bytes, bytes, data + bytes);
	stack_rig_expect_co(rig, source, 2 * bytes, bytes, NULL);
	stack_rig_expect_co(rig, source, 4 * bytes, bytes, data + bytes);
	for (unsigned i = 0; i < BUFFERS; i++)
		buf_put(taken[i]);
	free(data);
	block_source_put_co(source);
}

#define SETUP .world = "simulated", .lanes = 1, .pool_bytes = POOL_BYTES
#define ROW(body) STACK_RIG_CASE(body, simulated, SETUP, .seed = 5)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(woken_after_send_co),
		STACK_RIG_CASE_WITH(compare_co, 4096, "4K", SETUP),
		STACK_RIG_CASE_WITH(compare_co, 1u << 20, "1M", SETUP),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
