/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener dirty with a file: a clean stop keeps what each consumer has to copy,
 * and nothing that is less than a clean stop can lose a mark.
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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BLOCK DIRTY_ASKER_BLOCK
#define KEPT "{type: dirty, name: d, granularity: 4K, file: d.marks}"
#define DISK "protocol: {type: file, path: disk, size: 1M, locking: false}"
#define DOCUMENT "{listeners: [" KEPT "], " DISK "}"
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

/* A consumer that has copied everything. */
static struct block_source *begin_co(struct stack_rig *rig)
{
	struct block_source *source = stack_rig_source_co(rig, DOCUMENT);

	dirty_asker_tell_co(rig, source, "add", "{consumer: a, clean: true}");
	return source;
}

static struct block_source *again_co(
	struct stack_rig *rig, struct block_source *source)
{
	block_source_put_co(source);
	return stack_rig_source_co(rig, DOCUMENT);
}

/* -- the file ------------------------------------------------------------- */

#define FILE_MOST 65536u
struct content {
	size_t bytes;
	uint8_t byte[FILE_MOST];
};

static int open_marks(struct stack_rig *rig, int flags)
{
	char path[256];

	snprintf(path, sizeof path, "%s/d.marks", rig->folder);
	int fd = open(path, flags | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	return fd;
}

static struct content *marks_read(struct stack_rig *rig)
{
	struct content *content = calloc(1, sizeof *content);
	int fd = open_marks(rig, O_RDONLY);
	ssize_t n = read(fd, content->byte, FILE_MOST);

	CHECK(n >= 0 && n < (ssize_t)FILE_MOST);
	content->bytes = (size_t)n;
	close(fd);
	return content;
}

static void marks_write(struct stack_rig *rig, const void *data, size_t bytes)
{
	int fd = open_marks(rig, O_WRONLY | O_CREAT | O_TRUNC);

	CHECK_INT(write(fd, data, bytes), bytes);
	close(fd);
}

/* -- kept ----------------------------------------------------------------- */

static void test_clean_stop_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);

	(void)argument;
	dirty_asker_tell_co(rig, source, "add", "{consumer: b}");
	dirty_asker_done_co(rig, source, "b", ALL);
	write_block_co(rig, source, 5);
	dirty_asker_tell_co(rig, source, "freeze", "{consumer: a}");
	write_block_co(rig, source, 9);
	source = again_co(rig, source);
	dirty_asker_done_co(rig, source, "b", "5+1 9+1");
	dirty_asker_done_co(rig, source, "a", "5+1 9+1");
	write_block_co(rig, source, 200);
	source = again_co(rig, again_co(rig, source));
	dirty_asker_tell_co(rig, source, "remove", "{consumer: a}");
	source = again_co(rig, source);
	CHECK_INT(
		dirty_asker_refused_co(rig, source, "freeze", "{consumer: a}"),
		-ENOENT);
	dirty_asker_done_co(rig, source, "b", "200+1");
	block_source_put_co(source);
}

/* What grows while it looks is kept as well. */
static void test_size_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);
	struct err err = {0};

	(void)argument;
	write_block_co(rig, source, 3);
	CHECK_INT(spec_resize_co(source, 2 << 20, &err), 0);
	source = again_co(rig, source);
	dirty_asker_done_co(rig, source, "a", "3+1 256+256");
	write_block_co(rig, source, 300);
	source = again_co(rig, source);
	dirty_asker_done_co(rig, source, "a", "257+255"); /* one mark */
	block_source_put_co(source);
}

/* -- not kept: all has changed -------------------------------------------- */

static void test_crash_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);
	struct content *crashed;

	(void)argument;
	source = again_co(rig, source); /* clean, and in use again */
	dirty_asker_tell_co(rig, source, "add", "{consumer: b, clean: true}");
	write_block_co(rig, source, 5);
	crashed = marks_read(rig);
	block_source_put_co(source);
	marks_write(rig, crashed->byte, crashed->bytes);
	source = stack_rig_source_co(rig, DOCUMENT);
	dirty_asker_done_co(rig, source, "a", ALL);
	dirty_asker_done_co(rig, source, "b", ALL);
	source = again_co(rig, source);
	dirty_asker_done_co(rig, source, "a", "");
	block_source_put_co(source);
	free(crashed);
}

/* Changes while it was not there. */
static void test_detached_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);
	struct err err = {0};

	(void)argument;
	CHECK_INT(spec_detach_co(source, "d", SPEC_GATE_DEADLINE_NS, &err), 0);
	write_block_co(rig, source, 7);
	CHECK_INT(spec_attach_co(source, stack_rig_doc(rig, KEPT), NULL, &err),
		0);
	dirty_asker_done_co(rig, source, "a", ALL);
	/* Detached, then stopped. */
	CHECK_INT(spec_detach_co(source, "d", SPEC_GATE_DEADLINE_NS, &err), 0);
	source = again_co(rig, source);
	dirty_asker_done_co(rig, source, "a", ALL);
	block_source_put_co(source);
}

