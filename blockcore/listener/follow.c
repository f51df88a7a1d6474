/* SPDX-License-Identifier: Apache-2.0 */
#include "blockcore/listener/follow.h"

#include "blockcore/base/bits.h"
#include "blockcore/core/ticket.h"
#include "blockcore/kinds.h"

#include <errno.h>

#define FOLLOWED \
	(BLOCK_OP(BLOCK_WRITE) | BLOCK_OP(BLOCK_WRITE_ZEROES) | \
		BLOCK_OP(BLOCK_DISCARD))

static const struct opt_spec options[] = {OPT_END};

static struct follow *follow_of(struct block_driver *driver)
{
	return container_of(driver, struct follow, driver);
}

/* -- marks ---------------------------------------------------------------- */

static uint64_t mark_of(uint64_t offset)
{
	return offset / FOLLOW_MARK_BYTES % FOLLOW_MARKS;
}

static void follow_mark(
	struct follow *follow, const struct block_request *request)
{
	uint64_t bytes = request->length_bytes;
	uint64_t first = mark_of(request->offset_bytes);
	uint64_t last = mark_of(request->offset_bytes + bytes - 1);

	if (!bytes)
		return;
	if (bytes >= (uint64_t)FOLLOW_MARKS * FOLLOW_MARK_BYTES) {
		bits_set(follow->changed, 0, FOLLOW_MARKS - 1);
	} else if (first <= last) {
		bits_set(follow->changed, first, last);
	} else {
		bits_set(follow->changed, first, FOLLOW_MARKS - 1);
		bits_set(follow->changed, 0, last);
	}
}

void follow_forget(struct follow *follow)
{
	bits_clear(follow->changed, 0, FOLLOW_MARKS - 1);
}

bool follow_is_changed(
	struct follow *follow, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t first = mark_of(offset_bytes);
	uint64_t last = mark_of(offset_bytes + length_bytes - 1);

	return first <= last
		? bits_any(follow->changed, first, last)
		: bits_any(follow->changed, first, FOLLOW_MARKS - 1) ||
			bits_any(follow->changed, 0, last);
}

/* -- the target ----------------------------------------------------------- */

static void follow_failed(struct follow *follow, int error)
{
	int none = 0;

	atomic_compare_exchange_strong(&follow->error, &none, error);
}

static void follow_cancel(struct block_request *request)
{
	block_cancel(request->held_by);
}

static bool follow_written(
	struct block_request *child, struct block_frame *frame)
{
	struct block_request *request = child->parent;

	if (child->result)
		follow_failed(frame->context, child->result);
	follow_mark(frame->context, request);
	block_unhold(request);
	block_complete(request, 0);
	return true;
}

/* Below it is done: now there. */
static bool follow_changed(
	struct block_request *request, struct block_frame *frame)
{
	struct follow *follow = frame->context;
	struct block_request *child;

	if (request->result || atomic_load(&follow->stopped) ||
		atomic_load(&follow->error) ||
		request->offset_bytes >= atomic_load(&follow->frontier))
		return true;
	child = block_child_get(request);
	if (!child) {
		follow_failed(follow, -ENOMEM);
		return true;
	}
	child->flags &= (uint16_t)~BLOCK_FUA;
	if (child->op == BLOCK_DISCARD) {
		child->op = BLOCK_WRITE_ZEROES;
		child->flags |= BLOCK_MAY_UNMAP;
	}
	child->done = block_child_put;
	block_push(child, follow_written, follow, 0);
	block_hold(request, follow_cancel, child);
	block_submit(follow->target, child);
	return false;
}

/* -- requests ------------------------------------------------------------- */

/* Copied from here on (invariant 2); it goes on in its coroutine, at once. */
static void follow_raise(
	struct follow *follow, const struct block_request *request)
{
	uint64_t end = request->offset_bytes + request->length_bytes;

	if (end > atomic_load(&follow->frontier)) /* lane 0 only */
		atomic_store(&follow->frontier, end);
}

static void follow_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct follow *follow = follow_of(driver);

	if (request->op == BLOCK_COPY) {
		if (block_ticket_is_for(driver, request)) {
			follow_raise(follow, request);
			block_ticket_arrived(request);
		} else {
			block_pass(request);
		}
		return;
	}
	if (follow->target && (FOLLOWED & BLOCK_OP(request->op)) &&
		!request->of_job)
		block_push(request, follow_changed, follow, 0);
	block_pass(request);
}

static int follow_open_co(struct block_driver *driver, struct err *err)
{
	struct follow *follow = follow_of(driver);

	(void)err;
	if (follow->target)
		block_source_get(follow->target);
	return 0;
}

/* Requests of old generations have ended. */
static void follow_close_co(struct block_driver *driver)
{
	struct follow *follow = follow_of(driver);

	if (follow->target)
		block_source_put_co(follow->target);
}

const struct block_kind follow_kind = {
	.name = "follow",
	.help = "a job's own: does in its target what hosts change",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.anchor = BLOCK_HEAD,
	.band = BAND_JOB,
	.of_job = true,
	.handles = FOLLOWED | BLOCK_OP(BLOCK_COPY),
	.transparent = BLOCK_OP(BLOCK_READ) | BLOCK_OP(BLOCK_FLUSH) |
		BLOCK_OP(BLOCK_EXTENTS) | BLOCK_OP(BLOCK_META),
	.options = options,
	.driver_bytes = sizeof(struct follow),
	.open_co = follow_open_co,
	.close_co = follow_close_co,
	.submit = follow_submit,
};
