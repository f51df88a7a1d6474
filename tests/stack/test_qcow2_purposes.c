/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: every step by its name (blockcore/purpose.h). For each there is a script
 * that comes to it; it fails there once. Who asked is told; the next try works, or
 * the image refuses changes until it is opened again; the check then finds leaks at
 * worst, what was there before is there, and the script runs to its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/qcow2_steps.h"

#include "blockcore/base/bytes.h"
#include "blockcore/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define KIB 1024ull
#define MIB (1024 * KIB)

/* -- scripts -------------------------------------------------------------- */

static int open_only_co(struct qcow2_steps *s)
{
	(void)s;
	return 0;
}

static int read_co(struct qcow2_steps *s)
{
	return qcow2_steps_io_co(s, BLOCK_READ, 0, 4 * KIB);
}

static int read_base_co(struct qcow2_steps *s)
{
	return qcow2_steps_io_co(s, BLOCK_READ, 512 * KIB, 4 * KIB);
}

static int read_packed_co(struct qcow2_steps *s)
{
	return qcow2_steps_io_co(s, BLOCK_READ, QCOW2_STEPS_PACKED, 4 * KIB);
}

static int flush_co(struct qcow2_steps *s)
{
	return qcow2_steps_io_co(s, BLOCK_FLUSH, 0, 0);
}

static int write_at_co(struct qcow2_steps *s, uint64_t offset, uint64_t bytes)
{
	int error = qcow2_steps_io_co(s, BLOCK_WRITE, offset, bytes);

	return error ? error : flush_co(s);
}

/* Where it lies already. */
static int overwrite_co(struct qcow2_steps *s)
{
	return write_at_co(s, 0, 4 * KIB);
}

/* In a table that is there. */
static int write_co(struct qcow2_steps *s)
{
	return write_at_co(s, 128 * KIB, 8 * KIB);
}

/* In one that is not. */
static int write_far_co(struct qcow2_steps *s)
{
	return write_at_co(s, 4 * MIB, 8 * KIB);
}

static int write_more_co(struct qcow2_steps *s)
{
	return write_at_co(s, 128 * KIB, 64 * KIB);
}

static int write_most_co(struct qcow2_steps *s)
{
	int error = 0;

	for (uint64_t at = 1 * MIB; at < 4 * MIB && !error; at += 256 * KIB)
		error = write_at_co(s, at, 256 * KIB);
	return error;
}

/* What is freed is counted down beside the next ones. */
static int churn_co(struct qcow2_steps *s)
{
	int error = 0;

	for (unsigned i = 0; i < 16 && !error; i++) {
		error = write_at_co(s, 128 * KIB, 4 * KIB);
		if (!error)
			error = qcow2_steps_io_co(
				s, BLOCK_DISCARD, 128 * KIB, 4 * KIB);
		if (!error)
			error = flush_co(s);
	}
	return error;
}

/* A part of what a snapshot shares. */
static int copy_co(struct qcow2_steps *s)
{
	return write_at_co(s, 4 * KIB, 512);
}

static int shot_co(struct qcow2_steps *s)
{
	struct err err = {0};
	char name[16];

	snprintf(name, sizeof name, "s%u", ++s->tries);
	return spec_snapshot_create_co(s->image, name, 0, &err);
}

static int delete_co(struct qcow2_steps *s)
{
	struct err err = {0};
	int error = spec_snapshot_delete_co(s->image, "one", &err);

	/* It goes before its space is given back: the first try may have done it. */
	return s->tries++ && error == -ENOENT ? 0 : error;
}

static int revert_co(struct qcow2_steps *s)
{
	struct err err = {0};
	char name[16];

	snprintf(name, sizeof name, "r%u", ++s->tries);
	return spec_snapshot_revert_co(s->image, "safe", name, 0, &err);
}

static int grow_co(struct qcow2_steps *s)
{
	struct err err = {0};

	return spec_resize_co(s->image, 16 * MIB, &err);
}

static int check_co(struct qcow2_steps *s)
{
	struct err err = {0};
	char text[4096];
	FILE *out = fmemopen(text, sizeof text, "w");
	int error =
		spec_command_co(s->image, "qcow2", "check", NULL, out, &err);

	fclose(out);
	return error;
}

static int flatten_co(struct qcow2_steps *s)
{
	struct job_progress progress;
	struct err err = {0};
	struct job *job;
	int error = job_start_co(s->rig->core, s->image, "flatten",
		stack_rig_doc(s->rig, "{}"), 0, &job, &err);

	if (error)
		return error;
	job_wait_co(job);
	job_get_progress(job, &progress);
	job_free(job);
	return progress.result;
}

