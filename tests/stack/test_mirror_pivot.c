/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job pivot: a source goes on on its mirror's leg, with the same content, while
 * hosts write; or nothing happens, and it is said why.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "tests/lib/mirror_pair.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DISK "protocol: {type: file, path: disk, size: 1M}"
#define COPY "protocol: {type: file, path: copy, size: 1M}"
#define MIRROR(leg) \
	"{listeners: [{type: stats, name: s}, {type: mirror, name: m, " \
	"granularity: 64K, leg: {" leg "}}], " DISK "}"
#define FAULTY "listeners: [{type: fault, name: g}], " COPY

/* Who keeps documents. */
struct keeper {
	struct job_keeper keeper;
	char *kept; /* the last one */
	int error; /* keeping fails so */
	unsigned begun, ended;
};

static int begun_co(struct job_keeper *keeper, struct job *job, uint64_t cursor,
	struct err *err)
{
	(void)keeper;
	(void)job;
	(void)cursor;
	(void)err;
	return 0;
}

static void begin_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	(void)pivot;
	container_of(keeper, struct keeper, keeper)->begun++;
}

static int keep_co(struct job_keeper *keeper, const struct job_pivot *pivot,
	struct err *err)
{
	struct keeper *self = container_of(keeper, struct keeper, keeper);

	if (self->error)
		return err_set(err, -self->error, "nothing is kept");
	free(self->kept);
	self->kept = strdup(pivot->document);
	return 0;
}

static void end_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	(void)pivot;
	container_of(keeper, struct keeper, keeper)->ended++;
}

static void keeper_start(struct keeper *keeper, struct stack_rig *rig)
{
	*keeper = (struct keeper){.keeper = {.begun_co = begun_co,
					  .begin_co = begin_co,
					  .keep_co = keep_co,
					  .end_co = end_co}};
	job_set_keeper(rig->core, &keeper->keeper);
}

static void keeper_end(struct keeper *keeper, struct stack_rig *rig)
{
	CHECK_INT(keeper->begun, keeper->ended);
	job_set_keeper(rig->core, NULL);
	free(keeper->kept);
}

static struct job *start_as_co(struct mirror_pair *pair, const char *options)
{
	struct job *job;
	struct err err = {0};

	if (job_start_co(pair->rig->core, pair->source, "pivot",
		    stack_rig_doc(pair->rig, options), 0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return job;
}

/* The mirror ends. */
static struct job *start_co(struct mirror_pair *pair)
{
	return start_as_co(pair, "{listener: m, end: true}");
}

static struct job *exchange_co(struct mirror_pair *pair)
{
	return start_as_co(pair, "{listener: m}");
}

static void refused_co(struct mirror_pair *pair, const char *text)
{
	pair_job_end_co(start_co(pair), JOB_FAILED, text);
}

static struct mirror_pair synced_co(struct stack_rig *rig, const char *document)
{
	struct mirror_pair pair = {
		.rig = rig, .source = stack_rig_source_co(rig, document)};

	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, PAIR_GRANULE, 2), 0);
	return pair;
}

static void expect_pattern_co(
	struct mirror_pair *pair, uint64_t offset, unsigned seed)
{
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, seed);

	stack_rig_expect_co(pair->rig, pair->source, offset, PAIR_BLOCK, data);
	free(data);
}

static void test_pivot_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = synced_co(rig, MIRROR(FAULTY));
	struct keeper keeper;
	struct stack_rig_request request;
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 3);

	(void)argument;
	keeper_start(&keeper, rig);
	pair_job_end_co(start_co(&pair), JOB_DONE, NULL);
	CHECK_FIND(keeper.kept, "\"path\": \"copy\"");
	CHECK(!strstr(keeper.kept, "mirror"));
	CHECK(!strstr(keeper.kept, "disk"));
	expect_pattern_co(&pair, 0, 1);
	expect_pattern_co(&pair, PAIR_GRANULE, 2);
	CHECK_INT(pair_write_co(&pair, 0, 3), 0);
	/* The old file is free, and stays as it was. */
	struct mirror_pair old = {
		.rig = rig, .source = stack_rig_source_co(rig, "{" DISK "}")};
	expect_pattern_co(&old, 0, 1);
	expect_pattern_co(&old, PAIR_GRANULE, 2);
	block_source_put_co(old.source);
	/* The leg's own listeners came with it, and work. */
	free(stack_rig_command_co(
		rig, pair.source, "g", "hold", "{op: write}"));
	stack_rig_submit(pair.source, block_core_lane(rig->core, 0), &request,
		BLOCK_WRITE, 0, 0, PAIR_BLOCK, data);
	stack_rig_until_co(rig, pair.source, "held", 1);
	free(stack_rig_command_co(rig, pair.source, "g", "clear", NULL));
	CHECK_INT(stack_rig_wait_co(&request), 0);
	refused_co(&pair, "there is no mirror 'm'");
	block_source_put_co(pair.source);
	/* What was kept opens it. */
	pair.source = stack_rig_source_co(rig, keeper.kept);
	expect_pattern_co(&pair, 0, 3);
	block_source_put_co(pair.source);
	keeper_end(&keeper, rig);
	free(data);
}

