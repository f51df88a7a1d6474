/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk I/O on real files: every test runs with io_uring and with threads. If the
 * machine forbids io_uring its tests are skipped. TSAN: yes
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "blockcore/base/iov.h"
#include "blockcore/loop/loop_epoll.h"
#include "tests/lib/ring_rig.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)

static const char *world_name;
static bool world_absent;

static int setup(void **state)
{
	*state = world_absent ? NULL : ring_rig_new(world_name);
	return 0;
}

static int teardown(void **state)
{
	if (*state)
		ring_rig_free(*state);
	return 0;
}

static struct ring_rig *rig_of(void **state)
{
	if (world_absent)
		skip();
	return *state;
}

/* -- moving data -------------------------------------------------------------- */

static void test_direct_write_is_read_back(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, 4 * MIB);
	assert_int_equal(file->size_bytes, 4 * MIB);
	assert_true(file->direct_align_bytes <= 4096);
	assert_true(file->memory_align_bytes <= 4096);
	assert_int_equal(file->logical_block_bytes, 512);
	uint8_t *wrote = ring_rig_pattern(MIB, 1),
		*got = ring_rig_pattern(MIB, 2);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, wrote, MIB, MIB), MIB);
	assert_int_equal(ring_rig_range(rig, file, RING_DATASYNC, 0, 0), 0);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_READ, got, MIB, MIB), MIB);
	assert_memory_equal(got, wrote, MIB);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_READ, got, MIB, 0), MIB);
	assert_true(bytes_are_zero(got, MIB));
	free(wrote);
	free(got);
	ring_rig_close(rig, file);
}

/* More slices than one call of the kernel takes, of odd sizes. */
#define SLICES 2500

static void test_long_scatter_lists(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file = ring_rig_open(rig, MAKE, 0);
	static struct iovec iov[SLICES];
	size_t bytes = 0;
	for (unsigned i = 0; i < SLICES; i++)
		bytes += iov[i].iov_len = i % 97;
	uint8_t *wrote = ring_rig_pattern(bytes, 3);
	uint8_t *got = ring_rig_pattern(bytes, 4);
	size_t at = 0;
	for (unsigned i = 0; i < SLICES; at += iov[i++].iov_len)
		iov[i].iov_base = got + at;
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, wrote, bytes, 11),
		bytes);
	struct ring_rig_op op = {.op = {.opcode = RING_READ,
					 .file = file,
					 .iov = iov,
					 .iov_count = SLICES,
					 .offset_bytes = 11,
					 .length_bytes = bytes}};
	ring_rig_queue(rig, &op);
	ring_rig_wait(rig);
	assert_int_equal(op.op.result, bytes);
	assert_memory_equal(got, wrote, bytes);
	free(wrote);
	free(got);
	ring_rig_close(rig, file);
}

/* Many more operations in one turn than any queue of the kernel has places. */
#define MANY 10000
#define MANY_BYTES 512u

static void test_one_turn_queues_more_than_the_kernel_takes(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file = ring_rig_open(rig, MAKE, 0);
	uint8_t *wrote = ring_rig_pattern(MANY * MANY_BYTES, 5);
	uint8_t *got = ring_rig_pattern(MANY * MANY_BYTES, 6);
	struct ring_rig_op *ops = calloc(MANY, sizeof *ops);
	assert_non_null(ops);
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			uint8_t *data = round ? got : wrote;
			ops[i].single = (struct iovec){
				data + i * MANY_BYTES, MANY_BYTES};
			ops[i].op = (struct ring_op){
				.opcode = round ? RING_READ : RING_WRITE,
				.file = file,
				.iov = &ops[i].single,
				.iov_count = 1,
				.offset_bytes = i * MANY_BYTES,
				.length_bytes = MANY_BYTES,
				.result = -EINPROGRESS,
			};
			ring_rig_queue(rig, &ops[i]);
		}
		ring_rig_wait(rig);
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(ops[i].op.result, MANY_BYTES);
	}
	assert_memory_equal(got, wrote, MANY * MANY_BYTES);
	free(ops);
	free(wrote);
	free(got);
	ring_rig_close(rig, file);
}

