/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: a check beside hosts that write. It holds up nobody, calls nothing wrong
 * that only changed, finds what is wrong all the same, begins anew after a snapshot,
 * and can be stopped. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "blockcore/job.h"
#include "blockcore/kind.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTER 4096u
#define REGION (16u << 20) /* that the writer knows; its end is left alone */
#define QUIET (REGION + (4u << 20))
#define ROUNDS 6u

static const char document[] =
	"{format: {type: qcow2, pool: 64K, cache: 64K, size: 32M, "
	"subclusters: \"off\", cluster_size: 4K,"
	" file: {protocol: {type: file, path: disk, size: 4K,"
	" locking: false}}}}";
static const char disk[] =
	"{protocol: {type: file, path: disk, locking: false}}";

/* -- a host --------------------------------------------------------------- */

/* Writes and discards anywhere in its region, flushes now and then. */
struct writer {
	struct stack_rig_task task;
	struct block_source *source;
	_Atomic uint32_t done;
	_Atomic bool stop;
};

static void write_co(struct stack_rig_task *task)
{
	struct writer *w = container_of(task, struct writer, task);
	uint8_t *data = stack_rig_pattern(CLUSTER, 3);
	uint32_t state = 1;

	while (!w->stop) {
		uint64_t at;
		enum block_opcode op = BLOCK_WRITE;

		state = state * 1664525u + 1013904223u;
		at = (uint64_t)(state >> 8) % (REGION / CLUSTER) * CLUSTER;
		if (state >> 8 & 1)
			op = BLOCK_DISCARD;
		CHECK_INT(block_transfer_co(w->source, task->lane, op, 0, at,
				  CLUSTER, op == BLOCK_WRITE ? data : NULL),
			0);
		if (w->done++ % 32 == 0)
			CHECK_INT(block_transfer_co(w->source, task->lane,
					  BLOCK_FLUSH, 0, 0, 0, NULL),
				0);
	}
	free(data);
}

static void writer_start(struct stack_rig *rig, struct writer *w)
{
	w->task.run_co = write_co;
	stack_rig_start(rig, block_core_lanes(rig->core) - 1, &w->task);
}

static void writer_end_co(struct writer *w)
{
	w->stop = true;
	stack_rig_join_co(&w->task);
}

/* Until it has done so much more; flushes take their time on a virtual clock. */
static void wait_for_co(
	struct stack_rig *rig, const struct writer *w, uint32_t more)
{
	uint32_t until = w->done + more;

	while (w->done < until)
		CHECK_INT(block_transfer_co(w->source,
				  block_core_lane(rig->core, 0), BLOCK_FLUSH, 0,
				  0, 0, NULL),
			0);
}

/* -- damage --------------------------------------------------------------- */

static void raw_co(struct stack_rig *rig, struct block_source *file,
	enum block_opcode op, uint64_t offset, uint8_t data[CLUSTER])
{
	CHECK_INT(block_transfer_co(file, block_core_lane(rig->core, 0), op, 0,
			  offset, CLUSTER, data),
		0);
}

/* The number at `offset` of the file, which is in one cluster. */
static uint64_t word_co(
	struct stack_rig *rig, struct block_source *file, uint64_t offset)
{
	uint8_t *data = aligned_alloc(CLUSTER, CLUSTER);

	CHECK(data != NULL);
	raw_co(rig, file, BLOCK_READ, offset & ~(uint64_t)(CLUSTER - 1), data);
	uint64_t word = get_be64(data + offset % CLUSTER);
	free(data);
	return word;
}

#define OFFSET 0x00fffffffffffe00ull

/* Where the cluster of `guest` is in the file. */
static uint64_t host_co(
	struct stack_rig *rig, struct block_source *file, uint64_t guest)
{
	uint64_t table_bytes = CLUSTER / 8 * (uint64_t)CLUSTER;
	uint64_t l1 = word_co(rig, file, 40);
	uint64_t l2 = word_co(rig, file, l1 + guest / table_bytes * 8) & OFFSET;

	CHECK(l2 != 0);
	return OFFSET &
		word_co(rig, file, l2 + guest % table_bytes / CLUSTER * 8);
}

/* The cluster of `guest` is counted once more than it is named. */
static void damage_co(struct stack_rig *rig, uint64_t guest)
{
	struct block_source *file = stack_rig_source_co(rig, disk);
	uint64_t host = host_co(rig, file, guest);
	uint64_t block = word_co(rig, file, word_co(rig, file, 48));
	uint8_t *counts = aligned_alloc(CLUSTER, CLUSTER);

	CHECK(counts && host && host / CLUSTER < CLUSTER / 2);
	raw_co(rig, file, BLOCK_READ, block, counts);
	CHECK_INT(get_be16(counts + host / CLUSTER * 2), 1);
	put_be16(counts + host / CLUSTER * 2, 2);
	raw_co(rig, file, BLOCK_WRITE, block, counts);
	free(counts);
	block_source_put_co(file);
}

