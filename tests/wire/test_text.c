/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text negotiation in full feature phase on the wire (RFC 7143 6.4, 11.10): what was
 * agreed on by how data come afterwards, and what may not be agreed on any more by how
 * they still come; beside a host whose I/O goes on.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NO_TAG 0xffffffffu
#define BYTES 16384u

static struct wire_pdu pdu;

struct talk {
	struct wire *wire;
	uint32_t tag, transfer_tag;
};

/* One request; `flags`: WIRE_F or 0x40 for C. */
static void ask(struct talk *talk, uint8_t flags, const char *keys)
{
	char text[1024];
	uint32_t bytes = (uint32_t)strlen(keys);
	uint8_t bhs[48];
	uint32_t tag = wire_begin(talk->wire, bhs, WIRE_TEXT);

	assert_in_range(bytes, 0, sizeof text);
	for (uint32_t i = 0; i < bytes; i++)
		text[i] = keys[i] == '\n' ? '\0' : keys[i];
	if (talk->transfer_tag == NO_TAG)
		talk->tag = tag;
	bhs[1] = flags;
	wire_put32(bhs + 16, talk->tag);
	wire_put32(bhs + 20, talk->transfer_tag);
	wire_send(talk->wire, bhs, text, bytes);
}

/* Its answer: F or not, and these keys ('\n' for the zero bytes). */
static void expect(struct talk *talk, uint8_t flags, const char *keys)
{
	uint32_t bytes = (uint32_t)strlen(keys);

	wire_expect(talk->wire, WIRE_TEXT_RESPONSE, &pdu);
	assert_int_equal(wire_get32(pdu.bhs + 16), talk->tag);
	assert_int_equal(pdu.bhs[1], flags);
	talk->transfer_tag = wire_get32(pdu.bhs + 20);
	assert_int_equal(talk->transfer_tag == NO_TAG, flags == WIRE_F);
	for (uint32_t i = 0; i < pdu.bytes; i++)
		if (!pdu.data[i])
			pdu.data[i] = '\n';
	pdu.data[pdu.bytes] = '\0';
	assert_int_equal(pdu.bytes, bytes);
	assert_string_equal((const char *)pdu.data, keys);
}

static void agree(struct talk *talk, const char *keys, const char *answer)
{
	talk->transfer_tag = NO_TAG;
	ask(talk, WIRE_F, keys);
	expect(talk, WIRE_F, answer);
}

/* Data-In of BYTES from LUN 0 come in PDUs of `most`. */
static void expect_pieces(struct wire *wire, uint32_t most)
{
	uint32_t tag = wire_send_read(wire, 4096, BYTES / 512), at = 0;

	while (at < BYTES) {
		wire_expect(wire, WIRE_DATA_IN, &pdu);
		assert_int_equal(wire_get32(pdu.bhs + 16), tag);
		assert_int_equal(
			pdu.bytes, BYTES - at < most ? BYTES - at : most);
		at += pdu.bytes;
	}
	host_io_goes_on();
}

static void a_new_segment_length_counts_for_data(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct talk talk = {.wire = &wire};

	wire_open(&wire, rig->port, "");
	expect_pieces(&wire, 8192);
	agree(&talk, "MaxRecvDataSegmentLength=1000\n", "");
	expect_pieces(&wire, 1000);
	agree(&talk, "MaxRecvDataSegmentLength=65536\n", "");
	expect_pieces(&wire, BYTES);
	/* In pieces, and not before the last of them. */
	talk.transfer_tag = NO_TAG;
	ask(&talk, 0x40, "MaxRecvDataSegm");
	expect(&talk, 0, "");
	expect_pieces(&wire, BYTES);
	ask(&talk, 0, "entLength=512\n");
	expect(&talk, 0, "");
	expect_pieces(&wire, BYTES);
	ask(&talk, WIRE_F, "");
	expect(&talk, WIRE_F, "");
	expect_pieces(&wire, 512);
	wire_logout(&wire);
}

