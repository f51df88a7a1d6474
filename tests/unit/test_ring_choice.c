/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the world of real files does its I/O: io_uring where the kernel allows it,
 * else threads.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "blockcore/ring.h"
#include "tests/lib/no_uring.h"

static void test_unknown_way_is_refused(void **state)
{
	(void)state;
	struct err err = {0};
	assert_null(ring_world_real("tape", &err));
	assert_int_equal(err.code, EINVAL);
	assert_non_null(strstr(err.text, "tape"));
}

/* What insisting on io_uring gives decides what the choice must be. */
static void test_uring_where_it_is_allowed(void **state)
{
	(void)state;
	struct err err = {0};
	struct ring_world *insisted = ring_world_real("io_uring", &err);
	struct ring_world *chosen = ring_world_real(NULL, &err);
	assert_non_null(chosen);
	assert_string_equal(
		chosen->ops->name, insisted ? "io_uring" : "threads");
	ring_world_free(chosen);
	if (insisted)
		ring_world_free(insisted);
}

/* The kernel asked without our code: what it allows is used, unless it is too old
 * for the newest kind of ring. */
static void test_uring_is_not_given_up_for_nothing(void **state)
{
	(void)state;
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN};
	struct err err = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 8, &params);
	if (fd < 0)
		skip();
	close(fd);
	struct ring_world *world = ring_world_real("io_uring", &err);
	if (!world)
		fail_msg("%s", err.text);
	ring_world_free(world);
}

/* A process of its own in which the kernel refuses io_uring, as containers do. */
static int choose_without_uring(void)
{
	struct err err = {0};
	if (no_uring_forbid())
		return 1;
	if (ring_world_real("io_uring", &err) || err.code != EPERM ||
		!strstr(err.text, "io_uring"))
		return 2;
	struct ring_world *world = ring_world_real(NULL, &err);
	if (!world || strcmp(world->ops->name, "threads"))
		return 3;
	ring_world_free(world);
	return 0;
}

static void test_threads_where_uring_is_forbidden(void **state)
{
	(void)state;
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(choose_without_uring());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_way_is_refused),
		cmocka_unit_test(test_uring_where_it_is_allowed),
		cmocka_unit_test(test_uring_is_not_given_up_for_nothing),
		cmocka_unit_test(test_threads_where_uring_is_forbidden),
	};
	return cmocka_run_group_tests_name("choice", tests, NULL, NULL);
}
