/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands for more blocks than are moved at once: VERIFY, ORWRITE, WRITE SAME, UNMAP go
 * in pieces, and what happens at the borders of these is what happens elsewhere; and the
 * most that VPD page B0h lets hosts ask for, which is done, and one more, which is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD
#define FIRST 2u
#define MANY \
	1024u /* blocks: two pieces of VERIFY and WRITE SAME, four of ORWRITE */

static struct scsi_rig rig;
static struct scsi_rig_command command;
static uint8_t out[MANY * 512];

/* A 10 byte command for `blocks` from `lba` on; its sense, or 0. */
static uint32_t ask_co(uint8_t opcode, uint8_t bits, uint32_t lba,
	uint32_t blocks, uint32_t out_bytes)
{
	uint8_t cdb[16] = {opcode, bits};

	if (opcode >> 5 == 4) {
		put_be32(cdb + 6, lba);
		put_be32(cdb + 10, blocks);
	} else {
		put_be32(cdb + 2, lba);
		put_be16(cdb + 7, (uint16_t)blocks);
	}
	if (scsi_rig_do_co(&rig, 0, &command, cdb, out, out_bytes) == SCSI_GOOD)
		return 0;
	return scsi_rig_sense(&command);
}

static void expect_block_co(uint32_t lba, uint8_t byte)
{
	CHECK_INT(ask_co(0x28, 0, lba, 1, 0), 0);
	for (unsigned i = 0; i < 512; i++)
		CHECK_INT(command.data[i], byte);
}

/* All of them, and neither neighbour. */
static void expect_blocks_co(uint32_t blocks, uint8_t byte)
{
	expect_block_co(FIRST - 1, 0);
	for (uint32_t i = 0; i < blocks; i++)
		expect_block_co(FIRST + i, byte);
	expect_block_co(FIRST + blocks, 0);
}

/* -- borders of pieces -------------------------------------------------------- */

static void same_co(struct stack_rig *stack, void *argument)
{
	static const uint32_t blocks[] = {1, 511, 512, 513, 1023, 1024, 1025};
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	for (unsigned i = 0; i < sizeof blocks / sizeof *blocks; i++) {
		scsi_rig_open_co(&rig, stack, &setup);
		memset(out, 's', 512);
		CHECK_INT(ask_co(0x93, 0, FIRST, blocks[i], 512), 0);
		expect_blocks_co(blocks[i], 's');
		scsi_rig_close_co(&rig);
	}
}

static void or_co(struct stack_rig *stack, void *argument)
{
	static const uint32_t blocks[] = {255, 256, 257, MANY - 1, MANY};
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	for (unsigned i = 0; i < sizeof blocks / sizeof *blocks; i++) {
		scsi_rig_open_co(&rig, stack, &setup);
		memset(out, 0x0f, sizeof out);
		CHECK_INT(
			ask_co(0x8b, 0, FIRST, blocks[i], blocks[i] * 512), 0);
		memset(out, 0x31, sizeof out);
		CHECK_INT(
			ask_co(0x8b, 0, FIRST, blocks[i], blocks[i] * 512), 0);
		expect_blocks_co(blocks[i], 0x3f);
		scsi_rig_close_co(&rig);
	}
}

/* The block that differs is named, in whichever piece it is; the first one. */
static void verify_co(struct stack_rig *stack, void *argument)
{
	static const uint32_t places[] = {0, 1, 511, 512, 513, 700, MANY - 1};
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	memset(out, 'v', sizeof out);
	CHECK_INT(ask_co(0x93, 0, FIRST, MANY, 512), 0);
	CHECK_INT(ask_co(0x8f, 0, FIRST, MANY, 0), 0);
	CHECK_INT(ask_co(0x8f, 2, FIRST, MANY, sizeof out), 0);
	CHECK_INT(ask_co(0x8f, 6, FIRST, MANY, 512), 0);
	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		uint8_t *byte = &out[places[i] * 512 + 511];

		*byte = 'w';
		out[sizeof out - 1] = 'w';
		CHECK_INT(ask_co(0x8f, 2, FIRST, MANY, sizeof out), 0x0e1d00);
		CHECK_INT(command.task.sense[0], 0xf0); /* VALID */
		CHECK_INT(get_be32(command.task.sense + 3), FIRST + places[i]);
		*byte = out[sizeof out - 1] = 'v';
	}
	/* One block for all. */
	CHECK_INT(ask_co(0x8f, 6, FIRST, MANY + 1, 512), 0x0e1d00);
	CHECK_INT(get_be32(command.task.sense + 3), FIRST + MANY);
	CHECK_INT(ask_co(0x8f, 6, FIRST - 1, MANY, 512), 0x0e1d00);
	CHECK_INT(get_be32(command.task.sense + 3), FIRST - 1);
	scsi_rig_close_co(&rig);
}

