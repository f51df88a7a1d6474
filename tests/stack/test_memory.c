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

#define ROW(body) \
	STACK_RIG_CASE(body, simulated, .world = "simulated", .lanes = 1, \
		.pool_bytes = POOL_BYTES, .seed = 5)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(woken_after_send_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
