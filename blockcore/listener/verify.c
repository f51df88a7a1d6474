/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener verify: one to three other sources are kept equal to what is below
 * it, and each read is compared with them: two drivers, formats or file systems
 * check each other, and the first difference is told with its place.
 *
 *	change, flush	   on all at once; their results must agree
 *	read		   below; then from each other one, a piece at a time, into
 *			   memory of the lane, and compared
 *
 * What happens at a difference is the option `action`:
 *
 *	log	it is counted, and the first is kept and logged
 *	fail	the request that met it fails with -EIO, too
 *	stop	so does every later one: the driver has failed, until the
 *		source is opened anew
 *
 * Invariants
 *  1. Overlapping requests, reads as well, are one after the other
 *     (block_kind.ordered): what is compared is of one moment, and all sources
 *     see changes in one order.
 *  2. A change that has begun ends on all: cancelling it waits for that.
 *  3. Hosts read what is below it. Others are written here alone (claimed), are at
 *     least as large, and are equal when it is attached: nobody copies.
 *  4. Each lane has VERIFY_OPS requests at work, which have all their memory, and a list
 *     of those that wait for one of them; who works waits for I/O only.
 *  5. A read that fails below has nothing to be compared with: no difference.
 */
#include "blockcore/listener/verify.h"

#include "blockcore/base/iov.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const actions[] = {[VERIFY_LOG] = "log",
	[VERIFY_FAIL] = "fail",
	[VERIFY_STOP] = "stop",
	NULL};

static const struct opt_spec options[] = {
	{.name = "others",
		.type = OPT_DOC,
		.offset = offsetof(struct verify_options, others),
		.help = "list of 1 to 3 sources (or their names) that hold "
			"the same"},
	{.name = "action",
		.type = OPT_ENUM,
		.offset = offsetof(struct verify_options, action),
		.choices = actions,
		.fallback = "log",
		.help = "what happens at a difference"},
	OPT_END};

/* -- who is at work ------------------------------------------------------- */

static void begin(struct verify_op *op, struct block_request *request);

static void finish(struct verify_op *op)
{
	struct verify_lane *lane = op->lane;
	struct block_request *next = TAILQ_FIRST(&lane->waiting);

	block_unhold(op->request);
	block_complete(op->request, op->result[0]);
	if (!next) {
		SLIST_INSERT_HEAD(&lane->free, op, link);
		return;
	}
	TAILQ_REMOVE(&lane->waiting, next, link);
	block_unhold(next);
	begin(op, next);
}

static void cancel_waiting(struct block_request *request)
{
	struct verify_lane *lane = request->held_by;

	TAILQ_REMOVE(&lane->waiting, request, link);
	block_unhold(request);
	block_complete(request, -ECANCELED);
}

/* -- changes and flushes -------------------------------------------------- */

static void cancel_change(struct block_request *request)
{
	(void)request; /* invariant 2 */
}

static void change_ended(struct verify_op *op)
{
	unsigned others = op->lane->verify->driver.others_count;
	int below = op->result[0];

	for (unsigned leg = 1; leg <= others; leg++) {
		if (!below != !op->result[leg])
			verify_results_differ(op, leg, op->result[leg]);
	}
	finish(op);
}

static bool leg_ended(struct block_request *child, struct block_frame *frame)
{
	struct verify_op *op = frame->context;

	op->result[frame->value] = child->result;
	if (--op->pending == 0)
		change_ended(op);
	return true;
}

static void leg_submit(
	struct verify_op *op, unsigned leg, struct block_request *child)
{
	child->done = block_child_put;
	block_push(child, leg_ended, op, leg);
	if (leg == 0) {
		block_pass(child);
		return;
	}
	if (child->op == BLOCK_DISCARD) { /* not everybody has it */
		child->op = BLOCK_WRITE_ZEROES;
		child->flags |= BLOCK_MAY_UNMAP;
	}
	block_submit(op->lane->verify->driver.others[leg - 1], child);
}

