/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the device server over a stack: what hosts read, write and ask,
 * and the sense data that they get for what is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#define BLOCKS (4u << 20 >> 9)
#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS

static struct scsi_rig rig;
static struct scsi_rig_command command;

static void write_block_co(unsigned lba, unsigned blocks, uint8_t byte)
{
	uint8_t data[8 * 512];

	CHECK(blocks <= 8);
	memset(data, byte, sizeof data);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x2a, 0, 0, 0, (uint8_t)(lba >> 8),
				  (uint8_t)lba, 0, 0, (uint8_t)blocks),
			  data, blocks * 512),
		SCSI_GOOD);
}

static uint8_t byte_at_co(unsigned lba)
{
	GOOD(&rig, 0, &command, 0x28, 0, 0, 0, (uint8_t)(lba >> 8),
		(uint8_t)lba, 0, 0, 1);
	CHECK_INT(command.task.in_bytes, 512);
	for (unsigned i = 1; i < 512; i++)
		CHECK_INT(command.data[i], command.data[0]);
	return command.data[0];
}

static void identity_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.removable = true};
	uint8_t last = 0;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 96);
	CHECK_INT(command.task.in_bytes, 96);
	CHECK_INT(command.data[1], 0x80);
	CHECK(!memcmp(command.data + 8, "CAIRN   VOLUME          ", 24));
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 5);
	CHECK_INT(command.task.in_bytes, 5);
	FAILS(&rig, 0, &command, 0x052400, 0x12, 0, 0x80, 0, 96);
	/* Page 00h lists every page, in order, and each is there. */
	GOOD(&rig, 0, &command, 0x12, 1, 0, 0, 255);
	for (unsigned i = 0; i < command.data[3]; i++) {
		static struct scsi_rig_command page;
		uint8_t code = command.data[4 + i];

		CHECK(!i || code > last);
		last = code;
		GOOD(&rig, 0, &page, 0x12, 1, code, 4, 0);
		CHECK_INT(page.data[1], code);
		CHECK_INT(page.task.in_bytes, get_be16(page.data + 2) + 4u);
	}
	FAILS(&rig, 0, &command, 0x052400, 0x12, 1, 0xc0, 0, 96);
	/* NAA 3 out of the UUID. */
	GOOD(&rig, 0, &command, 0x12, 1, 0x83, 1, 0);
	CHECK_INT(command.data[5] & 0xf, 3);
	CHECK_INT(command.data[8] >> 4, 3);
	scsi_rig_close_co(&rig);
}

/* What a host decides by before it unmaps; and every limit that is told holds. */
static void provisioning_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint8_t list[24] = {[1] = 22, [3] = 16};
	uint32_t most_blocks, most_same;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x12, 1, 0xb2, 0, 64);
	CHECK_INT(command.data[5], 0xe4); /* LBPU, LBPWS, LBPWS10, LBPRZ */
	CHECK_INT(command.data[6], 2); /* thin */
	GOOD(&rig, 0, &command, 0x12, 1, 0xb0, 0, 64);
	CHECK_INT(get_be16(command.data + 2), 0x3c);
	most_blocks = get_be32(command.data + 20);
	CHECK(most_blocks > BLOCKS);
	CHECK(get_be32(command.data + 24) > 0);
	CHECK(get_be32(command.data + 28) > 0);
	most_same = (uint32_t)get_be64(command.data + 36);
	CHECK(most_same > 0 && most_same < BLOCKS * 16);
	put_be32(list + 16, most_blocks + 1);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24), list, 24),
		SCSI_CHECK_CONDITION);
	/* INQUIRY tells its versions: SAM-5, iSCSI, SPC-4, SBC-3. */
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 96);
	CHECK_INT(get_be16(command.data + 58), 0x00a0);
	CHECK_INT(get_be16(command.data + 60), 0x0960);
	CHECK_INT(get_be16(command.data + 62), 0x0460);
	CHECK_INT(get_be16(command.data + 64), 0x04c0);
	scsi_rig_close_co(&rig);
}

