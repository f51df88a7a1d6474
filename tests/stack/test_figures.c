/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lanes, rings and sources say of themselves; a volume as people see it.
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "blockcore/figures.h"
#include "target/volume/view.h"
#include "tests/lib/scsi_rig.h"

#include <errno.h>

#define MEGABYTE (1u << 20)
#define DISK "{protocol: {type: file, path: disk, size: 8M, cache: writeback}}"

/* -- lanes ------------------------------------------------------------------ */

static void lanes_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, DISK);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct block_lane_figures before[3], after[3];
	uint8_t *data = stack_rig_pattern(MEGABYTE, 1);
	struct buf *buf;

	(void)argument;
	block_figures_co(rig->core, before);
	buf = buf_get(lane->pool, 64 << 10);
	for (unsigned i = 0; i < 10; i++)
		CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE, 0,
				  i * 4096, 4096, data),
			0);
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_FLUSH, 0, 0, 0, NULL), 0);
	block_figures_co(rig->core, after);
	CHECK_INT(after[0].ring.queued - before[0].ring.queued, 11);
	CHECK_INT(after[0].ring.done, after[0].ring.queued);
	CHECK(rig->simulated ||
		after[0].ring.submits >= before[0].ring.submits + 11);
	CHECK_INT(after[0].buffer_used_bytes - before[0].buffer_used_bytes,
		64 << 10);
	CHECK(after[0].buffer_bytes >= 8 * MEGABYTE);
	CHECK_INT(after[1].ring.queued, before[1].ring.queued);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(after[i].turns > before[i].turns);
		CHECK(after[i].up_ns >= before[i].up_ns);
		CHECK(after[i].busy_ns >= before[i].busy_ns);
	}
	buf_put(buf);
	free(data);
	block_source_put_co(source);
}

/* -- space ------------------------------------------------------------------ */

static uint64_t allocated_co(struct block_source *source)
{
	struct ring_space space = {.used_bytes = UINT64_MAX};

	CHECK_INT(block_source_space_co(source, &space), 0);
	return space.used_bytes;
}

static void fill_co(struct stack_rig *rig, struct block_source *source)
{
	uint8_t *data = stack_rig_pattern(MEGABYTE, 1);
	struct block_lane *lane = block_core_lane(rig->core, 0);

	CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE, 0, MEGABYTE,
			  MEGABYTE, data),
		0);
	CHECK_INT(
		block_transfer_co(source, lane, BLOCK_FLUSH, 0, 0, 0, NULL), 0);
	free(data);
}

/* A sparse file takes up what was written, through whatever shows it. */
static void space_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(rig, argument);
	uint64_t before = allocated_co(source), after;

	CHECK(before < MEGABYTE);
	fill_co(rig, source);
	after = allocated_co(source);
	CHECK(after >= before + MEGABYTE);
	CHECK(after < 2 * MEGABYTE);
	block_source_put_co(source);
}

static void no_space_co(struct stack_rig *rig, void *argument)
{
	struct block_source *source = stack_rig_source_co(
		rig, "{protocol: {type: 'null', size: 1G}}");
	struct ring_space space;

	(void)argument;
	CHECK_INT(block_source_space_co(source, &space), -EOPNOTSUPP);
	block_source_put_co(source);
}

struct closer {
	struct block_source *source;
	struct co *waiter;
	bool closed;
};

static void close_entry(void *argument)
{
	struct closer *closer = argument;

	block_source_put_co(closer->source);
	closer->closed = true;
	if (closer->waiter)
		co_resume(closer->waiter);
}

static void ask_entry(void *argument)
{
	struct ring_space space;

	CHECK_INT(block_source_space_co(argument, &space), 0);
}

/* Who asks is waited for by who closes; who asks during a change is sent away. */
static void closing_co(struct stack_rig *rig, void *argument)
{
	struct closer closer = {.source = stack_rig_source_co(rig, DISK)};
	struct ring_space space;

	(void)argument;
	CHECK(co_start(ask_entry, closer.source));
	CHECK_INT(block_source_space_co(closer.source, &space), -EBUSY);
	CHECK(co_start(close_entry, &closer));
	CHECK(!closer.closed);
	closer.waiter = co_self();
	while (!closer.closed)
		co_yield ();
}