/* One operation at a time: each must wake a sleeping loop. */
static void test_each_completion_wakes_the_loop(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, MIB);
	uint8_t *data = ring_rig_pattern(4 * KIB, 7);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(ring_rig_transfer(rig, file,
					 i % 4 ? RING_READ : RING_WRITE, data,
					 4 * KIB, (i % 256) * 4 * KIB),
			4 * KIB);
	free(data);
	ring_rig_close(rig, file);
}

/* -- the end of the file ------------------------------------------------------ */

static void test_read_past_the_end_is_short(void **state)
{
	static const unsigned kinds[] = {MAKE, MAKE | RING_OPEN_TRY_DIRECT};
	struct ring_rig *rig = rig_of(state);
	uint8_t *data = ring_rig_pattern(16 * KIB, 8);
	for (unsigned i = 0; i < 2; i++) {
		struct ring_file *file = ring_rig_open(rig, kinds[i], 9000);
		assert_int_equal(ring_rig_transfer(rig, file, RING_READ, data,
					 16 * KIB, 4 * KIB),
			9000 - 4096);
		assert_true(bytes_are_zero(data, 9000 - 4096));
		assert_int_equal(ring_rig_transfer(rig, file, RING_READ, data,
					 4 * KIB, 12 * KIB),
			0);
		ring_rig_close(rig, file);
	}
	free(data);
}

/* A write that begins to fit: the kernel moves a part, then says why not more. */
static void test_write_past_the_limit_fails_whole(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file = ring_rig_open(rig, MAKE, 0);
	uint8_t *data = ring_rig_pattern(64 * KIB, 9);
	struct rlimit before, low;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	low = before;
	low.rlim_cur = 32 * KIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	int32_t across =
		ring_rig_transfer(rig, file, RING_WRITE, data, 64 * KIB, 0);
	int32_t inside =
		ring_rig_transfer(rig, file, RING_WRITE, data, 32 * KIB, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(across, -EFBIG);
	assert_int_equal(inside, 32 * KIB);
	free(data);
	ring_rig_close(rig, file);
}

/* -- durability and ranges ---------------------------------------------------- */

static void test_durable_write(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, MIB);
	uint8_t *wrote = ring_rig_pattern(8 * KIB, 10);
	uint8_t *got = ring_rig_pattern(8 * KIB, 11);
	/* Two slices, so that the vectored way has the flag too. */
	struct iovec iov[2] = {{wrote, 4 * KIB}, {wrote + 4 * KIB, 4 * KIB}};
	struct ring_rig_op op = {.op = {.opcode = RING_WRITE,
					 .flags = RING_DSYNC,
					 .file = file,
					 .iov = iov,
					 .iov_count = 2,
					 .offset_bytes = 8 * KIB,
					 .length_bytes = 8 * KIB}};
	ring_rig_queue(rig, &op);
	ring_rig_wait(rig);
	assert_int_equal(op.op.result, 8 * KIB);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_READ, got, 8 * KIB, 8 * KIB),
		8 * KIB);
	assert_memory_equal(got, wrote, 8 * KIB);
	free(wrote);
	free(got);
	ring_rig_close(rig, file);
}

static uint64_t allocated_bytes(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void expect_zeros(struct ring_rig *rig, struct ring_file *file,
	uint64_t bytes, uint64_t offset)
{
	uint8_t *got = ring_rig_pattern(bytes, 12);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_READ, got, bytes, offset),
		bytes);
	assert_true(bytes_are_zero(got, bytes));
	free(got);
}

