/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: FLUSH, and changes that must be durable before they complete. Where the
 * map on disk is that in memory the file's flush is all that is needed; else a
 * commit is asked for at home (epoch.c).
 *
 * Invariant: after a flush of the file that has failed nobody knows what of it is
 * on disk, and the next one may say that all is well. So it is never tried again:
 * the image refuses changes.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include <errno.h>

static void flush_home_co(struct qcow2_op *op)
{
	op->result = qcow2_epoch_commit_co(op->image);
}

bool qcow2_flush_written(
	struct block_request *request, struct block_frame *frame)
{
	struct qcow2_lane *lane = frame->context;

	if (request->result || !lane->view->image->uncommitted)
		return true;
	qcow2_read_at_home(lane, request, flush_home_co);
	return false;
}

/* One that was cancelled, or never sent, has lost nothing. */
static bool flushed(struct block_request *request, struct block_frame *frame)
{
	struct qcow2_lane *lane = frame->context;
	int result = request->result;

	if (result && result != -ECANCELED && result != -ENOMEM)
		qcow2_io_failed(lane->view->image, result, "flush");
	return true;
}

void qcow2_flush_start(struct qcow2_lane *lane, struct block_request *request)
{
	struct qcow2 *image = lane->view->image;

	if (image->failed) {
		block_complete(request, -EIO);
	} else if (image->uncommitted) {
		qcow2_read_at_home(lane, request, flush_home_co);
	} else {
		block_push(request, flushed, lane, 0);
		block_redirect_as(
			request, image->format.file, 0, PURPOSE_FLUSH_TO_DISK);
	}
}
