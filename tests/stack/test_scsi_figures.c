/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of a volume: what hosts' commands add to them, how long they took, what
 * went wrong, also while somebody looks. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "blockcore/figures.h"
#include "tests/lib/scsi_rig.h"

#define GOOD SCSI_RIG_GOOD
#define FAILS SCSI_RIG_FAILS

static struct scsi_rig rig;
static struct scsi_rig_command command;
static struct volume_figures figures;

static const struct volume_figures_op *look(enum volume_op op)
{
	volume_book_sum(&rig.volume->book, &figures);
	return &figures.op[op];
}

static void write_co(unsigned host, uint8_t opcode, uint8_t byte1)
{
	static const uint8_t data[1024];

	CHECK_INT(scsi_rig_do_co(&rig, host, &command,
			  SCSI_RIG_CDB(opcode, byte1, 0, 0, 0, 0, 0, 0, 2),
			  data, opcode == 0x41 ? 512 : 1024),
		SCSI_GOOD);
}

static void unmap_co(uint32_t blocks)
{
	uint8_t list[24] = {0};

	put_be16(list, 22);
	put_be16(list + 2, 16);
	put_be32(list + 16, blocks);
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24), list,
			  sizeof list),
		SCSI_GOOD);
}

static void operations_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	uint64_t other;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	other = look(VOLUME_OP_OTHER)->requests;
	CHECK_INT(figures.nexuses, SCSI_RIG_HOSTS);
	for (unsigned host = 0; host < SCSI_RIG_HOSTS; host++) {
		write_co(host, 0x2a, 0);
		GOOD(&rig, host, &command, 0x28, 0, 0, 0, 0, 0, 0, 0, 2);
		GOOD(&rig, host, &command, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
	}
	CHECK_INT(look(VOLUME_OP_READ)->requests, 8);
	CHECK_INT(figures.op[VOLUME_OP_READ].bytes, 12 * 512);
	CHECK_INT(look(VOLUME_OP_WRITE)->requests, 4);
	CHECK_INT(figures.op[VOLUME_OP_WRITE].bytes, 4 * 1024);
	GOOD(&rig, 0, &command, 0x35);
	CHECK_INT(look(VOLUME_OP_FLUSH)->requests, 1);
	unmap_co(8);
	CHECK_INT(look(VOLUME_OP_DISCARD)->bytes, 8 * 512);
	write_co(0, 0x41, 0); /* WRITE SAME */
	CHECK_INT(look(VOLUME_OP_WRITE)->bytes, 5 * 1024);
	write_co(0, 0x41, 8); /* ... with UNMAP */
	CHECK_INT(look(VOLUME_OP_DISCARD)->requests, 2);
	CHECK_INT(figures.op[VOLUME_OP_DISCARD].bytes, 10 * 512);
	GOOD(&rig, 0, &command, 0x00);
	GOOD(&rig, 0, &command, 0x12, 0, 0, 0, 36);
	CHECK_INT(look(VOLUME_OP_OTHER)->requests, other + 2);
	scsi_rig_close_co(&rig);
}

/* By host, and beyond the end of its sessions. */
static void hosts_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	const struct volume_book_host *host;
	unsigned cursor = 0;
	uint64_t requests;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	write_co(1, 0x2a, 0);
	requests = look(VOLUME_OP_WRITE)->requests;
	scsi_rig_logout_co(&rig, 1);
	CHECK_INT(look(VOLUME_OP_WRITE)->requests, requests);
	CHECK_INT(figures.nexuses, SCSI_RIG_HOSTS - 1);
	scsi_rig_login_co(&rig, 1);
	CHECK_INT(look(VOLUME_OP_WRITE)->requests, requests);
	CHECK_INT(figures.nexuses, SCSI_RIG_HOSTS);
	host = volume_book_next(&rig.volume->book, &cursor);
	CHECK(host && !strcmp(host->name, "host"));
	volume_book_host_sum(host, &figures);
	CHECK_INT(figures.op[VOLUME_OP_WRITE].requests, 1);
	CHECK(!volume_book_next(&rig.volume->book, &cursor));
	scsi_rig_close_co(&rig);
}

