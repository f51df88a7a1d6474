/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asymmetric access: what hosts are told and what they may do by a way in each state.
 * Hosts 0 and 2 come in by group 1, hosts 1 and 3 by group 2, whose state changes.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "target/volume/paths.h"
#include "tests/lib/scsi_rig.h"

#include <errno.h>

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS

static const struct scsi_rig_setup plain;
static struct scsi_rig rig;
static struct scsi_rig_command command;

static void open_co(struct stack_rig *stack)
{
	scsi_rig_open_co(&rig, stack, &plain);
	for (unsigned i = 1; i < SCSI_RIG_HOSTS; i += 2) {
		struct volume_initiator *port = &rig.nexus[i].initiator;

		port->relative_target_port = port->target_portal_group = 2;
	}
}

/* Group 2 changes; every host is told, once. */
static void change_co(enum volume_path_state state)
{
	uint64_t changes = volume_path_changes(rig.volume);

	CHECK_INT(volume_path_set_co(rig.volume, 2, state), 0);
	CHECK_INT(volume_path_changes(rig.volume), changes + 1);
	for (unsigned i = 0; i < SCSI_RIG_HOSTS; i++)
		FAILS(&rig, i, &command, 0x062a06, 0x00);
}

static void check_group(
	const uint8_t *group, unsigned number, unsigned state, unsigned status)
{
	CHECK_INT(group[0], state);
	CHECK_INT(group[1], 0x8f);
	CHECK_INT(get_be16(group + 2), number);
	CHECK_INT(group[5], status);
	CHECK_INT(group[7], 1);
	CHECK_INT(get_be16(group + 10), number);
}

/* -- what is told ------------------------------------------------------------ */

static const struct {
	enum volume_path_state state;
	unsigned code; /* SPC-4 table 307 */
	uint32_t sense; /* of TEST UNIT READY by that way; 0: GOOD */
} states[] = {
	{VOLUME_PATH_NON_OPTIMIZED, 1, 0},
	{VOLUME_PATH_STANDBY, 2, 0x02040b},
	{VOLUME_PATH_UNAVAILABLE, 3, 0x02040c},
	{VOLUME_PATH_TRANSITIONING, 15, 0x02040a},
	{VOLUME_PATH_OPTIMIZED, 0, 0},
};
#define STATES (sizeof states / sizeof *states)

static void check_ready_co(unsigned host, uint32_t sense)
{
	if (sense)
		FAILS(&rig, host, &command, sense, 0x00);
	else
		GOOD(&rig, host, &command, 0x00);
}

static void told_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	for (unsigned i = 0; i < STATES; i++) {
		change_co(states[i].state);
		/* The same by every way; the own group comes first. */
		GOOD(&rig, 0, &command, 0xa3, 0x0a, [8] = 1);
		CHECK_INT(get_be32(command.data), 2 * 12);
		check_group(command.data + 4, 1, 0, 0);
		check_group(command.data + 16, 2, states[i].code, 2);
		GOOD(&rig, 1, &command, 0xa3, 0x2a, [8] = 1);
		check_group(command.data + 8, 2, states[i].code, 2);
		check_group(command.data + 20, 1, 0, 0);
		check_ready_co(0, 0);
		check_ready_co(3, states[i].sense);
		/* And as what is pending. */
		GOOD(&rig, 3, &command, 0x03, 0, 0, 0, 64);
		CHECK_INT(command.data[2] << 16 | get_be16(command.data + 12),
			states[i].sense);
	}
	scsi_rig_close_co(&rig);
}

/* A state that is there already is no news. */
static void same_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	CHECK_INT(volume_path_set_co(rig.volume, 2, VOLUME_PATH_OPTIMIZED), 0);
	CHECK_INT(volume_path_changes(rig.volume), 0);
	change_co(VOLUME_PATH_STANDBY);
	CHECK_INT(volume_path_set_co(rig.volume, 2, VOLUME_PATH_STANDBY), 0);
	CHECK_INT(volume_path_changes(rig.volume), 1);
	GOOD(&rig, 0, &command, 0x00);
	scsi_rig_close_co(&rig);
}

/* Who comes in later finds the state. */
static void late_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	scsi_rig_logout_co(&rig, 2);
	CHECK_INT(volume_path_set_co(rig.volume, 1, VOLUME_PATH_STANDBY), 0);
	scsi_rig_login_co(&rig, 2);
	FAILS(&rig, 2, &command, 0x062900, 0x00);
	FAILS(&rig, 2, &command, 0x02040b, 0x00);
	scsi_rig_close_co(&rig);
}

/* -- what is done ------------------------------------------------------------ */

