/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener dirty with a file: its marks are true of one image. Whoever changes
 * that while the listener is not there, however little, costs the marks, and the log
 * says which file it was; whatever else happens does not.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/dirty_asker.h"
#include "tests/lib/log_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK DIRTY_ASKER_BLOCK
#define KEPT \
	"listeners: [{type: dirty, name: d, granularity: 4K, file: d.marks}]"
#define DISK "protocol: {type: file, path: disk, size: 1M, locking: false}"
#define FILE_OF(path, size) \
	"{protocol: {type: file, path: " path ", size: " size \
	", locking: false}}"
#define QCOW2 "format: {type: qcow2, size: 1M, file: " FILE_OF("top", "64K")
#define CHAIN QCOW2 ", backing: " FILE_OF("base", "1M") "}"
#define ALL "0+256"

static void write_block_co(
	struct stack_rig *rig, struct block_source *source, unsigned block)
{
	uint8_t *data = stack_rig_pattern(BLOCK, block);

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, 0, (uint64_t)block * BLOCK, BLOCK, data),
		0);
	free(data);
}

static struct block_source *open_co(struct stack_rig *rig, const char *bottom)
{
	char document[512];

	snprintf(document, sizeof document, "{%s, %s}", KEPT, bottom);
	return stack_rig_source_co(rig, document);
}

/* A consumer that has all, but for one block. */
static struct block_source *begin_co(struct stack_rig *rig, const char *bottom)
{
	struct block_source *source = open_co(rig, bottom);

	dirty_asker_tell_co(rig, source, "add", "{consumer: a, clean: true}");
	write_block_co(rig, source, 5);
	return source;
}

static const char *path_of(struct stack_rig *rig, const char *name)
{
	static char path[2][256];
	static unsigned turn;

	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", rig->folder, name);
	return path[turn];
}

/* The next start tells of `file`, and that all has changed. */
static void expect_changed_co(
	struct stack_rig *rig, const char *bottom, const char *file)
{
	struct log_capture capture = log_capture_begin();
	struct block_source *source = open_co(rig, bottom);
	char *log = log_capture_end(capture);

	CHECK_FIND(log, file);
	CHECK_FIND(log, "for its consumers all has changed");
	free(log);
	dirty_asker_done_co(rig, source, "a", ALL);
	block_source_put_co(source);
}

static void expect_kept_co(
	struct stack_rig *rig, const char *bottom, const char *marks)
{
	struct block_source *source = open_co(rig, bottom);

	dirty_asker_done_co(rig, source, "a", marks);
	block_source_put_co(source);
}

/* -- kept ----------------------------------------------------------------- */

/* What an image writes down when it is closed comes before the marks do; what it
 * writes when it is opened, after they were believed. */
static void test_format_co(struct stack_rig *rig, void *argument)
{
	const char *bottom = argument;
	struct block_source *source = begin_co(rig, bottom);

	block_source_put_co(source);
	expect_kept_co(rig, bottom, "5+1");
	source = open_co(rig, bottom);
	write_block_co(rig, source, 9);
	write_block_co(rig, source, 200);
	block_source_put_co(source);
	expect_kept_co(rig, bottom, "9+1 200+1");
	expect_kept_co(rig, bottom, "");
}

/* The file below has a name of its own, and outlives the image. */
static void test_named_co(struct stack_rig *rig, void *argument)
{
	struct block_source *disk = stack_rig_source_co(rig, "{" DISK "}");
	static const char over[] =
		"format: {type: raw, file: source-1}, view: current";
	struct block_source *source = begin_co(rig, over);

	(void)argument;
	block_source_put_co(source);
	expect_kept_co(rig, over, "5+1");
	write_block_co(rig, disk, 7);
	expect_changed_co(rig, over, "disk was changed");
	block_source_put_co(disk);
}

/* Another image at the stop than at the start. */
static void test_swap_co(struct stack_rig *rig, void *argument)
{
	static const char other[] =
		"protocol: {type: file, path: other, size: 1M, locking: false}";
	struct block_source *source = begin_co(rig, DISK);
	struct spec_swap swap = {
		.same_content = true, .deadline_ns = SPEC_GATE_DEADLINE_NS};
	char document[128];
	struct err err = {0};

	(void)argument;
	snprintf(document, sizeof document, "{%s}", other);
	swap.document = stack_rig_doc(rig, document);
	CHECK_INT(spec_swap_bottom_co(source, &swap, &err), 0);
	write_block_co(rig, source, 6);
	block_source_put_co(source);
	expect_kept_co(rig, other, "5+2");
	expect_changed_co(rig, DISK, "disk was changed");
}