/* All children, or none: what is done in part would be a difference. */
static void change_begin(struct verify_op *op)
{
	unsigned legs = 1 + op->lane->verify->driver.others_count, have = 0;
	struct block_request *child[VERIFY_LEGS];

	block_hold(op->request, cancel_change, op);
	while (have < legs && (child[have] = block_child_get(op->request)))
		have++;
	if (have < legs) {
		while (have)
			block_child_put(child[--have]);
		op->result[0] = -ENOMEM;
		finish(op);
		return;
	}
	counter_add(&op->lane->changes, 1);
	op->pending = legs;
	for (unsigned leg = 0; leg < legs; leg++)
		leg_submit(op, leg, child[leg]);
}

/* -- reads ---------------------------------------------------------------- */

static void cancel_read(struct block_request *request)
{
	struct verify_op *op = request->held_by;

	if (op->reading)
		block_cancel(op->reading);
}

static void piece_read(struct verify_op *op);

static void next_leg(struct verify_op *op)
{
	op->leg++;
	op->done_bytes = 0;
}

/* The piece of the other source is there. */
static void piece_compare(struct verify_op *op, int result)
{
	struct block_request *request = op->request;
	size_t bytes = op->piece.iov_len, at = op->done_bytes;
	struct verify_difference d = {
		.op = BLOCK_READ, .other = op->leg, .result = {0, result}};

	if (result) {
		d.offset_bytes = request->offset_bytes + at;
		verify_differs(op, &d);
		next_leg(op);
		return;
	}
	size_t same = iov_compare(request->iov, request->iov_count, at,
		op->piece.iov_base, bytes);
	counter_add(&op->lane->compared_bytes, same);
	if (same == bytes) {
		op->done_bytes += bytes;
		return;
	}
	d.offset_bytes = request->offset_bytes + at + same;
	d.byte[1] = ((const uint8_t *)op->piece.iov_base)[same];
	iov_to_flat(request->iov, request->iov_count, at + same, d.byte, 1);
	verify_differs(op, &d);
	next_leg(op);
}

static bool read_ended(struct block_request *child, struct block_frame *frame)
{
	struct verify_op *op = frame->context;
	int result = child->result;

	op->reading = NULL;
	if (op->leg == 0) {
		op->result[0] = result;
		next_leg(op);
	} else if (!op->request->cancelled) {
		piece_compare(op, result);
	}
	if (!op->result[0] && op->request->cancelled)
		op->result[0] = -ECANCELED;
	if (op->leg && op->done_bytes == op->request->length_bytes)
		next_leg(op);
	piece_read(op);
	return true;
}

/* Below, or the next piece of the other one; or the end of it. */
static void piece_read(struct verify_op *op)
{
	struct verify_driver *verify = op->lane->verify;
	uint64_t left = op->request->length_bytes - op->done_bytes;
	struct block_request *child;

	if (op->result[0] || op->leg > verify->driver.others_count) {
		finish(op);
		return;
	}
	op->reading = child = block_child_get(op->request);
	if (!child) {
		op->result[0] = -ENOMEM;
		finish(op);
		return;
	}
	child->done = block_child_put;
	block_push(child, read_ended, op, 0);
	if (op->leg == 0) {
		block_pass(child);
		return;
	}
	op->piece.iov_len =
		left < VERIFY_PIECE_BYTES ? left : VERIFY_PIECE_BYTES;
	child->offset_bytes += op->done_bytes;
	child->length_bytes = op->piece.iov_len;
	child->flags &= (uint16_t)~BLOCK_REGISTERED;
	child->iov = &op->piece;
	child->iov_count = 1;
	block_submit(verify->driver.others[op->leg - 1], child);
}

/* -- requests ------------------------------------------------------------- */

static void begin(struct verify_op *op, struct block_request *request)
{
	op->request = request;
	op->leg = 0;
	op->done_bytes = 0;
	memset(op->result, 0, sizeof op->result);
	if (request->op == BLOCK_READ) {
		block_hold(request, cancel_read, op);
		piece_read(op);
	} else {
		change_begin(op);
	}
}

static void verify_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct verify_lane *lane = block_driver_lane(driver, request->lane);
	struct verify_op *op = SLIST_FIRST(&lane->free);

	if (request->op == BLOCK_EXTENTS) {
		block_pass(request);
	} else if (atomic_load_explicit(
			   &lane->verify->stopped, memory_order_relaxed)) {
		block_complete(request, -EIO);
	} else if (op) {
		SLIST_REMOVE_HEAD(&lane->free, link);
		begin(op, request);
	} else {
		TAILQ_INSERT_TAIL(&lane->waiting, request, link);
		block_hold(request, cancel_waiting, lane);
	}
}

