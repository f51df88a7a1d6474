/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations between hosts on different lanes: conflicts, attentions, tasks
 * aborted by PREEMPT AND ABORT, registrations that outlive a restart. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "target/scsi/transport_id.h"
#include "tests/lib/scsi_rig.h"

#include <errno.h>

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define KEY(host) (0xc0ull + (host))

static struct scsi_rig rig;
static struct scsi_rig_command command, held;

/* `flags`: byte 20 of the list. */
static uint8_t out_co(unsigned host, unsigned action, unsigned type,
	uint64_t key, uint64_t service_key, uint8_t flags)
{
	static uint8_t list[24];

	memset(list, 0, sizeof list);
	put_be64(list, key);
	put_be64(list + 8, service_key);
	list[20] = flags;
	return scsi_rig_do_co(&rig, host, &command,
		SCSI_RIG_CDB(0x5f, (uint8_t)action, (uint8_t)type, 0, 0, 0, 0,
			0, 24),
		list, 24);
}

static void register_co(unsigned hosts, uint8_t flags)
{
	for (unsigned i = 0; i < hosts; i++)
		CHECK_INT(out_co(i, 0, 0, 0, KEY(i), flags), SCSI_GOOD);
}

static uint8_t write_co(unsigned host)
{
	static uint8_t data[512];

	return scsi_rig_do_co(&rig, host, &command,
		SCSI_RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), data, 512);
}

static uint8_t read_co(unsigned host)
{
	return scsi_rig_do_co(&rig, host, &command,
		SCSI_RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0);
}