static uint64_t errors(enum volume_op op, enum volume_error error)
{
	return look(op)->errors[error];
}

static void errors_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault, rules: ["
			    "{op: read, offset: 1M, error: EIO}, "
			    "{op: write, offset: 1M, error: ENOSPC}]}], "
			    "protocol: {type: mem, size: 4M}}"};
	static const uint8_t data[1024];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	CHECK_INT(errors(VOLUME_OP_OTHER, VOLUME_ERROR_ATTENTION),
		SCSI_RIG_HOSTS);
	FAILS(&rig, 0, &command, 0x031100, 0x28, 0, 0, 0, 8, 0, 0, 0, 1);
	CHECK_INT(errors(VOLUME_OP_READ, VOLUME_ERROR_MEDIUM), 1);
	CHECK_INT(figures.op[VOLUME_OP_READ].bytes, 0);
	CHECK_INT(
		scsi_rig_do_co(&rig, 0, &command,
			SCSI_RIG_CDB(0x2a, 0, 0, 0, 8, 0, 0, 0, 2), data, 1024),
		SCSI_CHECK_CONDITION);
	CHECK_INT(errors(VOLUME_OP_WRITE, VOLUME_ERROR_SPACE), 1);
	FAILS(&rig, 0, &command, 0x052100, 0x28, 0, 0xff, 0, 0, 0, 0, 0, 1);
	CHECK_INT(errors(VOLUME_OP_READ, VOLUME_ERROR_INVALID), 1);
	/* Refused before its data is asked for, after a read in the same place. */
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x2a, 0, 0xff, 0, 0, 0, 0, 0, 2), data,
			  1024),
		SCSI_CHECK_CONDITION);
	CHECK_INT(errors(VOLUME_OP_WRITE, VOLUME_ERROR_INVALID), 1);
	CHECK_INT(errors(VOLUME_OP_READ, VOLUME_ERROR_INVALID), 1);
	GOOD(&rig, 1, &command, 0x16); /* RESERVE(6) */
	CHECK_INT(scsi_rig_do_co(&rig, 0, &command,
			  SCSI_RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0),
		SCSI_RESERVATION_CONFLICT);
	CHECK_INT(errors(VOLUME_OP_READ, VOLUME_ERROR_CONFLICT), 1);
	GOOD(&rig, 1, &command, 0x17);
	/* With descriptor sense it is the same. */
	volume_change_modes_co(rig.volume, VOLUME_DESCRIPTOR_SENSE,
		VOLUME_DESCRIPTOR_SENSE, false);
	FAILS(&rig, 0, &command, 0x031100, 0x28, 0, 0, 0, 8, 0, 0, 0, 1);
	CHECK_INT(errors(VOLUME_OP_READ, VOLUME_ERROR_MEDIUM), 2);
	scsi_rig_close_co(&rig);
}

/* In flight while a fault holds it; then aborted. */
static void held_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: fault, name: fault, rules: "
			    "[{op: read, hold: true}]}], "
			    "protocol: {type: mem, size: 4M}}"};
	static struct scsi_rig_command held[3];

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < 3; i++)
		scsi_rig_send(&rig, i, &held[i],
			SCSI_RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), NULL, 0);
	scsi_rig_settle_co(&rig);
	CHECK_INT(look(VOLUME_OP_READ)->in_flight, 3);
	CHECK_INT(figures.op[VOLUME_OP_READ].requests, 0);
	scsi_rig_manage_co(&rig, 0, SCSI_LUN_RESET, NULL);
	for (unsigned i = 0; i < 3; i++)
		scsi_rig_wait_co(&held[i]);
	CHECK_INT(look(VOLUME_OP_READ)->in_flight, 0);
	CHECK_INT(figures.op[VOLUME_OP_READ].requests, 3);
	CHECK_INT(figures.op[VOLUME_OP_READ].errors[VOLUME_ERROR_ABORTED], 3);
	scsi_rig_close_co(&rig);
}

