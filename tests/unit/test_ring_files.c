/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, locking, resizing real files and block devices, by both worlds (which
 * share that code) and beside QEMU's tools, which must respect our locks and whose
 * locks we must respect.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "blockcore/base/iov.h"
#include "tests/lib/ring_rig.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)

/* Permissions of QEMU's locks. */
#define READ_CONSISTENT 1u
#define WRITE 2u
#define WRITE_UNCHANGED 4u
#define RESIZE 8u

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

/* -- opening ------------------------------------------------------------------ */

static void expect_refusal(struct ring_rig *rig, const char *path,
	unsigned flags, int code, const char *text)
{
	struct err err = {0};
	struct ring_file *file = NULL;
	assert_int_equal(
		ring_file_open(rig->world, path, flags, 0, &file, &err), -code);
	assert_null(file);
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.text, text));
	assert_non_null(strstr(err.text, path));
}

static void test_what_is_no_disk_is_refused(void **state)
{
	struct ring_rig *rig = *state;
	expect_refusal(rig, rig->path, RING_OPEN_WRITABLE, ENOENT, "open");
	expect_refusal(rig, rig->folder, 0, EINVAL, "neither");
	expect_refusal(rig, "/dev/null", 0, EINVAL, "neither");
	assert_int_equal(mkfifo(rig->path, 0600), 0);
	expect_refusal(rig, rig->path, 0, EINVAL, "neither"); /* at once */
	char path[200];
	snprintf(path, sizeof path, "%s/none/disk", rig->folder);
	expect_refusal(rig, path, MAKE, ENOENT, "create");
}

/* Insisting gives direct I/O or a refusal that names the way out; trying gives
 * one or the other. */
static void test_direct_is_kept_or_refused(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *tried = ring_rig_open(
				 rig, MAKE | RING_OPEN_TRY_DIRECT, MIB),
			 *file;
	struct err err = {0};
	int failed = ring_file_open(rig->world, rig->path,
		RING_OPEN_WRITABLE | RING_OPEN_DIRECT, 0, &file, &err);
	assert_int_equal(failed, tried->direct ? 0 : -EINVAL);
	if (failed) {
		assert_non_null(strstr(err.text, "direct"));
		assert_int_equal(tried->direct_align_bytes, 1);
	} else {
		assert_true(file->direct);
		assert_true(file->direct_align_bytes >= 512);
		ring_forget_file(rig->ring, file);
		ring_file_close(file);
	}
	ring_rig_close(rig, tried);
}

static void test_empty_file_can_be_used_directly(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file =
		ring_rig_open(rig, MAKE | RING_OPEN_TRY_DIRECT, 0);
	uint32_t align = file->direct_align_bytes;
	uint8_t *data = ring_rig_pattern(2 * 4096, 1);
	assert_int_equal(ring_rig_transfer(rig, file, RING_WRITE,
				 data + file->memory_align_bytes, align, align),
		align);
	free(data);
	ring_rig_close(rig, file);
}

static void test_resize(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	struct err err = {0};
	assert_int_equal(ring_file_resize(file, 5 * MIB, &err), 0);
	assert_int_equal(file->size_bytes, 5 * MIB);
	struct stat st;
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_size, 5 * MIB);
	assert_int_equal(ring_file_resize(file, UINT64_MAX, &err), -EFBIG);
	assert_int_equal(file->size_bytes, 5 * MIB);
	ring_rig_close(rig, file);
}

static void expect_extent(
	struct ring_file *file, uint64_t offset, uint64_t length, bool data)
{
	uint64_t got;
	bool is_data;
	assert_int_equal(ring_file_extent(file, offset, &got, &is_data), 0);
	assert_int_equal(got, length);
	assert_int_equal(is_data, data);
}

