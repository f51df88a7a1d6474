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
#include "target/volume/drain.h"
#include "tests/lib/scsi_rig.h"

#include <errno.h>

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define KEY(host) (0xc0ull + (host))

/* MODE SELECT(6), Control page: with TAS. */
static const uint8_t task_aborted[16] = {
	0, 0, 0, 0, 0x0a, 0x0a, 0x02, 0x10, 0, 0x40, 0, 0, 0xff, 0xff};

static struct scsi_rig rig;
static struct scsi_rig_command command, held;

/* A PERSISTENT RESERVE OUT under way. */
struct order {
	struct scsi_rig_command command;
	uint8_t list[24];
};
static struct order order[4];

/* `flags`: byte 20 of the list. */
static void send_out(struct order *out, unsigned host, unsigned action,
	unsigned type, uint64_t key, uint64_t service_key, uint8_t flags)
{
	memset(out->list, 0, sizeof out->list);
	put_be64(out->list, key);
	put_be64(out->list + 8, service_key);
	out->list[20] = flags;
	scsi_rig_send(&rig, host, &out->command,
		SCSI_RIG_CDB(0x5f, (uint8_t)action, (uint8_t)type, 0, 0, 0, 0,
			0, 24),
		out->list, 24);
}

static uint8_t out_co(unsigned host, unsigned action, unsigned type,
	uint64_t key, uint64_t service_key, uint8_t flags)
{
	static struct order out;
	uint8_t status;

	send_out(&out, host, action, type, key, service_key, flags);
	status = scsi_rig_wait_co(&out.command);
	command = out.command; /* for its sense */
	return status;
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
	put_be16(list + 18, 77); /* no port of the target */
	put_be32(list + 20, bytes);
	CHECK_INT(scsi_rig_do_co(&rig, 3, &command,
			  SCSI_RIG_CDB(0x5f, 7, 3, 0, 0, 0, 0, 0,
				  (uint8_t)(24 + bytes)),
			  list, 24 + bytes),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052600);
	CHECK_INT(get_be16(command.task.sense + 16), 18);
	put_be16(list + 18, 1);
	CHECK_INT(scsi_rig_do_co(&rig, 3, &command,
			  SCSI_RIG_CDB(0x5f, 7, 3, 0, 0, 0, 0, 0,
				  (uint8_t)(24 + bytes)),
			  list, 24 + bytes),
		SCSI_GOOD);
	CHECK_INT(write_co(3), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(write_co(0), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

/* More ports than one command registers. */
static void too_many_ports_co(struct stack_rig *stack, void *argument)
{
	static uint8_t list[28 + 33 * 64];
	const struct scsi_rig_setup setup = {0};
	uint32_t bytes = 28;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < 33; i++) {
		char port[64];

		snprintf(port, sizeof port, "iqn.other:%u,i,0x000000000001", i);
		bytes += transport_id_put(port, list + bytes);
	}
	put_be64(list + 8, KEY(0));
	list[20] = 8;
	put_be32(list + 24, bytes - 28);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x5f, [7] = (uint8_t)(bytes >> 8),
				  (uint8_t)bytes),
			  list, bytes),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x055504);
	GOOD(&rig, 0, &command, 0x5e, 0, [8] = 255);
	CHECK_INT(get_be32(command.data + 4), 0);
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
	unsigned good = 0;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(2, 0);
	for (unsigned i = 0; i < 2; i++)
		send_out(&order[i], i, 5, 1, KEY(i), KEY(1 - i), 0);
	for (unsigned i = 0; i < 2; i++)
		good += scsi_rig_wait_co(&order[i].command) == SCSI_GOOD;
	CHECK_INT(good, 1);
	GOOD(&rig, 2, &command, 0x5e, 0, 0, 0, 0, 0, 0, 0, 255);
	CHECK_INT(get_be32(command.data + 4), 8);
	scsi_rig_close_co(&rig);
}

/* The registrations that are left: who holds on to the key of `host` alone. */
static void check_only_key_co(unsigned host, uint32_t generation)
{
	GOOD(&rig, 2, &command, 0x5e, 0, 0, 0, 0, 0, 0, 0, 255);
	CHECK_INT(get_be32(command.data), generation);
	CHECK_INT(get_be32(command.data + 4), 8);
	CHECK_INT(get_be64(command.data + 8), KEY(host));
}

/* Host 1 is fenced and has sent behind that what would bring it back and fence
 * host 0 in turn: that waits for its order when it is aborted, and is not done. */
static void preempt_the_preempting_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(2, 1);
	scsi_rig_hold_store(&rig);
	send_out(&order[0], 0, 5, 1, KEY(0), KEY(1), 0);
	scsi_rig_await_store_co(&rig);
	send_out(&order[1], 1, 6, 0, 0, KEY(7), 1);
	send_out(&order[2], 1, 5, 1, KEY(7), KEY(0), 0);
	scsi_rig_settle_co(&rig);
	scsi_rig_release_store(&rig);
	CHECK_INT(scsi_rig_wait_co(&order[0].command), SCSI_GOOD);
	CHECK_INT(scsi_rig_wait_co(&order[1].command), SCSI_ABORTED);
	CHECK_INT(scsi_rig_wait_co(&order[2].command), SCSI_ABORTED);
	check_only_key_co(0, 3);
	/* What it sends later is a host's that nobody has fenced. */
	FAILS(&rig, 1, &command, 0x062a05, 0x00);
	CHECK_INT(out_co(1, 6, 0, 0, KEY(7), 0), SCSI_GOOD);
	scsi_rig_close_co(&rig);
}