static void capacity_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x25);
	CHECK_INT(get_be32(command.data), BLOCKS - 1);
	CHECK_INT(get_be32(command.data + 4), 512);
	GOOD(&rig, 0, &command, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		32);
	CHECK_INT(get_be64(command.data), BLOCKS - 1);
	CHECK_INT(command.data[14] & 0xc0, 0xc0);
	GOOD(&rig, 0, &command, 0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	CHECK_INT(get_be32(command.data), 8);
	GOOD(&rig, 0, &command, 0xa0, 0, 2, 0, 0, 0, 0, 0, 1, 0);
	CHECK_INT(get_be32(command.data), 16);
	CHECK_INT(get_be16(command.data + 16), 0xc101);
	scsi_rig_close_co(&rig);
}

static void transfer_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint8_t two[1024];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	write_block_co(7, 3, 'a');
	CHECK_INT(byte_at_co(6), 0);
	CHECK_INT(byte_at_co(9), 'a');
	/* READ(6): 21 bits of address. */
	GOOD(&rig, 0, &command, 0x08, 0xe0, 0, 7, 1);
	CHECK_INT(command.data[0], 'a');
	/* Less data than the CDB says: whole blocks that came. */
	memset(two, 'b', sizeof two);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x2a, 0, 0, 0, 0, 7, 0, 0, 2), two, 700),
		SCSI_GOOD);
	CHECK_INT(byte_at_co(7), 'b');
	CHECK_INT(byte_at_co(8), 'a');
	/* Beyond the end, also for nothing; protection fields; NACA. */
	FAILS(&rig, 0, &command, 0x052100, 0x28, 0, 0, 0, 0x20, 0, 0, 0, 1);
	FAILS(&rig, 0, &command, 0x052100, 0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 2);
	FAILS(&rig, 0, &command, 0x052100, 0x28, 0, 0, 0, 0x20, 1, 0, 0, 0);
	FAILS(&rig, 0, &command, 0x052100, 0x88, 0, 255, 255, 255, 255, 255,
		255, 255, 255, 0, 0, 0, 1);
	FAILS(&rig, 0, &command, 0x052400, 0x28, 0x20, 0, 0, 0, 0, 0, 0, 1);
	CHECK_INT(command.task.sense[15], 0xcf); /* CDB, bit 7 */
	FAILS(&rig, 0, &command, 0x052400, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 4);
	FAILS(&rig, 0, &command, 0x052400, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0);
	FAILS(&rig, 0, &command, 0x052000, 0xc0);
	FAILS(&rig, 0, &command, 0x052400, 0x9e, 0x1f);
	GOOD(&rig, 0, &command, 0x35);
	scsi_rig_close_co(&rig);
}

static void verify_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint8_t data[1024];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	write_block_co(4, 4, 'v');
	GOOD(&rig, 0, &command, 0x2f, 0, 0, 0, 0, 0, 0, 0x20, 0);
	memset(data, 'v', sizeof data);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x2f, 2, 0, 0, 0, 4, 0, 0, 2), data, 1024),
		SCSI_GOOD);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x2f, 6, 0, 0, 0, 4, 0, 0, 4), data, 512),
		SCSI_GOOD);
	data[1000] = 'x';
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x2f, 2, 0, 0, 0, 4, 0, 0, 2), data, 1024),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x0e1d00);
	CHECK_INT(get_be32(command.task.sense + 3), 5); /* the block */
	FAILS(&rig, 0, &command, 0x052400, 0x2f, 4, 0, 0, 0, 4, 0, 0, 1);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x2e, 2, 0, 0, 0, 4, 0, 0, 2), data, 1024),
		SCSI_GOOD);
	CHECK_INT(byte_at_co(4), 'v');
	scsi_rig_close_co(&rig);
}

