/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device server says about itself: the vital product data, the target port
 * groups, and what a thick unit neither says nor does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS

static const struct scsi_rig_setup plain;
static struct scsi_rig rig;
static struct scsi_rig_command command;

/* The page in command.data, asked for with 4 KiB; returns its end. */
static uint32_t page_co(uint8_t code)
{
	GOOD(&rig, 0, &command, 0x12, 1, code, 0x10, 0);
	CHECK_INT(command.data[0], 0);
	CHECK_INT(command.data[1], code);
	CHECK_INT(command.task.in_bytes, get_be16(command.data + 2) + 4u);
	return command.task.in_bytes;
}

/* -- ports ----------------------------------------------------------------- */

/* The rig's portals are in the groups 1 and 2. */
static void port_groups_co(struct stack_rig *stack, void *argument)
{
	const uint8_t *data = command.data;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 0, &command, 0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 1, 0);
	CHECK_INT(command.task.in_bytes, 4 + 2 * 12);
	CHECK_INT(get_be32(data), 2 * 12);
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *group = data + 4 + 12 * i;

		CHECK_INT(group[0], 0); /* active/optimized */
		CHECK_INT(group[1], 0x8f); /* what there can be */
		CHECK_INT(group[5], 0); /* it never changed */
		CHECK_INT(get_be16(group + 2), i + 1);
		CHECK_INT(group[7], 1); /* port */
		CHECK_INT(get_be16(group + 10), i + 1);
	}
	/* The extended header; formats that are not there; a short answer. */
	GOOD(&rig, 0, &command, 0xa3, 0x2a, 0, 0, 0, 0, 0, 0, 1, 0);
	CHECK_INT(get_be32(data), 4 + 2 * 12);
	CHECK_INT(data[4], 0x10);
	CHECK_INT(get_be16(data + 8 + 12 + 2), 2);
	FAILS(&rig, 0, &command, 0x052400, 0xa3, 0x4a, 0, 0, 0, 0, 0, 0, 1, 0);
	GOOD(&rig, 0, &command, 0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 6);
	CHECK_INT(command.task.in_bytes, 6);
	CHECK_INT(get_be32(data), 2 * 12);
	/* INQUIRY says that there are groups, with implicit changes. */
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 96);
	CHECK_INT(data[5] & 0x30, 0x10);
	scsi_rig_close_co(&rig);
}

static void check_port(const uint8_t *port, unsigned number, const char *name)
{
	CHECK_INT(get_be16(port + 2), number);
	CHECK_INT(get_be16(port + 6), 0); /* no initiator's TransportID */
	CHECK_INT(get_be16(port + 10), 4 + 20);
	CHECK_INT(port[12], 0x53); /* iSCSI, UTF-8 */
	CHECK_INT(port[13], 0x98); /* PIV, target port, name string */
	CHECK_INT(port[15], 20);
	CHECK(!strcmp((const char *)port + 16, name));
}

/* Page 88h lists the ports of REPORT TARGET PORT GROUPS. */
static void ports_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	CHECK_INT(page_co(0x88), 4 + 2 * 36);
	check_port(command.data + 4, 1, "iqn.target,t,0x0001");
	check_port(command.data + 4 + 36, 2, "iqn.target,t,0x0002");
	scsi_rig_close_co(&rig);
}

static bool lists_page_co(uint8_t code)
{
	uint32_t end = page_co(0x00);

	for (uint32_t i = 4; i < end; i++) {
		CHECK(i == 4 || command.data[i] > command.data[i - 1]);
		if (command.data[i] == code)
			return true;
	}
	return false;
}

/* Page 85h is there where the operator has said by which address. */
static void management_co(struct stack_rig *stack, void *argument)
{
	static const char url[] = "https://san.example:8443";
	const uint8_t *data = command.data;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	CHECK(!lists_page_co(0x85));
	FAILS(&rig, 0, &command, 0x052400, 0x12, 1, 0x85, 0x10, 0);
	rig.table->management_url = strdup(url);
	CHECK(lists_page_co(0x85));
	CHECK_INT(page_co(0x85), 4 + 4 + 28);
	CHECK_INT(data[4], 0x41); /* target device, storage configuration */
	CHECK_INT(get_be16(data + 6), 28); /* a NUL, and a multiple of 4 */
	CHECK(!strcmp((const char *)data + 8, url));
	for (unsigned i = 8 + 24; i < 36; i++)
		CHECK_INT(data[i], 0);
	scsi_rig_close_co(&rig);
}