/* What did not come is compared with nothing: whole blocks that came, of one for all
 * exactly that one. */
static void short_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	memset(out, 'v', sizeof out);
	CHECK_INT(ask_co(0x93, 0, FIRST, 2, 512), 0);
	CHECK_INT(ask_co(0x8f, 2, FIRST, 4, 4 * 512), 0x0e1d00);
	CHECK_INT(get_be32(command.task.sense + 3), FIRST + 2);
	CHECK_INT(ask_co(0x8f, 2, FIRST, 4, 2 * 512), 0);
	CHECK_INT(ask_co(0x8f, 2, FIRST, 4, 3 * 512 - 1), 0);
	CHECK_INT(ask_co(0x8f, 2, FIRST, 4, 3 * 512), 0x0e1d00);
	CHECK_INT(ask_co(0x8f, 2, FIRST, 4, 0), 0);
	CHECK_INT(ask_co(0x8f, 6, FIRST, 2, 511), 0x050e03);
	CHECK_INT(ask_co(0x8f, 6, FIRST, 2, 513), 0x050e03);
	CHECK_INT(ask_co(0x8f, 6, FIRST, 2, 0), 0x050e03);
	CHECK_INT(ask_co(0x8f, 6, FIRST, 2, 512), 0);
	/* The same of writes: what came whole. */
	memset(out, 'w', sizeof out);
	CHECK_INT(ask_co(0x8e, 2, FIRST, 4, 3 * 512 - 1), 0);
	CHECK_INT(ask_co(0x8b, 0, FIRST + 8, 4, 3 * 512 - 1), 0);
	expect_block_co(FIRST + 1, 'w');
	expect_block_co(FIRST + 2, 0);
	expect_block_co(FIRST + 9, 'w');
	expect_block_co(FIRST + 10, 0);
	scsi_rig_close_co(&rig);
}

/* COMPARE AND WRITE: exactly twice what the CDB says, or nothing happens. */
static void compare_co(struct stack_rig *stack, void *argument)
{
	static const struct {
		uint32_t blocks, out_bytes, sense;
	} rows[] = {{1, 1023, 0x050e03}, {1, 1025, 0x050e03},
		{1, 512, 0x050e03}, {1, 0, 0x050e03}, {1, 2048, 0x050e03},
		{2, 1024, 0x050e03}, {0, 0, 0}, {0, 1024, 0x052400},
		{2, 2048, 0}};
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	memset(out, 0, sizeof out);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t cdb[16] = {0x89, [9] = FIRST};
		bool good = !rows[i].sense, writes = good && rows[i].blocks;

		cdb[13] = (uint8_t)rows[i].blocks;
		memset(out + rows[i].blocks * 512, 'c', 1024);
		CHECK_INT(scsi_rig_do_co(&rig, 0, &command, cdb, out,
				  rows[i].out_bytes),
			good ? SCSI_GOOD : SCSI_CHECK_CONDITION);
		CHECK_INT(scsi_rig_sense(&command), rows[i].sense);
		expect_block_co(FIRST, writes ? 'c' : 0);
		memset(out, 0, sizeof out);
	}
	expect_block_co(FIRST + 1, 'c');
	expect_block_co(FIRST + 2, 0);
	scsi_rig_close_co(&rig);
}

/* -- GET LBA STATUS ------------------------------------------------------------ */

#define PAGE 128u /* blocks: `mem` keeps pages of 64 KiB */
#define PAGES 64u

/* Every other page is there. From `lba` on, with room for so many bytes: descriptors that
 * follow each other, alternate, and have no byte that means nothing. */
static void check_status_co(uint32_t lba, uint32_t bytes)
{
	uint8_t cdb[16] = {0x9e, 0x12};
	const uint8_t *data = command.data;
	uint32_t end, place = lba, said;

	put_be32(cdb + 6, lba);
	put_be32(cdb + 10, bytes);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command, cdb, NULL, 0), SCSI_GOOD);
	end = command.task.in_bytes;
	CHECK(end <= bytes);
	said = get_be32(data) + 4;
	CHECK((said - 8) % 16 == 0 && said > 8 && said >= end);
	/* Nothing is held back that has room. */
	CHECK(end == bytes || said == end);
	CHECK_INT(get_be32(data + 4), 0);
	for (uint32_t at = 8; at + 16 <= end; at += 16) {
		uint32_t next = (place / PAGE + 1) * PAGE;

		CHECK_INT(get_be64(data + at), place);
		CHECK_INT(get_be32(data + at + 8), next - place);
		CHECK_INT(get_be32(data + at + 12),
			place / PAGE % 2 ? 1u << 24 : 0);
		place = next;
	}
	if (end == said)
		CHECK_INT(place, PAGES * PAGE);
}

