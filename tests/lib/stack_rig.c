/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. This part is the same for real lanes and for simulated ones.
 */
#include "tests/lib/stack_rig.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/core/core.h"
#include "blockcore/format/format.h"
#include "tests/lib/no_uring.h"
#include "tests/lib/stack_sim.h"
#include "tests/lib/stack_threads.h"

struct stack_rig_text {
	struct doc *doc;
	struct stack_rig_text *next;
};

#define POOL_BYTES (8u << 20) /* room for the largest transfer */
#define POLL_NS 1000000u
#define POLLS 60000

/* -- making --------------------------------------------------------------- */

static void driver_failed(struct block_core_watcher *watcher,
	struct block_driver *driver, int error, const char *text)
{
	struct stack_rig *rig =
		container_of(watcher, struct stack_rig, watcher);

	(void)driver;
	CHECK(error < 0 && text);
	rig->failures++;
}

static void make_folder(struct stack_rig *rig)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(rig->folder, sizeof rig->folder, "%s/cairn-stack-XXXXXX",
		tmp && *tmp ? tmp : "/var/tmp");
	if (!mkdtemp(rig->folder))
		check_fail(__FILE__, __LINE__, "%s: %s", rig->folder,
			strerror(errno));
}

struct stack_rig *stack_rig_new(const struct stack_rig_setup *setup)
{
	struct stack_rig_setup full = *setup;
	struct stack_rig *rig;

	no_uring_skip(full.world);
	rig = calloc(1, sizeof *rig);
	CHECK(rig != NULL);
	if (!full.pool_bytes)
		full.pool_bytes = POOL_BYTES;
	rig->lanes = full.lanes;
	rig->watcher.driver_failed = driver_failed;
	rig->simulated = !strcmp(full.world, "simulated");
	if (!rig->simulated)
		make_folder(rig);
	rig->ops = rig->simulated ? &stack_sim_ops : &stack_threads_ops;
	rig->ops->start(rig, &full);
	return rig;
}

static void remove_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		closedir(folder);
	rmdir(path);
}

void stack_rig_free(struct stack_rig *rig)
{
	struct stack_rig_text *text;

	rig->ops->stop(rig);
	while ((text = rig->texts)) {
		rig->texts = text->next;
		doc_free(text->doc);
		free(text);
	}
	if (!rig->simulated)
		remove_folder(rig->folder);
	free(rig);
}

/* -- running -------------------------------------------------------------- */

struct body {
	void (*run_co)(struct stack_rig *rig, void *argument);
	struct stack_rig *rig;
	void *argument;
	struct loop_message message;
};

static void body_entry(void *argument)
{
	struct body *body = argument;

	body->run_co(body->rig, body->argument);
	body->rig->ops->finish(body->rig);
}

static void body_start(struct loop_message *message)
{
	struct body *body = container_of(message, struct body, message);

	CHECK(co_start(body_entry, body));
}

void stack_rig_run(struct stack_rig *rig,
	void (*body_co)(struct stack_rig *rig, void *argument), void *argument)
{
	struct body body = {.run_co = body_co,
		.rig = rig,
		.argument = argument,
		.message = {.run = body_start}};

	loop_post(block_core_lane(rig->core, 0)->loop, &body.message);
	rig->ops->run(rig);
}

void stack_rig_test(const struct stack_rig_setup *setup,
	void (*body_co)(struct stack_rig *rig, void *argument), void *argument)
{
	struct stack_rig *rig = stack_rig_new(setup);

	stack_rig_run(rig, body_co, argument);
	stack_rig_free(rig);
}

void stack_rig_run_case(void **state)
{
	struct stack_rig_case *row = *state;

	stack_rig_test(&row->setup, row->body_co, row->argument);
}

static void task_back(struct loop_message *message)
{
	struct stack_rig_task *task =
		container_of(message, struct stack_rig_task, message);

	task->done = true;
	if (task->waiter)
		co_resume(task->waiter);
}