static void test_punch_gives_space_back(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, 2 * MIB);
	uint8_t *data = ring_rig_pattern(MIB, 13);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, data, MIB, 0), MIB);
	assert_int_equal(ring_rig_range(rig, file, RING_DATASYNC, 0, 0), 0);
	uint64_t before = allocated_bytes(rig->path);
	int32_t punched =
		ring_rig_range(rig, file, RING_PUNCH, 512 * KIB, 256 * KIB);
	if (file->can_punch) {
		assert_int_equal(punched, 0);
		assert_true(allocated_bytes(rig->path) < before);
		expect_zeros(rig, file, 512 * KIB, 256 * KIB);
		uint64_t length;
		bool is_data;
		assert_int_equal(
			ring_file_extent(file, 256 * KIB, &length, &is_data),
			0);
		assert_false(is_data);
		assert_int_equal(length, 512 * KIB);
	} else
		assert_int_equal(punched, -EOPNOTSUPP);
	free(data);
	ring_rig_close(rig, file);
}

static void test_zero_range_and_allocate_keep_space(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, MIB);
	uint8_t *data = ring_rig_pattern(MIB, 14);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, data, MIB, 0), MIB);
	int32_t zeroed =
		ring_rig_range(rig, file, RING_ZERO_RANGE, 64 * KIB, 64 * KIB);
	if (file->can_zero_range) {
		assert_int_equal(zeroed, 0);
		assert_true(allocated_bytes(rig->path) >= MIB);
		expect_zeros(rig, file, 64 * KIB, 64 * KIB);
	} else
		assert_int_equal(zeroed, -EOPNOTSUPP);
	int32_t allocated =
		ring_rig_range(rig, file, RING_ALLOCATE, MIB, 4 * MIB);
	if (allocated != -EOPNOTSUPP) {
		assert_int_equal(allocated, 0);
		expect_zeros(rig, file, MIB, 4 * MIB); /* it grew */
		assert_true(allocated_bytes(rig->path) >= 2 * MIB);
	}
	free(data);
	ring_rig_close(rig, file);
}

/* -- registered memory -------------------------------------------------------- */

static void test_registered_buffers(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, MIB);
	uint8_t *region = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(region, MAP_FAILED);
	/* The limit of locked memory may refuse: the ring works all the same. */
	int registered = ring_register_buffers(rig->ring, region, MIB);
	assert_true(registered == 0 || registered == -ENOMEM);
	memset(region, 0x5a, 64 * KIB);
	for (int i = 0; i < 2; i++) {
		struct ring_rig_op op = {
			.single = {region + i * 64 * KIB, 64 * KIB}};
		op.op = (struct ring_op){.opcode = i ? RING_READ : RING_WRITE,
			.registered_buffer = true,
			.file = file,
			.iov = &op.single,
			.iov_count = 1,
			.length_bytes = 64 * KIB};
		ring_rig_queue(rig, &op);
		ring_rig_wait(rig);
		assert_int_equal(op.op.result, 64 * KIB);
	}
	assert_memory_equal(region, region + 64 * KIB, 64 * KIB);
	ring_rig_close(rig, file);
	ring_free(rig->ring); /* lets go of the memory */
	munmap(region, MIB);
	struct err err;
	assert_int_equal(ring_new(rig->world, rig->loop, &rig->ring, &err), 0);
}

/* -- several rings ------------------------------------------------------------ */

#define RINGS 3
#define RING_ROUNDS 300

struct visitor {
	struct ring_rig rig; /* its own loop and ring, the others' world */
	struct ring_file *file;
	unsigned number;
	unsigned wrong;
	pthread_t thread;
};

