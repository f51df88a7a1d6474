/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When io_uring's ring enters the kernel: at once while the disk has less to do than
 * waits, and yet seldom. The figures are known where completions are told only when
 * the kernel is entered (since Linux 6.1).
 */
#include <linux/io_uring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/no_uring.h"
#include "tests/lib/ring_rig.h"

#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)
#define MANY 256u

struct submit_rig {
	struct ring_rig *ring;
	struct ring_file *file;
	uint8_t *data;
	struct ring_rig_op op[MANY];
};

static void skip_without_deferred_work(void)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN};

	no_uring_skip("io_uring");
	int fd = (int)syscall(SYS_io_uring_setup, 8, &params);
	if (fd < 0)
		skip();
	close(fd);
}

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct submit_rig));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	struct submit_rig *rig = *state;

	if (rig->ring)
		ring_rig_free(rig->ring);
	free(rig->data);
	free(rig);
	return 0;
}

static struct submit_rig *begin(void **state)
{
	struct submit_rig *rig = *state;

	skip_without_deferred_work();
	rig->ring = ring_rig_new("io_uring");
	rig->file = ring_rig_open(rig->ring, MAKE, MANY * 4096u);
	rig->data = ring_rig_pattern(MANY * 4096u, 1);
	return rig;
}

static void queue_write(struct submit_rig *rig, uint32_t index)
{
	struct ring_rig_op *op = &rig->op[index];

	op->single = (struct iovec){rig->data + index * 4096u, 4096};
	op->op = (struct ring_op){.opcode = RING_WRITE,
		.file = rig->file,
		.iov = &op->single,
		.iov_count = 1,
		.offset_bytes = index * 4096u,
		.length_bytes = 4096};
	ring_rig_queue(rig->ring, op);
}

static uint64_t submits(const struct submit_rig *rig)
{
	return rig->ring->ring->figures.submits;
}

static void an_idle_disk_does_not_wait_for_the_turn(void **state)
{
	struct submit_rig *rig = begin(state);

	queue_write(rig, 0);
	assert_int_equal(submits(rig), 1);
	ring_rig_wait(rig->ring);
	assert_int_equal(rig->op[0].op.result, 4096);
	assert_int_equal(submits(rig), 1);
}

/* At the 1st, 3rd, 7th ... 255th and at the end of the turn: 9 times; some more if
 * the disk is so fast that it is short of work in between. */
static void a_turn_enters_for_each_doubling(void **state)
{
	struct submit_rig *rig = begin(state);

	for (uint32_t i = 0; i < MANY; i++)
		queue_write(rig, i);
	assert_in_range(submits(rig), 8, MANY / 4);
	ring_rig_wait(rig->ring);
	assert_in_range(submits(rig), 9, MANY / 4);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(rig->op[i].op.result, 4096);
}

static void one_at_a_time_enters_once_for_each(void **state)
{
	struct submit_rig *rig = begin(state);

	for (uint32_t i = 0; i < MANY; i++) {
		queue_write(rig, i);
		ring_rig_wait(rig->ring);
	}
	assert_int_equal(submits(rig), MANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_idle_disk_does_not_wait_for_the_turn, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_turn_enters_for_each_doubling, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_at_a_time_enters_once_for_each, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