static void test_extents(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file = ring_rig_open(rig, MAKE, 4 * MIB);
	uint8_t *data = ring_rig_pattern(MIB, 1);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, data, MIB, MIB), MIB);
	uint64_t length;
	bool is_data;
	assert_int_equal(ring_file_extent(file, 0, &length, &is_data), 0);
	if (is_data) { /* no holes in this file system: all is data */
		assert_int_equal(length, 4 * MIB);
	} else {
		expect_extent(file, 0, MIB, false);
		expect_extent(file, MIB, MIB, true);
		expect_extent(file, MIB + 4096, MIB - 4096, true);
		expect_extent(file, 2 * MIB, 2 * MIB, false);
	}
	expect_extent(file, 4 * MIB, 0, false); /* the end */
	expect_extent(file, 9 * MIB, 0, false);
	free(data);
	ring_rig_close(rig, file);
}

/* Slots of closed files are used again: the ring must not confuse them. */
/* What stat(1) and df(1) say, and where the file system begins. */
static void test_space(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file = ring_rig_open(rig, MAKE, 4 * MIB);
	uint8_t *data = ring_rig_pattern(MIB, 1);
	struct ring_space space;
	struct statvfs all;
	struct stat st, above, root;
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, data, MIB, MIB), MIB);
	assert_int_equal(ring_rig_range(rig, file, RING_DATASYNC, 0, 0), 0);
	assert_int_equal(ring_file_space(file, &space), 0);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(space.used_bytes, st.st_blocks * 512);
	assert_int_equal(space.file_system, st.st_dev);
	assert_int_equal(statvfs(rig->path, &all), 0);
	assert_true(space.total_bytes <= all.f_blocks * all.f_frsize);
	assert_true(space.total_bytes > 0);
	assert_true(space.free_bytes <= space.total_bytes);
	assert_int_equal(stat(space.name, &root), 0);
	assert_int_equal(root.st_dev, st.st_dev);
	char *parent;
	assert_true(asprintf(&parent, "%s/..", space.name) > 0);
	assert_int_equal(stat(parent, &above), 0);
	assert_true(above.st_dev != root.st_dev || !strcmp(space.name, "/"));
	free(parent);
	free(data);
	ring_rig_close(rig, file);
}

/* Where the file system begins is worked out when it is first asked for: of the file
 * that is open, what its path may lead to since is another's. */
static void test_space_keeps_its_name(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	struct ring_space first, again;
	assert_int_equal(ring_file_space(file, &first), 0);
	assert_int_equal(unlink(rig->path), 0);
	assert_int_equal(symlink("/proc/self/status", rig->path), 0);
	assert_int_equal(ring_file_space(file, &again), 0);
	assert_string_equal(again.name, first.name);
	assert_int_equal(again.file_system, first.file_system);
	ring_rig_close(rig, file);
}

static void test_files_come_and_go(void **state)
{
	struct ring_rig *rig = *state;
	uint8_t *data = ring_rig_pattern(4 * KIB, 15);
	for (unsigned i = 0; i < 20; i++) {
		struct ring_file *files[3];
		for (unsigned k = 0; k < 3; k++) {
			snprintf(rig->path, sizeof rig->path, "%s/%u-%u",
				rig->folder, i, k);
			files[k] = ring_rig_open(rig, MAKE, 0);
			data[0] = (uint8_t)(i * 3 + k);
			assert_int_equal(ring_rig_transfer(rig, files[k],
						 RING_WRITE, data, 4 * KIB, 0),
				4 * KIB);
		}
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(ring_rig_transfer(rig, files[k],
						 RING_READ, data, 4 * KIB, 0),
				4 * KIB);
			assert_int_equal(data[0], i * 3 + k);
			ring_rig_close(rig, files[k]);
		}
	}
	free(data);
}

/* -- locks -------------------------------------------------------------------- */