/* Every host takes its key back and fences the next one, again and again. */
static void preempt_in_a_ring_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	static struct order two[SCSI_RIG_HOSTS][2];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++) {
			send_out(&two[i][0], i, 6, 0, 0, KEY(i), 0);
			send_out(&two[i][1], i, 5, 1, KEY(i),
				KEY((i + 1) % SCSI_RIG_HOSTS), 0);
		}
		for (unsigned i = 0; i < 2 * SCSI_RIG_HOSTS; i++)
			scsi_rig_wait_co(&two[i / 2][i % 2].command);
	}
	scsi_rig_close_co(&rig);
}

/* The order of host 1 waits behind one that is being made durable, while the
 * function ends it. */
static void withdraw_co(unsigned host, uint8_t function, uint8_t status)
{
	uint8_t response;

	CHECK_INT(out_co(0, 6, 0, 0, KEY(0), 1), SCSI_GOOD);
	scsi_rig_hold_store(&rig);
	send_out(&order[0], 0, 1, 1, KEY(0), 0, 0);
	scsi_rig_await_store_co(&rig);
	send_out(&order[1], 1, 6, 0, 0, KEY(1), 1);
	scsi_rig_settle_co(&rig);
	scsi_rig_manage(&rig, host, function,
		function == SCSI_ABORT_TASK ? &order[1].command.task : NULL);
	scsi_rig_settle_co(&rig);
	scsi_rig_release_store(&rig);
	response = scsi_rig_managed_co();
	CHECK_INT(response, SCSI_FUNCTION_COMPLETE);
	CHECK_INT(scsi_rig_wait_co(&order[1].command), status);
	scsi_rig_wait_co(&order[0].command);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		scsi_rig_do_co(&rig, i, &command, SCSI_RIG_CDB(0x00), NULL, 0);
	GOOD(&rig, 2, &command, 0x5e, 0, 0, 0, 0, 0, 0, 0, 255);
	CHECK_INT(get_be32(command.data + 4), 8);
	CHECK_INT(get_be64(command.data + 8), KEY(0));
	CHECK_INT(out_co(0, 3, 0, KEY(0), 0, 0), SCSI_GOOD);
}

static void withdrawn_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	withdraw_co(1, SCSI_ABORT_TASK, SCSI_ABORTED);
	withdraw_co(1, SCSI_ABORT_TASK_SET, SCSI_ABORTED);
	withdraw_co(2, SCSI_CLEAR_TASK_SET, SCSI_ABORTED);
	withdraw_co(2, SCSI_LUN_RESET, SCSI_ABORTED);
	withdraw_co(1, SCSI_LUN_RESET, SCSI_ABORTED);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 16), task_aborted, 16),
		SCSI_GOOD);
	FAILS(&rig, 1, &command, 0x062a01, 0x00);
	withdraw_co(2, SCSI_CLEAR_TASK_SET, SCSI_TASK_ABORTED);
	withdraw_co(2, SCSI_TARGET_WARM_RESET, SCSI_TASK_ABORTED);
	scsi_rig_close_co(&rig);
}

/* CLEAR ends no task: what waits behind it finds no registration. */
static void clear_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(2, 1);
	scsi_rig_hold_store(&rig);
	send_out(&order[0], 0, 3, 0, KEY(0), 0, 0);
	scsi_rig_await_store_co(&rig);
	send_out(&order[1], 1, 5, 1, KEY(1), KEY(0), 0);
	send_out(&order[2], 1, 6, 0, 0, KEY(1), 0);
	scsi_rig_settle_co(&rig);
	scsi_rig_release_store(&rig);
	CHECK_INT(scsi_rig_wait_co(&order[0].command), SCSI_GOOD);
	CHECK_INT(
		scsi_rig_wait_co(&order[1].command), SCSI_RESERVATION_CONFLICT);
	CHECK_INT(scsi_rig_wait_co(&order[2].command), SCSI_GOOD);
	check_only_key_co(1, 4);
	scsi_rig_close_co(&rig);
}

/* Where too many wait for aborted tasks, another one does not join them. */
static void too_many_wait_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	static struct volume_drain drain[VOLUME_DRAINS];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	register_co(2, 0);
	for (unsigned i = 0; i < VOLUME_DRAINS; i++)
		CHECK(volume_drain_open(&drain[i], rig.volume));
	CHECK_INT(out_co(0, 5, 1, KEY(0), KEY(1), 0), SCSI_BUSY);
	CHECK_INT(out_co(1, 1, 1, KEY(1), 0, 0), SCSI_GOOD);
	for (unsigned i = 0; i < VOLUME_DRAINS; i++)
		volume_drain_close_co(&drain[i]);
	CHECK_INT(out_co(0, 5, 1, KEY(0), KEY(1), 0), SCSI_GOOD);
	check_only_key_co(0, 3);
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
		ROW(too_many_ports_co),
		ROW(preempt_abort_co),
		ROW(preempt_each_other_co),
		ROW(preempt_the_preempting_co),
		ROW(preempt_in_a_ring_co),
		ROW(withdrawn_co),
		ROW(clear_co),
		ROW(too_many_wait_co),
		ROW(aptpl_co),
		ROW(legacy_co),
		ROW(lists_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
