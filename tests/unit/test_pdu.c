/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PDU fields at the offsets of RFC 7143 section 11, digests against published
 * CRC32C vectors, additional header segments good and bad.
 */
#include "target/iscsi/pdu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void fields_lie_where_the_rfc_says(void **state)
{
	/* A SCSI Command (11.3): READ(10), tag 11223344, CmdSN 55667788. */
	const uint8_t bhs[48] = {0x41, 0xc1, 0, 0, 0, 0x01, 0x02, 0x03, 0, 5, 0,
		0, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0, 0, 0x10, 0, 0x55,
		0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0, 0, 0, 0, 0x28};

	(void)state;
	assert_int_equal(pdu_opcode(bhs), PDU_SCSI_COMMAND);
	assert_true(pdu_is_immediate(bhs));
	assert_true(pdu_is_final(bhs));
	assert_int_equal(pdu_get_flags(bhs) & PDU_READ, PDU_READ);
	assert_int_equal(pdu_get_flags(bhs) & PDU_ATTRIBUTE_MASK, 1);
	assert_int_equal(pdu_get_data_bytes(bhs), 0x010203);
	assert_true(pdu_get_lun(bhs) == 0x0005000000000000);
	assert_int_equal(pdu_get_task_tag(bhs), 0x11223344);
	assert_int_equal(pdu_get_expected_bytes(bhs), 0x1000);
	assert_int_equal(pdu_get_cmd_sn(bhs), 0x55667788);
	assert_int_equal(pdu_get_exp_stat_sn(bhs), 0x99aabbcc);
}

static void putting_touches_one_field_only(void **state)
{
	uint8_t bhs[48];

	(void)state;
	pdu_init(bhs, PDU_R2T, PDU_FINAL);
	pdu_put_data_bytes(bhs, 0xabcdef);
	pdu_put_desired_bytes(bhs, 0x01020304);
	for (unsigned i = 0; i < 48; i++) {
		static const uint8_t expected[48] = {[0] = 0x31,
			[1] = 0x80,
			[5] = 0xab,
			[6] = 0xcd,
			[7] = 0xef,
			[44] = 1,
			[45] = 2,
			[46] = 3,
			[47] = 4};
		assert_int_equal(bhs[i], expected[i]);
	}
}

static void pads_fill_to_four(void **state)
{
	(void)state;
	assert_int_equal(pdu_pad_bytes(0), 0);
	assert_int_equal(pdu_pad_bytes(1), 3);
	assert_int_equal(pdu_pad_bytes(2), 2);
	assert_int_equal(pdu_pad_bytes(3), 1);
	assert_int_equal(pdu_pad_bytes(4096), 0);
}

static void serial_numbers_wrap(void **state)
{
	(void)state;
	assert_true(pdu_sn_before(1, 2));
	assert_false(pdu_sn_before(2, 2));
	assert_true(pdu_sn_before(0xffffffff, 0));
	assert_false(pdu_sn_before(0, 0xffffffff));
}

/* RFC 7143 appendix A.4: CRC32C examples. */
static void digests_match_the_rfc(void **state)
{
	static const uint8_t zeroes[] = {0xaa, 0x36, 0x91, 0x8a};
	static const uint8_t ones[] = {0x43, 0xab, 0xa8, 0x62};
	uint8_t data[32], digest[4];

	(void)state;
	memset(data, 0, sizeof data);
	pdu_put_digest(digest, data, 32, 0);
	assert_memory_equal(digest, zeroes, 4);
	assert_true(pdu_digest_fits(zeroes, data, 32));
	memset(data, 0xff, sizeof data);
	pdu_put_digest(digest, data, 32, 0);
	assert_memory_equal(digest, ones, 4);
	assert_false(pdu_digest_fits(zeroes, data, 32));
}

static void pads_are_in_the_digest(void **state)
{
	static const uint8_t padded[8] = {1, 2, 3, 4, 5};
	uint8_t a[4], b[4];

	(void)state;
	pdu_put_digest(a, padded, 5, 3);
	pdu_put_digest(b, padded, 8, 0);
	assert_memory_equal(a, b, 4);
}

/* -- additional header segments (11.2.2) ------------------------------------ */

static uint8_t header[PDU_BHS_BYTES + PDU_AHS_MAX_BYTES];