static void test_second_open_cannot_take_what_the_first_refuses(void **state)
{
	struct ring_rig *rig = *state;
	struct err err = {0};
	struct ring_file *a = ring_rig_open(rig, MAKE, MIB);
	struct ring_file *b = ring_rig_open(rig, RING_OPEN_WRITABLE, 0);
	uint64_t writes = WRITE | RESIZE;
	assert_int_equal(
		ring_file_lock(a, READ_CONSISTENT | WRITE, writes, &err), 0);
	assert_int_equal(
		ring_file_lock(b, READ_CONSISTENT | WRITE, 0, &err), -EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	assert_non_null(strstr(err.text, rig->path));
	/* The failure has left nothing behind, and b may read. */
	assert_int_equal(
		ring_file_lock(a, READ_CONSISTENT | WRITE, writes, &err), 0);
	assert_int_equal(ring_file_lock(b, READ_CONSISTENT, 0, &err), 0);
	/* What a uses, b cannot refuse. */
	assert_int_equal(
		ring_file_lock(b, READ_CONSISTENT, WRITE, &err), -EBUSY);
	/* a becomes a reader, b the writer; not the other way round again. */
	assert_int_equal(ring_file_lock(a, READ_CONSISTENT, 0, &err), 0);
	assert_int_equal(
		ring_file_lock(b, READ_CONSISTENT | WRITE, WRITE, &err), 0);
	assert_int_equal(ring_file_lock(a, WRITE, 0, &err), -EBUSY);
	ring_rig_close(rig, b);
	assert_int_equal(ring_file_lock(a, WRITE, WRITE, &err), 0);
	ring_rig_close(rig, a);
}

/* A ring that still has the file in its table does not keep the lock alive. */
static void test_close_releases_locks(void **state)
{
	struct ring_rig *rig = *state;
	struct err err = {0};
	uint8_t *data = ring_rig_pattern(4 * KIB, 1);
	struct ring_file *a = ring_rig_open(rig, MAKE, MIB);
	assert_int_equal(ring_file_lock(a, WRITE, WRITE, &err), 0);
	assert_int_equal(
		ring_rig_transfer(rig, a, RING_WRITE, data, 4 * KIB, 0),
		4 * KIB);
	ring_rig_close_only(rig, a); /* forgotten to forget */
	struct ring_file *b = ring_rig_open(rig, RING_OPEN_WRITABLE, 0);
	assert_int_equal(ring_file_lock(b, WRITE, WRITE, &err), 0);
	assert_int_equal(ring_rig_transfer(rig, b, RING_READ, data, 4 * KIB, 0),
		4 * KIB);
	free(data);
	ring_rig_close(rig, b);
}

/* -- beside QEMU -------------------------------------------------------------- */

struct child {
	pid_t pid;
	int in, out; /* its standard input and output (with errors) */
};

static void child_start(struct child *child, char *const argv[])
{
	int in[2], out[2];
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	child->in = in[1];
	child->out = out[0];
}

/* Reads its output until `text` has come; false at its end. */
static bool child_says(struct child *child, const char *text)
{
	char heard[4096];
	size_t at = 0;
	while (at < sizeof heard - 1) {
		ssize_t got = read(child->out, heard + at, 1);
		if (got != 1)
			return false;
		heard[++at] = '\0';
		if (strstr(heard, text))
			return true;
	}
	return false;
}

static int child_end(struct child *child)
{
	int status;
	close(child->in);
	close(child->out);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Where everything is meant to be installed (CI), its absence is a failure. */
static bool qemu_io_absent(void)
{
	const char *ci = getenv("CI");
	bool absent = system("command -v qemu-io >/dev/null 2>&1") != 0;

	assert_false(absent && ci && !strcmp(ci, "true"));
	return absent;
}

static void test_qemu_keeps_out_of_our_files(void **state)
{
	struct ring_rig *rig = *state;
	if (qemu_io_absent())
		skip();
	struct err err = {0};
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	char *const write_argv[] = {
		"qemu-io", "-f", "raw", "-c", "write 0 512", rig->path, NULL};
	struct child child;
	assert_int_equal(ring_file_lock(file, READ_CONSISTENT | WRITE | RESIZE,
				 WRITE | RESIZE, &err),
		0);
	child_start(&child, write_argv);
	assert_true(child_says(&child, "lock"));
	assert_int_not_equal(child_end(&child), 0);
	ring_rig_close(rig, file);
	child_start(&child, write_argv);
	assert_true(child_says(&child, "wrote 512/512"));
	assert_int_equal(child_end(&child), 0);
}

static void test_we_keep_out_of_qemus_files(void **state)
{
	struct ring_rig *rig = *state;
	if (qemu_io_absent())
		skip();
	struct err err = {0};
	struct ring_file *file = ring_rig_open(rig, MAKE, MIB);
	char *const argv[] = {"qemu-io", "-f", "raw", rig->path, NULL};
	struct child child;
	child_start(&child, argv);
	assert_true(child_says(&child, "qemu-io>"));
	assert_int_equal(ring_file_lock(file, READ_CONSISTENT | WRITE,
				 WRITE | RESIZE, &err),
		-EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	child_end(&child);
	assert_int_equal(ring_file_lock(file, READ_CONSISTENT | WRITE,
				 WRITE | RESIZE, &err),
		0);
	ring_rig_close(rig, file);
}

/* -- block devices ------------------------------------------------------------ */

/* A loop device on `path`; -1 where that is not allowed. */
static int loop_device(const char *path, char *name, size_t room)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;
	int number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (number < 0)
		return -1;
	snprintf(name, room, "/dev/loop%d", number);
	int backing = open(path, O_RDWR | O_CLOEXEC);
	assert_true(backing >= 0);
	int fd = open(name, O_RDWR | O_CLOEXEC);
	struct loop_config config = {.fd = (uint32_t)backing,
		.block_size = 4096,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR};
	if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config)) {
		close(fd);
		fd = -1;
	}
	close(backing);
	return fd;
}