/* -- identity --------------------------------------------------------------- */

/* The designator with this second byte (PIV, association, type). */
static const uint8_t *designator(uint8_t kind)
{
	const uint8_t *at = command.data + 4;
	const uint8_t *end = at + get_be16(command.data + 2);

	for (; at < end; at += 4 + at[3])
		if (at[1] == kind)
			return at;
	check_fail(__FILE__, __LINE__, "no designator %02x", kind);
}

static void check_name(uint8_t kind, const char *name)
{
	const uint8_t *at = designator(kind);

	CHECK_INT(at[0] & 0xf, 3); /* UTF-8 */
	CHECK(!strcmp((const char *)at + 4, name));
	CHECK_INT(at[3], (strlen(name) / 4 + 1) * 4);
}

static void identification_co(struct stack_rig *stack, void *argument)
{
	char name[32];
	const uint8_t *at;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	page_co(0x83);
	at = designator(0x03); /* NAA of the unit */
	CHECK_INT(at[0], 1);
	CHECK(!memcmp(at + 4, rig.volume->naa, 8));
	snprintf(name, sizeof name, "naa.%016llX",
		(unsigned long long)get_be64(rig.volume->naa));
	check_name(0x08, name);
	at = designator(0x01); /* T10 vendor */
	CHECK_INT(at[3], 40);
	CHECK(!memcmp(at + 4, "CAIRN   ", 8));
	CHECK(!memcmp(at + 12, rig.volume->serial, 32));
	at = designator(0x94); /* relative target port */
	CHECK_INT(at[0], 0x51);
	CHECK_INT(get_be32(at + 4), 1);
	at = designator(0x95); /* target port group */
	CHECK_INT(at[0], 0x51);
	CHECK_INT(get_be32(at + 4), 1);
	check_name(0x98, "iqn.target,t,0x0001");
	check_name(0xa8, "iqn.target");
	page_co(0x80);
	CHECK_INT(command.task.in_bytes, 4 + 32);
	CHECK(!memcmp(command.data + 4, rig.volume->serial, 32));
	scsi_rig_close_co(&rig);
}

/* -- what it does ------------------------------------------------------------ */

static void abilities_co(struct stack_rig *stack, void *argument)
{
	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	CHECK_INT(page_co(0x86), 64);
	CHECK_INT(command.data[5], 0x07); /* SIMPSUP, ORDSUP, HEADSUP */
	CHECK_INT(command.data[6], 0x01); /* V_SUP */
	CHECK_INT(command.data[7], 0x01); /* LUICLR */
	CHECK_INT(page_co(0x87), 8);
	CHECK_INT(get_be32(command.data + 4), 0x3fff0000); /* all, shared */
	CHECK_INT(page_co(0xb1), 64);
	CHECK_INT(get_be16(command.data + 4), 1); /* does not rotate */
	scsi_rig_close_co(&rig);
}