static void same_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint8_t block[1024];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	memset(block, 's', sizeof block);
	/* To the end: 0 blocks; longer than one piece. */
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x41, 0, 0, 0, 0, 2), block, 512),
		SCSI_GOOD);
	CHECK_INT(byte_at_co(1), 0);
	CHECK_INT(byte_at_co(2), 's');
	CHECK_INT(byte_at_co(BLOCKS - 1), 's');
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x41, 8, 0, 0, 0, 4, 0, 0, 2), block, 512),
		SCSI_GOOD);
	CHECK_INT(byte_at_co(4), 0);
	CHECK_INT(byte_at_co(6), 's');
	/* NDOB, without data. */
	GOOD(&rig, 0, &command, 0x93, 1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1);
	CHECK_INT(byte_at_co(6), 0);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x41, 0, 0, 0, 0, 2, 0, 0, 1), block,
			  1024),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x050e03);
	FAILS(&rig, 0, &command, 0x052400, 0x93, 0x11, 0, 0, 0, 0, 0, 0, 0, 6,
		0, 0, 0, 1);
	FAILS(&rig, 0, &command, 0x052100, 0x93, 1, 0, 0, 0, 0, 0, 0, 0x20, 0,
		0, 0, 0, 1);
	scsi_rig_close_co(&rig);
}

static void unmap_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint8_t list[40] = {[1] = 38, [3] = 32};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	write_block_co(0, 8, 'u');
	put_be64(list + 8, 1);
	put_be32(list + 16, 2);
	put_be64(list + 24, 5);
	put_be32(list + 32, 1);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 40), list, 40),
		SCSI_GOOD);
	CHECK_INT(byte_at_co(0), 'u');
	CHECK_INT(byte_at_co(2), 0);
	CHECK_INT(byte_at_co(4), 'u');
	CHECK_INT(byte_at_co(5), 0);
	/* One of them beyond the end: none is carried out. */
	put_be64(list + 8, 0);
	put_be64(list + 24, BLOCKS);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 40), list, 40),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052100);
	CHECK_INT(byte_at_co(0), 'u');
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 7), list, 7),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x051a00);
	/* GET LBA STATUS: mem keeps pages of 64 KiB. */
	GOOD(&rig, 0, &command, 0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 1, 0);
	CHECK_INT(get_be32(command.data), 4 + 2 * 16);
	CHECK_INT(get_be64(command.data + 8), 3);
	CHECK_INT(get_be32(command.data + 16), 125);
	CHECK_INT(command.data[20], 0);
	CHECK_INT(get_be64(command.data + 24), 128);
	CHECK_INT(get_be32(command.data + 32), BLOCKS - 128);
	CHECK_INT(command.data[36], 1);
	scsi_rig_close_co(&rig);
}

static void compare_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint8_t data[1024];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	write_block_co(3, 1, 'c');
	memset(data, 'c', 512);
	memset(data + 512, 'd', 512);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(
				  0x89, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1),
			  data, 1024),
		SCSI_GOOD);
	CHECK_INT(byte_at_co(3), 'd');
	memset(data, 'd', 512);
	data[77] = 'x';
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(
				  0x89, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1),
			  data, 1024),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x0e1d00);
	CHECK_INT(command.task.sense[0], 0xf0);
	CHECK_INT(get_be32(command.task.sense + 3), 77);
	/* ORWRITE goes the same way. */
	memset(data, 0x03, 512);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(
				  0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1),
			  data, 512),
		SCSI_GOOD);
	CHECK_INT(byte_at_co(3), 'd' | 3);
	scsi_rig_close_co(&rig);
}

static void modes_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	/* D_SENSE and SWP in the control page, and nothing else changed */
	uint8_t list[16] = {
		0, 0, 0, 0, 0x0a, 0x0a, 0x06, 0x10, 0x08, 0, 0, 0, 0xff, 0xff};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x1a, 8, 0x3f, 0, 255);
	CHECK_INT(command.data[0] + 1u, command.task.in_bytes);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x11, 0, 0, 16), list, 16),
		SCSI_GOOD);
	/* The others are told; sense has the other format now. */
	CHECK_INT(
		scsi_rig_do_co(&rig, 1, &command, SCSI_RIG_CDB(0x00), NULL, 0),
		SCSI_CHECK_CONDITION);
	CHECK_INT(command.task.sense[0], 0x72);
	CHECK_INT(scsi_rig_sense(&command), 0x062a01);
	GOOD(&rig, 0, &command, 0x00);
	FAILS(&rig, 0, &command, 0x072700, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
	/* A bit that cannot be changed, and a page that is not there. */
	list[7] = 0;
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 16), list, 16),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052600);
	list[7] = 0x10;
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 15), list, 15),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x051a00);
	/* Saved: so it is after a restart. */
	scsi_rig_restart_co(&rig, &setup);
	FAILS(&rig, 0, &command, 0x072700, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
	GOOD(&rig, 0, &command, 0x1a, 8, 0xca, 0, 255);
	CHECK_INT(command.data[8] & 8, 8);
	scsi_rig_close_co(&rig);
}