static void test_refused_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = {.rig = rig};
	struct keeper keeper;

	(void)argument;
	keeper_start(&keeper, rig);
	pair.source = stack_rig_source_co(rig, MIRROR(COPY));
	pair_job_end_co(exchange_co(&pair), JOB_FAILED, "the leg lacks");
	refused_co(&pair, "the leg lacks 1048576 bytes: start the job resync");
	pair_resync_co(&pair);
	keeper.error = -EIO;
	refused_co(&pair, "nothing is kept");
	pair_expect_state(&pair, "in sync");
	CHECK_INT(pair_write_co(&pair, 0, 1), 0);
	keeper.error = 0;
	pair_job_end_co(start_co(&pair), JOB_DONE, NULL);
	expect_pattern_co(&pair, 0, 1);
	block_source_put_co(pair.source);
	/* A leg that cannot be flushed. */
	pair = synced_co(rig,
		MIRROR("listeners: [{type: fault, rules: [{op: flush, error: "
		       "EIO, after: 1, count: 1}]}], protocol: {type: mem, "
		       "size: 1M}"));
	refused_co(&pair, "cannot be flushed");
	CHECK_INT(pair_write_co(&pair, 0, 2), 0);
	expect_pattern_co(&pair, 0, 2);
	block_source_put_co(pair.source);
	pair = synced_co(rig,
		MIRROR("listeners: [{type: fault, rules: [{op: write, error: "
		       "EIO, offset: 512K, length: 4K}]}], protocol: {type: "
		       "mem, size: 1M}"));
	CHECK_INT(pair_write_co(&pair, PAIR_BYTES / 2, 1), 0);
	refused_co(&pair, "the leg has failed (Input/output error)");
	block_source_put_co(pair.source);
	pair = synced_co(rig, MIRROR("protocol: {type: mem, size: 2M}"));
	refused_co(&pair, "the leg has 2097152 bytes, the source 1048576");
	block_source_put_co(pair.source);
	keeper_end(&keeper, rig);
}

/* A leg with a name of its own. */
static void test_named_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = mirror_pair_co(rig, "");

	(void)argument;
	pair_resync_co(&pair);
	refused_co(&pair, "which has a life of its own");
	mirror_pair_end_co(&pair);
}

/* A request that takes long: the gate opens again, and it is tried again. */
static void test_late_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = synced_co(rig,
		MIRROR("listeners: [{type: fault, rules: [{op: write, offset: "
		       "512K, length: 4K, delay_us: 500000}]}], protocol: "
		       "{type: mem, size: 1M}"));
	struct stack_rig_request request;
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 3);
	struct err err = {0};

	(void)argument;
	stack_rig_submit(pair.source, block_core_lane(rig->core, 0), &request,
		BLOCK_WRITE, 0, PAIR_BYTES / 2, PAIR_BLOCK, data);
	struct job *job = start_co(&pair);
	CHECK_INT(spec_detach_co(pair.source, "m", 0, &err), -EBUSY);
	CHECK_ERR(&err, "job 'pivot' is at work");
	CHECK_INT(stack_rig_wait_co(&request), 0);
	pair_job_end_co(job, JOB_DONE, NULL);
	CHECK(stack_rig_figure(pair.source, "late") > 0);
	expect_pattern_co(&pair, PAIR_BYTES / 2, 3);
	free(data);
	block_source_put_co(pair.source);
}

/* -- under load ----------------------------------------------------------- */

struct worker {
	struct stack_rig_task task;
	struct block_source *source;
	const _Atomic bool *stop;
};

