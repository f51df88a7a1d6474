/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table holds together; sense data in both formats; TransportIDs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "target/scsi/command.h"
#include "target/scsi/sense.h"
#include "target/scsi/transport_id.h"

static unsigned cdb_bytes_of(unsigned opcode)
{
	static const unsigned bytes[8] = {6, 10, 10, 0, 16, 12, 0, 0};

	return bytes[opcode >> 5];
}

static void check_row(
	const struct scsi_command *row, unsigned opcode, unsigned action)
{
	bool data = row->moves == SCSI_MOVES_REPLY ||
		row->moves == SCSI_MOVES_CAPACITY;

	assert_int_equal(row->cdb_bytes, cdb_bytes_of(opcode));
	assert_true((row->execute != NULL) != (row->reply != NULL));
	assert_true(!row->reply || data);
	assert_true(row->length.at + row->length.bytes < row->cdb_bytes);
	assert_true(row->lba.at + row->lba.bytes < row->cdb_bytes);
	assert_true(!(row->flags & SCSI_CHANGES_MEDIUM) ||
		row->access == RESERVATION_WRITES);
	if (action)
		assert_int_equal(row->usage[0] & 0x1f, action);
	/* What is read as address or length is used, says the map. */
	for (unsigned i = 0; i < row->length.bytes; i++)
		assert_int_not_equal(row->usage[row->length.at + i - 1], 0);
	for (unsigned i = 1; i < row->lba.bytes; i++)
		assert_int_equal(row->usage[row->lba.at + i - 1], 255);
}

static void test_table(void **state)
{
	unsigned commands = 0;

	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		const struct scsi_command *row = &scsi_commands[opcode];
		uint8_t cdb[16] = {(uint8_t)opcode};
		bool known;

		if (row->name && !row->actions) {
			check_row(row, opcode, 0);
			commands++;
		}
		for (unsigned i = 0; i < row->action_count; i++) {
			if (!row->actions[i].name)
				continue;
			check_row(&row->actions[i], opcode, i);
			cdb[1] = (uint8_t)i;
			assert_ptr_equal(scsi_command_find(cdb, &known),
				&row->actions[i]);
			commands++;
		}
		cdb[1] = 0x1f;
		if (row->actions || !row->name)
			assert_null(scsi_command_find(cdb, &known));
		else
			assert_ptr_equal(scsi_command_find(cdb, &known), row);
		assert_int_equal(known, row->name != NULL);
	}
	/* The whole table of RSOC with time-outs fits into 4 KiB. */
	assert_in_range(commands, 50, (4096 - 4) / 20);
}

static void test_sense_fixed(void **state)
{
	const struct scsi_sense field = {.key = SENSE_ILLEGAL_REQUEST,
		.code = ASC_INVALID_FIELD_IN_CDB,
		.has_field = true,
		.field_byte = 2,
		.field_bit = 5};
	const struct scsi_sense differs = {.key = SENSE_MISCOMPARE,
		.code = ASC_MISCOMPARE,
		.has_information = true,
		.information = 0x1234};
	uint8_t to[SCSI_SENSE_BYTES];

	(void)state;
	assert_int_equal(scsi_sense_encode(&field, false, to), 18);
	assert_int_equal(to[0], 0x70);
	assert_int_equal(to[2], 5);
	assert_int_equal(to[7], 10);
	assert_int_equal(get_be16(to + 12), 0x2400);
	assert_int_equal(to[15], 0x80 | 0x40 | 0x08 | 5);
	assert_int_equal(get_be16(to + 16), 2);
	scsi_sense_encode(&differs, false, to);
	assert_int_equal(to[0], 0xf0);
	assert_int_equal(get_be32(to + 3), 0x1234);
}

static void test_sense_descriptors(void **state)
{
	const struct scsi_sense sense = {.key = SENSE_ILLEGAL_REQUEST,
		.code = ASC_INVALID_FIELD_IN_LIST,
		.has_information = true,
		.information = 1ull << 40,
		.has_field = true,
		.field_byte = 300,
		.field_bit = 7};
	uint8_t to[SCSI_SENSE_BYTES];

	(void)state;
	assert_int_equal(scsi_sense_encode(&sense, true, to), 8 + 12 + 8);
	assert_int_equal(get_be32(to), 0x72052600);
	assert_int_equal(to[7], 20);
	assert_int_equal(get_be16(to + 8), 0x000a);
	assert_int_equal(to[10], 0x80);
	assert_int_equal(get_be64(to + 12), 1ull << 40);
	assert_int_equal(get_be16(to + 20), 0x0206);
	assert_int_equal(to[24], 0x80 | 0x08 | 7); /* not in the CDB */
	assert_int_equal(get_be16(to + 25), 300);
}

static void test_transport_id(void **state)
{
	uint8_t to[TRANSPORT_ID_BYTES];
	char port[272];
	uint32_t bytes = transport_id_put("iqn.a:b,i,0x0123456789ab", to);

	(void)state;
	assert_int_equal(bytes, 4 + 28);
	assert_int_equal(to[0], 0x45);
	assert_int_equal(transport_id_get(to, bytes, port, sizeof port), bytes);
	assert_string_equal(port, "iqn.a:b,i,0x0123456789ab");
	assert_int_equal(transport_id_get(to, bytes - 1, port, sizeof port), 0);
	to[0] = 0x46; /* SAS */
	assert_int_equal(transport_id_get(to, bytes, port, sizeof port), 0);
	/* Written shorter and in capitals it is the same port. */
	transport_id_put("IQN.A:B,i,0x1F", to);
	assert_int_not_equal(
		transport_id_get(to, sizeof to, port, sizeof port), 0);
	assert_string_equal(port, "iqn.a:b,i,0x00000000001f");
	transport_id_put("iqn.a:b,i,0xnone", to);
	assert_int_equal(transport_id_get(to, sizeof to, port, sizeof port), 0);
	transport_id_put("iqn.a:b", to);
	assert_int_equal(transport_id_get(to, sizeof to, port, sizeof port), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_sense_fixed),
		cmocka_unit_test(test_sense_descriptors),
		cmocka_unit_test(test_transport_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
