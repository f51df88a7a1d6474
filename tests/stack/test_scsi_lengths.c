/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths in CDBs, one after the other: an answer is cut at the allocation length and
 * is the same up to there (SPC-4 4.2.5.6); a list of parameters that is cut anywhere is
 * refused, or carried out as far as it is whole, and never as if the rest were there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "target/scsi/command.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD

static const struct scsi_rig_setup plain;
static struct scsi_rig rig;
static struct scsi_rig_command command;
static const uint8_t *const data = command.data;

/* Where the standards have the length, and of how many bytes: not what our table says. */
static unsigned put_length(uint8_t *cdb, uint32_t length)
{
	switch (cdb[0]) {
	case 0x03: /* REQUEST SENSE, MODE SENSE(6) and SELECT(6) */
	case 0x15:
	case 0x1a: cdb[4] = (uint8_t)length; return 1;
	case 0x12: /* INQUIRY, SEND and RECEIVE DIAGNOSTIC */
	case 0x1c:
	case 0x1d: put_be16(cdb + 3, (uint16_t)length); return 2;
	case 0x5f: put_be32(cdb + 5, length); return 4;
	default: break;
	}
	switch (cdb[0] >> 5) {
	case 4: put_be32(cdb + 10, length); return 4;
	case 5: put_be32(cdb + 6, length); return 4;
	default: put_be16(cdb + 7, (uint16_t)length); return 2;
	}
}

/* -- answers --------------------------------------------------------------- */

static const struct reply {
	uint8_t cdb[16];
	/* The bytes [from, to) of it are not the same each time. */
	uint8_t from, to;
} replies[] = {
	{{0x03}, 0, 0}, {{0x03, 1}, 0, 0}, {{0x12}, 0, 0},
	{{0x12, 1, 0x00}, 0, 0}, {{0x12, 1, 0x80}, 0, 0},
	{{0x12, 1, 0x83}, 0, 0}, {{0x12, 1, 0x86}, 0, 0},
	{{0x12, 1, 0x87}, 0, 0}, {{0x12, 1, 0x88}, 0, 0},
	{{0x12, 1, 0xb0}, 0, 0}, {{0x12, 1, 0xb1}, 0, 0},
	{{0x12, 1, 0xb2}, 0, 0}, {{0x1a, 0, 0x3f}, 0, 0},
	{{0x1a, 8, 0x3f, 0xff}, 0, 0}, {{0x1c, 1}, 0, 0},
	{{0x4d, 0, 0x40}, 0, 0}, {{0x4d, 0, 0x4d}, 0, 0},
	{{0x5a, 0x10, 0x3f, 0xff}, 0, 0}, {{0x5e, 0}, 0, 0}, {{0x5e, 1}, 0, 0},
	{{0x5e, 2}, 0, 0}, {{0x5e, 3}, 0, 0}, {{0x9e, 0x10}, 0, 0},
	{{0x9e, 0x12}, 0, 4}, /* no more descriptors than are asked for */
	{{0xa0, 0, 2}, 0, 0}, {{0xa3, 0x0a}, 0, 0}, {{0xa3, 0x2a}, 0, 0},
	{{0xa3, 0x0c}, 0, 0}, {{0xa3, 0x0c, 0x80}, 0, 0},
	{{0xa3, 0x0c, 0x81, 0x28}, 0, 0}, {{0xa3, 0x0d, 0x80}, 0, 0},
	{{0xa3, 0x0f}, 4, 10}, /* the time */
};
#define REPLIES (sizeof replies / sizeof *replies)

static bool have_reply(unsigned opcode, int action)
{
	for (unsigned i = 0; i < REPLIES; i++)
		if (replies[i].cdb[0] == opcode &&
			(action < 0 || (replies[i].cdb[1] & 0x1f) == action))
			return true;
	return false;
}

static void check_have(
	const struct scsi_command *row, unsigned opcode, int action)
{
	if (row->name && row->moves == SCSI_MOVES_REPLY &&
		!have_reply(opcode, action))
		fail_msg("%s has no row", row->name);
}

static void all_are_here(void **state)
{
	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		const struct scsi_command *row = &scsi_commands[opcode];

		if (!row->actions)
			check_have(row, opcode, -1);
		for (int i = 0; i < row->action_count; i++)
			check_have(&row->actions[i], opcode, i);
	}
}

/* The answer to `length` bytes; returns how long it is. */
static uint32_t ask_co(const struct reply *reply, uint32_t length)
{
	uint8_t cdb[16];

	memcpy(cdb, reply->cdb, sizeof cdb);
	put_length(cdb, length);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command, cdb, NULL, 0), SCSI_GOOD);
	return command.task.in_bytes;
}

static void check_reply_co(const struct reply *reply)
{
	static uint8_t whole[sizeof command.data];
	uint8_t cdb[16] = {reply->cdb[0]};
	unsigned width = put_length(cdb, 0);
	uint32_t most = width == 1 ? 255 : 4096, bytes = ask_co(reply, most);
	uint32_t last = bytes + 3 < most ? bytes + 3 : most;

	CHECK(bytes > 0 && bytes < most);
	memcpy(whole, data, bytes);
	for (uint32_t length = 0; length <= last; length++) {
		uint32_t got = ask_co(reply, length);

		CHECK_INT(got, length < bytes ? length : bytes);
		for (uint32_t i = 0; i < got; i++)
			if ((i < reply->from || i >= reply->to) &&
				data[i] != whole[i])
				check_fail(__FILE__, __LINE__,
					"%02x %02x %02x: byte %u of %u differs "
					"from that of all",
					reply->cdb[0], reply->cdb[1],
					reply->cdb[2], i, length);
	}
	CHECK_INT(ask_co(reply, UINT32_MAX), bytes); /* as much as fits there */
}