/* Each has a block of its own, and reads what it wrote last. */
static void worker_co(struct stack_rig_task *task)
{
	struct worker *worker = container_of(task, struct worker, task);
	uint64_t offset = (uint64_t)(3 + task->lane->index) * PAIR_BLOCK;
	uint8_t *back = stack_rig_pattern(PAIR_BLOCK, 0);

	for (unsigned i = 1; i < 40 || !atomic_load(worker->stop); i++) {
		uint8_t *data = stack_rig_pattern(PAIR_BLOCK, i % 200);

		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  BLOCK_WRITE, i % 2 ? BLOCK_FUA : 0, offset,
				  PAIR_BLOCK, data),
			0);
		CHECK_INT(block_transfer_co(worker->source, task->lane,
				  BLOCK_READ, 0, offset, PAIR_BLOCK, back),
			0);
		CHECK(!memcmp(data, back, PAIR_BLOCK));
		free(data);
	}
	free(back);
}

/* There and back again. */
static void test_load_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair =
		synced_co(rig, MIRROR("protocol: {type: mem, size: 1M}"));
	struct worker *worker = calloc(rig->lanes, sizeof *worker);
	_Atomic bool stop = false;

	(void)argument;
	for (unsigned i = 0; i < rig->lanes; i++) {
		worker[i] = (struct worker){.task = {.run_co = worker_co},
			.source = pair.source,
			.stop = &stop};
		stack_rig_start(rig, i, &worker[i].task);
	}
	for (unsigned i = 0; i < 4; i++) {
		pair_job_end_co(start_co(&pair), JOB_DONE, NULL);
		pair_attach_co(&pair,
			"{type: mirror, name: m, leg: {protocol: {type: mem, "
			"size: 1M}}}");
		pair_resync_co(&pair);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < rig->lanes; i++)
		stack_rig_join_co(&worker[i].task);
	expect_pattern_co(&pair, PAIR_GRANULE, 2);
	free(worker);
	block_source_put_co(pair.source);
}

/* -- the roles are exchanged ---------------------------------------------- */

static void expect_files_co(
	struct stack_rig *rig, uint64_t offset, unsigned seed)
{
	struct mirror_pair disk = {
		.rig = rig, .source = stack_rig_source_co(rig, "{" DISK "}")};
	struct mirror_pair copy = {
		.rig = rig, .source = stack_rig_source_co(rig, "{" COPY "}")};

	expect_pattern_co(&disk, offset, seed);
	expect_pattern_co(&copy, offset, seed);
	block_source_put_co(disk.source);
	block_source_put_co(copy.source);
}

/* Listeners of the name stay, those of the image go with it. */
static void test_exchange_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = synced_co(rig, MIRROR(FAULTY));
	struct keeper keeper;
	char *first;

	(void)argument;
	keeper_start(&keeper, rig);
	pair_job_end_co(exchange_co(&pair), JOB_DONE, NULL);
	CHECK_FIND(keeper.kept,
		"\"leg\": {\"protocol\": {\"type\": \"file\", \"name\": "
		"\"file\", \"path\": \"disk\"");
	CHECK_FIND(keeper.kept,
		"{\"type\": \"fault\", \"name\": \"g\", \"seed\": 1}], "
		"\"protocol\": {\"type\": \"file\"");
	pair_expect_state(&pair, "in sync");
	expect_pattern_co(&pair, 0, 1);
	CHECK_INT(pair_write_co(&pair, 2 * PAIR_GRANULE, 3), 0);
	/* What fails now is the old file's: the leg's. */
	first = strdup(keeper.kept);
	pair_job_end_co(exchange_co(&pair), JOB_DONE, NULL);
	pair_job_end_co(exchange_co(&pair), JOB_DONE, NULL);
	CHECK(!strcmp(first, keeper.kept));
	free(first);
	free(stack_rig_command_co(rig, pair.source, "g", "add",
		"{op: write, error: EIO, offset: 192K, length: 64K}"));
	CHECK_INT(pair_write_co(&pair, 3 * PAIR_GRANULE, 4), -EIO);
	pair_job_end_co(
		exchange_co(&pair), JOB_FAILED, "the leg lacks 65536 bytes");
	free(stack_rig_command_co(rig, pair.source, "g", "clear", NULL));
	pair_resync_co(&pair);
	CHECK_INT(pair_write_co(&pair, 3 * PAIR_GRANULE, 4), 0);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), 0);
	block_source_put_co(pair.source);
	expect_files_co(rig, 2 * PAIR_GRANULE, 3);
	expect_files_co(rig, 3 * PAIR_GRANULE, 4);
	/* What was kept opens it. */
	pair.source = stack_rig_source_co(rig, keeper.kept);
	expect_pattern_co(&pair, 3 * PAIR_GRANULE, 4);
	block_source_put_co(pair.source);
	keeper_end(&keeper, rig);
}