static void task_entry(void *argument)
{
	struct stack_rig_task *task = argument;

	task->run_co(task);
	task->message.run = task_back;
	loop_post(block_core_lane(task->rig->core, 0)->loop, &task->message);
}

static void task_start(struct loop_message *message)
{
	CHECK(co_start(task_entry,
		container_of(message, struct stack_rig_task, message)));
}

void stack_rig_start(
	struct stack_rig *rig, unsigned lane, struct stack_rig_task *task)
{
	task->rig = rig;
	task->lane = block_core_lane(rig->core, lane);
	task->waiter = NULL;
	task->done = false;
	task->message.run = task_start;
	loop_post(task->lane->loop, &task->message);
}

void stack_rig_join_co(struct stack_rig_task *task)
{
	task->waiter = co_self();
	while (!task->done)
		co_yield ();
}

/* -- sources -------------------------------------------------------------- */

const struct doc *stack_rig_doc(struct stack_rig *rig, const char *text)
{
	struct stack_rig_text *kept = calloc(1, sizeof *kept);
	struct err err = {0};

	CHECK(kept != NULL);
	kept->doc = doc_parse("test", text, strlen(text), &err);
	if (!kept->doc)
		check_fail(__FILE__, __LINE__, "%s: %s", text, err.text);
	kept->next = rig->texts;
	rig->texts = kept;
	return kept->doc;
}

int stack_rig_build_co(struct stack_rig *rig, const char *document,
	struct block_source **source, struct err *err)
{
	char name[32];

	snprintf(name, sizeof name, "source-%u", ++rig->sources);
	return spec_build_co(rig->core, name, NULL,
		stack_rig_doc(rig, document), source, err);
}

struct block_source *stack_rig_source_co(
	struct stack_rig *rig, const char *document)
{
	struct block_source *source = NULL;
	struct err err = {0};

	if (stack_rig_build_co(rig, document, &source, &err))
		check_fail(__FILE__, __LINE__, "%s: %s", document, err.text);
	return source;
}

char *stack_rig_status(struct block_source *source)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	CHECK(out != NULL);
	spec_print(source, true, out);
	CHECK(fclose(out) == 0);
	return text;
}

uint64_t stack_rig_figure(struct block_source *source, const char *key)
{
	char *status = stack_rig_status(source), quoted[64];
	const char *at;
	uint64_t value;

	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	at = CHECK_FIND(status, quoted);
	value = strtoull(at + strlen(quoted), NULL, 10);
	free(status);
	return value;
}

void stack_rig_until_co(struct stack_rig *rig, struct block_source *source,
	const char *key, uint64_t least)
{
	struct loop *loop = block_core_lane(rig->core, 0)->loop;
	int polls = 0;

	while (stack_rig_figure(source, key) < least) {
		if (++polls == POLLS)
			check_fail(__FILE__, __LINE__, "%s stays below %llu",
				key, (unsigned long long)least);
		loop_sleep_co(loop, POLL_NS);
	}
}

char *stack_rig_command_co(struct stack_rig *rig, struct block_source *source,
	const char *driver, const char *verb, const char *arguments)
{
	struct err err = {0};
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	const struct doc *doc =
		arguments ? stack_rig_doc(rig, arguments) : NULL;

	CHECK(out != NULL);
	/* What did it would leave nothing for the second one. */
	if (spec_command_rehearse_co(source, driver, verb, doc, &err) ||
		spec_command_co(source, driver, verb, doc, out, &err))
		check_fail(__FILE__, __LINE__, "%s: %s", verb, err.text);
	CHECK(fclose(out) == 0);
	return text;
}

/* -- requests ------------------------------------------------------------- */

static void request_done(struct block_request *request)
{
	struct stack_rig_request *mine =
		container_of(request, struct stack_rig_request, request);

	CHECK(!mine->done);
	mine->done = true;
	if (mine->waiter)
		co_resume(mine->waiter);
}