static void errors_co(struct stack_rig *stack, void *argument)
{
	static const struct {
		const char *rule;
		uint8_t opcode;
		uint32_t sense;
	} rows[] = {
		{"{op: read, error: EIO, count: 1}", 0x28, 0x031100},
		{"{op: write, error: EIO, count: 1}", 0x2a, 0x030c00},
		{"{op: write, error: ENOSPC, count: 1}", 0x2a, 0x072707},
		{"{op: flush, error: EIO, count: 1}", 0x35, 0x030c00},
	};
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault}], "
			    "protocol: {type: mem, size: 4M}}"};
	uint8_t data[512] = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		scsi_rig_fault_co(&rig, "add", rows[i].rule);
		CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
				  SCSI_RIG_CDB(rows[i].opcode, 0, 0, 0, 0, 0, 0,
					  0, 1),
				  data, 512),
			SCSI_CHECK_CONDITION);
		CHECK_INT(scsi_rig_sense(&command), rows[i].sense);
	}
	/* The flush that failed: nothing is promised until somebody looked. */
	FAILS(&rig, 0, &command, 0x044400, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
	volume_repaired(rig.volume);
	GOOD(&rig, 0, &command, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
	volume_offline_co(rig.volume, "a test");
	FAILS(&rig, 0, &command, 0x020403, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
	FAILS(&rig, 0, &command, 0x020403, 0x00);
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 96);
	scsi_rig_close_co(&rig);
}

static void removable_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.removable = true};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 1, &command, 0x1e, 0, 0, 0, 1);
	FAILS(&rig, 0, &command, 0x055302, 0x1b, 0, 0, 0, 2);
	/* The host that prevented it is gone. */
	scsi_rig_logout_co(&rig, 1);
	GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, 2);
	FAILS(&rig, 0, &command, 0x023a00, 0x00);
	GOOD(&rig, 0, &command, 0x1b, 0, 0, 0, 3);
	GOOD(&rig, 0, &command, 0x00);
	FAILS(&rig, 2, &command, 0x062800, 0x00);
	scsi_rig_close_co(&rig);
}

/* What is the volume's is not for a host to change that may only read. */
static void reader_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.removable = true};
	uint8_t list[16] = {0, 0, 0, 0, 0x0a, 0x0a, 0, 0x10, 0x08};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	scsi_rig_protect_co(&rig, 1);
	FAILS(&rig, 1, &command, 0x062a01, 0x00);
	CHECK_INT(scsi_rig_do_co(&rig, 1, &command,
			  SCSI_RIG_CDB(0x15, 0x10, 0, 0, 16), list, 16),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052600);
	FAILS(&rig, 1, &command, 0x072700, 0x1b, 0, 0, 0, 2);
	GOOD(&rig, 0, &command, 0x2a, 0, 0, 0, 0, 0, 0, 0, 0);
	GOOD(&rig, 1, &command, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
	scsi_rig_close_co(&rig);
}

static void no_unit_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	struct scsi_task *task = &command.task;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	memset(task, 0, sizeof *task);
	task->nexus = &rig.nexus[0];
	task->cdb_bytes = 16;
	put_be16(task->lun, 5);
	CHECK(!scsi_task_begin(task));
	CHECK_INT(task->status, SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052500);
	task->cdb[0] = 0x12;
	task->cdb[4] = 96;
	CHECK(scsi_task_begin(task));
	CHECK_INT(task->data_bytes, 96);
	scsi_task_drop(task);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(identity_co),
		ROW(provisioning_co),
		ROW(capacity_co),
		ROW(transfer_co),
		ROW(verify_co),
		ROW(same_co),
		ROW(unmap_co),
		ROW(compare_co),
		ROW(modes_co),
		ROW(errors_co),
		ROW(removable_co),
		ROW(reader_co),
		ROW(no_unit_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
