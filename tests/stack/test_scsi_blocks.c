/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of 512 and of 4096 bytes, 512 over 4096 (512e), and more of them than fields
 * of 32 bits can say: what is shown, and where the ends are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS
#define MEGABYTE (1u << 20)
#define RANGE 0x052100

static struct scsi_rig rig;
static struct scsi_rig_command command;
static const uint8_t *const data = command.data;
static uint8_t out[2 * 4096];

struct shape {
	uint32_t block_bytes, physical_block_bytes;
	unsigned exponent; /* blocks of the host in a physical one: 2^n */
};
static const struct shape b512 = {512, 512, 0}, b512e = {512, 4096, 3},
			  b4096 = {4096, 4096, 0};

/* -- what is shown ----------------------------------------------------------- */

static void shown_co(struct stack_rig *stack, void *argument)
{
	const struct shape *shape = argument;
	const struct scsi_rig_setup setup = {.block_bytes = shape->block_bytes,
		.physical_block_bytes = shape->physical_block_bytes};
	uint32_t block = shape->block_bytes;
	uint32_t blocks = 4 * MEGABYTE / block;

	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x25);
	CHECK_INT(get_be32(data), blocks - 1);
	CHECK_INT(get_be32(data + 4), block);
	GOOD(&rig, 0, &command, 0x9e, 0x10, [13] = 32);
	CHECK_INT(get_be64(data), blocks - 1);
	CHECK_INT(get_be32(data + 8), block);
	CHECK_INT(data[13] & 0xf, shape->exponent);
	CHECK_INT(get_be16(data + 14), 0xc000); /* thin; aligned at 0 */
	GOOD(&rig, 0, &command, 0x12, 1, 0xb0, 0, 64);
	CHECK_INT(get_be32(data + 8), SCSI_MAX_TRANSFER_BYTES / block);
	CHECK(get_be16(data + 6) >= 1u << shape->exponent);
	CHECK_INT(data[5], 255); /* COMPARE AND WRITE */
	GOOD(&rig, 0, &command, 0x1a, 0, 0x3f, 0, 255);
	CHECK_INT(data[3], 8);
	CHECK_INT(get_be32(data + 4), blocks);
	CHECK_INT(get_be24(data + 9), block);
	GOOD(&rig, 0, &command, 0x5a, 0x10, 0x08, [8] = 255);
	CHECK_INT(data[4], 1); /* LONGLBA */
	CHECK_INT(get_be64(data + 8), blocks);
	CHECK_INT(get_be32(data + 20), block);
	GOOD(&rig, 0, &command, 0x1a, 8, 0x03, 0, 255);
	CHECK_INT(get_be16(data + 4 + 12), block);
	scsi_rig_close_co(&rig);
}

/* -- the ends ---------------------------------------------------------------- */

static void put_address(uint8_t *cdb, uint64_t lba, uint32_t blocks)
{
	switch (cdb[0] >> 5) {
	case 0:
		cdb[1] = (uint8_t)(lba >> 16);
		put_be16(cdb + 2, (uint16_t)lba);
		cdb[4] = (uint8_t)blocks;
		break;
	case 4:
		put_be64(cdb + 2, lba);
		put_be32(cdb + 10, blocks);
		break;
	case 5:
		put_be32(cdb + 2, (uint32_t)lba);
		put_be32(cdb + 6, blocks);
		break;
	default:
		put_be32(cdb + 2, (uint32_t)lba);
		put_be16(cdb + 7, (uint16_t)blocks);
		break;
	}
}

static uint32_t try_co(uint8_t opcode, uint8_t bits, uint64_t lba,
	uint32_t blocks, uint32_t out_bytes)
{
	uint8_t cdb[16] = {opcode};

	put_address(cdb, lba, blocks);
	cdb[1] |= bits;
	if (scsi_rig_do_co(&rig, 0, &command, cdb, out, out_bytes) == SCSI_GOOD)
		return 0;
	return scsi_rig_sense(&command);
}

/* The last block is there, the next is not, nor two from the last; nothing may be
 * asked for at the end and not behind it. */
static void ends_co(struct stack_rig *stack, void *argument)
{
	/* `out`: data-out in blocks, for so many asked */
	static const struct {
		uint8_t opcode, bits, out;
		bool none; /* 0 blocks mean none */
	} rows[] = {
		{0x08, 0, 0, false},
		{0x0a, 0, 1, false},
		{0x28, 0, 0, true},
		{0x2a, 0, 1, true},
		{0x2e, 0, 1, true},
		{0x2f, 0, 0, true},
		{0x34, 0, 0, true},
		{0x88, 0, 0, true},
		{0x8a, 0, 1, true},
		{0x8b, 0, 1, true},
		{0x8e, 0, 1, true},
		{0x8f, 0, 0, true},
		{0x90, 0, 0, true},
		{0x91, 0, 0, false},
		{0x35, 0, 0, false},
		{0xa8, 0, 0, true},
		{0xaa, 0, 1, true},
		{0xae, 0, 1, true},
		{0xaf, 0, 0, true},
		{0x93, 1, 0, false},
		{0x93, 9, 0, false},
	};
	const struct shape *shape = argument;
	const struct scsi_rig_setup setup = {.block_bytes = shape->block_bytes,
		.physical_block_bytes = shape->physical_block_bytes};
	uint32_t block = shape->block_bytes, end = 4 * MEGABYTE / block;

	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t opcode = rows[i].opcode, bits = rows[i].bits;
		uint32_t bytes = rows[i].out * block;

		CHECK_INT(try_co(opcode, bits, end - 1, 1, bytes), 0);
		CHECK_INT(try_co(opcode, bits, end, 1, bytes), RANGE);
		CHECK_INT(try_co(opcode, bits, end - 1, 2, 2 * bytes), RANGE);
		if (!rows[i].none)
			continue;
		CHECK_INT(try_co(opcode, bits, end, 0, 0), 0);
		CHECK_INT(try_co(opcode, bits, end + 1, 0, 0), RANGE);
	}
	scsi_rig_close_co(&rig);
}