enum { DONE_ACTIVE = 0, DONE_STANDBY = 1, DONE_ANY = 2 };

/* SPC-4 5.15.2.4.4 to .6, and READ CAPACITY. */
static const struct {
	uint8_t cdb[16];
	uint8_t done;
	uint8_t out_bytes;
} commands[] = {
	{{0x00}, DONE_ACTIVE, 0},
	{{0x03, [4] = 18}, DONE_ANY, 0},
	{{0x08, [4] = 1}, DONE_ACTIVE, 0},
	{{0x12, [4] = 96}, DONE_ANY, 0},
	{{0x15, 0x10}, DONE_STANDBY, 0}, /* MODE SELECT of nothing */
	{{0x55, 0x10}, DONE_STANDBY, 0},
	{{0x16}, DONE_ACTIVE, 0},
	{{0x17}, DONE_ACTIVE, 0},
	{{0x1a, 0, 0x3f, 0, 64}, DONE_STANDBY, 0},
	{{0x5a, 0, 0x3f, [8] = 64}, DONE_STANDBY, 0},
	{{0x1b, [4] = 1}, DONE_ACTIVE, 0},
	{{0x1c, 1, 0, 0, 4}, DONE_STANDBY, 0},
	{{0x1d, 4}, DONE_STANDBY, 0},
	{{0x1e}, DONE_ACTIVE, 0},
	{{0x25}, DONE_STANDBY, 0},
	{{0x9e, 0x10, [13] = 32}, DONE_STANDBY, 0},
	{{0x9e, 0x12, [13] = 32}, DONE_ACTIVE, 0},
	{{0x28, [8] = 1}, DONE_ACTIVE, 0},
	{{0x2a}, DONE_ACTIVE, 0}, /* WRITE of nothing */
	{{0x2f, [8] = 1}, DONE_ACTIVE, 0},
	{{0x35}, DONE_ACTIVE, 0},
	{{0x42, [8] = 8}, DONE_ACTIVE, 8}, /* UNMAP of nothing */
	{{0x4d, 0, 0x40, [8] = 64}, DONE_STANDBY, 0},
	{{0x5e, 0, [8] = 64}, DONE_STANDBY, 0},
	{{0x5f, 0x06, [8] = 24}, DONE_STANDBY, 24}, /* REGISTER AND IGNORE */
	{{0x88, [13] = 1}, DONE_ACTIVE, 0},
	{{0x93, 0x01}, DONE_ACTIVE, 0}, /* WRITE SAME, NDOB: all blocks */
	{{0xa0, [9] = 64}, DONE_ANY, 0},
	{{0xa3, 0x0a, [9] = 64}, DONE_ANY, 0},
	{{0xa3, 0x0c, [9] = 64}, DONE_ACTIVE, 0},
	{{0xa3, 0x0f, [9] = 64}, DONE_ACTIVE, 0},
};

static void check_commands_co(unsigned least, uint32_t sense)
{
	static const uint8_t out[24] = {[1] = 6}; /* also a list of UNMAP */

	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
		uint8_t status = scsi_rig_do_co(&rig, 1, &command,
			commands[i].cdb, out, commands[i].out_bytes);

		if (commands[i].done >= least) {
			CHECK_INT(scsi_rig_sense(&command), 0);
			CHECK_INT(status, SCSI_GOOD);
		} else {
			CHECK_INT(status, SCSI_CHECK_CONDITION);
			CHECK_INT(scsi_rig_sense(&command), sense);
		}
	}
}

static void commands_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	check_commands_co(DONE_ACTIVE, 0);
	change_co(VOLUME_PATH_NON_OPTIMIZED);
	check_commands_co(DONE_ACTIVE, 0);
	change_co(VOLUME_PATH_STANDBY);
	check_commands_co(DONE_STANDBY, 0x02040b);
	change_co(VOLUME_PATH_UNAVAILABLE);
	check_commands_co(DONE_ANY, 0x02040c);
	change_co(VOLUME_PATH_TRANSITIONING);
	check_commands_co(DONE_ANY, 0x02040a);
	change_co(VOLUME_PATH_OPTIMIZED);
	check_commands_co(DONE_ACTIVE, 0);
	scsi_rig_close_co(&rig);
}

/* A reservation of another host is no matter where nothing is done anyway. */
static void reserved_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	GOOD(&rig, 0, &command, 0x16);
	CHECK_INT(scsi_rig_do_co(&rig, 1, &command, SCSI_RIG_CDB(0x28, [8] = 1),
			  NULL, 0),
		SCSI_RESERVATION_CONFLICT);
	change_co(VOLUME_PATH_STANDBY);
	FAILS(&rig, 1, &command, 0x02040b, 0x28, [8] = 1);
	scsi_rig_close_co(&rig);
}

