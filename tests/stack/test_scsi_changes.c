/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes under hosts: the size and the limits of the source, who else
 * holds it, what a reset puts back, memory that is short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "blockcore/base/co.h"
#include "target/volume/news.h"
#include "tests/lib/scsi_rig.h"

#include <errno.h>

#define BLOCKS (4u << 20 >> 9)
#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS

static struct scsi_rig rig;
static struct scsi_rig_command command;

static void resize_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{protocol: {type: mem, size: 4M, max_size: 8M}}"};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(spec_resize_co(rig.source, 8u << 20, NULL), 0);
	scsi_rig_settle_co(&rig);
	scsi_rig_settle_co(&rig);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		FAILS(&rig, i, &command, 0x062a09, 0x00);
	GOOD(&rig, 0, &command, 0x25);
	CHECK_INT(get_be32(command.data), 2 * BLOCKS - 1);
	CHECK_INT(spec_resize_co(rig.source, 2u << 20, NULL), 0);
	scsi_rig_settle_co(&rig);
	scsi_rig_settle_co(&rig);
	FAILS(&rig, 3, &command, 0x062a09, 0x00);
	GOOD(&rig, 3, &command, 0x25);
	CHECK_INT(get_be32(command.data), BLOCKS / 2 - 1);
	scsi_rig_close_co(&rig);
}

/* Other data in place of those that hosts know: each is told, once. */
static void content_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	volume_content_changed(rig.volume);
	scsi_rig_settle_co(&rig);
	scsi_rig_settle_co(&rig);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++) {
		FAILS(&rig, i, &command, 0x062800, 0x00);
		GOOD(&rig, i, &command, 0x00);
	}
	scsi_rig_close_co(&rig);
}

static unsigned is_thin(unsigned host)
{
	GOOD(&rig, host, &command, 0x9e, 0x10, [13] = 32);
	return command.data[14] >> 7; /* LBPME, SBC-4 5.16.2 */
}

/* A setting changes: the volume is the same, and hosts hear what they can see of it. */
static void settings_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.space_wait_s = 30};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	struct volume_settings settings = rig.volume->settings;
	unsigned before = is_thin(0);
	settings.space_wait_s = 60;
	volume_settings_take(rig.volume, &settings);
	scsi_rig_settle_co(&rig);
	GOOD(&rig, 0, &command, 0x00); /* they cannot see that */
	CHECK_INT(rig.volume->settings.space_wait_s, 60);
	settings.thin = !before;
	volume_settings_take(rig.volume, &settings);
	scsi_rig_settle_co(&rig);
	scsi_rig_settle_co(&rig);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++) {
		FAILS(&rig, i, &command, 0x062a09, 0x00);
		FAILS(&rig, i, &command, 0x063f03, 0x00);
		CHECK_INT(is_thin(i), !before);
	}
	scsi_rig_close_co(&rig);
}

/* A listener that is attached narrows what the volume shows. */
static void narrowed_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	struct err err = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x1a, 0, 0x08, 0, 64);
	CHECK_INT(command.data[2] & 0x80, 0);
	CHECK_INT(spec_attach_co(rig.source,
			  stack_rig_doc(stack, "{type: readonly, name: ro}"),
			  NULL, &err),
		0);
	scsi_rig_settle_co(&rig);
	scsi_rig_settle_co(&rig);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		FAILS(&rig, i, &command, 0x062a01, 0x00);
	GOOD(&rig, 0, &command, 0x1a, 0, 0x08, 0, 64);
	CHECK_INT(command.data[2] & 0x80, 0x80);
	scsi_rig_close_co(&rig);
}

/* Who writes alone cannot have what a volume shows. */
static void claim_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	struct block_claim claim = {
		.mode = BLOCK_CLAIM_WRITE, .holder = "format of 'it'"};
	struct err err = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(block_source_claim(rig.source, &claim, &err), -EBUSY);
	CHECK(strstr(err.text, "volume 'volume'"));
	volume_offline_co(rig.volume, "a test");
	CHECK_INT(block_source_claim(rig.source, &claim, &err), 0);
	block_source_unclaim(&claim);
	scsi_rig_close_co(&rig);
}

