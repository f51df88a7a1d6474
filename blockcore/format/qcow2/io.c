/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: reads and writes of the format's own, at home; what happens when an
 * image turns out to be wrong or cannot be written any more.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include "blockcore/base/buf.h"
#include "blockcore/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_ALIGN 4096u

void *qcow2_io_memory(uint64_t bytes)
{
	return aligned_alloc(MEMORY_ALIGN,
		(bytes + MEMORY_ALIGN - 1) & ~(uint64_t)(MEMORY_ALIGN - 1));
}

/* -- one transfer --------------------------------------------------------- */

struct transfer {
	struct block_request request;
	struct co *co;
	bool done;
};

static void transfer_done(struct block_request *request)
{
	struct transfer *t = container_of(request, struct transfer, request);

	t->done = true;
	co_resume(t->co);
}

int qcow2_io_transfer_co(struct block_lane *lane, enum block_purpose purpose,
	struct block_source *source, enum block_opcode op, uint64_t offset,
	uint64_t bytes, const struct iovec *iov, unsigned count)
{
	struct transfer t = {.co = co_self()};
	struct block_request *request = &t.request;

	block_request_init(request, lane);
	request->op = (uint8_t)op;
	request->purpose = (uint8_t)purpose;
	request->flags = 0;
	request->offset_bytes = offset;
	request->length_bytes = bytes;
	request->iov = iov;
	request->iov_count = count;
	request->done = transfer_done;
	block_submit(source, request);
	while (!t.done)
		co_yield ();
	return request->result;
}

int qcow2_io_vector_co(struct qcow2 *image, enum block_purpose purpose,
	struct block_source *source, enum block_opcode op, uint64_t offset,
	uint64_t bytes, const struct iovec *iov, unsigned count)
{
	return qcow2_io_transfer_co(
		image->home, purpose, source, op, offset, bytes, iov, count);
}

static int transfer_co(struct qcow2 *image, enum block_purpose purpose,
	enum block_opcode op, uint64_t offset, uint64_t bytes, void *data)
{
	struct iovec iov = {data, bytes};

	return qcow2_io_vector_co(image, purpose, image->format.file, op,
		offset, bytes, &iov, data ? 1 : 0);
}

int qcow2_io_read_co(struct qcow2 *image, enum block_purpose purpose,
	uint64_t offset, uint64_t bytes, void *to)
{
	uint64_t end =
		block_source_info(image->format.file, image->home).size_bytes;
	uint64_t there = offset < end ? end - offset : 0;

	if (there < bytes) {
		memset((uint8_t *)to + there, 0, bytes - there);
		bytes = there;
	}
	while (bytes) {
		uint64_t step = bytes < BLOCK_MAX_DATA_BYTES
			? bytes
			: BLOCK_MAX_DATA_BYTES;
		int error = transfer_co(
			image, purpose, BLOCK_READ, offset, step, to);

		if (error)
			return error;
		to = (uint8_t *)to + step;
		offset += step;
		bytes -= step;
	}
	return 0;
}

int qcow2_io_write_co(struct qcow2 *image, enum block_purpose purpose,
	uint64_t offset, uint64_t bytes, void *from)
{
	while (bytes) {
		uint64_t step = bytes < BLOCK_MAX_DATA_BYTES
			? bytes
			: BLOCK_MAX_DATA_BYTES;
		int error = transfer_co(
			image, purpose, BLOCK_WRITE, offset, step, from);

		if (error)
			return error;
		from = (uint8_t *)from + step;
		offset += step;
		bytes -= step;
	}
	return 0;
}

int qcow2_io_flush_co(struct qcow2 *image, enum block_purpose purpose)
{
	int error = image->failed
		? -EIO
		: transfer_co(image, purpose, BLOCK_FLUSH, 0, 0, NULL);

	return error ? qcow2_io_failed(image, error, "flush") : 0;
}

/* -- several writes ------------------------------------------------------- */

/* Together with what it takes to send it. */
struct qcow2_write {
	struct block_request request;
	struct iovec iov;
	struct batch *batch;
	uint64_t offset;
	uint32_t bytes;
	enum block_purpose purpose;
	struct buf *buf; /* that holds `data`; NULL: it is memory of its own */
	void *data;
	STAILQ_ENTRY(qcow2_write) link;
};

/* A buffer of home's lane, which costs less than aligned memory and is known to the
 * kernel already. Half of them remain for hosts' data. */
static struct buf *write_buf(struct qcow2 *image, uint32_t bytes)
{
	struct buf_pool *pool = image->home->pool;
	size_t all;
	void *base;

	buf_pool_region(pool, &base, &all);
	return buf_pool_used_bytes(pool) < all / 2 && bytes <= BUF_MAX_BYTES
		? buf_get(pool, bytes)
		: NULL;
}

int qcow2_io_add(struct qcow2 *image, struct qcow2_write_list *list,
	enum block_purpose purpose, uint64_t offset, const void *data,
	uint32_t bytes)
{
	struct qcow2_write *write = malloc(sizeof *write);

	if (!write)
		return -ENOMEM;
	write->purpose = purpose;
	write->offset = offset;
	write->bytes = bytes;
	write->buf = write_buf(image, bytes);
	write->data = write->buf ? write->buf->data : qcow2_io_memory(bytes);
	if (!write->data) {
		free(write);
		return -ENOMEM;
	}
	memcpy(write->data, data, bytes);
	STAILQ_INSERT_TAIL(list, write, link);
	return 0;
}