/* Refused as a whole, nothing of it counts. */
static void a_negotiation_that_fails_changes_nothing(void **state)
{
	static const char *const wrong[] = {"MaxRecvDataSegmentLength=511\n",
		"MaxRecvDataSegmentLength=16777216\n",
		"MaxRecvDataSegmentLength=many\n",
		"MaxRecvDataSegmentLength=512\nMaxRecvDataSegmentLength=512\n",
		"MaxRecvDataSegmentLength=512\nno equals sign\n",
		"MaxRecvDataSegmentLength=512\nSendTargets"};
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct talk talk = {.wire = &wire};

	wire_open(&wire, rig->port, "MaxRecvDataSegmentLength=4096\n");
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		talk.transfer_tag = NO_TAG;
		ask(&talk, WIRE_F, wrong[i]);
		wire_expect_reject(&wire, 0x04);
		expect_pieces(&wire, 4096);
	}
	/* Left in the middle: the next one knows nothing of it. */
	ask(&talk, 0, "MaxRecvDataSegmentLength=512\n");
	expect(&talk, 0, "");
	agree(&talk, "X-a=1\n", "X-a=NotUnderstood\n");
	expect_pieces(&wire, 4096);
	wire_logout(&wire);
}

/* What is for the login only is answered with Reject, and is as it was: digests, bursts,
 * immediate data. */
static void what_the_login_agreed_on_stays(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct talk talk = {.wire = &wire};
	static uint8_t data[BYTES];
	uint32_t tag;

	wire_open(&wire, rig->port,
		"MaxBurstLength=4096\nFirstBurstLength=4096\n");
	agree(&talk,
		"HeaderDigest=CRC32C\nDataDigest=CRC32C\nImmediateData=No\n"
		"MaxBurstLength=512\nFirstBurstLength=512\nInitialR2T=No\n"
		"ErrorRecoveryLevel=2\nMaxConnections=8\n",
		"HeaderDigest=Reject\nDataDigest=Reject\nImmediateData=Reject\n"
		"MaxBurstLength=Reject\nFirstBurstLength=Reject\n"
		"InitialR2T=Reject\nErrorRecoveryLevel=Reject\n"
		"MaxConnections=Reject\n");
	tag = wire_send_write(&wire, 4096, 16, data, 4096);
	wire_expect_r2t(&wire, tag, 4096, 4096, &pdu);
	wire_send_data(&wire,
		&(struct wire_data_out){.tag = tag,
			.transfer_tag = wire_get32(pdu.bhs + 20),
			.offset = 4096,
			.final = true,
			.data = data,
			.bytes = 4096});
	wire_expect_status(&wire, tag, 0, &pdu);
	wire_logout(&wire);
}

/* A session sees its own target, whatever it asks for (appendix C). */
static void targets_of_a_normal_session(void **state)
{
	static const char list[] = "TargetName=" WIRE_TARGET "\n";
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct talk talk = {.wire = &wire};

	wire_open(&wire, rig->port, "");
	talk.transfer_tag = NO_TAG;
	ask(&talk, WIRE_F, "SendTargets=\n");
	wire_expect(&wire, WIRE_TEXT_RESPONSE, &pdu);
	assert_memory_equal(pdu.data, list, sizeof list - 2);
	assert_null(strstr((const char *)pdu.data + sizeof list - 1, "other"));
	agree(&talk, "SendTargets=All\n", "SendTargets=Reject\n");
	agree(&talk, "SendTargets=iqn.2026-11.example.cairn:other\n",
		"SendTargets=Reject\n");
	expect_pieces(&wire, 8192);
	wire_logout(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(a_new_segment_length_counts_for_data),
		HOST_IO_BESIDE(a_negotiation_that_fails_changes_nothing),
		HOST_IO_BESIDE(what_the_login_agreed_on_stays),
		HOST_IO_BESIDE(targets_of_a_normal_session),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