static void conflicts_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(2, 0);
	CHECK_INT(out_co(0, 1, 6, KEY(0), 0, 0), SCSI_GOOD);
	/* EARO: registrants may, others may not, but ask who it is. */
	CHECK_INT(write_co(0), SCSI_GOOD);
	CHECK_INT(write_co(1), SCSI_GOOD);
	CHECK_INT(read_co(2), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(write_co(2), SCSI_RESERVATION_CONFLICT);
	GOOD(&rig, 2, &command, 0x00);
	GOOD(&rig, 2, &command, 0x5e, 1, 0, 0, 0, 0, 0, 0, 255);
	CHECK_INT(get_be32(command.data), 2);
	CHECK_INT(get_be32(command.data + 4), 16);
	CHECK_INT(get_be64(command.data + 8), KEY(0));
	CHECK_INT(command.data[21], 6);
	GOOD(&rig, 2, &command, 0x5e, 0, 0, 0, 0, 0, 0, 0, 255);
	CHECK_INT(get_be32(command.data + 4), 16);
	GOOD(&rig, 2, &command, 0x5e, 2, 0, 0, 0, 0, 0, 0, 255);
	CHECK_INT(command.data[2] & 1, 1);
	CHECK_INT(out_co(1, 2, 6, KEY(1), 0, 0), SCSI_GOOD);
	CHECK_INT(out_co(0, 2, 5, KEY(0), 0, 0), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052604);
	CHECK_INT(out_co(0, 2, 6, KEY(0), 0, 0), SCSI_GOOD);
	FAILS(&rig, 1, &command, 0x062a04, 0x00);
	CHECK_INT(write_co(2), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

static void full_status_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint8_t list[24 + 4 + TRANSPORT_ID_BYTES] = {0};
	uint32_t bytes;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	/* SPEC_I_PT: host 3 is registered by host 0. */
	bytes = transport_id_put(rig.nexus[3].initiator.port, list + 28);
	put_be64(list + 8, KEY(0));
	list[20] = 8;
	put_be32(list + 24, bytes);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x5f, 0, 0, 0, 0, 0, 0, 0,
				  (uint8_t)(28 + bytes)),
			  list, 28 + bytes),
		SCSI_GOOD);
	CHECK_INT(out_co(3, 1, 3, KEY(0), 0, 0), SCSI_GOOD);
	GOOD(&rig, 1, &command, 0x5e, 3, 0, 0, 0, 0, 0, 4, 0);
	CHECK_INT(get_be32(command.data + 4), 2 * (24 + bytes));
	CHECK_INT(command.data[8 + 12], 1); /* the holder */
	CHECK_INT(command.data[8 + 13], 3);
	CHECK(!memcmp(command.data + 8 + 24, list + 28, bytes));
	/* REGISTER AND MOVE back to host 0, on target port 1. */
	memset(list, 0, sizeof list);
	bytes = transport_id_put(rig.nexus[0].initiator.port, list + 24);
	put_be64(list, KEY(0));
	put_be64(list + 8, KEY(7));
	put_be16(list + 18, 1);
	put_be32(list + 20, bytes);
	CHECK_INT(scsi_rig_do_co(&rig, 3, &command,
			  SCSI_RIG_CDB(0x5f, 7, 3, 0, 0, 0, 0, 0,
				  (uint8_t)(24 + bytes)),
			  list, 24 + bytes),
		SCSI_GOOD);
	CHECK_INT(write_co(3), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(write_co(0), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

/* Host 1 has a read in flight that never ends of itself. */
static void preempt_abort_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault}], "
			    "protocol: {type: mem, size: 4M}}"};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(3, 0);
	CHECK_INT(out_co(1, 1, 1, KEY(1), 0, 0), SCSI_GOOD);
	scsi_rig_fault_co(&rig, "hold", "{op: read, name: stuck}");
	scsi_rig_send(&rig, 1, &held,
		SCSI_RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0);
	scsi_rig_settle_co(&rig);
	CHECK(!held.done);
	CHECK_INT(out_co(0, 5, 3, KEY(0), KEY(1), 0), SCSI_GOOD);
	CHECK_INT(scsi_rig_wait_co(&held), SCSI_ABORTED);
	scsi_rig_fault_co(&rig, "release", NULL);
	FAILS(&rig, 1, &command, 0x062a05, 0x00);
	FAILS(&rig, 2, &command, 0x062a04, 0x00);
	CHECK_INT(read_co(1), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(read_co(0), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

/* Both preempt and abort the other at once: one of them wins, both end. */
static void preempt_each_other_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	static struct scsi_rig_command two[2];
	static uint8_t list[2][24];
	unsigned good = 0;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(2, 0);
	for (unsigned i = 0; i < 2; i++) {
		put_be64(list[i], KEY(i));
		put_be64(list[i] + 8, KEY(1 - i));
		scsi_rig_send(&rig, i, &two[i],
			SCSI_RIG_CDB(0x5f, 5, 1, 0, 0, 0, 0, 0, 24), list[i],
			24);
	}
	for (unsigned i = 0; i < 2; i++)
		good += scsi_rig_wait_co(&two[i]) == SCSI_GOOD;
	CHECK_INT(good, 1);
	GOOD(&rig, 2, &command, 0x5e, 0, 0, 0, 0, 0, 0, 0, 255);
	CHECK_INT(get_be32(command.data + 4), 8);
	scsi_rig_close_co(&rig);
}

static void aptpl_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(2, 1);
	CHECK_INT(out_co(1, 1, 5, KEY(1), 0, 0), SCSI_GOOD);
	scsi_rig_restart_co(&rig, &setup);
	CHECK_INT(write_co(2), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(write_co(0), SCSI_GOOD);
	/* Not durable, not done. */
	rig.store_result = -EIO;
	CHECK_INT(out_co(1, 3, 0, KEY(1), 0, 0), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x044400);
	CHECK_INT(write_co(2), SCSI_RESERVATION_CONFLICT);
	rig.store_result = 0;
	/* APTPL 0: the end of it is durable, too. */
	CHECK_INT(out_co(1, 0, 0, KEY(1), KEY(5), 0), SCSI_GOOD);
	CHECK_INT(write_co(2), SCSI_RESERVATION_CONFLICT);
	scsi_rig_restart_co(&rig, &setup);
	CHECK_INT(write_co(2), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

static void legacy_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 1, &command, 0x16);
	CHECK_INT(write_co(0), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(out_co(0, 0, 0, 0, 1, 0), SCSI_RESERVATION_CONFLICT);
	GOOD(&rig, 0, &command, 0x17);
	CHECK_INT(read_co(0), SCSI_RESERVATION_CONFLICT);
	/* It ends with its nexus, and with a reset. */
	scsi_rig_logout_co(&rig, 1);
	CHECK_INT(write_co(0), SCSI_GOOD);
	GOOD(&rig, 0, &command, 0x56);
	CHECK_INT(write_co(2), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(scsi_rig_manage_co(&rig, 2, SCSI_LUN_RESET, NULL),
		SCSI_FUNCTION_COMPLETE);
	FAILS(&rig, 0, &command, 0x062903, 0x00);
	FAILS(&rig, 2, &command, 0x062903, 0x00);
	CHECK_INT(write_co(2), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

static void lists_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.without_store = true};
	uint8_t list[64] = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x5f, 0, 0, 0, 0, 0, 0, 0, 25), list, 25),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x051a00);
	/* Sent less than said. */
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x5f, 0, 0, 0, 0, 0, 0, 0, 24), list, 20),
		SCSI_CHECK_CONDITION);
	/* APTPL without a store; a scope that is not the unit. */
	CHECK_INT(out_co(0, 0, 0, 0, 1, 1), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052600);
	CHECK_INT(out_co(0, 0, 0, 0, 1, 0), SCSI_GOOD);
	CHECK_INT(out_co(0, 1, 0x11, 1, 0, 0), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052400);
	CHECK_INT(out_co(0, 1, 2, 1, 0, 0), SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052400);
	FAILS(&rig, 0, &command, 0x052400, 0x5e, 4, 0, 0, 0, 0, 0, 0, 255);
	scsi_rig_close_co(&rig);
}

#define ROW(body) \
	STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3), \
		STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(conflicts_co),
		ROW(full_status_co),
		ROW(preempt_abort_co),
		ROW(preempt_each_other_co),
		ROW(aptpl_co),
		ROW(legacy_co),
		ROW(lists_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
