/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What io_uring has registered for sources: requests in buffers of a lane's pool use
 * the pages that are registered, and files that sources open, close and are swapped for
 * leave no slot taken in any lane's ring.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "blockcore/base/buf.h"
#include "blockcore/base/list.h"
#include "tests/lib/ring_fdinfo.h"
#include "tests/lib/stack_rig.h"

#include <stdlib.h>

#define LANES 2u
#define PIECE 4096u
#define ROUNDS 10000u
#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)
#define DISK "{protocol: {type: file, path: disk, size: 1M}}"
#define OTHER "{protocol: {type: file, path: other, size: 1M}}"

/* -- buffers -------------------------------------------------------------- */

/* The page of `data` is elsewhere from now on, one of zeroes in its place. */
static uint8_t *move_page(uint8_t *data)
{
	uint8_t *elsewhere = mmap(NULL, PIECE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(elsewhere != MAP_FAILED);
	CHECK(mremap(data, PIECE, PIECE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      elsewhere) == elsewhere);
	CHECK(mmap(data, PIECE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == data);
	return elsewhere;
}

static void transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint8_t *data)
{
	struct stack_rig_request request;
	struct iovec iov = {data, PIECE};

	stack_rig_submit_iov(source, block_core_lane(rig->core, 0), &request,
		op, BLOCK_REGISTERED, 0, PIECE, &iov, 1);
	CHECK_INT(stack_rig_wait_co(&request), 0);
}

static void test_buffers_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DISK);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct buf *buf = buf_get(lane->pool, PIECE);
	uint8_t *first = stack_rig_pattern(PIECE, 1);
	uint8_t *second = stack_rig_pattern(PIECE, 2);
	struct ring_fdinfo info;

	(void)argument;
	ring_fdinfo_read(&info);
	CHECK_INT(info.rings, LANES);
	CHECK_INT(info.buffers, LANES);
	CHECK(buf && lane->registered);
	memcpy(buf->data, first, PIECE);
	uint8_t *page = move_page(buf->data);
	transfer_co(rig, source, BLOCK_WRITE, buf->data);
	stack_rig_expect_co(rig, source, 0, PIECE, first);
	CHECK_INT(block_transfer_co(
			  source, lane, BLOCK_WRITE, 0, 0, PIECE, second),
		0);
	transfer_co(rig, source, BLOCK_READ, buf->data);
	CHECK(!memcmp(page, second, PIECE));
	CHECK(memcmp(buf->data, second, PIECE) != 0);
	/* The pool gets its page back. */
	CHECK(mremap(page, PIECE, PIECE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      buf->data) == buf->data);
	buf_put(buf);
	free(second);
	free(first);
	block_source_put_co(source);
}

/* -- files ---------------------------------------------------------------- */

struct visit {
	struct stack_rig_task task;
	struct block_source *source;
};

static void read_co(struct stack_rig_task *task)
{
	struct visit *visit = container_of(task, struct visit, task);
	uint8_t *data = stack_rig_pattern(PIECE, 1);

	CHECK_INT(block_transfer_co(visit->source, task->lane, BLOCK_READ, 0, 0,
			  PIECE, data),
		0);
	free(data);
}

/* On every lane, whose ring then has a slot for the file. */
static void read_everywhere_co(
	struct stack_rig *rig, struct block_source *source)
{
	struct visit visit[LANES];

	for (unsigned i = 0; i < LANES; i++) {
		visit[i] = (struct visit){
			.task.run_co = read_co, .source = source};
		stack_rig_start(rig, i, &visit[i].task);
	}
	for (unsigned i = 0; i < LANES; i++)
		stack_rig_join_co(&visit[i].task);
}

static void expect_slots(unsigned files)
{
	struct ring_fdinfo info;

	ring_fdinfo_read(&info);
	CHECK_INT(info.rings, LANES);
	CHECK_INT(info.files, files);
}

static void test_opened_and_closed_co(struct stack_rig *rig, void *argument)
{
	const struct doc *document = stack_rig_doc(rig, DISK);
	struct err err = {0};

	(void)argument;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct block_source *source;

		CHECK_INT(spec_build_co(rig->core, "source", NULL, document,
				  &source, &err),
			0);
		read_everywhere_co(rig, source);
		if (i == 0)
			expect_slots(LANES);
		block_source_put_co(source);
	}
	expect_slots(0);
}

static void test_swapped_co(struct stack_rig *rig, void *argument)
{
	const struct doc *documents[] = {
		stack_rig_doc(rig, OTHER), stack_rig_doc(rig, DISK)};
	struct block_source *source = stack_rig_source_co(rig, DISK);
	struct err err = {0};

	(void)argument;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct spec_swap swap = {.document = documents[i % 2],
			.same_content = true,
			.deadline_ns = PATIENCE_NS};

		CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
		read_everywhere_co(rig, source);
	}
	expect_slots(LANES);
	block_source_put_co(source);
	expect_slots(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(body) \
	STACK_RIG_CASE(body, io_uring, .world = "io_uring", .lanes = LANES)
		ROW(test_buffers_co),
		ROW(test_opened_and_closed_co),
		ROW(test_swapped_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