/* On the virtual clock a read takes what the delay says. */
static void latency_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: delay, name: slow, "
			    "read_us: 3000}], "
			    "protocol: {type: mem, size: 4M}}"};
	const struct volume_figures_op *reads;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < 10; i++)
		GOOD(&rig, i % 3, &command, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
	reads = look(VOLUME_OP_READ);
	CHECK_INT(reads->latency[8], 10); /* 2048 us to 4096 us */
	CHECK(reads->total_ns >= 10 * 3000000ull);
	CHECK(reads->total_ns < 10 * 4000000ull);
	scsi_rig_close_co(&rig);
}

struct layers {
	uint64_t slow, mem, slow_ns;
};

static void each_layer(const struct block_layer *layer, void *argument)
{
	struct layers *layers = argument;

	if (!strcmp(layer->path, "slow")) {
		layers->slow = layer->times.requests;
		layers->slow_ns = layer->times.total_ns;
	} else if (!strcmp(layer->path, "mem")) {
		layers->mem = layer->times.requests;
	}
}

/* About one request in 64 of those that ask something of the stack is timed in each
 * layer that it goes through, by one clock. */
static void layers_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {
		.document = "{listeners: [{type: delay, name: slow, "
			    "read_us: 3000}], "
			    "protocol: {type: mem, size: 4M}}"};
	const struct block_times_sum *timed =
		&figures.layer[VOLUME_LAYER_COMMAND];
	struct layers layers = {0};

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned i = 0; i < 200; i++) {
		GOOD(&rig, 0, &command, 0x00);
		GOOD(&rig, 0, &command, 0x28, 0, 0, 0, 0, 0, 0, 0, 1);
	}
	volume_book_sum(&rig.volume->book, &figures);
	block_layers_visit(rig.volume->source, each_layer, &layers);
	CHECK(timed->requests >= 1 + 199 / 96);
	CHECK(timed->requests <= 1 + 199 / 32);
	CHECK_INT(figures.layer[VOLUME_LAYER_TRANSPORT].requests,
		timed->requests);
	CHECK_INT(layers.slow, timed->requests);
	CHECK_INT(layers.mem, timed->requests);
	CHECK(layers.slow_ns >= timed->requests * 3000000ull);
	CHECK(timed->total_ns >= layers.slow_ns);
	scsi_rig_close_co(&rig);
}

/* Lane 0 looks while commands run on lanes 1 and 2. */
static void looking_co(struct stack_rig *stack, void *argument)
{
	const struct scsi_rig_setup setup = {0};
	static struct scsi_rig_command running[2][8];
	uint64_t before = 0;

	(void)argument;
	scsi_rig_open_co(&rig, stack, &setup);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 16; i++)
			scsi_rig_send(&rig, 1 + i % 2, &running[i % 2][i / 2],
				SCSI_RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1),
				NULL, 0);
		CHECK(look(VOLUME_OP_READ)->requests >= before);
		before = figures.op[VOLUME_OP_READ].requests;
		for (unsigned i = 0; i < 16; i++)
			CHECK_INT(scsi_rig_wait_co(&running[i % 2][i / 2]),
				SCSI_GOOD);
	}
	CHECK_INT(look(VOLUME_OP_READ)->requests, 50 * 16);
	CHECK_INT(figures.op[VOLUME_OP_READ].bytes, 50 * 16 * 512);
	scsi_rig_close_co(&rig);
}

#define SIMULATED(body) \
	STACK_RIG_CASE(body, sim, .world = "simulated", .lanes = 3)
#define BOTH(body) \
	SIMULATED(body), \
		STACK_RIG_CASE(body, threads, .world = "threads", .lanes = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(operations_co),
		BOTH(hosts_co),
		BOTH(errors_co),
		BOTH(held_co),
		SIMULATED(latency_co),
		BOTH(layers_co),
		BOTH(looking_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
