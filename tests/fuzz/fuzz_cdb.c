/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz: commands of two hosts to one volume, with whatever CDBs and data-out,
 * held to what must be true of every answer.
 *
 * The input begins with a byte of the volume's kind
 *	bit 0: blocks of 4096; bit 1: read-only; bit 2: not removable; bit 3: thick
 * and goes on with a row of commands, each
 *	host     bit 0: which of two; bit 1: a task management function instead,
 *		 number in bits 4..2; bit 5: the host logs in anew before;
 *		 bit 6: ORDERED; bit 7: the daemon starts anew before
 *	length   2 bytes, little endian: data-out that is sent
 *	cdb      16 bytes
 *	data     so many bytes as are left, of that length
 *
 * All lanes and disks are the simulator's: an input takes microseconds.
 */
#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define COMMANDS 64u /* of one input */
#define EVENTS 2u /* log-ins and restarts of one input: they cost most */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static struct scsi_rig rig;
static struct scsi_rig_setup setup;
static unsigned events_seen;
static struct scsi_rig_command command;

static bool take(struct input *input, void *to, size_t bytes)
{
	if (input->left < bytes)
		return false;
	memcpy(to, input->at, bytes);
	input->at += bytes;
	input->left -= bytes;
	return true;
}

static void check_answer(void)
{
	const struct scsi_task *task = &command.task;

	switch (task->status) {
	case SCSI_CHECK_CONDITION:
		assert(task->sense_bytes >= 8);
		assert(task->sense_bytes <= SCSI_SENSE_BYTES);
		assert(scsi_rig_sense(&command));
		assert(!task->in_bytes);
		break;
	case SCSI_GOOD:
		assert(!task->sense_bytes);
		assert(task->in_bytes <= task->data_bytes);
		break;
	case SCSI_BUSY:
	case SCSI_RESERVATION_CONFLICT:
	case SCSI_ABORTED: assert(!task->in_bytes); break;
	default: abort(); /* no status of ours */
	}
}

/* What happens before a command. */
static void events_co(uint8_t events)
{
	unsigned host = events & 1;

	if (!(events & 0xa0) || events_seen++ >= EVENTS)
		return;
	if (events & 0x80) {
		scsi_rig_restart_co(&rig, &setup);
	} else {
		scsi_rig_logout_co(&rig, host);
		scsi_rig_login_co(&rig, host);
	}
}

static bool command_co(struct input *input)
{
	static uint8_t out[1u << 16];
	uint8_t header[3], cdb[16];
	size_t sent, there;

	if (!take(input, header, sizeof header) ||
		!take(input, cdb, sizeof cdb))
		return false;
	events_co(header[0]);
	if (header[0] & 2) {
		scsi_rig_manage_co(
			&rig, header[0] & 1, header[0] >> 2 & 7, NULL);
		return true;
	}
	sent = get_le16(header + 1);
	there = sent < input->left ? sent : input->left;
	memset(out, 0, sent);
	take(input, out, there);
	memset(&command.task, 0, sizeof command.task);
	command.task.attribute = header[0] & 0x40 ? SCSI_ORDERED : SCSI_SIMPLE;
	scsi_rig_send(&rig, header[0] & 1, &command, cdb, out, (uint32_t)sent);
	scsi_rig_wait_co(&command);
	check_answer();
	return true;
}

static void input_co(struct stack_rig *stack, void *argument)
{
	uint8_t kind = 0;

	take(argument, &kind, 1);
	setup = (struct scsi_rig_setup){.block_bytes = kind & 1 ? 4096 : 0,
		.read_only = kind & 2,
		.removable = !(kind & 4),
		.thick = kind & 8};
	events_seen = 0;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < COMMANDS && command_co(argument); i++)
		;
	scsi_rig_close_co(&rig);
}

/* The core under it is used again, some times: making it costs most. */
#define INPUTS 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct stack_rig_setup world = {.world = "simulated",
		.lanes = SCSI_RIG_LANES,
		.pool_bytes = 32u << 20};
	static struct stack_rig *stack;
	static unsigned inputs;
	struct input input = {data, size};

	if (stack && inputs++ % INPUTS == 0) {
		stack_rig_free(stack);
		stack = NULL;
	}
	if (!stack)
		stack = stack_rig_new(&world);
	stack_rig_run(stack, input_co, &input);
	return 0;
}
