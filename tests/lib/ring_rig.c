/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/ring_rig.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "blockcore/base/list.h"
#include "blockcore/loop/loop_epoll.h"

#define WATCHDOG_NS 60000000000u

static void rig_bark(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("an operation did not end within a minute");
}

struct ring_rig *ring_rig_new(const char *world)
{
	struct err err = {0};
	struct ring_rig *rig = calloc(1, sizeof *rig);
	assert_non_null(rig);
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(rig->folder, sizeof rig->folder,
		"%s/cairn-ring-XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
	assert_true(n > 0 && (size_t)n < sizeof rig->folder);
	assert_non_null(mkdtemp(rig->folder));
	snprintf(rig->path, sizeof rig->path, "%s/disk", rig->folder);
	rig->watchdog.expired = rig_bark;
	rig->loop = loop_epoll_new(&err);
	if (!rig->loop)
		fail_msg("%s", err.text);
	rig->world = ring_world_real(world, &err);
	if (!rig->world || ring_new(rig->world, rig->loop, &rig->ring, &err))
		fail_msg("%s", err.text);
	return rig;
}

static void rig_remove_folder(const char *path)
{
	DIR *folder = opendir(path);
	assert_non_null(folder);
	struct dirent *entry;
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	rmdir(path);
}

void ring_rig_free(struct ring_rig *rig)
{
	for (unsigned i = 0; i < RING_RIG_OPEN_MAX; i++)
		if (rig->open[i])
			ring_rig_close(rig, rig->open[i]);
	ring_free(rig->ring);
	ring_world_free(rig->world);
	loop_epoll_free(rig->loop);
	rig_remove_folder(rig->folder);
	free(rig);
}

/* Where `file` is noted; NULL: where there is room. */
static struct ring_file **rig_place(
	struct ring_rig *rig, const struct ring_file *file)
{
	unsigned i = 0;
	while (i < RING_RIG_OPEN_MAX && rig->open[i] != file)
		i++;
	assert_true(i < RING_RIG_OPEN_MAX);
	return &rig->open[i];
}

struct ring_file *ring_rig_open(
	struct ring_rig *rig, unsigned flags, uint64_t create_bytes)
{
	struct err err = {0};
	struct ring_file *file;
	if (ring_file_open(
		    rig->world, rig->path, flags, create_bytes, &file, &err))
		fail_msg("%s", err.text);
	*rig_place(rig, NULL) = file;
	return file;
}

void ring_rig_close_only(struct ring_rig *rig, struct ring_file *file)
{
	*rig_place(rig, file) = NULL;
	ring_file_close(file);
}

void ring_rig_close(struct ring_rig *rig, struct ring_file *file)
{
	ring_forget_file(rig->ring, file);
	ring_rig_close_only(rig, file);
}

static void rig_done(struct ring_op *op)
{
	struct ring_rig *rig = container_of(op, struct ring_rig_op, op)->rig;
	assert_true(rig->waiting > 0);
	if (--rig->waiting == 0)
		loop_epoll_stop(rig->loop);
}

void ring_rig_queue(struct ring_rig *rig, struct ring_rig_op *op)
{
	uint32_t waiting = ++rig->waiting;
	op->rig = rig;
	op->op.done = rig_done;
	ring_queue(rig->ring, &op->op);
	assert_int_equal(rig->waiting, waiting); /* never inside */
}

void ring_rig_wait(struct ring_rig *rig)
{
	if (!rig->waiting)
		return;
	loop_timer_set(rig->loop, &rig->watchdog, WATCHDOG_NS);
	loop_epoll_run(rig->loop);
	loop_timer_clear(rig->loop, &rig->watchdog);
	assert_int_equal(rig->waiting, 0);
}

int32_t ring_rig_transfer(struct ring_rig *rig, struct ring_file *file,
	enum ring_opcode opcode, void *data, uint64_t bytes, uint64_t offset)
{
	struct ring_rig_op op = {.single = {data, bytes}};
	op.op.opcode = (uint8_t)opcode;
	op.op.file = file;
	op.op.iov = &op.single;
	op.op.iov_count = 1;
	op.op.offset_bytes = offset;
	op.op.length_bytes = bytes;
	ring_rig_queue(rig, &op);
	ring_rig_wait(rig);
	return op.op.result;
}

int32_t ring_rig_range(struct ring_rig *rig, struct ring_file *file,
	enum ring_opcode opcode, uint64_t bytes, uint64_t offset)
{
	return ring_rig_transfer(rig, file, opcode, NULL, bytes, offset);
}

uint8_t *ring_rig_pattern(size_t bytes, unsigned seed)
{
	void *memory;
	assert_int_equal(posix_memalign(&memory, 4096, bytes), 0);
	uint8_t *data = memory;
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 9) * 31 + seed * 101 + 1);
	return data;
}