/* -- what is there before ------------------------------------------------- */

static void one_co(struct qcow2_steps *s)
{
	struct err err = {0};

	CHECK_INT(spec_snapshot_create_co(s->image, "one", 0, &err), 0);
}

/* "safe" has tables that were the image's own. */
static void safe_co(struct qcow2_steps *s)
{
	struct err err = {0};

	one_co(s);
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_WRITE, 0, 64 * KIB), 0);
	CHECK_INT(spec_snapshot_revert_co(s->image, "one", "safe", 0, &err), 0);
}

static void autoclear(struct qcow2_steps *s)
{
	struct qcow2_steps_file f = qcow2_steps_file_get(s);

	f.bytes[88] |= 0x80;
	qcow2_steps_file_put(s, &f);
}

static void no_autoclear(struct qcow2_steps *s)
{
	struct qcow2_steps_file f = qcow2_steps_file_get(s);

	CHECK_INT(f.bytes[88], 0);
	free(f.bytes);
}

/* The cluster at QCOW2_STEPS_PACKED is what zlib makes of its content. */
static void packed(struct qcow2_steps *s)
{
	struct qcow2_steps_file f = qcow2_steps_file_get(s);
	uint8_t *entry = qcow2_steps_entry(&f, QCOW2_STEPS_PACKED);
	uint64_t host = get_be64(entry) & 0x00fffffffffffe00ull;
	uint8_t *content = qcow2_steps_content(QCOW2_STEPS_PACKED, 4 * KIB);
	z_stream z = {.next_in = content,
		.avail_in = 4 * KIB,
		.next_out = f.bytes + host,
		.avail_out = 4 * KIB};

	CHECK_INT(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY),
		Z_OK);
	CHECK_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	free(content);
	put_be64(entry, 1ull << 62 | 7ull << 58 | host);
	qcow2_steps_file_put(s, &f);
}

/* -- rows ----------------------------------------------------------------- */

#define PLAIN "size: 8M, cluster_size: 4K"
#define SMALL "size: 4M, cluster_size: 512, refcount_bits: 64"

#define AGAIN QCOW2_STEPS_AGAIN
#define REFUSES QCOW2_STEPS_REFUSES

#define ROW(purpose_, op_, options_, then_, run, ...) \
	{ \
		.purpose = PURPOSE_##purpose_, .op = op_, .options = options_, \
		.then = then_, .run_co = run, __VA_ARGS__ \
	}

