/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the flight recorder tells of a conversation: login, a read, logout. On the
 * simulated loop, where all of it is this thread's.
 */
#include "tests/lib/sim_target.h"
#include "tests/lib/traced.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct wire_pdu pdu;
static uint8_t got[512];
static struct trace_record last;

static void a_conversation_can_be_followed(void **state)
{
	struct sim_target_setup setup;
	struct sim_target *target;
	struct wire wire = {0};
	uint64_t connection;
	uint32_t since = trace_recorder.next;

	(void)state;
	sim_target_defaults(&setup);
	target = sim_target_new(&setup);
	sim_target_open(target, &wire, "");
	assert_int_equal(traced_since(since, TRACE_session_up, &last), 1);
	connection = last.a;
	assert_true(connection ==
		(uintptr_t)TAILQ_FIRST(&target->server->lane[0]->connections));
	assert_int_equal(last.b, 0);

	since = trace_recorder.next;
	wire_expect_data(&wire, wire_send_read(&wire, 0, 1), got, &pdu);
	assert_int_equal(traced_since(since, TRACE_pdu_in, &last), 1);
	assert_true(last.a == connection);
	assert_int_equal(last.b, PDU_SCSI_COMMAND);
	assert_int_equal(traced_since(since, TRACE_scsi_start, &last), 1);
	assert_int_equal(last.b, 0x28); /* READ(10) */
	assert_int_equal(traced_since(since, TRACE_request_submit, &last), 1);
	assert_int_equal(traced_since(since, TRACE_request_done, &last), 1);
	assert_int_equal(last.b, 0);
	assert_int_equal(traced_since(since, TRACE_scsi_done, &last), 1);
	assert_int_equal(last.b, 0);
	assert_int_equal(traced_since(since, TRACE_pdu_out, &last), 1);
	assert_true(last.a == connection);
	assert_int_equal(last.b, 512);

	since = trace_recorder.next;
	wire_logout(&wire);
	sim_target_until_gone(target);
	assert_int_equal(traced_since(since, TRACE_session_down, &last), 1);
	assert_true(last.a == connection);
	sim_target_free(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversation_can_be_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
