/* SPDX-License-Identifier: Apache-2.0 */
/* See job_cases.h. */
#include "tests/lib/job_cases.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS (20ull * 1000 * 1000 * 1000)
#define WRITTEN_BYTES (64u << 10)
#define BLOCK_BYTES 4096u
#define HOST_EVERY 64u /* blocks: one of so many is the host's */

#define FILE_OF(name, size) \
	"protocol: {type: file, locking: false, path: " name ", size: " size "}"
#define DISK "{protocol: {type: file, locking: false, path: disk}}"
#define OVER_OF(cluster, name) \
	"{format: {type: qcow2, cluster_size: " cluster \
	", file: {" FILE_OF(name, "4K") "}}}"
#define OVER(name) OVER_OF("64K", name)
#define IMAGE(name) \
	"{format: {type: qcow2, cluster_size: 64K, size: 4M, file: " \
	"{" FILE_OF(name, "4K") "}}}"
#define MAPPED \
	"{format: {type: qcow2, cluster_size: 64K, subclusters: \"off\", " \
	"size: 32G, preallocation: metadata, file: {" FILE_OF( \
		"image", "4K") "}}}"

#define MIRRORED \
	"{listeners: [{type: mirror, name: m, leg: {" FILE_OF( \
		"copy", "4M") "}}], protocol: {type: file, locking: false, " \
			      "path: disk}}"
#define MARKED \
	"{listeners: [{type: mirror, name: m, map: marks, leg: {" FILE_OF( \
		"image", "4M") "}}], protocol: {type: file, locking: false, " \
			       "path: disk}}"
#define KEPT "{type: backup, name: b, target: {" FILE_OF("copy", "4M") "}}"

#define KIND(name, options_, source_, ...) \
	{ \
		.kind = name, .options = options_, .source = source_, \
		__VA_ARGS__ \
	}

const struct job_kind_case job_kind_cases[JOB_KIND_CASES] = {
	KIND("copy", "{to: {" FILE_OF("copy", "4M") "}}", DISK,
		.copy = "data/copy"),
	KIND("copy", "{to: {" FILE_OF("copy", "4M") "}}",
		"{listeners: [{type: readonly}], protocol: {type: file, "
		"locking: false, path: disk}}",
		.copy = "data/copy", .read_only = true, .resumes = "data/disk"),
	KIND("copy", "{to: {" FILE_OF("copy", "4M") "}}", DISK,
		.copy = "data/copy", .carried = true),
	KIND("migrate", "{to: " IMAGE("image") "}", DISK, ),
	KIND("migrate", "{to: " IMAGE("image") "}", DISK, .carried = true),
	KIND("commit", "{}", DISK, .image = {OVER_OF("4K", "over")},
		.resumes = "data/over"),
	KIND("flatten", "{}", DISK, .image = {OVER("over")},
		.resumes = "data/disk"),
	KIND("commit", "{image: image}", DISK,
		.image = {OVER("image"), OVER("over")},
		.resumes = "data/image"),
	KIND("flatten", "{image: image}", DISK,
		.image = {OVER("image"), OVER("over")}, .resumes = "data/disk"),
	KIND("stream", "{base: disk}", DISK,
		.image = {OVER("image"), OVER("over")},
		.resumes = "data/image"),
	KIND("rebase", "{to: {" FILE_OF("copy", "4M") "}}", DISK,
		.image = {OVER("over")}, .resumes = "data/copy"),
	KIND("resync", "{}", MIRRORED, .copy = "data/copy"),
	KIND("migrate", "{listener: m}", MARKED, ),
	KIND("backup", "{listener: b}", DISK, .listener = KEPT),
	KIND("scrub", "{}", DISK, .resumes = "data/disk"),
	KIND("check", "{}", MAPPED, ),
	KIND("fill", "{}", DISK, .destroys = true),
};

/* -- the source ------------------------------------------------------------ */

static void transfer_co(struct job_trial *trial, enum block_opcode op,
	uint64_t offset, uint64_t bytes, uint8_t *data)
{
	CHECK_INT(block_transfer_co(trial->source, trial->lane, op, 0, offset,
			  bytes, data),
		0);
}

/* Every other piece is in the new image, the others in the next one. */
static void snapshot_co(
	struct job_trial *trial, const char *image, unsigned number)
{
	struct spec_overlay overlay = {
		.document = stack_rig_doc(trial->rig, image),
		.deadline_ns = PATIENCE_NS,
	};
	struct err err = {0};
	uint8_t *data = stack_rig_pattern(WRITTEN_BYTES, 2 + number);