/* -- a volume --------------------------------------------------------------- */

static struct scsi_rig rig;
static struct scsi_rig_command command;
static struct volume_view view;

static void register_co(unsigned host, uint8_t action, uint8_t type)
{
	uint8_t list[24] = {0};

	put_be64(list + (action == 1 ? 0 : 8), 0xc0 + host);
	CHECK_INT(scsi_rig_do_co(&rig, host, &command,
			  SCSI_RIG_CDB(0x5f, action, type, 0, 0, 0, 0, 0, 24),
			  list, 24),
		SCSI_GOOD);
	volume_view_get(rig.volume, &view);
}

static void reserved(void)
{
	CHECK(view.reservations == NULL && view.holder == NULL);
	register_co(0, 0, 0);
	register_co(1, 0, 0);
	CHECK_INT(view.reservations->registrants, 2);
	CHECK_INT(view.reservations->type, RESERVATION_NONE);
	CHECK(view.holder == NULL);
	register_co(1, 1, RESERVATION_WRITE_EXCLUSIVE);
	CHECK_INT(view.reservations->type, RESERVATION_WRITE_EXCLUSIVE);
	CHECK(view.holder != NULL);
	CHECK_INT(view.holder->key, 0xc1);
}

static void volume_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = DISK, .block_bytes = 4096, .removable = true};
	struct ring_space space;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	volume_view_get(rig.volume, &view);
	CHECK(view.online && !view.failed && !view.ejected && !view.read_only);
	CHECK(view.write_cache && !view.removal_prevented);
	CHECK(!*view.offline_reason);
	CHECK_INT(view.size_bytes, 8 * MEGABYTE);
	CHECK_INT(view.block_bytes, 4096);
	CHECK_INT(view.nexuses, SCSI_RIG_HOSTS);
	CHECK_INT(volume_space_co(rig.volume, &space), 0);
	CHECK(space.used_bytes < MEGABYTE);
	volume_change_modes_co(rig.volume,
		VOLUME_WRITE_CACHE | VOLUME_WRITE_PROTECT, VOLUME_WRITE_PROTECT,
		false);
	volume_view_get(rig.volume, &view);
	CHECK(view.read_only && !view.write_cache);
	reserved();
	SCSI_RIG_GOOD(&rig, 1, &command, 0x1e, 0, 0, 0, 1);
	volume_view_get(rig.volume, &view);
	CHECK(view.removal_prevented);
	volume_failed(rig.volume, "a test");
	volume_offline_co(rig.volume, "the disk was pulled");
	volume_view_get(rig.volume, &view);
	CHECK(view.failed && !view.online);
	CHECK(!strcmp(view.offline_reason, "the disk was pulled"));
	CHECK_INT(view.size_bytes, 0);
	CHECK_INT(volume_space_co(rig.volume, &space), -ENODEV);
	scsi_rig_close_co(&rig);
}

#define ROW_WITH(body, argument) \
	STACK_RIG_CASE_WITH( \
		body, argument, "sim", .world = "simulated", .lanes = 3), \
		STACK_RIG_CASE_WITH(body, argument, "threads", \
			.world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW_WITH(lanes_co, NULL),
		ROW_WITH(space_co, DISK),
		ROW_WITH(space_co, "{source: " DISK "}"),
		ROW_WITH(space_co,
			"{format: {type: raw, file: " DISK "}, view: current}"),
		ROW_WITH(space_co,
			"{format: {type: qcow2, pool: 128K, size: 8M, file: "
			"{protocol: {type: file, path: disk, size: 4K}}}}"),
		ROW_WITH(space_co, "{protocol: {type: mem, size: 8M}}"),
		ROW_WITH(no_space_co, NULL),
		ROW_WITH(closing_co, NULL),
		ROW_WITH(volume_co, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