/* A clean file joins a source that was in use without it. */
static void test_joins_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);
	struct err err = {0};

	(void)argument;
	block_source_put_co(source);
	source = stack_rig_source_co(rig, "{" DISK "}");
	write_block_co(rig, source, 7);
	CHECK_INT(spec_attach_co(source, stack_rig_doc(rig, KEPT), NULL, &err),
		0);
	dirty_asker_done_co(rig, source, "a", ALL);
	block_source_put_co(source);
}

static void test_granularity_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);

	(void)argument;
	block_source_put_co(source);
	source = stack_rig_source_co(rig,
		"{listeners: [{type: dirty, name: d, granularity: 8K, "
		"file: d.marks}], " DISK "}");
	dirty_asker_done_co(rig, source, "a", ALL);
	block_source_put_co(source);
}

/* The disk is full when the marks are to be kept. */
static void test_full_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);
	struct log_capture capture;
	struct rlimit old, none;
	char *log;

	(void)argument;
	write_block_co(rig, source, 5);
	signal(SIGXFSZ, SIG_IGN);
	CHECK_INT(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 4096; /* room for the header alone */
	capture = log_capture_begin();
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &none), 0);
	block_source_put_co(source);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &old), 0);
	log = log_capture_end(capture);
	CHECK_FIND(log, "its marks could not be kept");
	free(log);
	source = stack_rig_source_co(rig, DOCUMENT);
	dirty_asker_done_co(rig, source, "a", ALL);
	block_source_put_co(source);
}

/* -- wrong files ---------------------------------------------------------- */

/* A file that was good, but for one change: what is lost is not taken for clean. */
static void expect_damaged_co(
	struct stack_rig *rig, const uint8_t *byte, size_t bytes, size_t at)
{
	struct block_source *source;

	marks_write(rig, byte, bytes);
	source = stack_rig_source_co(rig, DOCUMENT);
	if (at < 4096) /* the header: who copies is told to begin */
		CHECK_INT(dirty_asker_refused_co(
				  rig, source, "freeze", "{consumer: a}"),
			-ENOENT);
	else
		dirty_asker_done_co(rig, source, "a", ALL);
	block_source_put_co(source);
}

static size_t next_place(size_t at)
{
	return at + (at < 256 ? 5 : at < 4000 ? 197 : 11);
}

static void test_damaged_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);
	struct content *good;

	(void)argument;
	write_block_co(rig, source, 5);
	block_source_put_co(source);
	good = marks_read(rig);
	for (size_t at = 12; at < good->bytes; at = next_place(at)) {
		good->byte[at] ^= 0x41;
		expect_damaged_co(rig, good->byte, good->bytes, at);
		good->byte[at] ^= 0x41;
	}
	for (size_t bytes = 12; bytes < good->bytes; bytes += 1000)
		expect_damaged_co(rig, good->byte, bytes, bytes);
	free(good);
}

static void refuse_co(struct stack_rig *rig, const char *listener, int error,
	const char *text)
{
	struct block_source *source;
	struct err err = {0};
	char document[256];

	snprintf(document, sizeof document, "{listeners: [%s], " DISK "}",
		listener);
	CHECK_INT(stack_rig_build_co(rig, document, &source, &err), error);
	CHECK_FIND(err.text, text);
}

static void test_refusals_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = begin_co(rig);
	struct content *kept;

	(void)argument;
	refuse_co(rig, KEPT, -EBUSY, "another listener keeps its marks there");
	refuse_co(rig, "{type: dirty, file: ../marks}", -EINVAL, "not a path");
	refuse_co(
		rig, "{type: dirty, file: /tmp/marks}", -EINVAL, "not a path");
	refuse_co(rig, "{type: dirty, file: .marks}", -EINVAL, "not a path");
	refuse_co(rig, "{type: dirty, file: ''}", -EINVAL, "not a path");
	block_source_put_co(source);
	marks_write(rig, "hello", 5);
	refuse_co(rig, KEPT, -EINVAL, "holds something else than marks");
	kept = marks_read(rig);
	CHECK_INT(kept->bytes, 5);
	CHECK(!memcmp(kept->byte, "hello", 5));
	free(kept);
}

/* Real files alone: the simulated disk knows none of the data directory. */
#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, uring, .world = "io_uring", .lanes = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_clean_stop_co),
		ROWS(test_size_co),
		ROWS(test_crash_co),
		ROWS(test_detached_co),
		ROWS(test_joins_co),
		ROWS(test_granularity_co),
		ROWS(test_damaged_co),
		STACK_RIG_CASE(
			test_full_co, threads, .world = "threads", .lanes = 1),
		ROWS(test_refusals_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
