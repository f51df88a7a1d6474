/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making files: whole or not at all, by both worlds.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/ring_rig.h"

#define MIB (1024u * 1024u)
#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)

static int setup(void **state)
{
	*state = ring_rig_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	ring_rig_free(*state);
	return 0;
}

static void test_preallocation(void **state)
{
	struct ring_rig *rig = *state;
	struct stat st;
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_PREALLOCATE, 3 * MIB);
	ring_rig_close(rig, file);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_size, 3 * MIB);
	assert_true(st.st_blocks * 512 >= 3 * MIB);
}

/* Refused, nothing is left behind, and the file system was full at no time: the
 * files of others are on it, too. */
static void test_preallocation_of_more_than_there_is(void **state)
{
	struct ring_rig *rig = *state;
	struct statvfs space;
	assert_int_equal(statvfs(rig->folder, &space), 0);
	uint64_t bytes = (space.f_blocks + 1) * space.f_frsize;
	struct ring_file *file;
	struct err err = {0};
	assert_int_equal(
		ring_file_open(rig->world, rig->path,
			MAKE | RING_OPEN_PREALLOCATE, bytes, &file, &err),
		-ENOSPC);
	assert_non_null(strstr(err.text, "cannot create"));
	assert_int_equal(access(rig->path, F_OK), -1);
}

/* Killed before it has its size, a file is not there at all: else the next start
 * would find an empty one. */
static void test_half_made_files_are_not_there(void **state)
{
	struct ring_rig *rig = *state;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit limit = {.rlim_cur = MIB, .rlim_max = MIB};
		struct ring_file *file;

		setrlimit(RLIMIT_FSIZE, &limit);
		signal(SIGXFSZ, SIG_DFL);
		ring_file_open(
			rig->world, rig->path, MAKE, 3 * MIB, &file, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
	assert_int_equal(access(rig->path, F_OK), -1);
}

/* Who made it may take it back; who found it is told that it was there. */
static void test_unmade_files_go(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	assert_true(file->made);
	ring_rig_close(rig, file);
	file = ring_rig_open(rig, MAKE, MIB);
	assert_false(file->made);
	ring_file_unmake(file);
	ring_rig_close(rig, file);
	assert_int_equal(access(rig->path, F_OK), -1);
}

static void test_create_makes_once_and_keeps(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file = ring_rig_open(rig, MAKE, 3 * MIB);
	assert_int_equal(file->size_bytes, 3 * MIB);
	assert_true(file->writable);
	assert_false(file->direct);
	assert_false(file->block_device);
	assert_int_equal(file->direct_align_bytes, 1);
	assert_int_equal(file->memory_align_bytes, 1);
	struct stat st;
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_blocks, 0); /* sparse */
	ring_rig_close(rig, file);
	file = ring_rig_open(rig, MAKE, 9 * MIB);
	assert_int_equal(file->size_bytes, 3 * MIB);
	ring_rig_close(rig, file);
	file = ring_rig_open(rig, 0, 0);
	assert_false(file->writable);
	uint8_t *data = ring_rig_pattern(512, 1);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, data, 512, 0), -EBADF);
	free(data);
	ring_rig_close(rig, file);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_create_makes_once_and_keeps),
		CASE(test_unmade_files_go),
		CASE(test_preallocation),
		CASE(test_preallocation_of_more_than_there_is),
		CASE(test_half_made_files_are_not_there),
	};

	return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
