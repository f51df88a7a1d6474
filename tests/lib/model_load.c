/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/model_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"

/* One request: sectors of the model. */
struct piece {
	struct model_load *load;
	enum model_load_op op;
	uint32_t first, count;
	bool fua;
	uint8_t *data; /* twice as large as the largest request */
};

static int send_co(struct piece *piece, enum block_opcode op, uint64_t bytes)
{
	struct model_load *load = piece->load;
	struct stack_rig_request request;
	struct iovec iov = {piece->data, bytes};
	unsigned flags = piece->fua ? BLOCK_FUA : 0;

	if (piece->op == LOAD_UNMAP)
		flags |= BLOCK_MAY_UNMAP;
	stack_rig_submit_iov(load->source, load->task.lane, &request, op, flags,
		(uint64_t)(load->first_sector + piece->first) * SECTOR_BYTES,
		(uint64_t)piece->count * SECTOR_BYTES, &iov, bytes ? 1 : 0);
	return stack_rig_wait_co(&request);
}

/* Somebody makes the source smaller: that is no failure. */
static bool cut_off(const struct piece *piece, int result)
{
	return result == -ERANGE &&
		piece->first + piece->count > *piece->load->sectors;
}

static void wrong(const struct piece *piece, uint32_t sector)
{
	sector_model_explain(piece->load->model, sector,
		piece->data + (sector - piece->first) * SECTOR_BYTES);
	check_fail(__FILE__, __LINE__, "a read shows what it may not");
}

static void read_co(struct piece *piece)
{
	struct sector_model *model = piece->load->model;
	uint64_t submitted = sector_model_read(model);
	int result = send_co(
		piece, BLOCK_READ, (uint64_t)piece->count * SECTOR_BYTES);
	uint32_t sector;

	if (cut_off(piece, result)) {
		sector_model_read_failed(model);
		return;
	}
	CHECK_INT(result, 0);
	sector = sector_model_check_read(
		model, submitted, piece->first, piece->count, piece->data);
	if (sector != UINT32_MAX)
		wrong(piece, sector);
}

static void change_co(
	struct piece *piece, enum block_opcode op, bool zero, uint64_t bytes)
{
	struct sector_model *model = piece->load->model;
	uint32_t version =
		sector_model_submit(model, piece->first, piece->count, zero);
	uint8_t *new = piece->data;
	int result;

	if (op == BLOCK_COMPARE_AND_WRITE)
		new += bytes / 2; /* what is expected comes first */
	if (bytes)
		sector_model_fill(model, version, new);
	result = send_co(piece, op, bytes);
	if (result == -EILSEQ && op == BLOCK_COMPARE_AND_WRITE) {
		sector_model_withdraw(model, version);
		return;
	}
	if (cut_off(piece, result)) {
		sector_model_withdraw(model, version);
		return;
	}
	CHECK_INT(result, 0);
	sector_model_complete(
		model, version, piece->fua || piece->load->write_through);
}

static void write_co(struct piece *piece)
{
	change_co(piece, BLOCK_WRITE, false,
		(uint64_t)piece->count * SECTOR_BYTES);
}

static void zero_co(struct piece *piece)
{
	change_co(piece, BLOCK_WRITE_ZEROES, true, 0);
}

static void discard_co(struct piece *piece)
{
	change_co(piece, BLOCK_DISCARD, true, 0);
}

/* Expects what it has just read. */
static void compare_co(struct piece *piece)
{
	bool fua = piece->fua;

	piece->fua = false;
	read_co(piece);
	piece->fua = fua;
	change_co(piece, BLOCK_COMPARE_AND_WRITE, false,
		2 * (uint64_t)piece->count * SECTOR_BYTES);
}

static void flush_co(struct piece *piece)
{
	struct sector_model *model = piece->load->model;
	uint64_t submitted = sector_model_flush(model);

	piece->first = piece->count = 0;
	piece->fua = false;
	CHECK_INT(send_co(piece, BLOCK_FLUSH, 0), 0);
	sector_model_flushed(model, submitted);
}

static void (*const ops[LOAD_OPS])(struct piece *piece) = {
	[LOAD_READ] = read_co,
	[LOAD_WRITE] = write_co,
	[LOAD_FUA] = write_co,
	[LOAD_ZERO] = zero_co,
	[LOAD_UNMAP] = zero_co,
	[LOAD_DISCARD] = discard_co,
	[LOAD_COMPARE] = compare_co,
	[LOAD_FLUSH] = flush_co,
};

static enum model_load_op choose(struct model_load *load)
{
	unsigned sum = 0, op, pick;

	for (op = 0; op < LOAD_OPS; op++)
		sum += load->weight[op];
	pick = (unsigned)prng_below(&load->random, sum);
	for (op = 0; pick >= load->weight[op]; op++)
		pick -= load->weight[op];
	return (enum model_load_op)op;
}

static void plan(struct model_load *load, struct piece *piece)
{
	uint32_t units = *load->sectors / load->unit_sectors;
	uint32_t length, places;

	piece->load = load;
	piece->op = choose(load);
	length = 1 + (uint32_t)prng_below(&load->random, load->most_units);
	if (length > units)
		length = units;
	places = units - length + 1;
	if (load->hot_units && load->hot_units < places)
		places = load->hot_units;
	piece->first = (uint32_t)prng_below(&load->random, places) *
		load->unit_sectors;
	piece->count = length * load->unit_sectors;
	piece->fua = piece->op == LOAD_FUA ||
		(piece->op >= LOAD_ZERO && piece->op <= LOAD_COMPARE &&
			prng_below(&load->random, 100) < load->fua_percent);
}

void model_load_run_co(struct stack_rig_task *task)
{
	struct model_load *load = container_of(task, struct model_load, task);
	struct piece piece;
	uint8_t *data = stack_rig_pattern(
		2ul * load->most_units * load->unit_sectors * SECTOR_BYTES, 1);

	while (load->more ? load->more(load) : load->done < load->requests) {
		plan(load, &piece);
		piece.data = data;
		ops[piece.op](&piece);
		load->done++;
	}
	free(data);
}

void model_load_plan(struct model_load *load, unsigned count,
	const struct model_load *like, uint64_t *random)
{
	for (unsigned i = 0; i < count; i++) {
		load[i] = *like;
		load[i].task.run_co = model_load_run_co;
		load[i].random = prng_next(random);
	}
}

void model_load_start_all(
	struct stack_rig *rig, struct model_load *load, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		load[i].done = 0;
		load[i].task.done = false;
		stack_rig_start(rig, i % rig->lanes, &load[i].task);
	}
}

void model_load_join_all_co(struct model_load *load, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		stack_rig_join_co(&load[i].task);
}

void model_load_verify_co(struct stack_rig *rig, struct model_load *load)
{
	struct piece piece = {.load = load,
		.op = LOAD_READ,
		.count = *load->sectors,
		.data = stack_rig_pattern(
			(size_t)*load->sectors * SECTOR_BYTES, 2)};

	load->task.lane = block_core_lane(rig->core, 0);
	read_co(&piece);
	free(piece.data);
}
