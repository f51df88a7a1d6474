/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management that names a unit in another form than its commands did (SAM-5 4.7):
 * it is the same unit, and its answer overtakes nothing.
 */
#include "tests/lib/host_io.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct wire_pdu pdu;

/* A function that names the unit in flat addressing, where its commands did not. */
static void either_form_of_a_lun_is_the_unit(void **state)
{
	static const uint8_t functions[] = {
		1, 2}; /* ABORT TASK, ABORT TASK SET */
	const struct wire_command read = {.flags = WIRE_R,
		.lun = 1,
		.expected = 8u << 20,
		.cdb = {0x28, [7] = 0x40}};
	struct target_rig *rig = *state;

	for (unsigned i = 0; i < sizeof functions; i++) {
		struct wire wire = {0};
		uint8_t bhs[48];
		uint32_t tag;

		wire_open(&wire, rig->port, "MaxRecvDataSegmentLength=512\n");
		wire_send_command(&wire, &read);
		wire_expect(&wire, WIRE_RESPONSE, &pdu);
		tag = wire_send_command(&wire, &read);
		wire_expect(&wire, WIRE_DATA_IN, &pdu);
		wire_begin(&wire, bhs, WIRE_TASK | WIRE_IMMEDIATE);
		bhs[1] = WIRE_F | functions[i];
		bhs[8] = 0x40;
		bhs[9] = 1;
		wire_put32(bhs + 20, tag);
		wire_put32(bhs + 32, wire.command_sn - 1);
		wire_send(&wire, bhs, NULL, 0);
		do
			assert_true(wire_receive(&wire, &pdu));
		while (wire_opcode(&pdu) == WIRE_DATA_IN && !(pdu.bhs[1] & 1));
		assert_int_equal(wire_opcode(&pdu), WIRE_TASK_RESPONSE);
		assert_int_equal(pdu.bhs[2], 0);
		wire_expect_quiet(&wire);
		wire_logout(&wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_IO_BESIDE(either_form_of_a_lun_is_the_unit),
	};

	return cmocka_run_group_tests(
		tests, target_rig_set_up, target_rig_tear_down);
}