/* With one cluster behind the writer's region. */
static struct block_source *image_co(struct stack_rig *rig, bool damaged)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	uint8_t *data = stack_rig_pattern(CLUSTER, 7);

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_WRITE, 0, QUIET, CLUSTER, data),
		0);
	free(data);
	if (!damaged)
		return source;
	block_source_put_co(source);
	damage_co(rig, QUIET);
	return stack_rig_source_co(rig, document);
}

/* -- checks --------------------------------------------------------------- */

struct stepper {
	struct block_check check;
	struct stack_rig *rig;
	struct writer *writer; /* goes on by `more` in each step */
	uint32_t more;
	uint64_t last_bytes;
	unsigned steps, begun;
	const char *snapshot; /* made in the second step; NULL: none */
	bool stop;
};

static int step_co(struct block_check *check)
{
	struct stepper *s = container_of(check, struct stepper, check);
	struct err err = {0};

	CHECK(check->done_bytes <= check->total_bytes);
	if (check->done_bytes < s->last_bytes || !s->steps)
		s->begun++;
	s->last_bytes = check->done_bytes;
	if (s->writer)
		wait_for_co(s->rig, s->writer, s->more);
	if (++s->steps == 2 && s->snapshot &&
		spec_snapshot_create_co(
			s->writer->source, s->snapshot, 10000000000ull, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return s->stop ? -ECANCELED : 0;
}

static int run_co(struct stepper *s, struct block_source *source)
{
	struct err err = {0};
	int error;

	s->check.step_co = step_co;
	error = spec_check_image_co(source, &s->check, &err);
	if (error && error != -ECANCELED)
		check_fail(__FILE__, __LINE__, "%s", err.text);
	if (!error)
		CHECK_INT(s->check.done_bytes, s->check.total_bytes);
	return error;
}

static void expect(const struct stepper *s, uint64_t leaks, uint64_t errors)
{
	if (s->check.leaks != leaks || s->check.errors != errors)
		check_fail(__FILE__, __LINE__, "%llu leaks, %llu errors: %s",
			(unsigned long long)s->check.leaks,
			(unsigned long long)s->check.errors, s->check.first);
}

/* `argument`: damaged. */
static void test_beside_co(struct stack_rig *rig, void *argument)
{
	bool damaged = argument != NULL;
	struct writer w = {.source = image_co(rig, damaged)};
	uint64_t changed = 0;

	writer_start(rig, &w);
	wait_for_co(rig, &w, 200);
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* In every step the host must be able to go on. */
		struct stepper s = {.rig = rig, .writer = &w, .more = i % 8};

		CHECK_INT(run_co(&s, w.source), 0);
		expect(&s, damaged, damaged);
		CHECK_INT(s.begun, 1);
		CHECK(s.steps > 3);
		changed += s.check.changed;
	}
	CHECK(changed > 0);
	writer_end_co(&w);
	struct stepper s = {.rig = rig};
	CHECK_INT(run_co(&s, w.source), 0);
	expect(&s, damaged, damaged);
	uint8_t *data = stack_rig_pattern(CLUSTER, 7);
	stack_rig_expect_co(rig, w.source, QUIET, CLUSTER, data);
	free(data);
	block_source_put_co(w.source);
}

static void test_anew_co(struct stack_rig *rig, void *argument)
{
	struct writer w = {.source = image_co(rig, true)};
	struct stepper s = {
		.rig = rig, .writer = &w, .more = 1, .snapshot = "s"};

	(void)argument;
	writer_start(rig, &w);
	wait_for_co(rig, &w, 200);
	CHECK_INT(run_co(&s, w.source), 0);
	CHECK_INT(s.begun, 2);
	/* The snapshot names the cluster, too: it takes the COPIED bit away. */
	expect(&s, 1, 0);
	writer_end_co(&w);
	block_source_put_co(w.source);
}

static void test_stopped_co(struct stack_rig *rig, void *argument)
{
	struct writer w = {.source = image_co(rig, false)};
	struct stepper s = {.rig = rig, .stop = true};

	(void)argument;
	writer_start(rig, &w);
	wait_for_co(rig, &w, 200);
	CHECK_INT(run_co(&s, w.source), -ECANCELED);
	CHECK_INT(s.steps, 1);
	s = (struct stepper){.rig = rig};
	CHECK_INT(run_co(&s, w.source), 0);
	expect(&s, 0, 0);
	writer_end_co(&w);
	block_source_put_co(w.source);
}

/* -- not named any more, still counted ------------------------------------ */

static int step_discard_co(struct block_check *check)
{
	struct stepper *s = container_of(check, struct stepper, check);
	struct block_lane *lane = block_core_lane(s->rig->core, 0);

	if (s->steps++)
		return 0;
	CHECK_INT(block_transfer_co(s->writer->source, lane, BLOCK_DISCARD, 0,
			  QUIET, CLUSTER, NULL),
		0);
	CHECK_INT(block_transfer_co(
			  s->writer->source, lane, BLOCK_FLUSH, 0, 0, 0, NULL),
		0);
	return 0;
}

/* A discard is durable while a read is held, for which its cluster is kept. */
static void test_kept_co(struct stack_rig *rig, void *argument)
{
	struct block_source *file = stack_rig_source_co(rig,
		"{listeners: [{type: fault, name: f}],"
		" protocol: {type: file, path: disk, size: 4K,"
		" locking: false}}");
	struct writer w = {.source = stack_rig_source_co(rig,
				   "{format: {type: qcow2, size: 32M,"
				   " cluster_size: 4K, file: {source: "
				   "source-1}}}")};
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(CLUSTER, 7);
	struct stepper s = {.rig = rig, .writer = &w};
	struct stack_rig_request read;
	struct err err = {0};
	char hold[64];

	(void)argument;
	for (uint64_t at = 0; at <= QUIET; at += QUIET)
		CHECK_INT(block_transfer_co(w.source, lane, BLOCK_WRITE, 0, at,
				  CLUSTER, data),
			0);
	CHECK_INT(block_transfer_co(w.source, lane, BLOCK_FLUSH, 0, 0, 0, NULL),
		0);
	snprintf(hold, sizeof hold, "{op: read, offset: %llu, length: 4096}",
		(unsigned long long)host_co(rig, file, 0));
	free(stack_rig_command_co(rig, file, "f", "hold", hold));
	stack_rig_submit(
		w.source, lane, &read, BLOCK_READ, 0, 0, CLUSTER, data);
	stack_rig_until_co(rig, file, "held", 1);
	s.check.step_co = step_discard_co;
	if (spec_check_image_co(w.source, &s.check, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	expect(&s, 0, 0);
	CHECK(s.check.changed > 0);
	free(stack_rig_command_co(rig, file, "f", "release", NULL));
	CHECK_INT(stack_rig_wait_co(&read), 0);
	free(data);
	block_source_put_co(w.source);
	block_source_put_co(file);
}

/* Another one in the midst of it. */
static int step_again_co(struct block_check *check)
{
	struct stepper *s = container_of(check, struct stepper, check);
	struct block_check other = {0};
	struct err err = {0};

	CHECK_INT(spec_check_image_co(s->writer->source, &other, &err), -EBUSY);
	if (!strstr(err.text, "being checked already"))
		check_fail(__FILE__, __LINE__, "'%s'", err.text);
	return 0;
}

static void test_twice_co(struct stack_rig *rig, void *argument)
{
	struct writer w = {.source = image_co(rig, false)};
	struct stepper s = {.rig = rig, .writer = &w};
	struct err err = {0};

	(void)argument;
	s.check.step_co = step_again_co;
	CHECK_INT(spec_check_image_co(w.source, &s.check, &err), 0);
	block_source_put_co(w.source);
	w.source =
		stack_rig_source_co(rig, "{protocol: {type: mem, size: 1M}}");
	CHECK_INT(spec_check_image_co(w.source, &s.check, &err), -EOPNOTSUPP);
	block_source_put_co(w.source);
}

/* -- the job -------------------------------------------------------------- */

static struct job *start_co(
	struct stack_rig *rig, struct block_source *source, const char *options)
{
	struct err err = {0};
	struct job *job;

	if (job_start_co(rig->core, source, "check",
		    stack_rig_doc(rig, options), 0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return job;
}

/* Paused, it lets the host go on and does nothing itself. */
static void test_job_co(struct stack_rig *rig, void *argument)
{
	struct writer w = {.source = image_co(rig, false)};
	struct job_progress p, then;
	struct job *job;

	(void)argument;
	writer_start(rig, &w);
	wait_for_co(rig, &w, 200);
	job = start_co(rig, w.source, "{}");
	job_pause(job);
	wait_for_co(rig, &w, 20);
	job_get_progress(job, &p);
	CHECK_INT(p.state, JOB_PAUSED);
	wait_for_co(rig, &w, 200);
	job_get_progress(job, &then);
	CHECK_INT(then.done, p.done);
	CHECK(p.total > p.done);
	job_resume(job);
	job_wait_co(job);
	job_get_progress(job, &p);
	CHECK_INT(p.state, JOB_DONE);
	CHECK_INT(p.done, p.total);
	CHECK(strstr(p.note, "sound; no leaks") != NULL);
	job_free(job);
	job = start_co(rig, w.source, "{}");
	job_pause(job);
	wait_for_co(rig, &w, 20);
	job_cancel(job);
	job_wait_co(job);
	job_get_progress(job, &p);
	CHECK_INT(p.state, JOB_CANCELLED);
	job_free(job);
	writer_end_co(&w);
	block_source_put_co(w.source);
}

#define BOTH(body, argument, label) \
	STACK_RIG_CASE_WITH(body, argument, label " simulated", \
		.world = "simulated", .lanes = 2, .seed = 5), \
		STACK_RIG_CASE_WITH(body, argument, label " on threads", \
			.world = "threads", .lanes = 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_beside_co, NULL, "sound"),
		BOTH(test_beside_co, "yes", "damaged"),
		BOTH(test_anew_co, NULL, "snapshot"),
		BOTH(test_stopped_co, NULL, "cancel"),
		STACK_RIG_CASE(test_kept_co, simulated, .world = "simulated",
			.lanes = 1, .seed = 5),
		BOTH(test_twice_co, NULL, "another"),
		BOTH(test_job_co, NULL, "pause"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
