/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener trace: what it saves is what was asked and what came of it, of all
 * lanes in order; its memory is bounded; its file is no way to write elsewhere,
 * and a damaged file is refused.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "blockcore/base/list.h"
#include "blockcore/core/recording.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES 4096u
#define REQUESTS 20u

static void read_back(
	struct stack_rig *rig, const char *name, struct recording *recording)
{
	char path[256];
	struct err err = {0};

	snprintf(path, sizeof path, "%s/%s", rig->folder, name);
	if (recording_read(recording, path, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static void expect(const struct recording_entry *entry, unsigned op,
	unsigned flags, uint64_t offset_bytes, uint64_t length_bytes,
	int result)
{
	CHECK_INT(entry->op, op);
	CHECK_INT(entry->flags, flags);
	CHECK_INT(entry->offset_bytes, offset_bytes);
	CHECK_INT(entry->length_bytes, length_bytes);
	CHECK_INT(entry->result, result);
	CHECK_INT(entry->lane, 0);
}

/* One of each kind, in order, with results and times. */
static void test_fields_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: trace, name: t}, "
		"{type: delay, name: slow, read_us: 3000}, "
		"{type: fault, name: bad, rules: [{op: discard}]}], "
		"protocol: {type: mem, size: 1M}}");
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(BYTES, 1);
	struct recording r;
	char *said;

	(void)argument;
	block_transfer_co(
		source, lane, BLOCK_WRITE, BLOCK_FUA, BYTES, BYTES, data);
	block_transfer_co(source, lane, BLOCK_READ, 0, BYTES, BYTES, data);
	block_transfer_co(source, lane, BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, 0,
		512 << 10, NULL);
	block_transfer_co(source, lane, BLOCK_DISCARD, 0, 0, BYTES, NULL);
	block_transfer_co(source, lane, BLOCK_FLUSH, 0, 0, 0, NULL);
	said = stack_rig_command_co(rig, source, "t", "save", "{file: a.rec}");
	CHECK_FIND(said, "\"requests\": 5, \"overwritten\": 0");
	free(said);
	read_back(rig, "a.rec", &r);
	CHECK_INT(r.count, 5);
	CHECK_INT(r.entry[0].submitted_ns, 0);
	expect(&r.entry[0], BLOCK_WRITE, BLOCK_FUA, BYTES, BYTES, 0);
	expect(&r.entry[1], BLOCK_READ, 0, BYTES, BYTES, 0);
	CHECK(r.entry[1].took_ns >= 3000000);
	CHECK(r.entry[2].submitted_ns >=
		r.entry[1].submitted_ns + r.entry[1].took_ns);
	expect(&r.entry[2], BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, 0, 512 << 10,
		0);
	expect(&r.entry[3], BLOCK_DISCARD, 0, 0, BYTES, -EIO);
	expect(&r.entry[4], BLOCK_FLUSH, 0, 0, 0, 0);
	free(r.entry);
	free(data);
	block_source_put_co(source);
}

struct worker {
	struct stack_rig_task task;
	struct block_source *source;
};

static void worker_co(struct stack_rig_task *task)
{
	struct worker *worker = container_of(task, struct worker, task);
	uint8_t *data = stack_rig_pattern(BYTES, 1);

	for (unsigned i = 0; i < REQUESTS; i++)
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  BLOCK_WRITE, 0, i * BYTES, BYTES, data),
			0);
	free(data);
}