	if (spec_overlay_co(trial->source, &overlay, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	for (uint64_t at = number * (uint64_t)WRITTEN_BYTES;
		at < JOB_CASE_BYTES; at += 2 * WRITTEN_BYTES) {
		memcpy(trial->expected + at, data, WRITTEN_BYTES);
		transfer_co(trial, BLOCK_WRITE, at, WRITTEN_BYTES, data);
	}
	free(data);
}

static void start_job_co(struct job_trial *trial, uint64_t cursor)
{
	const struct job_kind_case *kind = trial->kind;
	struct err err = {0};

	if (job_start_co(trial->rig->core, trial->source, kind->kind,
		    stack_rig_doc(trial->rig, kind->options), cursor,
		    &trial->job, &err))
		check_fail(__FILE__, __LINE__, "%s: %s", kind->kind, err.text);
}

static bool has_host(const struct job_trial *trial)
{
	return !trial->kind->destroys && !trial->kind->read_only;
}

void job_trial_begin_co(struct job_trial *trial, struct stack_rig *rig,
	const struct job_kind_case *kind)
{
	struct err err = {0};

	*trial = (struct job_trial){.rig = rig,
		.kind = kind,
		.lane = block_core_lane(rig->core, 0),
		.expected = stack_rig_pattern(JOB_CASE_BYTES, 1)};
	if (kind->carried)
		job_book_open(&trial->book, rig->core);
	sim_world_put(rig->world, "data/disk", trial->expected, JOB_CASE_BYTES);
	trial->source = stack_rig_source_co(rig, kind->source);
	if (block_source_info(trial->source, trial->lane).size_bytes !=
		JOB_CASE_BYTES)
		memset(trial->expected, 0, JOB_CASE_BYTES);
	if (kind->listener)
		CHECK_INT(
			spec_attach_co(trial->source,
				stack_rig_doc(rig, kind->listener), NULL, &err),
			0);
	for (unsigned i = 0; i < 2 && kind->image[i]; i++)
		snapshot_co(trial, kind->image[i], i);
	start_job_co(trial, 0);
}

void job_trial_resume_co(struct job_trial *trial, struct stack_rig *rig,
	const struct job_trial *before, const char *document, uint64_t cursor)
{
	*trial = (struct job_trial){.rig = rig,
		.kind = before->kind,
		.lane = block_core_lane(rig->core, 0),
		.expected = calloc(1, JOB_CASE_BYTES)};
	CHECK(trial->expected != NULL);
	memcpy(trial->expected, before->expected, JOB_CASE_BYTES);
	if (before->kind->carried) {
		job_book_open(&trial->book, rig->core);
		job_book_copy(&trial->book, &before->book);
	}
	trial->source = stack_rig_source_co(rig, document);
	if (before->unsure_bytes)
		transfer_co(trial, BLOCK_READ, before->unsure_at,
			before->unsure_bytes,
			trial->expected + before->unsure_at);
	if (before->book.kept)
		return;
	job_trial_host_start(trial);
	while (has_host(trial) && trial->host.requests < 20)
		loop_sleep_co(trial->lane->loop, 1000000);
	start_job_co(trial, cursor);
}

void job_trial_end_co(struct job_trial *trial)
{
	if (trial->job)
		job_free(trial->job);
	block_source_put_co(trial->source);
	job_book_close(&trial->book);
	free(trial->expected);
}

void job_trial_expect_co(struct job_trial *trial)
{
	const struct job_kind_case *kind = trial->kind;
	uint8_t *data;

	if (kind->destroys)
		return;
	stack_rig_expect_co(
		trial->rig, trial->source, 0, JOB_CASE_BYTES, trial->expected);
	if (!kind->copy || (trial->host.requests && !trial->still))
		return;
	data = calloc(1, JOB_CASE_BYTES);
	CHECK(sim_world_get(
		trial->rig->world, kind->copy, 0, data, JOB_CASE_BYTES));
	CHECK(!memcmp(data, trial->expected, JOB_CASE_BYTES));
	free(data);
}

struct job_traffic job_trial_traffic(const struct job_trial *trial)
{
	static const char *const files[JOB_FILES] = {"data/disk", "data/copy",
		"data/image", "data/over", "data/other"};
	struct job_traffic traffic;

	for (unsigned i = 0; i < JOB_FILES; i++)
		traffic.file[i] =
			sim_world_traffic(trial->rig->world, files[i]);
	return traffic;
}

/* -- the host --------------------------------------------------------------- */

static void host_request_co(struct job_trial *trial, enum block_opcode op,
	uint64_t offset, uint8_t *data)
{
	struct block_lane *lane = trial->host.task.lane;
	uint64_t before_ns = loop_now_ns(lane->loop);

	CHECK_INT(block_transfer_co(trial->source, lane, op, 0, offset,
			  BLOCK_BYTES, data),
		0);
	uint64_t took_ns = loop_now_ns(lane->loop) - before_ns;
	if (took_ns > trial->host.slowest_ns)
		trial->host.slowest_ns = took_ns;
	trial->host.requests++;
}

/* The job may end between a write and the comparison at its end: `expected` holds
 * what is written before it is. */
static void host_co(struct stack_rig_task *task)
{
	struct job_trial *trial = task->argument;
	uint64_t random = 5;
	uint8_t *data = stack_rig_pattern(BLOCK_BYTES, 9);
	uint8_t *read = stack_rig_pattern(BLOCK_BYTES, 9);

	while (!trial->host.stop) {
		uint64_t blocks = JOB_CASE_BYTES / BLOCK_BYTES / HOST_EVERY;
		uint64_t at =
			prng_below(&random, blocks) * HOST_EVERY * BLOCK_BYTES;

		memset(data, (int)prng_below(&random, 256), BLOCK_BYTES);
		host_request_co(trial, BLOCK_WRITE, at, data);
		memcpy(trial->expected + at, data, BLOCK_BYTES);
		host_request_co(trial, BLOCK_READ, at, read);
		CHECK(!memcmp(data, read, BLOCK_BYTES));
	}
	CHECK_INT(block_transfer_co(trial->source, task->lane, BLOCK_FLUSH, 0,
			  0, 0, NULL),
		0);
	free(read);
	free(data);
}

void job_trial_host_start(struct job_trial *trial)
{
	if (!has_host(trial))
		return;
	trial->host = (struct job_host){
		.task = {.run_co = host_co, .argument = trial}};
	stack_rig_start(trial->rig, trial->rig->lanes - 1, &trial->host.task);
}

void job_trial_host_stop_co(struct job_trial *trial)
{
	struct job_host *host = &trial->host;

	if (!has_host(trial) || host->stopped)
		return;
	host->stop = true;
	stack_rig_join_co(&host->task);
	CHECK(host->requests > 0);
	CHECK(host->slowest_ns < JOB_HOST_PATIENCE_NS);
	host->stopped = true;
}