static const struct qcow2_steps_row rows[] = {
	ROW(HEADER_LOAD, "read", PLAIN, AGAIN, open_only_co),
	ROW(L1_LOAD, "read", PLAIN, AGAIN, open_only_co),
	ROW(L2_LOAD, "read", PLAIN, AGAIN, read_co),
	ROW(REFTABLE_LOAD, "read", PLAIN, AGAIN, open_only_co),
	ROW(REFBLOCK_LOAD, "read", PLAIN, AGAIN, write_co),
	ROW(SNAPSHOT_TABLE_LOAD, "read", PLAIN, AGAIN, shot_co,
		.before_co = one_co),
	ROW(CHECK_LOAD, "read", PLAIN, AGAIN, check_co),
	ROW(READ_AIO, "read", PLAIN, AGAIN, read_co),
	ROW(READ_BACKING_AIO, "read", PLAIN, AGAIN, read_base_co,
		.backed = true),
	ROW(READ_COMPRESSED, "read", PLAIN, AGAIN, read_packed_co,
		.poke = packed),
	ROW(WRITE_AIO, "write", PLAIN, AGAIN, overwrite_co),
	ROW(WRITE_AIO, "write", PLAIN, AGAIN, write_co),
	ROW(COW_READ, "read", PLAIN, AGAIN, copy_co, .before_co = one_co),
	ROW(COW_WRITE, "write", PLAIN, AGAIN, copy_co, .before_co = one_co),
	ROW(CLUSTER_ALLOC, "write", PLAIN, REFUSES, write_co),
	ROW(CLUSTER_ALLOC_SPACE, "write_zeroes", PLAIN, AGAIN, write_co),
	ROW(CLUSTER_FREE, "discard", PLAIN, QCOW2_STEPS_HARMLESS, write_co),
	ROW(REFBLOCK_ALLOC_WRITE, "write", SMALL, AGAIN, write_more_co),
	ROW(REFBLOCK_ALLOC_WRITE, "flush", SMALL, REFUSES, write_more_co),
	ROW(REFBLOCK_ALLOC_HOOKUP, "write", SMALL, REFUSES, write_more_co),
	ROW(REFBLOCK_ALLOC_HOOKUP, "flush", SMALL, REFUSES, write_more_co),
	ROW(REFBLOCK_ALLOC_WRITE_TABLE, "write", SMALL, AGAIN, write_most_co),
	ROW(REFBLOCK_ALLOC_WRITE_TABLE, "flush", SMALL, REFUSES, write_most_co),
	ROW(REFBLOCK_ALLOC_SWITCH_TABLE, "write", SMALL, REFUSES,
		write_most_co),
	ROW(REFBLOCK_ALLOC_SWITCH_TABLE, "flush", SMALL, REFUSES,
		write_most_co),
	ROW(REFBLOCK_UPDATE, "write", PLAIN, REFUSES, churn_co),
	ROW(L2_ALLOC_WRITE, "write", PLAIN, AGAIN, write_far_co),
	ROW(L2_ALLOC_UPDATE, "write", PLAIN, REFUSES, write_far_co),
	ROW(FLUSH_TO_OS, "flush", PLAIN, REFUSES, write_co),
	ROW(L2_UPDATE, "write", PLAIN, REFUSES, write_co),
	ROW(L1_UPDATE, "write", PLAIN, REFUSES, write_far_co),
	ROW(FLUSH_TO_DISK, "flush", PLAIN, REFUSES, write_co),
	ROW(FLUSH_TO_DISK, "flush", PLAIN, REFUSES, flush_co),
	ROW(HEADER_BEGIN, "write", PLAIN, AGAIN, write_co, .poke = autoclear,
		.after = no_autoclear),
	ROW(HEADER_BEGIN, "flush", PLAIN, REFUSES, write_co, .poke = autoclear),
	ROW(HEADER_DIRTY, "write", PLAIN, REFUSES, shot_co),
	ROW(HEADER_DIRTY, "flush", PLAIN, REFUSES, shot_co),
	ROW(HEADER_CLEAN, "write", PLAIN, REFUSES, delete_co,
		.before_co = one_co),
	ROW(HEADER_CLEAN, "flush", PLAIN, REFUSES, delete_co,
		.before_co = one_co),
	ROW(HEADER_SIZE, "write", PLAIN, REFUSES, grow_co),
	ROW(HEADER_SIZE, "flush", PLAIN, REFUSES, grow_co),
	ROW(HEADER_BACKING, "write", PLAIN, AGAIN, flatten_co, .backed = true),
	ROW(HEADER_SNAPSHOTS, "write", PLAIN, REFUSES, shot_co),
	ROW(HEADER_SNAPSHOTS, "flush", PLAIN, REFUSES, shot_co),
	ROW(HEADER_SNAPSHOTS, "write", PLAIN, REFUSES, delete_co,
		.before_co = one_co),
	ROW(HEADER_SNAPSHOTS, "write", PLAIN, REFUSES, revert_co,
		.before_co = safe_co),
	ROW(OPEN_FLUSH, "flush", PLAIN, AGAIN, open_only_co),
	ROW(L1_GROW_WRITE_TABLE, "write", PLAIN, AGAIN, grow_co),
	ROW(L1_GROW_WRITE_TABLE, "flush", PLAIN, REFUSES, grow_co),
	ROW(L1_GROW_ACTIVATE_TABLE, "write", PLAIN, REFUSES, grow_co),
	ROW(L1_GROW_ACTIVATE_TABLE, "flush", PLAIN, REFUSES, grow_co),
	ROW(SNAPSHOT_L1_WRITE, "write", PLAIN, AGAIN, shot_co),
	ROW(SNAPSHOT_L1_WRITE, "write", PLAIN, AGAIN, revert_co,
		.before_co = safe_co),
	ROW(SNAPSHOT_TABLE_WRITE, "write", PLAIN, AGAIN, shot_co),
	ROW(SNAPSHOT_TABLE_WRITE, "write", PLAIN, AGAIN, revert_co,
		.before_co = safe_co),
	ROW(SNAPSHOT_L2_UPDATE, "write", PLAIN, AGAIN, revert_co,
		.before_co = safe_co),
	ROW(SNAPSHOT_FLUSH, "flush", PLAIN, REFUSES, shot_co),
	ROW(SNAPSHOT_FLUSH, "flush", PLAIN, REFUSES, revert_co,
		.before_co = safe_co),
	ROW(CREATE_MARK, "write", PLAIN, AGAIN, open_only_co, .unmade = true),
	ROW(CREATE_MARK, "flush", PLAIN, AGAIN, open_only_co, .unmade = true),
	ROW(CREATE_TABLES, "write", PLAIN, AGAIN, open_only_co, .unmade = true),
	ROW(CREATE_TABLES, "flush", PLAIN, AGAIN, open_only_co, .unmade = true),
	ROW(CREATE_HEADER, "write", PLAIN, AGAIN, open_only_co, .unmade = true),
	ROW(CREATE_HEADER, "flush", PLAIN, AGAIN, open_only_co, .unmade = true),
};
#define ROWS (sizeof rows / sizeof rows[0])