static void lba_status_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	memset(out, 1, 512);
	for (uint32_t page = 0; page < PAGES; page += 2)
		CHECK_INT(ask_co(0x2a, 0, page * PAGE + 5, 1, 512), 0);
	for (uint32_t bytes = 8; bytes < 8 + 16 * (PAGES + 1); bytes += 4)
		check_status_co(0, bytes);
	check_status_co(1, 4096);
	check_status_co(PAGE - 1, 4096);
	check_status_co(PAGE, 4096);
	check_status_co(PAGES * PAGE - 1, 4096);
	scsi_rig_close_co(&rig);
}

/* -- the most --------------------------------------------------------------- */

static void check_pointer(uint8_t valid, unsigned byte)
{
	CHECK_INT(command.task.sense[15], valid | 7);
	CHECK_INT(get_be16(command.task.sense + 16), byte);
}

/* `count` descriptors, one behind the other, of so many blocks each. */
static uint32_t unmap_co(uint32_t count, uint32_t blocks)
{
	uint32_t bytes = 8 + 16 * count;
	uint8_t cdb[16] = {0x42};

	CHECK(bytes <= sizeof out);
	memset(out, 0, bytes);
	put_be16(out, (uint16_t)(bytes - 2));
	put_be16(out + 2, (uint16_t)(16 * count));
	for (uint32_t i = 0; i < count; i++) {
		put_be64(out + 8 + 16 * i, (uint64_t)i * blocks);
		put_be32(out + 8 + 16 * i + 8, blocks);
	}
	put_be16(cdb + 7, (uint16_t)bytes);
	if (scsi_rig_do_co(&rig, 0, &command, cdb, out, bytes) == SCSI_GOOD)
		return 0;
	return scsi_rig_sense(&command);
}

static void most_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault, "
			    "rules: [{op: discard, error: none}]}], "
			    "protocol: {type: 'null', size: 1T}}"};
	uint32_t most_blocks, most_descriptors, most_same, most_transfer;
	uint64_t discards;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	GOOD(&rig, 0, &command, 0x12, 1, 0xb0, 0, 64);
	most_transfer = get_be32(command.data + 8);
	most_blocks = get_be32(command.data + 20);
	most_descriptors = get_be32(command.data + 24);
	most_same = (uint32_t)get_be64(command.data + 36);

	CHECK_INT(unmap_co(most_descriptors, 1), 0);
	CHECK_INT(unmap_co(most_descriptors + 1, 1), 0x052600);
	check_pointer(0x88, 2); /* BLOCK DESCRIPTOR DATA LENGTH */
	discards = stack_rig_figure(rig.source, "matches");
	CHECK_INT(discards, most_descriptors);
	CHECK_INT(unmap_co(1, most_blocks), 0);
	/* In pieces of 64 MiB. */
	CHECK_INT(stack_rig_figure(rig.source, "matches") - discards,
		most_blocks / (131072));
	CHECK_INT(unmap_co(2, most_blocks / 2), 0);
	CHECK_INT(unmap_co(1, most_blocks + 1), 0x052600);
	check_pointer(0x88, 8 + 8);
	CHECK_INT(unmap_co(2, most_blocks / 2 + 1), 0x052600);
	check_pointer(0x88, 8 + 16 + 8);

	memset(out, 0, sizeof out);
	CHECK_INT(ask_co(0x41, 0, 0, most_same, 512), 0);
	CHECK_INT(ask_co(0x41, 0, 0, most_same + 1, 512), 0x052400);
	check_pointer(0xc8, 7);
	CHECK_INT(ask_co(0x93, 0, 0, most_same, 512), 0);
	CHECK_INT(ask_co(0x93, 0, 0, most_same + 1, 512), 0x052400);
	check_pointer(0xc8, 10);
	CHECK_INT(ask_co(0x88, 0, 0, most_transfer, 0), 0);
	CHECK_INT(command.task.in_bytes, most_transfer * 512);
	CHECK_INT(ask_co(0x88, 0, 0, most_transfer + 1, 0), 0x052400);
	check_pointer(0xc8, 10);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(same_co),
		ROW(or_co),
		ROW(verify_co),
		ROW(short_co),
		ROW(compare_co),
		ROW(lba_status_co),
		ROW(most_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