/* All mode pages, in order, of their lengths, and what is constant in them. */
static void mode_pages_co(struct stack_rig *stack, void *argument)
{
	static const struct {
		uint8_t code, subcode, bytes;
		uint8_t is[10]; /* its first bytes, without PS; others are 0 */
	} pages[] = {
		{0x01, 0, 12,
			{0x01, 10, 0xc0, [7] = 0x80}}, /* AWRE ARRE LBPERE */
		{0x02, 0, 16, {0x02, 14}},
		{0x03, 0, 24, {0}},
		{0x04, 0, 24, {0}},
		{0x08, 0, 20, {0x08, 18}}, /* no cache of `mem` */
		{0x0a, 0, 12, {0x0a, 10, 0x02, 0x10, [8] = 0xff, 0xff}},
		{0x0a, 1, 32, {0x4a, 1, 0, 28}},
		{0x1a, 0, 40, {0x1a, 38}},
		{0x1c, 0, 12, {0x1c, 10, 0x08}}, /* DEXCPT */
		{0x1c, 2, 24, {0x5c, 2, 0, 20}},
	};
	const uint8_t *at = command.data + 8;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &plain);
	GOOD(&rig, 0, &command, 0x5a, 8, 0x3f, 0xff, [7] = 4);
	for (unsigned i = 0; i < sizeof pages / sizeof *pages; i++) {
		bool sub = pages[i].subcode;

		CHECK_INT(at[0] & 0x7f, pages[i].code | (sub ? 0x40 : 0));
		CHECK_INT(sub ? get_be16(at + 2) + 4u : at[1] + 2u,
			pages[i].bytes);
		for (unsigned j = 1; pages[i].is[0] && j < 10; j++)
			CHECK_INT(at[j], pages[i].is[j]);
		at += pages[i].bytes;
	}
	CHECK_INT(at - command.data, command.task.in_bytes);
	scsi_rig_close_co(&rig);
}

/* -- a thick unit ------------------------------------------------------------ */

static bool opcode_is_listed_co(uint8_t opcode)
{
	uint32_t end;

	GOOD(&rig, 0, &command, 0xa3, 0x0c, [8] = 0x10);
	end = get_be32(command.data) + 4;
	for (uint32_t i = 4; i < end; i += 8)
		if (command.data[i] == opcode)
			return true;
	return false;
}

/* It tells of no unmapping, and does none. */
static void thick_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {.thick = true};
	const uint8_t *data = command.data, *sense = command.task.sense;
	static const uint8_t zeroes[512];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	page_co(0xb2);
	CHECK_INT(get_be32(data + 4), 0);
	page_co(0xb0);
	for (unsigned i = 20; i < 36; i++)
		CHECK_INT(data[i], 0); /* of UNMAP */
	GOOD(&rig, 0, &command, 0x9e, 0x10, [13] = 32);
	CHECK_INT(data[14], 0); /* LBPME, LBPRZ */
	GOOD(&rig, 0, &command, 0x1a, 8, 0x01, 0, 255);
	CHECK_INT(data[4 + 7], 0); /* LBPERE */
	FAILS(&rig, 0, &command, 0x052400, 0x1a, 8, 0x1c, 2, 255);
	CHECK(!opcode_is_listed_co(0x42));
	CHECK(opcode_is_listed_co(0x41));
	GOOD(&rig, 0, &command, 0xa3, 0x0c, 1, 0x42, [9] = 64);
	CHECK_INT(data[1], 1); /* not supported */
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x42, [8] = 24), zeroes, 24),
		SCSI_CHECK_CONDITION);
	CHECK_INT(scsi_rig_sense(&command), 0x052000);
	for (unsigned i = 0; i < 2; i++) {
		static const uint8_t same[2][16] = {
			{0x41, 8, [8] = 1}, {0x93, 8, [13] = 1}};

		CHECK_INT(
			scsi_rig_do_co(&rig, 0, &command, same[i], zeroes, 512),
			SCSI_CHECK_CONDITION);
		CHECK_INT(scsi_rig_sense(&command), 0x052400);
		CHECK_INT(sense[15], 0xcb);
		CHECK_INT(get_be16(sense + 16), 1);
	}
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command, SCSI_RIG_CDB(0x41, [8] = 1),
			  zeroes, 512),
		SCSI_GOOD);
	scsi_rig_close_co(&rig);
	/* A thin one does. */
	scsi_rig_open_co(&rig, stack, &plain);
	CHECK(opcode_is_listed_co(0x42));
	scsi_rig_close_co(&rig);
}

#define ROW(body) STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(port_groups_co),
		ROW(ports_co),
		ROW(management_co),
		ROW(identification_co),
		ROW(abilities_co),
		ROW(mode_pages_co),
		ROW(thick_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
