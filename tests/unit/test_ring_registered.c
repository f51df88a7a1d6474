/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That io_uring really works with registered files and buffers, shown by effect:
 *
 *	files	the descriptor is bent to another file behind the ring's back; I/O
 *		still reaches the file that was registered
 *	buffers	the pages of the region are taken away and others put in their place;
 *		I/O still goes to the pages that were registered
 *
 * By threads, which register nothing, the same tricks hit the other file and the new
 * pages. And that slots of files that were closed are free again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blockcore/ring/ring_files.h"
#include "tests/lib/no_uring.h"
#include "tests/lib/ring_fdinfo.h"
#include "tests/lib/ring_rig.h"

#define MIB (UINT64_C(1) << 20)
#define PIECE 4096u
#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)
#define OPENED 10000

static struct ring_rig *rig_new(const char *world)
{
	no_uring_skip(world);
	return ring_rig_new(world);
}

static bool file_holds(const char *path, const void *data)
{
	uint8_t found[PIECE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, found, PIECE, 0), PIECE);
	close(fd);
	return !memcmp(found, data, PIECE);
}

/* -- files ---------------------------------------------------------------- */

/* Writes while the descriptor of `file` is that of a file of zeroes, "other"; the
 * answer is whether the write reached `file` all the same. */
static bool reaches_behind_descriptor(
	struct ring_rig *rig, struct ring_file *file, unsigned seed)
{
	char path[192];
	uint8_t *data = ring_rig_pattern(PIECE, seed);
	int fd = ring_files_file(file)->fd;
	snprintf(path, sizeof path, "%s/other", rig->folder);
	int other = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int kept = dup(fd);
	assert_true(other >= 0 && kept >= 0);
	assert_int_equal(ftruncate(other, MIB), 0);
	assert_int_equal(dup2(other, fd), fd);
	int32_t written =
		ring_rig_transfer(rig, file, RING_WRITE, data, PIECE, 0);
	assert_int_equal(dup2(kept, fd), fd);
	close(kept);
	close(other);
	assert_int_equal(written, PIECE);
	bool reached = file_holds(rig->path, data);
	assert_int_equal(file_holds(path, data), !reached);
	free(data);
	return reached;
}

static bool file_is_registered(const char *world)
{
	struct ring_rig *rig = rig_new(world);
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	uint8_t *data = ring_rig_pattern(PIECE, 1);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, data, PIECE, 0),
		PIECE);
	bool answer = reaches_behind_descriptor(rig, file, 2);
	free(data);
	ring_rig_free(rig);
	return answer;
}

static void test_files(void **state)
{
	(void)state;
	assert_true(file_is_registered("io_uring"));
}

static void test_files_by_threads(void **state)
{
	(void)state;
	assert_false(file_is_registered("threads"));
}

/* Each takes a slot at its first I/O; there are far fewer than files. */
static void test_slots_are_given_back(void **state)
{
	(void)state;
	struct ring_rig *rig = rig_new("io_uring");
	uint8_t *data = ring_rig_pattern(PIECE, 3);
	struct ring_fdinfo info;
	assert_true(OPENED > 2 * RING_FILES_SLOTS);
	for (int i = 0; i < OPENED; i++) {
		struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
		assert_int_equal(ring_rig_transfer(
					 rig, file, RING_WRITE, data, PIECE, 0),
			PIECE);
		if (i == 0) {
			ring_fdinfo_read(&info);
			assert_int_equal(info.rings, 1);
			assert_int_equal(info.files, 1);
		}
		ring_rig_close(rig, file);
	}
	ring_fdinfo_read(&info);
	assert_int_equal(info.files, 0);
	struct ring_file *last = ring_rig_open(rig, RING_OPEN_WRITABLE, 0);
	assert_int_equal(
		ring_rig_transfer(rig, last, RING_WRITE, data, PIECE, 0),
		PIECE);
	assert_true(reaches_behind_descriptor(rig, last, 4));
	free(data);
	ring_rig_free(rig);
}

/* -- buffers -------------------------------------------------------------- */

static void transfer_region(struct ring_rig *rig, struct ring_file *file,
	enum ring_opcode opcode, void *region)
{
	struct ring_rig_op op = {.single = {region, PIECE}};
	op.op = (struct ring_op){.opcode = (uint8_t)opcode,
		.registered_buffer = true,
		.file = file,
		.iov = &op.single,
		.iov_count = 1,
		.length_bytes = PIECE};
	ring_rig_queue(rig, &op);
	ring_rig_wait(rig);
	assert_int_equal(op.op.result, PIECE);
}

static uint8_t *map_pages(void *at)
{
	uint8_t *pages = mmap(at, MIB, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	return pages;
}

/* The pages of `region` are elsewhere from now on, zeroes in their place. */
static uint8_t *move_pages(uint8_t *region)
{
	uint8_t *elsewhere = map_pages(NULL);
	assert_ptr_equal(mremap(region, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED,
				 elsewhere),
		elsewhere);
	assert_ptr_equal(map_pages(region), region);
	return elsewhere;
}

/* Whether a write, and then a read, use the pages that were registered. */
static bool pages_are_registered(const char *world)
{
	struct ring_rig *rig = rig_new(world);
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	uint8_t *region = map_pages(NULL);
	uint8_t *data = ring_rig_pattern(PIECE, 5);
	if (ring_register_buffers(rig->ring, region, MIB))
		skip(); /* the limit of locked memory */
	memcpy(region, data, PIECE);
	uint8_t *elsewhere = move_pages(region);
	transfer_region(rig, file, RING_WRITE, region);
	bool written = file_holds(rig->path, data);
	memset(elsewhere, 0, PIECE);
	memset(region, 0, PIECE);
	uint8_t *second = ring_rig_pattern(PIECE, 6);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, second, PIECE, 0),
		PIECE);
	transfer_region(rig, file, RING_READ, region);
	bool read = !memcmp(elsewhere, second, PIECE);
	assert_int_equal(!memcmp(region, second, PIECE), !read);
	assert_int_equal(written, read);
	free(second);
	free(data);
	ring_rig_free(rig);
	munmap(region, MIB);
	munmap(elsewhere, MIB);
	return read;
}

static void test_buffers(void **state)
{
	(void)state;
	assert_true(pages_are_registered("io_uring"));
}

static void test_buffers_by_threads(void **state)
{
	(void)state;
	assert_false(pages_are_registered("threads"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_files_by_threads),
		cmocka_unit_test(test_slots_are_given_back),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_buffers_by_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