/* What is written as block n is what is read as block n, and no other. */
static void places_co(struct stack_rig *stack, void *argument)
{
	const struct shape *shape = argument;
	const struct scsi_rig_setup setup = {.block_bytes = shape->block_bytes,
		.physical_block_bytes = shape->physical_block_bytes};
	uint32_t block = shape->block_bytes;

	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned lba = 0; lba < 16; lba++) {
		memset(out, 'a' + (int)lba, block);
		CHECK_INT(try_co(0x2a, 0, lba, 1, block), 0);
	}
	for (unsigned lba = 0; lba < 16; lba++) {
		CHECK_INT(try_co(0x28, 0, lba, 1, 0), 0);
		CHECK_INT(command.task.in_bytes, block);
		CHECK_INT(data[0], 'a' + lba);
		CHECK_INT(data[block - 1], 'a' + lba);
	}
	/* One of them made zeroes, another changed if it is as expected. */
	CHECK_INT(try_co(0x93, 9, 3, 1, 0), 0);
	memset(out, 'a' + 5, block);
	memset(out + block, 'Z', block);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x89, [9] = 5, [13] = 1), out, 2 * block),
		SCSI_GOOD);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x89, [9] = 6, [13] = 1), out, 2 * block),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x0e1d00);
	CHECK_INT(get_be32(command.task.sense + 3), 0); /* the first byte */
	for (unsigned lba = 0; lba < 16; lba++) {
		CHECK_INT(try_co(0x28, 0, lba, 1, 0), 0);
		CHECK_INT(data[block - 1],
			lba == 3	   ? 0
				: lba == 5 ? 'Z'
					   : 'a' + lba);
	}
	GOOD(&rig, 0, &command, 0x9e, 0x12, [13] = 8 + 16);
	CHECK_INT(get_be64(data + 8), 0);
	scsi_rig_close_co(&rig);
}

/* -- more than 32 bits ------------------------------------------------------- */

static void large_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{protocol: {type: \"null\", size: 5T}}"};
	const uint64_t blocks = 5ull << 40 >> 9;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x25);
	CHECK_INT(get_be32(data), UINT32_MAX);
	GOOD(&rig, 0, &command, 0x9e, 0x10, [13] = 32);
	CHECK_INT(get_be64(data), blocks - 1);
	GOOD(&rig, 0, &command, 0x1a, 0, 0x08, 0, 255);
	CHECK_INT(get_be32(data + 4), UINT32_MAX);
	GOOD(&rig, 0, &command, 0x5a, 0x10, 0x08, [8] = 255);
	CHECK_INT(get_be64(data + 8), blocks);
	CHECK_INT(try_co(0x88, 0, blocks - 1, 1, 0), 0);
	CHECK_INT(try_co(0x88, 0, blocks, 1, 0), RANGE);
	CHECK_INT(try_co(0x28, 0, UINT32_MAX, 1, 0), 0);
	CHECK_INT(try_co(0x28, 0, UINT32_MAX, 2, 0), 0);
	/* No sum of address and length wraps around. */
	CHECK_INT(try_co(0x88, 0, UINT64_MAX, 1, 0), RANGE);
	CHECK_INT(try_co(0x88, 0, UINT64_MAX - 7, 8, 0), RANGE);
	CHECK_INT(try_co(0x8f, 0, UINT64_MAX, UINT32_MAX, 0), RANGE);
	CHECK_INT(try_co(0x91, 0, UINT64_MAX, UINT32_MAX, 0), RANGE);
	CHECK_INT(try_co(0x93, 1, UINT64_MAX, UINT32_MAX, 0), RANGE);
	/* More than one command moves. */
	CHECK_INT(try_co(0x88, 0, 0, SCSI_MAX_TRANSFER_BYTES / 512 + 1, 0),
		0x052400);
	CHECK_INT(try_co(0x88, 0, 0, UINT32_MAX, 0), 0x052400);
	CHECK_INT(try_co(0x8a, 0, 0, UINT32_MAX, 0), 0x052400);
	scsi_rig_close_co(&rig);
}

#define SHAPE(body, shape) \
	STACK_RIG_CASE_WITH( \
		body, &shape, #shape, .world = "simulated", .lanes = 3)
#define SHAPES(body) SHAPE(body, b512), SHAPE(body, b512e), SHAPE(body, b4096)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHAPES(shown_co),
		SHAPES(ends_co),
		SHAPES(places_co),
		STACK_RIG_CASE(large_co, sim, .world = "simulated", .lanes = 3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