/* -- life ----------------------------------------------------------------- */

static void unclaim(struct verify_driver *verify, unsigned count)
{
	while (count)
		block_source_unclaim(&verify->claim[--count]);
}

static int verify_open_co(struct block_driver *driver, struct err *err)
{
	struct verify_driver *verify = (struct verify_driver *)driver;

	for (unsigned i = 0; i < driver->others_count; i++) {
		struct block_claim *claim = &verify->claim[i];

		claim->mode = BLOCK_CLAIM_WRITE;
		snprintf(claim->holder, sizeof claim->holder, "listener '%s'",
			driver->name);
		int error = block_source_claim(driver->others[i], claim, err);
		if (error) {
			unclaim(verify, i);
			return error;
		}
	}
	pthread_mutex_init(&verify->mutex, NULL);
	return 0;
}

static void verify_close_co(struct block_driver *driver)
{
	struct verify_driver *verify = (struct verify_driver *)driver;

	unclaim(verify, driver->others_count);
	pthread_mutex_destroy(&verify->mutex);
}

static int verify_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct verify_lane *l = block_driver_lane(driver, lane);

	l->memory = aligned_alloc(4096, VERIFY_OPS * VERIFY_PIECE_BYTES);
	if (!l->memory)
		return -ENOMEM;
	l->verify = (struct verify_driver *)driver;
	TAILQ_INIT(&l->waiting);
	SLIST_INIT(&l->free);
	for (unsigned i = 0; i < VERIFY_OPS; i++) {
		l->op[i].lane = l;
		l->op[i].piece.iov_base =
			l->memory + (size_t)i * VERIFY_PIECE_BYTES;
		SLIST_INSERT_HEAD(&l->free, &l->op[i], link);
	}
	return 0;
}

static void verify_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct verify_lane *l = block_driver_lane(driver, lane);

	free(l->memory);
}

/* Others were large enough when it was attached; what is below may have grown. */
static void verify_narrow(struct block_driver *driver, struct block_info *info)
{
	for (unsigned i = 0; i < driver->others_count; i++) {
		struct block_info other = block_source_info(
			driver->others[i], block_core_lane(driver->core, 0));

		if (info->size_bytes > other.size_bytes)
			info->size_bytes = other.size_bytes;
		info->volatile_cache |= other.volatile_cache;
	}
}

static struct block_source *verify_below(
	struct block_driver *driver, unsigned index)
{
	return index < driver->others_count ? driver->others[index] : NULL;
}

static void verify_status(struct block_driver *driver, FILE *out)
{
	struct verify_driver *verify = (struct verify_driver *)driver;
	uint64_t compared = 0, changes = 0;

	for (unsigned i = 0; i < block_core_lanes(driver->core); i++) {
		struct verify_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		compared += counter_get(&lane->compared_bytes);
		changes += counter_get(&lane->changes);
	}
	fprintf(out, "\"compared_bytes\": %llu, \"changes\": %llu, ",
		(unsigned long long)compared, (unsigned long long)changes);
	verify_print_differences(verify, out);
}

#define HANDLED \
	(BLOCK_OPS_DATA | BLOCK_OP(BLOCK_WRITE_ZEROES) | \
		BLOCK_OP(BLOCK_DISCARD) | BLOCK_OP(BLOCK_FLUSH))

const struct block_kind verify_kind = {
	.name = "verify",
	.help = "compare with other sources that hold the same",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_VERIFY,
	.ordered = true,
	.others = "others",
	.handles = HANDLED,
	/* Only an alias offers COMPARE_AND_WRITE itself; one that writes is refused. */
	.transparent =
		BLOCK_OP(BLOCK_EXTENTS) | BLOCK_OP(BLOCK_COMPARE_AND_WRITE),
	.options = options,
	.options_bytes = sizeof(struct verify_options),
	.driver_bytes = sizeof(struct verify_driver),
	.lane_bytes = sizeof(struct verify_lane),
	.open_co = verify_open_co,
	.close_co = verify_close_co,
	.lane_start = verify_lane_start,
	.lane_stop = verify_lane_stop,
	.submit = verify_submit,
	.narrow = verify_narrow,
	.below = verify_below,
	.status = verify_status,
};