/* Mode pages that were not saved are gone after a reset, PREVENT too. */
static void reset_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t d_sense[16] = {
		0, 0, 0, 0, 0x0a, 0x0a, 0x06, 0x10, 0, 0, 0, 0, 0xff, 0xff};
	const struct scsi_rig_setup setup = {.removable = true};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 16), d_sense, 16),
		SCSI_GOOD);
	GOOD(&rig, 0, &command, 0x1e, 0, 0, 0, 1);
	CHECK_INT(scsi_rig_manage_co(&rig, 0, SCSI_LUN_RESET, NULL),
		SCSI_FUNCTION_COMPLETE);
	FAILS(&rig, 0, &command, 0x062903, 0x00);
	GOOD(&rig, 0, &command, 0x1a, 8, 0x0a, 0, 255);
	CHECK_INT(command.data[4 + 2] & 4, 0);
	GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, 2);
	scsi_rig_close_co(&rig);
}

/* Short of memory is no error of the medium, and no reason to fail a volume. */
static void no_memory_co(struct stack_rig *stack, void *argument)
{
	static const struct {
		const char *rule;
		uint8_t opcode;
	} rows[] = {
		{"{op: read, error: ENOMEM, count: 1}", 0x28},
		{"{op: write, error: ENOMEM, count: 1}", 0x2a},
		{"{op: flush, error: ENOMEM, count: 1}", 0x35},
	};
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault}], "
			    "protocol: {type: mem, size: 4M}}"};
	uint8_t data[512] = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		const uint8_t cdb[16] = {rows[i].opcode, [8] = 1};

		scsi_rig_fault_co(&rig, "add", rows[i].rule);
		CHECK_INT(scsi_rig_do_co(&rig, 0, &command, cdb, data, 512),
			SCSI_BUSY);
		CHECK_INT(scsi_rig_do_co(&rig, 0, &command, cdb, data, 512),
			SCSI_GOOD);
	}
	scsi_rig_close_co(&rig);
}

static void memory_is_back(struct loop_timer *timer)
{
	(void)timer;
	co_thread_limit(0);
}

/* What the control lane has to do for a command waits for memory. */
static void no_coroutine_co(struct stack_rig *stack, void *argument)
{
	static const uint8_t d_sense[16] = {
		0, 0, 0, 0, 0x0a, 0x0a, 0x06, 0x10, 0, 0, 0, 0, 0xff, 0xff};
	const struct scsi_rig_setup setup = {0};
	struct loop_timer timer = {.expired = memory_is_back};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	loop_timer_set(block_core_lane(stack->core, 0)->loop, &timer,
		3 * LOOP_AGAIN_NS);
	co_thread_limit(co_alive());
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 16), d_sense, 16),
		SCSI_GOOD);
	CHECK(!timer.armed);
	scsi_rig_close_co(&rig);
}

/* A page without a parameter says nothing: only what is there is offered. */
static void log_pages_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x4d, 0, 0x40, 0, 0, 0, 0, 0, 255);
	CHECK(command.data[3] > 1);
	for (unsigned i = 0; i < command.data[3]; i++) {
		struct scsi_rig_command page;

		GOOD(&rig, 0, &page, 0x4d, 0,
			(uint8_t)(0x40 | command.data[4 + i]), 0, 0, 0, 0, 0,
			255);
		CHECK(get_be16(page.data + 2) > 0);
	}
	scsi_rig_close_co(&rig);
}

/* A host that sees none of the units resets none of them. */
static void hidden_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault, rules: "
			    "[{op: read, hold: true}]}], "
			    "protocol: {type: mem, size: 4M}}"};
	struct scsi_rig_command held;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	scsi_rig_refresh_co(&rig, 1, false, false);
	scsi_rig_send(&rig, 0, &held,
		SCSI_RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0);
	scsi_rig_settle_co(&rig);
	CHECK_INT(scsi_rig_manage_co(&rig, 1, SCSI_TARGET_WARM_RESET, NULL),
		SCSI_FUNCTION_COMPLETE);
	scsi_rig_fault_co(&rig, "release", NULL);
	CHECK_INT(scsi_rig_wait_co(&held), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(resize_co),
		ROW(content_co),
		ROW(settings_co),
		ROW(narrowed_co),
		ROW(claim_co),
		ROW(reset_co),
		ROW(no_memory_co),
		ROW(no_coroutine_co),
		ROW(log_pages_co),
		ROW(hidden_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