static void make_header(const void *ahs, size_t bytes)
{
	memset(header, 0, sizeof header);
	for (uint8_t i = 0; i < 16; i++)
		header[32 + i] = i;
	header[4] = (uint8_t)((bytes + 3) / 4);
	memcpy(header + PDU_BHS_BYTES, ahs, bytes);
}

static void a_plain_command_has_sixteen_bytes(void **state)
{
	struct pdu_command command;

	(void)state;
	make_header("", 0);
	assert_true(pdu_get_command(header, &command));
	assert_int_equal(command.cdb_bytes, 16);
	assert_int_equal(command.cdb[15], 15);
	assert_false(command.bidirectional);
}

static void an_extended_cdb_is_joined(void **state)
{
	/* Length 17: the reserved byte and 16 of CDB. */
	static const uint8_t ahs[20] = {0, 17, 1, 0, 16, 17, 18, 19, 20, 21, 22,
		23, 24, 25, 26, 27, 28, 29, 30, 31};
	struct pdu_command command;

	(void)state;
	make_header(ahs, sizeof ahs);
	assert_true(pdu_get_command(header, &command));
	assert_int_equal(command.cdb_bytes, 32);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(command.cdb[i], i);
}

static void a_bidirectional_length_is_seen(void **state)
{
	static const uint8_t ahs[8] = {0, 5, 2, 0, 0, 0, 2, 0};
	struct pdu_command command;

	(void)state;
	make_header(ahs, sizeof ahs);
	header[1] = PDU_READ | PDU_WRITE;
	assert_true(pdu_get_command(header, &command));
	assert_true(command.bidirectional);
	assert_int_equal(command.read_bytes, 512);
	/* Of a command that does not move data both ways it is a lie. */
	header[1] = PDU_READ;
	assert_false(pdu_get_command(header, &command));
}

static void every_segment_comes_once(void **state)
{
	static const uint8_t both[28] = {0, 17, 1, [20] = 0, 5, 2};
	static const uint8_t cdbs[16] = {0, 2, 1, [4] = 7, [8] = 0, 2, 1};
	static const uint8_t reads[16] = {0, 5, 2, [8] = 0, 5, 2};
	struct pdu_command command;

	(void)state;
	make_header(both, sizeof both);
	header[1] = PDU_READ | PDU_WRITE;
	assert_true(pdu_get_command(header, &command));
	assert_int_equal(pdu_header_bytes(header),
		PDU_BHS_BYTES + PDU_COMMAND_AHS_BYTES);
	make_header(cdbs, sizeof cdbs);
	assert_false(pdu_get_command(header, &command));
	make_header(reads, sizeof reads);
	header[1] = PDU_READ | PDU_WRITE;
	assert_false(pdu_get_command(header, &command));
}

static void damaged_segments_are_refused(void **state)
{
	static const uint8_t bad[][8] = {
		{0, 200, 1, 0}, /* longer than the header says */
		{0xff, 0xff, 1, 0},
		{0, 0, 1, 0}, /* not even its reserved byte */
		{0, 1, 1, 0}, /* a CDB of no more than 16 bytes: 11.2.2.3 */
		{0, 1, 1, 0, 0, 1, 1, 0},
		{0, 4, 2, 0}, /* read length cut short */
		{0, 5, 7, 0}, /* unknown type */
	};
	uint8_t huge[4 + 24] = {0, 18, 1}; /* 33 bytes of CDB */
	struct pdu_command command;

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		make_header(bad[i], sizeof *bad);
		assert_false(pdu_get_command(header, &command));
	}
	make_header(huge, sizeof huge);
	assert_false(pdu_get_command(header, &command));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_lie_where_the_rfc_says),
		cmocka_unit_test(putting_touches_one_field_only),
		cmocka_unit_test(pads_fill_to_four),
		cmocka_unit_test(serial_numbers_wrap),
		cmocka_unit_test(digests_match_the_rfc),
		cmocka_unit_test(pads_are_in_the_digest),
		cmocka_unit_test(a_plain_command_has_sixteen_bytes),
		cmocka_unit_test(an_extended_cdb_is_joined),
		cmocka_unit_test(a_bidirectional_length_is_seen),
		cmocka_unit_test(every_segment_comes_once),
		cmocka_unit_test(damaged_segments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