/* Nothing has happened when it cannot be kept: also not to the fault that was to go. */
static void test_exchange_refused_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = synced_co(rig,
		"{listeners: [{type: mirror, name: m, leg: {" COPY
		"}}, {type: fault, name: f}], " DISK "}");
	struct keeper keeper;

	(void)argument;
	keeper_start(&keeper, rig);
	keeper.error = -EIO;
	pair_job_end_co(exchange_co(&pair), JOB_FAILED, "nothing is kept");
	pair_expect_state(&pair, "in sync");
	struct stack_rig_request request;
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, 3);
	free(stack_rig_command_co(
		rig, pair.source, "f", "hold", "{op: write}"));
	stack_rig_submit(pair.source, block_core_lane(rig->core, 0), &request,
		BLOCK_WRITE, 0, 0, PAIR_BLOCK, data);
	stack_rig_until_co(rig, pair.source, "held", 1);
	free(stack_rig_command_co(rig, pair.source, "f", "clear", NULL));
	CHECK_INT(stack_rig_wait_co(&request), 0);
	free(data);
	keeper.error = 0;
	pair_job_end_co(exchange_co(&pair), JOB_DONE, NULL);
	CHECK_FIND(keeper.kept,
		"\"leg\": {\"listeners\": [{\"type\": "
		"\"fault\", \"name\": \"f\", \"seed\": 1}]");
	CHECK_INT(pair_write_co(&pair, 0, 4), 0);
	block_source_put_co(pair.source);
	expect_files_co(rig, 0, 4);
	keeper_end(&keeper, rig);
}

/* The map is of the leg that is one now. */
static void test_exchange_map_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = synced_co(rig,
		"{listeners: [{type: mirror, name: m, granularity: 64K, map: "
		"marks, leg: {" COPY "}}], " DISK "}");
	struct keeper keeper;

	(void)argument;
	keeper_start(&keeper, rig);
	pair_job_end_co(exchange_co(&pair), JOB_DONE, NULL);
	CHECK_INT(pair_write_co(&pair, 9 * PAIR_GRANULE, 3), 0);
	block_source_put_co(pair.source);
	pair.source = stack_rig_source_co(rig, keeper.kept);
	uint64_t behind = pair_behind(&pair);
	CHECK(behind >= PAIR_GRANULE && behind <= 3 * PAIR_GRANULE);
	pair_resync_co(&pair);
	pair_job_end_co(exchange_co(&pair), JOB_DONE, NULL);
	block_source_put_co(pair.source);
	expect_files_co(rig, 9 * PAIR_GRANULE, 3);
	keeper_end(&keeper, rig);
}

/* There and back, under I/O. */
static void test_exchange_load_co(struct stack_rig *rig, void *argument)
{
	struct mirror_pair pair = synced_co(rig,
		"{listeners: [{type: mirror, name: m, granularity: 64K, leg: "
		"{listeners: [{type: fault, name: there}], protocol: {type: "
		"file, path: copy, size: 1M}}}, {type: fault, name: "
		"here}], " DISK "}");
	struct worker *worker = calloc(rig->lanes, sizeof *worker);
	_Atomic bool stop = false;

	(void)argument;
	for (unsigned i = 0; i < rig->lanes; i++) {
		worker[i] = (struct worker){.task = {.run_co = worker_co},
			.source = pair.source,
			.stop = &stop};
		stack_rig_start(rig, i, &worker[i].task);
	}
	for (unsigned i = 0; i < 6; i++) {
		pair_job_end_co(exchange_co(&pair), JOB_DONE, NULL);
		pair_expect_state(&pair, "in sync");
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < rig->lanes; i++)
		stack_rig_join_co(&worker[i].task);
	CHECK_INT(pair_transfer_co(&pair, BLOCK_FLUSH, 0, 0, NULL), 0);
	expect_pattern_co(&pair, PAIR_GRANULE, 2);
	block_source_put_co(pair.source);
	expect_files_co(rig, PAIR_GRANULE, 2);
	pair.source = stack_rig_source_co(rig, "{" DISK "}");
	pair.leg = stack_rig_source_co(rig, "{" COPY "}");
	CHECK(pair_is_equal_co(&pair));
	mirror_pair_end_co(&pair);
	free(worker);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_pivot_co),
		ROWS(test_refused_co),
		ROWS(test_named_co),
		ROWS(test_late_co),
		ROWS(test_load_co),
		ROWS(test_exchange_co),
		ROWS(test_exchange_refused_co),
		ROWS(test_exchange_map_co),
		ROWS(test_exchange_load_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