static void test_row(void **state)
{
	qcow2_steps_run(*state);
}

/* -- the mark of a corrupt image ------------------------------------------ */

static void spoil(struct qcow2_steps *s)
{
	struct qcow2_steps_file f = qcow2_steps_file_get(s);
	uint8_t *entry = qcow2_steps_entry(&f, 8 * KIB);

	put_be64(entry, get_be64(entry) + 512);
	qcow2_steps_file_put(s, &f);
}

static bool is_marked(struct qcow2_steps *s)
{
	struct qcow2_steps_file f = qcow2_steps_file_get(s);
	bool marked = f.bytes[79] & 2;

	free(f.bytes);
	return marked;
}

/* It could not be written: who finds the damage next writes it. */
static void corrupt_co(struct qcow2_steps *s)
{
	qcow2_steps_open_co(s);
	qcow2_steps_close_co(s);
	spoil(s);
	qcow2_steps_open_co(s);
	qcow2_steps_fail(s, PURPOSE_HEADER_CORRUPT, "write");
	CHECK_INT(read_co(s), -EIO);
	CHECK_INT(write_co(s), -EIO);
	qcow2_steps_close_co(s);
	CHECK_INT(stack_rig_figure(s->disk, "hits"), 1);
	CHECK(!is_marked(s));
	qcow2_steps_open_co(s);
	CHECK_INT(read_co(s), -EIO);
	qcow2_steps_close_co(s);
	CHECK(is_marked(s));
}

/* What a lane overwrites by itself is refused, too, once damage is seen elsewhere. */
static void corrupt_overwrite_co(struct qcow2_steps *s)
{
	struct err err = {0};

	qcow2_steps_open_co(s);
	CHECK_INT(write_far_co(s), 0);
	qcow2_steps_close_co(s);
	spoil(s);
	qcow2_steps_open_co(s);
	CHECK_INT(write_far_co(s), 0);
	CHECK_INT(write_far_co(s), 0);
	CHECK_INT(read_co(s), -EIO);
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_WRITE, 4 * MIB, 8 * KIB), -EIO);
	CHECK_INT(spec_resize_co(s->image, 64 * MIB, &err), -EIO);
	CHECK_ERR(&err, "since it was found damaged: check it");
	CHECK_INT(spec_snapshot_create_co(s->image, "x", 0, &err), -EIO);
	CHECK_ERR(&err, "since it was found damaged: check it");
	qcow2_steps_close_co(s);
	CHECK(is_marked(s));
}

static void test_corrupt(void **state)
{
	(void)state;
	qcow2_steps_world(PLAIN, corrupt_co);
	qcow2_steps_world(PLAIN, corrupt_overwrite_co);
}

/* -- all of them ---------------------------------------------------------- */

static void test_each_has_a_row(void **state)
{
	unsigned found = 1u; /* header_corrupt: above */

	(void)state;
	for (int i = PURPOSE_NONE + 1; i < PURPOSES; i++) {
		for (size_t row = 0; row < ROWS; row++) {
			if ((int)rows[row].purpose == i) {
				found++;
				break;
			}
		}
	}
	assert_int_equal(found, PURPOSES - 1);
}

int main(void)
{
	struct CMUnitTest tests[ROWS + 2];
	char names[ROWS][80];

	for (size_t i = 0; i < ROWS; i++) {
		snprintf(names[i], sizeof names[i], "%s, %s, row %zu",
			block_purpose_names[rows[i].purpose], rows[i].op, i);
		tests[i] = (struct CMUnitTest){.name = names[i],
			.test_func = test_row,
			.initial_state = (void *)(uintptr_t)&rows[i]};
	}
	tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(test_corrupt);
	tests[ROWS + 1] =
		(struct CMUnitTest)cmocka_unit_test(test_each_has_a_row);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
