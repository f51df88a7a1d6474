/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every way in which a sequence of Data-Out can be broken (RFC 7143 11.7, 11.17.1):
 * nothing of it is stored, its command ends when all that was asked for has come,
 * and the session goes on.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define PROTOCOL 0x04
#define FIELD 0x09
#define ABORTED 0x0b4705

static struct wire_pdu pdu;
static uint8_t data[8192], got[4096];

struct broken {
	const char *what;
	uint8_t reason;
	uint32_t transfer_tag_plus, data_sn, offset, bytes;
	bool final;
	uint8_t lun;
};

static const struct broken broken[] = {
	{"another transfer tag", FIELD, 7, 0, 0, 4096, true, 0},
	{"DataSN does not start at 0", PROTOCOL, 0, 1, 0, 4096, true, 0},
	{"offset", PROTOCOL, 0, 0, 512, 512, false, 0},
	{"more than asked for", PROTOCOL, 0, 0, 0, 8192, true, 0},
	{"ends early", PROTOCOL, 0, 0, 0, 512, true, 0},
	{"does not end", PROTOCOL, 0, 0, 0, 4096, false, 0},
	{"another LUN", FIELD, 0, 0, 0, 4096, true, 1},
	{"another LUN, and more to come", FIELD, 0, 0, 0, 512, false, 1},
	{"offset near the end of 32 bits", PROTOCOL, 0, 0, 0xfffffe00, 4096,
		true, 0},
};

static void broken_sequences_fail_the_command_only(void **state)
{
	struct target_rig *rig = *state;
	static const uint8_t zeroes[4096];
	struct wire wire = {0};
	uint32_t tag;

	wire_open(&wire, rig->port, "InitialR2T=Yes\nImmediateData=No\n");
	memset(data, 9, sizeof data);
	for (unsigned i = 0; i < sizeof broken / sizeof *broken; i++) {
		const struct broken *b = &broken[i];
		struct wire_data_out out = {.data_sn = b->data_sn,
			.offset = b->offset,
			.final = b->final,
			.lun = b->lun,
			.data = data,
			.bytes = b->bytes};

		tag = out.tag = wire_send_write(&wire, 30000, 8, NULL, 0);
		wire_expect_r2t(&wire, tag, 0, 4096, &pdu);
		out.transfer_tag =
			wire_get32(pdu.bhs + 20) + b->transfer_tag_plus;
		wire_send_data(&wire, &out);
		wire_expect_reject(&wire, b->reason);
		/* Its end comes when all that was asked for has (11.17.1). */
		if (!b->final) {
			wire_expect_quiet(&wire);
			out.final = true;
			wire_send_data(&wire, &out);
		}
		assert_int_equal(
			wire_expect_status(&wire, tag, 2, &pdu), ABORTED);
		/* What still comes for it is thrown away. */
		wire_send_data(&wire, &out);
		wire_expect_quiet(&wire);
	}
	tag = wire_send_read(&wire, 30000, 8);
	assert_int_equal(wire_expect_data(&wire, tag, got, &pdu), sizeof got);
	assert_memory_equal(got, zeroes, sizeof got);
	wire_logout(&wire);
}

/* Two R2Ts are out when the first sequence breaks: the end of the second is waited
 * for, a third one is not asked for. */
static void a_failed_command_waits_for_what_is_asked_for(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct wire_data_out out = {.data = data, .bytes = 4096};
	uint32_t tag, second;

	wire_open(&wire, rig->port,
		"InitialR2T=Yes\nImmediateData=No\nMaxBurstLength=65536\n"
		"MaxOutstandingR2T=2\n");
	tag = wire_send_write(&wire, 0, 512, NULL, 0);
	wire_expect_r2t(&wire, tag, 0, 65536, &pdu);
	out.tag = tag;
	out.transfer_tag = wire_get32(pdu.bhs + 20);
	wire_expect_r2t(&wire, tag, 65536, 65536, &pdu);
	second = wire_get32(pdu.bhs + 20);
	out.offset = 512;
	wire_send_data(&wire, &out);
	wire_expect_reject(&wire, PROTOCOL);
	wire_expect_quiet(&wire);
	out.final = true;
	wire_send_data(&wire, &out);
	wire_expect_quiet(&wire);
	out.transfer_tag = second;
	wire_send_data(&wire, &out);
	assert_int_equal(wire_expect_status(&wire, tag, 2, &pdu), ABORTED);
	wire_expect_quiet(&wire);
	/* One that is waited for can be aborted. */
	tag = wire_send_write(&wire, 0, 8, NULL, 0);
	wire_expect_r2t(&wire, tag, 0, 4096, &pdu);
	out.tag = tag;
	out.final = false;
	wire_send_data(&wire, &out);
	wire_expect_reject(&wire, FIELD);
	wire_send_task(&wire, 1, 0, tag, wire.command_sn - 1);
	wire_expect(&wire, WIRE_TASK_RESPONSE, &pdu);
	assert_int_equal(pdu.bhs[2], 0);
	wire_expect_quiet(&wire);
	wire_logout(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(broken_sequences_fail_the_command_only),
		HOST_IO_BESIDE(a_failed_command_waits_for_what_is_asked_for),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