/* Opened for nothing: what it had stays true. */
static void test_failed_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig, DISK);
	struct err err = {0};

	(void)argument;
	block_source_put_co(source);
	CHECK_INT(stack_rig_build_co(rig,
			  "{listeners: [{type: dirty, name: d, granularity: "
			  "4K, file: d.marks}, {type: verify, others: "
			  "[{protocol: {type: mem, size: 512K}}]}], " DISK "}",
			  &source, &err),
		-EINVAL);
	expect_kept_co(rig, DISK, "5+1");
}

/* -- not kept ------------------------------------------------------------- */

static void test_written_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig, DISK);

	(void)argument;
	block_source_put_co(source);
	source = stack_rig_source_co(rig, "{" DISK "}");
	write_block_co(rig, source, 7);
	block_source_put_co(source);
	expect_changed_co(rig, DISK, "disk was changed");
	expect_kept_co(rig, DISK, "");
}

/* A copy that was made to look like it: size, content's time and name. */
static void test_replaced_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig, DISK);
	struct stat s;

	(void)argument;
	block_source_put_co(source);
	CHECK_INT(stat(path_of(rig, "disk"), &s), 0);
	int fd = open(path_of(rig, "copy"), O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK_INT(ftruncate(fd, s.st_size), 0);
	const struct timespec times[] = {s.st_atim, s.st_mtim};
	CHECK_INT(futimens(fd, times), 0);
	close(fd);
	CHECK_INT(rename(path_of(rig, "copy"), path_of(rig, "disk")), 0);
	expect_changed_co(rig, DISK, "disk was changed");
}

/* Its content changed and its time was set back. */
static void test_set_back_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig, DISK);
	struct stat s;

	(void)argument;
	block_source_put_co(source);
	int fd = open(path_of(rig, "disk"), O_WRONLY);
	CHECK(fd >= 0);
	CHECK_INT(fstat(fd, &s), 0);
	CHECK_INT(pwrite(fd, "x", 1, 12345), 1);
	const struct timespec times[] = {s.st_atim, s.st_mtim};
	CHECK_INT(futimens(fd, times), 0);
	close(fd);
	expect_changed_co(rig, DISK, "disk was changed");
}

static void test_backing_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig, CHAIN);

	(void)argument;
	block_source_put_co(source);
	expect_kept_co(rig, CHAIN, "5+1");
	int fd = open(path_of(rig, "base"), O_WRONLY);
	CHECK(fd >= 0);
	CHECK_INT(pwrite(fd, "x", 1, 0), 1);
	close(fd);
	expect_changed_co(rig, CHAIN, "base was changed");
}

/* What nothing is known of. */
static void test_memory_co(struct stack_rig *rig, void *argument)
{
	static const char bottom[] = "protocol: {type: mem, size: 1M}";
	struct block_source *source = begin_co(rig, bottom);

	(void)argument;
	block_source_put_co(source);
	expect_changed_co(rig, bottom, "nothing tells whether the image");
}

#define ROWS_WITH(name, argument, label) \
	STACK_RIG_CASE_WITH(name, argument, label " threads", \
		.world = "threads", .lanes = 3), \
		STACK_RIG_CASE_WITH(name, argument, label " uring", \
			.world = "io_uring", .lanes = 2)
#define ROWS(name) ROWS_WITH(name, NULL, "")

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS_WITH(test_format_co, DISK, "file"),
		ROWS_WITH(test_format_co, QCOW2 "}", "qcow2"),
		ROWS_WITH(test_format_co, CHAIN, "chain"),
		ROWS(test_named_co),
		ROWS(test_swap_co),
		ROWS(test_failed_co),
		ROWS(test_written_co),
		ROWS(test_replaced_co),
		ROWS(test_set_back_co),
		ROWS(test_backing_co),
		ROWS(test_memory_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