static void replies_co(struct stack_rig *stack, void *argument)
{
	uint8_t list[24] = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	/* A registration, a reservation and a block: there is something to tell. */
	put_be64(list + 8, 7);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x5f, 0, [8] = 24), list, 24),
		SCSI_GOOD);
	put_be64(list, 7);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x5f, 1, 5, [8] = 24), list, 24),
		SCSI_GOOD);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x2a, [5] = 200, [8] = 1),
			  (const uint8_t[512]){1}, 512),
		SCSI_GOOD);
	for (unsigned i = 0; i < REPLIES; i++)
		check_reply_co(&replies[i]);
	scsi_rig_close_co(&rig);
}

/* -- lists ----------------------------------------------------------------- */

enum { LENGTH = 0x051a00, ACCEPTED = 0 };

static const struct list {
	const char *name;
	uint8_t cdb[16];
	uint8_t bytes; /* of the whole list */
	/* With so many bytes and more it is not too short ... */
	uint8_t least;
	uint8_t header; /* ... nor with none but these, or 0 of them */
	bool nothing; /* no list at all is no mistake */
	uint8_t list[40];
} lists[] = {
	{"MODE SELECT(6)", {0x15, 0x10}, 16, 16, 4, true,
		{[4] = 0x0a, 0x0a, 0x02, 0x10, 8, [12] = 0xff, 0xff}},
	{"MODE SELECT(10)", {0x55, 0x10}, 20, 20, 8, true,
		{[8] = 0x0a, 0x0a, 0x02, 0x10, 8, [16] = 0xff, 0xff}},
	{"UNMAP", {0x42}, 24, 8, 8, true,
		{[1] = 22, [3] = 16, [15] = 5, [19] = 1}},
	{"PERSISTENT RESERVE OUT, REGISTER", {0x5f, 0}, 24, 24, 24, false,
		{[15] = 9}},
	{"PERSISTENT RESERVE OUT, REGISTER AND IGNORE", {0x5f, 6}, 24, 24, 24,
		false, {[15] = 9}},
};

static bool swp_is_set_co(void)
{
	GOOD(&rig, 0, &command, 0x1a, 8, 0x0a, 0, 255);
	return data[4 + 4] & 8;
}

static unsigned registrations_co(void)
{
	GOOD(&rig, 0, &command, 0x5e, 0, [8] = 255);
	return get_be32(data + 4) / 8;
}

static bool block_is_mapped_co(void)
{
	GOOD(&rig, 0, &command, 0x28, [5] = 5, [8] = 1);
	return data[0];
}

/* True if what the list asks for has happened. */
static bool happened_co(const struct list *list)
{
	switch (list->cdb[0]) {
	case 0x42: return !block_is_mapped_co();
	case 0x5f: return registrations_co() != 0;
	default: return swp_is_set_co();
	}
}

/* `said` by the CDB, `sent` by the host. */
static uint32_t try_co(const struct list *list, uint32_t said, uint32_t sent)
{
	uint8_t cdb[16];

	memcpy(cdb, list->cdb, sizeof cdb);
	put_length(cdb, said);
	if (scsi_rig_do_co(&rig, 0, &command, cdb, list->list, sent) ==
		SCSI_GOOD)
		return ACCEPTED;
	return scsi_rig_sense(&command);
}

static uint32_t expected(const struct list *list, uint32_t length)
{
	if (length >= list->least || length == list->header ||
		(!length && list->nothing))
		return ACCEPTED;
	return LENGTH;
}

static void check_list_co(const struct list *list)
{
	uint32_t whole;

	for (uint32_t length = 0; length < list->bytes; length++) {
		uint32_t sense = try_co(list, length, length);

		if (sense != expected(list, length))
			check_fail(__FILE__, __LINE__, "%s of %u bytes: %06x",
				list->name, length, sense);
		CHECK(!happened_co(list));
		/* All is announced, less is sent. */
		CHECK_INT(try_co(list, list->bytes, length), LENGTH);
		CHECK(!happened_co(list));
	}
	whole = expected(list, list->bytes);
	CHECK_INT(try_co(list, list->bytes, list->bytes), whole);
	CHECK_INT(happened_co(list), whole == ACCEPTED);
}

static void lists_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) {
		scsi_rig_open_co(&rig, stack, &plain);
		CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
				  SCSI_RIG_CDB(0x2a, [5] = 5, [8] = 1),
				  (const uint8_t[512]){1}, 512),
			SCSI_GOOD);
		check_list_co(&lists[i]);
		scsi_rig_close_co(&rig);
	}
}

/* Longer than any list that means something: not even looked at. */
static void too_long_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	SCSI_RIG_FAILS(&rig, 0, &command, LENGTH, 0x5f, 0, [6] = 1, [8] = 1);
	SCSI_RIG_FAILS(&rig, 0, &command, LENGTH, 0x5f, 0, 0, 0, 0, 255, 255,
		255, 255);
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_here),
		ROW(replies_co),
		ROW(lists_co),
		ROW(too_long_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