/* Saved while lanes go on, then when they have ended: the last 16 of each. */
static void test_lanes_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: trace, name: t, records: 16}], "
		"protocol: {type: mem, size: 1M}}");
	struct worker worker[BLOCK_MAX_LANES];
	unsigned of_lane[BLOCK_MAX_LANES] = {0};
	struct recording r;

	(void)argument;
	for (unsigned i = 0; i < rig->lanes; i++) {
		worker[i].task.run_co = worker_co;
		worker[i].source = source;
		stack_rig_start(rig, i, &worker[i].task);
	}
	free(stack_rig_command_co(rig, source, "t", "save", "{file: early}"));
	for (unsigned i = 0; i < rig->lanes; i++)
		stack_rig_join_co(&worker[i].task);
	CHECK_INT(stack_rig_figure(source, "recorded"), rig->lanes * REQUESTS);
	CHECK_INT(stack_rig_figure(source, "remembered"), rig->lanes * 16);
	free(stack_rig_command_co(rig, source, "t", "save", "{file: late}"));
	read_back(rig, "late", &r);
	CHECK_INT(r.count, rig->lanes * 16);
	CHECK_INT(r.overwritten, rig->lanes * (REQUESTS - 16));
	for (uint64_t i = 0; i < r.count; i++) {
		unsigned n = of_lane[r.entry[i].lane]++;

		CHECK_INT(r.entry[i].offset_bytes, (n + REQUESTS - 16) * BYTES);
		CHECK(!i ||
			r.entry[i].submitted_ns >= r.entry[i - 1].submitted_ns);
	}
	for (unsigned i = 0; i < rig->lanes; i++)
		CHECK_INT(of_lane[i], 16);
	free(r.entry);
	free(stack_rig_command_co(rig, source, "t", "clear", NULL));
	CHECK_INT(stack_rig_figure(source, "remembered"), 0);
	block_source_put_co(source);
}

static int save(struct stack_rig *rig, struct block_source *source,
	const char *arguments, struct err *err)
{
	FILE *out = fopen("/dev/null", "w");
	int error = spec_command_co(
		source, "t", "save", stack_rig_doc(rig, arguments), out, err);

	fclose(out);
	return error;
}

/* Only a new file, and only in the data directory. */
static void test_names_co(struct stack_rig *rig, void *argument)
{
	static const char *const bad[] = {"{file: ../x}", "{file: /tmp/x}",
		"{file: .hidden}", "{file: a/b}", "{file: ''}", "{}"};
	struct block_source *source = stack_rig_source_co(rig,
		"{listeners: [{type: trace, name: t}], "
		"protocol: {type: mem, size: 1M}}");
	struct err err = {0};
	struct stat st;
	char path[256];

	(void)argument;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		CHECK_INT(save(rig, source, bad[i], &err), -EINVAL);
	CHECK_INT(save(rig, source, "{file: once}", &err), 0);
	CHECK_INT(save(rig, source, "{file: once}", &err), -EEXIST);
	snprintf(path, sizeof path, "%s/once", rig->folder);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK_INT(st.st_size, 64);
	block_source_put_co(source);
}

/* -- files that are wrong ------------------------------------------------- */

static void put_file(const char *path, const uint8_t *bytes, size_t count)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, bytes, count), (ssize_t)count);
	close(fd);
}

static void test_damaged(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
		size_t bytes; /* of the file */
		const char *says;
	} rows[] = {
		{0, 0, 144, "is no recording"},
		{8, 2, 144, "version 2"},
		{16, 3, 144, "says that it has 3"},
		{16, UINT64_MAX / 40, 144, "says that it has"},
		{16, 2, 100, "says that it has 2"},
		{0, 0, 0, "is no recording"},
		{64 + 38, 9, 144, "request 0 makes no sense"},
		{64 + 36, 8, 144, "request 0 makes no sense"},
		{64, 1, 144, "request 1 makes no sense"},
		{104, UINT64_MAX, 144, "request 1 makes no sense"},
	};
	uint8_t good[144] = "CAIRNREC", bytes[144 + 8];
	char path[] = "/tmp/cairn-recording-XXXXXX";
	struct recording r;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	put_le32(good + 8, 1);
	put_le32(good + 12, 40);
	put_le64(good + 16, 2);
	put_file(path, good, sizeof good);
	assert_int_equal(recording_read(&r, path, NULL), 0);
	assert_int_equal(r.count, 2);
	free(r.entry);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = {0};

		memcpy(bytes, good, sizeof good);
		put_le64(bytes + rows[i].at, rows[i].value);
		put_file(path, bytes, rows[i].bytes);
		assert_int_equal(recording_read(&r, path, &err), -EINVAL);
		if (!strstr(err.text, rows[i].says))
			fail_msg("row %zu: %s", i, err.text);
	}
	unlink(path);
}

#define ROW(name) STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_fields_co),
		ROW(test_lanes_co),
		ROW(test_names_co),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