static void *visit(void *arg)
{
	struct visitor *self = arg;
	struct err err;
	self->rig.loop = loop_epoll_new(&err);
	if (ring_new(self->rig.world, self->rig.loop, &self->rig.ring, &err))
		return NULL;
	uint8_t *data = ring_rig_pattern(4 * KIB, self->number);
	uint8_t *got = ring_rig_pattern(4 * KIB, 99);
	for (unsigned i = 0; i < RING_ROUNDS; i++) {
		uint64_t at = (i * RINGS + self->number) * 4 * KIB;
		data[0] = (uint8_t)i;
		if (ring_rig_transfer(&self->rig, self->file, RING_WRITE, data,
			    4 * KIB, at) != 4 * KIB ||
			ring_rig_transfer(&self->rig, self->file, RING_READ,
				got, 4 * KIB, at) != 4 * KIB ||
			memcmp(data, got, 4 * KIB))
			self->wrong++;
	}
	free(data);
	free(got);
	ring_forget_file(self->rig.ring, self->file);
	ring_free(self->rig.ring);
	loop_epoll_free(self->rig.loop);
	return self;
}

static void bark(struct loop_timer *timer)
{
	(void)timer;
	abort(); /* cmocka's failing must stay on the main thread */
}

static void test_one_file_is_used_from_several_rings(void **state)
{
	struct ring_rig *rig = rig_of(state);
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	struct visitor visitors[RINGS];
	memset(visitors, 0, sizeof visitors);
	for (unsigned i = 0; i < RINGS; i++) {
		visitors[i].rig.world = rig->world;
		visitors[i].rig.watchdog.expired = bark;
		visitors[i].file = file;
		visitors[i].number = i;
		assert_int_equal(pthread_create(&visitors[i].thread, NULL,
					 visit, &visitors[i]),
			0);
	}
	for (unsigned i = 0; i < RINGS; i++) {
		void *ended;
		pthread_join(visitors[i].thread, &ended);
		assert_non_null(ended);
		assert_int_equal(visitors[i].wrong, 0);
	}
	ring_rig_close(rig, file);
}

/* Pages of the file in memory. */
static unsigned cached_pages(const char *path, size_t bytes)
{
	unsigned char in_memory[MIB / 4096];
	unsigned count = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && bytes / 4096 <= sizeof in_memory);
	void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(mincore(map, bytes, in_memory), 0);
	munmap(map, bytes);
	close(fd);
	for (size_t i = 0; i < bytes / 4096; i++)
		count += in_memory[i] & 1u;
	return count;
}

/* Direct writes beside cached pages take the kernel's slow way each time. */
static void test_direct_open_drops_the_cache(void **state)
{
	struct ring_rig *rig = rig_of(state);
	uint8_t *wrote = ring_rig_pattern(MIB, 1);
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, wrote, MIB, 0), MIB);
	ring_rig_close(rig, file);
	assert_int_equal(cached_pages(rig->path, MIB), MIB / 4096);
	file = ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, MIB);
	if (file->direct)
		assert_int_equal(cached_pages(rig->path, MIB), 0);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_READ, wrote, MIB, 0), MIB);
	free(wrote);
	ring_rig_close(rig, file);
}

static void test_world_has_the_name_that_was_asked_for(void **state)
{
	struct ring_rig *rig = rig_of(state);
	assert_string_equal(rig->world->ops->name, world_name);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_world_has_the_name_that_was_asked_for),
		CASE(test_direct_write_is_read_back),
		CASE(test_direct_open_drops_the_cache),
		CASE(test_long_scatter_lists),
		CASE(test_one_turn_queues_more_than_the_kernel_takes),
		CASE(test_each_completion_wakes_the_loop),
		CASE(test_read_past_the_end_is_short),
		CASE(test_write_past_the_limit_fails_whole),
		CASE(test_durable_write),
		CASE(test_punch_gives_space_back),
		CASE(test_zero_range_and_allocate_keep_space),
		CASE(test_registered_buffers),
		CASE(test_one_file_is_used_from_several_rings),
	};
	int failed = 0;
	world_name = "threads";
	failed += cmocka_run_group_tests_name("threads", tests, NULL, NULL);
	world_name = "io_uring";
	struct ring_world *world = ring_world_real("io_uring", NULL);
	world_absent = !world;
	if (world)
		ring_world_free(world);
	return failed +
		cmocka_run_group_tests_name("io_uring", tests, NULL, NULL);
}