void qcow2_io_free(struct qcow2_write_list *list)
{
	struct qcow2_write *write;

	while ((write = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		if (write->buf)
			buf_put(write->buf);
		else
			free(write->data);
		free(write);
	}
}

struct batch {
	struct co *co;
	uint32_t left;
	int error;
};

static void batch_done(struct block_request *request)
{
	struct batch *batch =
		container_of(request, struct qcow2_write, request)->batch;

	if (request->result && !batch->error)
		batch->error = request->result;
	if (--batch->left == 0)
		co_resume(batch->co);
}

static void batch_start(
	struct qcow2 *image, struct batch *batch, struct qcow2_write *write)
{
	struct block_request *request = &write->request;
	bool registered = write->buf && image->home->registered;

	write->batch = batch;
	write->iov = (struct iovec){write->data, write->bytes};
	block_request_init(request, image->home);
	request->op = BLOCK_WRITE;
	request->purpose = (uint8_t)write->purpose;
	request->flags = registered ? BLOCK_REGISTERED : 0;
	request->offset_bytes = write->offset;
	request->length_bytes = write->bytes;
	request->iov = &write->iov;
	request->iov_count = 1;
	request->done = batch_done;
	batch->left++;
	block_submit(image->format.file, request);
}

int qcow2_io_write_all_co(
	struct qcow2 *image, const struct qcow2_write_list *list)
{
	struct batch batch = {.co = co_self(), .left = 1};
	struct qcow2_write *write;

	STAILQ_FOREACH (write, list, link)
		batch_start(image, &batch, write);
	if (--batch.left)
		co_yield (); /* the last one to end resumes */
	return batch.error;
}

/* -- the header ----------------------------------------------------------- */

int qcow2_io_header_co(struct qcow2 *image, enum block_purpose purpose)
{
	qcow2_header_patch(&image->header, image->sector);
	uint8_t *copy = qcow2_io_memory(QCOW2_HEADER_SECTOR);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, image->sector, QCOW2_HEADER_SECTOR);
	int error =
		qcow2_io_write_co(image, purpose, 0, QCOW2_HEADER_SECTOR, copy);
	free(copy);
	return error ? error : qcow2_io_flush_co(image, purpose);
}

/* -- when it goes wrong --------------------------------------------------- */

int qcow2_io_failed(struct qcow2 *image, int error, const char *what)
{
	if (!atomic_exchange(&image->failed, true)) {
		log_error(block_source_name(image->format.file), "failed",
			"qcow2: %s: %s; no changes are accepted any more: "
			"check the image and open it again",
			what, strerror(-error));
		if (image->view)
			block_driver_failed(
				&image->view->view.driver, error, what);
	}
	return error;
}

int qcow2_io_refuse(const struct qcow2 *image, int error, struct err *err)
{
	if (image->failed)
		return err_set(err, -error,
			"the image refuses changes since its tables or a flush "
			"could not be written: check it and open it again");
	if (image->corrupt)
		return err_set(err, -error,
			"the image refuses changes since it was found damaged: "
			"check it with repair=all");
	return err_set(err, -error, "the image cannot be written to: %s",
		strerror(-error));
}

/* The message counts as a helper until this is done. */
struct corrupt_message {
	struct loop_message message;
	struct loop_errand errand;
	struct qcow2 *image;
};

static void mark_corrupt_co(void *argument)
{
	struct corrupt_message *m = argument;
	struct qcow2 *image = m->image;

	free(m);
	co_mutex_lock_co(&image->refcounts.write);
	image->header.incompatible |= QCOW2_CORRUPT;
	qcow2_io_header_co(image, PURPOSE_HEADER_CORRUPT);
	co_mutex_unlock(&image->refcounts.write);
	qcow2_io_helper_done(image);
}

static void corrupt_home(struct loop_message *message)
{
	struct corrupt_message *m =
		container_of(message, struct corrupt_message, message);

	loop_errand(m->image->home->loop, &m->errand, mark_corrupt_co, m);
}

int qcow2_io_corrupt(struct qcow2 *image, const char *what, uint64_t where)
{
	if (atomic_exchange(&image->corrupt, true))
		return -EIO;
	log_error(block_source_name(image->format.file), "corrupt",
		"qcow2: %s at %#" PRIx64 "; the image must be checked and "
		"repaired before it is written to again",
		what, where);
	if (image->format.read_only || image->header.version < 3)
		return -EIO;
	struct corrupt_message *m = malloc(sizeof *m);
	if (m) {
		atomic_fetch_add(&image->helpers, 1);
		m->image = image;
		m->message.run = corrupt_home;
		loop_post(image->home->loop, &m->message);
	}
	return -EIO;
}

/* -- coroutines of the image's own ---------------------------------------- */

bool qcow2_io_helper(struct qcow2 *image, void (*run_co)(void *image))
{
	atomic_fetch_add(&image->helpers, 1);
	if (co_start(run_co, image))
		return true;
	qcow2_io_helper_done(image);
	return false;
}

void qcow2_io_wait_helpers_co(struct qcow2 *image)
{
	while (image->helpers) {
		image->closer = co_self();
		co_yield ();
	}
}

void qcow2_io_helper_done(struct qcow2 *image)
{
	if (atomic_fetch_sub(&image->helpers, 1) == 1 && image->closer) {
		struct co *closer = image->closer;

		image->closer = NULL;
		co_resume(closer);
	}
}
