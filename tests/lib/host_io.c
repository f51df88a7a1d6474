/* SPDX-License-Identifier: Apache-2.0 */
/* See host_io.h. */
#include "tests/lib/host_io.h"

#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define IO_BLOCKS 256u
#define IO_BYTES (IO_BLOCKS * 512u)
#define BURST_BYTES 65536u /* FirstBurstLength by default */

static struct wire_pdu pdu;
static uint8_t data[IO_BYTES], got[IO_BYTES];

void host_io_fill(unsigned seed)
{
	for (unsigned i = 0; i < IO_BYTES; i++)
		data[i] = (uint8_t)(i * 7 + i / 512 + seed);
}

void host_io_read(struct wire *wire, uint32_t lba)
{
	uint32_t tag = wire_send_read(wire, lba, IO_BLOCKS);

	assert_int_equal(wire_expect_data(wire, tag, got, &pdu), IO_BYTES);
	assert_memory_equal(got, data, IO_BYTES);
}

/* Immediate data, then what an R2T asks for. */
void host_io_write(struct wire *wire, uint32_t lba)
{
	uint32_t tag = wire_send_write(wire, lba, IO_BLOCKS, data, BURST_BYTES);
	struct wire_data_out out = {.tag = tag,
		.offset = BURST_BYTES,
		.final = true,
		.data = data + BURST_BYTES,
		.bytes = IO_BYTES - BURST_BYTES};

	wire_expect_r2t(wire, tag, out.offset, out.bytes, &pdu);
	out.transfer_tag = wire_get32(pdu.bhs + 20);
	wire_send_data(wire, &out);
	wire_expect_status(wire, tag, 0, &pdu);
}

void host_io_expect(struct wire *wire, unsigned round)
{
	host_io_fill(round);
	host_io_write(wire, round % 8 * IO_BLOCKS);
	host_io_read(wire, round % 8 * IO_BLOCKS);
}

void host_io_ready(struct wire *wire)
{
	uint32_t tag =
		wire_send_command(wire, &(struct wire_command){.flags = 0});

	wire_expect_status(wire, tag, 0, &pdu);
}

/* -- beside ----------------------------------------------------------------- */

static struct wire beside;
static unsigned rounds;

int host_io_beside(void **state)
{
	const struct target_rig *rig = *state;

	beside = (struct wire){.isid = {0x40, 9}};
	wire_open(&beside, rig->port, "");
	host_io_goes_on();
	return 0;
}

void host_io_goes_on(void)
{
	host_io_expect(&beside, rounds++);
}

int host_io_went_on(void **state)
{
	(void)state;
	host_io_goes_on();
	wire_logout(&beside);
	return 0;
}

int host_io_was_reset(void **state)
{
	uint32_t tag =
		wire_send_command(&beside, &(struct wire_command){.flags = 0});

	assert_int_equal(wire_expect_status(&beside, tag, 2, &pdu), 0x062903);
	host_io_ready(&beside);
	host_io_read(&beside, (rounds - 1) % 8 * IO_BLOCKS);
	return host_io_went_on(state);
}

int host_io_perhaps_reset(void **state)
{
	wire_clear_attentions(&beside);
	host_io_read(&beside, (rounds - 1) % 8 * IO_BLOCKS);
	return host_io_went_on(state);
}

int host_io_was_dropped(void **state)
{
	const struct target_rig *rig = *state;

	wire_expect(&beside, WIRE_ASYNC, &pdu);
	assert_int_equal(pdu.bhs[36], 3);
	wire_expect_closed(&beside);
	wire_close(&beside);
	beside = (struct wire){.isid = {0x40, 9}};
	wire_open(&beside, rig->port, "");
	host_io_read(&beside, (rounds - 1) % 8 * IO_BLOCKS);
	return host_io_went_on(state);
}

int host_io_rig_set_up(void **state)
{
	return target_rig_set_up(state) || host_io_beside(state);
}

int host_io_rig_tear_down(void **state)
{
	host_io_went_on(state);
	return target_rig_tear_down(state);
}