static void request_fill(struct stack_rig_request *mine,
	struct block_lane *lane, enum block_opcode op, uint64_t offset_bytes,
	uint64_t length_bytes)
{
	struct block_request *request = &mine->request;

	mine->waiter = NULL;
	mine->done = false;
	block_request_init(request, lane);
	request->op = (uint8_t)op;
	request->flags = 0;
	request->offset_bytes = offset_bytes;
	request->length_bytes = length_bytes;
	request->iov = &mine->iov;
	request->iov_count = 0;
	request->done = request_done;
}

void stack_rig_submit_iov(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *mine, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, const struct iovec *iov,
	uint32_t iov_count)
{
	request_fill(mine, lane, op, offset_bytes, length_bytes);
	mine->request.flags = (uint16_t)flags;
	mine->request.iov = iov;
	mine->request.iov_count = iov_count;
	block_submit(source, &mine->request);
	CHECK(!mine->done); /* never inside */
}

void stack_rig_submit(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *mine, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, void *data)
{
	mine->iov = (struct iovec){data, length_bytes};
	stack_rig_submit_iov(source, lane, mine, op, flags, offset_bytes,
		length_bytes, &mine->iov, data ? 1 : 0);
}

void stack_rig_submit_as(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *mine, enum block_opcode op,
	enum block_purpose purpose, uint64_t offset_bytes,
	uint64_t length_bytes, void *data)
{
	mine->iov = (struct iovec){data, length_bytes};
	request_fill(mine, lane, op, offset_bytes, length_bytes);
	mine->request.flags = 0;
	mine->request.purpose = (uint8_t)purpose;
	mine->request.iov = &mine->iov;
	mine->request.iov_count = data ? 1 : 0;
	block_submit(source, &mine->request);
	CHECK(!mine->done);
}

void stack_rig_submit_extents(struct block_source *source,
	struct block_lane *lane, struct stack_rig_request *mine,
	uint64_t offset_bytes, uint64_t length_bytes,
	struct block_extents *answer)
{
	request_fill(mine, lane, BLOCK_EXTENTS, offset_bytes, length_bytes);
	mine->request.extents = answer;
	block_submit(source, &mine->request);
	CHECK(!mine->done);
}

int stack_rig_wait_co(struct stack_rig_request *mine)
{
	mine->waiter = co_self();
	while (!mine->done)
		co_yield ();
	return mine->request.result;
}

/* -- data ----------------------------------------------------------------- */

uint8_t *stack_rig_pattern(size_t bytes, unsigned seed)
{
	uint8_t *data = aligned_alloc(4096, (bytes + 4095) & ~4095ul);
	size_t i;

	CHECK(data != NULL);
	for (i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 9) * 31 + seed * 101 + 1);
	return data;
}

void stack_rig_expect_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset_bytes, uint64_t length_bytes, const uint8_t *expected)
{
	uint8_t *data = stack_rig_pattern(length_bytes, 12345);
	uint64_t i;

	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_READ, 0, offset_bytes, length_bytes, data),
		0);
	for (i = 0; i < length_bytes; i++)
		if (data[i] != (expected ? expected[i] : 0))
			check_fail(__FILE__, __LINE__,
				"byte %llu is %u, not %u",
				(unsigned long long)(offset_bytes + i), data[i],
				expected ? expected[i] : 0);
	free(data);
}

int stack_rig_stamp_co(struct stack_rig *rig, struct block_source *source,
	uint8_t stamp, uint64_t offset_bytes)
{
	uint8_t data[4096];

	memset(data, stamp, sizeof data);
	return block_transfer_co(source, block_core_lane(rig->core, 0),
		BLOCK_WRITE, 0, offset_bytes, sizeof data, data);
}

int stack_rig_stamp_of_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset_bytes)
{
	uint8_t data[512];
	int error = block_transfer_co(source, block_core_lane(rig->core, 0),
		BLOCK_READ, 0, offset_bytes, sizeof data, data);

	return error ? error : data[0];
}

struct block_source *stack_rig_backing(const struct block_source *source)
{
	const struct block_driver *bottom = block_stack_bottom(source->current);

	return bottom->kind->role == BLOCK_VIEW
		? container_of(bottom, struct block_view, driver)
			  ->format->backing
		: NULL;
}