/* The states are the appliance's. */
static void explicit_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	FAILS(&rig, 0, &command, 0x052000, 0xa4, 0x0a);
	GOOD(&rig, 0, &command, 0x12, [4] = 96);
	CHECK_INT(command.data[5] & 0x30, 0x10);
	scsi_rig_close_co(&rig);
}

/* -- who the unit says it is -------------------------------------------------- */

static unsigned designator(uint8_t type)
{
	const uint8_t *at = command.data + 4;
	const uint8_t *end = at + get_be16(command.data + 2);

	for (; at < end; at += 4 + at[3])
		if (at[1] == type)
			return get_be16(at + 6);
	return 0;
}

static void inquiry_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	for (unsigned i = 0; i < STATES; i++) {
		unsigned qualifier =
			states[i].state == VOLUME_PATH_UNAVAILABLE ? 0x20 : 0;

		change_co(states[i].state);
		GOOD(&rig, 1, &command, 0x12, [4] = 96);
		CHECK_INT(command.data[0], qualifier);
		GOOD(&rig, 1, &command, 0x12, 1, 0x83, 1);
		CHECK_INT(command.data[0], qualifier);
		CHECK_INT(designator(0x94), 2); /* relative target port */
		CHECK_INT(designator(0x95), 2); /* target port group */
		GOOD(&rig, 0, &command, 0x12, 1, 0x83, 1);
		CHECK_INT(command.data[0], 0);
		CHECK_INT(designator(0x94), 1);
		CHECK_INT(designator(0x95), 1);
	}
	scsi_rig_close_co(&rig);
}

/* What a volume keeps of groups is bounded. */
static void many_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	open_co(stack);
	for (unsigned i = 0; i < VOLUME_PATHS_MOST; i++)
		CHECK_INT(volume_path_set_co(rig.volume, (uint16_t)(i + 3),
				  VOLUME_PATH_STANDBY),
			0);
	CHECK_INT(volume_path_set_co(rig.volume, 2, VOLUME_PATH_STANDBY),
		-ENOSPC);
	CHECK_INT(volume_path_get(rig.volume, 2).state, VOLUME_PATH_OPTIMIZED);
	CHECK_INT(volume_path_set_co(rig.volume, 3, VOLUME_PATH_OPTIMIZED), 0);
	CHECK_INT(volume_path_get(rig.volume, 3).state, VOLUME_PATH_OPTIMIZED);
	CHECK(volume_path_get(rig.volume, 3).changed);
	scsi_rig_close_co(&rig);
}

/* -- at the same time ---------------------------------------------------------- */

static bool is_owed(unsigned host, const struct scsi_rig_command *sent)
{
	uint32_t sense = scsi_rig_sense(sent);

	if (sent->task.status == SCSI_GOOD || sense == 0x062a06)
		return true;
	return host % 2 && sense >= 0x02040a && sense <= 0x02040c;
}

/* States change while all lanes look at them: each command ends as by one of them. */
static void racing_co(struct stack_rig *stack, void *argument)
{
	static struct scsi_rig_command ready[SCSI_RIG_HOSTS];
	static struct scsi_rig_command report[SCSI_RIG_HOSTS];

	(void)argument;
	open_co(stack);
	for (unsigned i = 0; i < 50 * STATES; i++) {
		for (unsigned host = 0; host < SCSI_RIG_HOSTS; host++) {
			scsi_rig_send(&rig, host, &ready[host],
				SCSI_RIG_CDB(0x00), NULL, 0);
			scsi_rig_send(&rig, host, &report[host],
				SCSI_RIG_CDB(0xa3, 0x0a, [8] = 1), NULL, 0);
		}
		CHECK_INT(volume_path_set_co(
				  rig.volume, 2, states[i % STATES].state),
			0);
		for (unsigned host = 0; host < SCSI_RIG_HOSTS; host++) {
			scsi_rig_wait_co(&ready[host]);
			scsi_rig_wait_co(&report[host]);
			CHECK(is_owed(host, &ready[host]));
			CHECK(is_owed(0, &report[host]));
		}
	}
	CHECK_INT(volume_path_changes(rig.volume), 50 * STATES);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(told_co),
		ROW(same_co),
		ROW(late_co),
		ROW(commands_co),
		ROW(reserved_co),
		ROW(explicit_co),
		ROW(inquiry_co),
		ROW(many_co),
		ROW(racing_co),
		STACK_RIG_CASE(
			racing_co, threads, .world = "threads", .lanes = 3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
