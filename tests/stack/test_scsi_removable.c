/* SPDX-License-Identifier: Apache-2.0 */
/*
 * START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL by what they do: which of them makes
 * durable what is cached, who may still use the unit, who is told, who keeps a medium in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define NO_MEDIUM 0x023a00
#define PREVENTED 0x055302
#define CHANGED 0x062800

enum { START = 1, LOEJ = 2, NO_FLUSH = 4, IMMED = 1 };

static struct scsi_rig rig;
static struct scsi_rig_command command;
static const struct scsi_rig_setup removable = {.removable = true,
	.document = "{listeners: [{type: fault, name: fault, "
		    "rules: [{op: flush, error: none}]}], "
		    "protocol: {type: mem, size: 4M}}"};

static uint64_t flushes(void)
{
	return stack_rig_figure(rig.source, "matches");
}

static void expect_ready_co(bool ready)
{
	for (unsigned host = 0; host < SCSI_RIG_HOSTS; host++)
		if (ready)
			GOOD(&rig, host, &command, 0x00);
		else
			FAILS(&rig, host, &command, NO_MEDIUM, 0x00);
}

/* -- START STOP UNIT -------------------------------------------------------- */

static void stops_co(struct stack_rig *stack, void *argument)
{
	static const struct {
		uint8_t immed, bits;
		unsigned flushes;
		bool gone;
	} rows[] = {
		{0, 0, 1, false}, /* stopped: for nobody, but durable */
		{IMMED, 0, 1, false},
		{0, NO_FLUSH, 0, false},
		{0, START, 0, false},
		{0, START | LOEJ, 0, false}, /* it is there */
		{0, LOEJ, 1, true},
		{IMMED, LOEJ, 1, true},
		{0, LOEJ | NO_FLUSH, 0, true},
		{0, 0x10, 0, false}, /* power conditions: nothing */
		{0, 0x30 | LOEJ, 0, false},
	};
	uint8_t block[512];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &removable);
	memset(block, 'r', sizeof block);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command, SCSI_RIG_CDB(0x2a, [8] = 1),
			  block, 512),
		SCSI_GOOD);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t before = flushes();

		GOOD(&rig, 0, &command, 0x1b, rows[i].immed, 0, 0,
			rows[i].bits);
		CHECK_INT(flushes() - before, rows[i].flushes);
		expect_ready_co(!rows[i].gone);
		if (!rows[i].gone)
			continue;
		FAILS(&rig, 1, &command, NO_MEDIUM, 0x28, [8] = 1);
		GOOD(&rig, 1, &command, 0x12, 0, 0, 0, 96);
		/* Out already: once more is no error. */
		GOOD(&rig, 1, &command, 0x1b, 0, 0, 0, LOEJ | NO_FLUSH);
		/* Loaded by one, it may be another medium for the others. */
		GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, START | LOEJ);
		for (unsigned host = 1; host < SCSI_RIG_HOSTS; host++)
			FAILS(&rig, host, &command, CHANGED, 0x00);
		expect_ready_co(true);
		GOOD(&rig, 2, &command, 0x28, [8] = 1);
		CHECK_INT(command.data[511], 'r');
	}
	scsi_rig_close_co(&rig);
}

/* -- PREVENT ALLOW ------------------------------------------------------------ */

static void prevent_co(unsigned host, bool prevent)
{
	GOOD(&rig, host, &command, 0x1e, 0, 0, 0, prevent);
}

static void eject_fails_co(void)
{
	for (unsigned host = 0; host < SCSI_RIG_HOSTS; host++)
		FAILS(&rig, host, &command, PREVENTED, 0x1b, 0, 0, 0, LOEJ);
	expect_ready_co(true);
}

/* As long as one of them prevents it; to allow is for oneself only. */
static void prevents_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &removable);
	prevent_co(1, true);
	prevent_co(1, true); /* counts once */
	eject_fails_co();
	prevent_co(2, true);
	prevent_co(1, false);
	eject_fails_co();
	prevent_co(0, false);
	prevent_co(3, false);
	eject_fails_co();
	/* What does not eject is none of its business. */
	GOOD(&rig, 0, &command, 0x1b);
	GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, START);
	prevent_co(2, false);
	GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, LOEJ);
	expect_ready_co(false);
	/* Without a medium, too, and for the next one. */
	prevent_co(3, true);
	GOOD(&rig, 3, &command, 0x1b, 0, 0, 0, START);
	for (unsigned host = 0; host < 3; host++)
		FAILS(&rig, host, &command, CHANGED, 0x00);
	eject_fails_co();
	scsi_rig_logout_co(&rig, 3);
	GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, LOEJ);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(stops_co),
		ROW(prevents_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