static void test_block_device(void **state)
{
	struct ring_rig *rig = *state;
	struct ring_file *file = ring_rig_open(rig, MAKE, 4 * MIB);
	ring_rig_close(rig, file);
	char backing[sizeof rig->path];
	memcpy(backing, rig->path, sizeof backing);
	int fd = loop_device(backing, rig->path, sizeof rig->path);
	if (fd < 0)
		skip();
	file = ring_rig_open(rig, RING_OPEN_WRITABLE | RING_OPEN_DIRECT, 0);
	assert_true(file->block_device);
	assert_true(file->can_zero_range);
	assert_int_equal(file->size_bytes, 4 * MIB);
	assert_int_equal(file->logical_block_bytes, 4096);
	assert_int_equal(file->direct_align_bytes, 4096);
	uint8_t *data = ring_rig_pattern(64 * KIB, 1);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_WRITE, data, 64 * KIB, 0),
		64 * KIB);
	assert_int_equal(
		ring_rig_range(rig, file, RING_ZERO_RANGE, 8 * KIB, 0), 0);
	int32_t punched =
		ring_rig_range(rig, file, RING_PUNCH, 8 * KIB, 8 * KIB);
	assert_int_equal(punched, file->can_punch ? 0 : -EOPNOTSUPP);
	assert_int_equal(ring_rig_range(rig, file, RING_ALLOCATE, MIB, 0), 0);
	assert_int_equal(ring_rig_range(rig, file, RING_DATASYNC, 0, 0), 0);
	assert_int_equal(
		ring_rig_transfer(rig, file, RING_READ, data, 16 * KIB, 0),
		16 * KIB);
	assert_true(bytes_are_zero(data, file->can_punch ? 16 * KIB : 8 * KIB));
	struct err err = {0};
	assert_int_equal(ring_file_resize(file, 8 * MIB, &err), -ENOSPC);
	assert_int_equal(ring_file_resize(file, 4 * MIB, &err), 0);
	expect_extent(file, MIB, 3 * MIB, true);
	struct ring_space space;
	assert_int_equal(ring_file_space(file, &space), -EOPNOTSUPP);
	/* Somebody who opened it to write has it alone, as if mounted. */
	struct ring_file *second = NULL;
	assert_int_equal(ring_file_open(rig->world, rig->path,
				 RING_OPEN_WRITABLE, 0, &second, &err),
		-EBUSY);
	free(data);
	ring_rig_close(rig, file);
	close(fd);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_is_no_disk_is_refused),
		CASE(test_direct_is_kept_or_refused),
		CASE(test_empty_file_can_be_used_directly),
		CASE(test_resize),
		CASE(test_extents),
		CASE(test_space),
		CASE(test_space_keeps_its_name),
		CASE(test_files_come_and_go),
		CASE(test_second_open_cannot_take_what_the_first_refuses),
		CASE(test_close_releases_locks),
		CASE(test_qemu_keeps_out_of_our_files),
		CASE(test_we_keep_out_of_qemus_files),
		CASE(test_block_device),
	};
	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
