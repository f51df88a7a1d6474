/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/qcow2_poke.h"

#include "tests/lib/sim_ring.h"
#include "tests/lib/stack_rig.h"

#include <stdlib.h>
#include <string.h>

#define PATH "data/disk"
#define IO_BYTES (64u << 10)
#define PLACES 6u

static const struct stack_rig_setup setup = {
	.world = "simulated", .lanes = 1, .seed = 7};

/* -- a good one ----------------------------------------------------------- */

struct making {
	const char *options;
	bool snapshot;
	uint8_t *image;
	size_t bytes;
};

/* And something written after it. */
static void shoot_co(
	struct stack_rig *rig, struct block_source *source, const uint8_t *data)
{
	struct err err = {0};

	CHECK_INT(spec_snapshot_create_co(source, "1", 0, &err), 0);
	CHECK_INT(
		block_transfer_co(source, block_core_lane(rig->core, 0),
			BLOCK_WRITE, 0, 200 * 1024, IO_BYTES / 4, (void *)data),
		0);
}

static void make_co(struct stack_rig *rig, void *argument)
{
	struct making *making = argument;
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(IO_BYTES, 5);
	char document[256];
	struct block_source *source;

	snprintf(document, sizeof document,
		"format: {type: qcow2, size: 1M, pool: 64K%s, "
		"file: {protocol: {type: file, path: disk, size: 4K}}}",
		making->options);
	source = stack_rig_source_co(rig, document);
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE, 0,
				  i * 200 * 1024, IO_BYTES / 4, data),
			0);
	CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE_ZEROES, 0,
			  400 * 1024, 8192, NULL),
		0);
	if (making->snapshot)
		shoot_co(rig, source, data);
	block_source_put_co(source);
	free(data);
	making->bytes = sim_world_size_bytes(rig->world, PATH);
	making->image = malloc(making->bytes);
	CHECK(making->image != NULL);
	CHECK(sim_world_get(rig->world, PATH, 0, making->image, making->bytes));
}

uint8_t *qcow2_poke_image(const char *options, bool snapshot, size_t *bytes)
{
	struct making making = {.options = options, .snapshot = snapshot};

	stack_rig_test(&setup, make_co, &making);
	*bytes = making.bytes;
	return making.image;
}

/* -- any one -------------------------------------------------------------- */

struct poking {
	const uint8_t *image;
	size_t bytes;
	struct qcow2_poked poked;
};

static bool transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t size, uint8_t *data)
{
	bool good = true;

	for (unsigned i = 0; i <= PLACES; i++) {
		uint64_t at = size / PLACES * i & ~4095ull;
		uint64_t left = at < size ? size - at : 0;

		if (block_transfer_co(source, block_core_lane(rig->core, 0), op,
			    0, at, left < IO_BYTES ? left : IO_BYTES, data))
			good = false;
	}
	return good;
}

static void map_co(
	struct stack_rig *rig, struct block_source *source, uint64_t size)
{
	struct stack_rig_request request;
	struct block_extent extent[8];
	struct block_extents answer = {.extent = extent, .room = 8};

	stack_rig_submit_extents(source, block_core_lane(rig->core, 0),
		&request, 0, size, &answer);
	stack_rig_wait_co(&request);
}

/* The snapshot "1", if there is one. */
static void look_at_snapshot_co(struct stack_rig *rig)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct block_source *view;
	struct err err = {0};
	uint8_t *data;
	uint64_t size;

	if (stack_rig_build_co(rig,
		    "{source: source-1, view: {snapshot: \"1\"}}", &view,
		    &err)) {
		CHECK(err.text[0]);
		return;
	}
	size = block_source_info(view, lane).size_bytes;
	data = stack_rig_pattern(IO_BYTES, 9);
	transfer_co(rig, view, BLOCK_READ, size, data);
	map_co(rig, view, size);
	free(data);
	block_source_put_co(view);
}

static void use_co(struct stack_rig *rig, struct block_source *source,
	struct qcow2_poked *poked)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint64_t size = block_source_info(source, lane).size_bytes;
	uint8_t *data = stack_rig_pattern(IO_BYTES, 9);
	struct err err = {0};
	char *text = NULL, *status;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	look_at_snapshot_co(rig);
	poked->read = transfer_co(rig, source, BLOCK_READ, size, data);
	map_co(rig, source, size);
	poked->written = transfer_co(rig, source, BLOCK_WRITE, size, data);
	transfer_co(rig, source, BLOCK_DISCARD, size, NULL);
	block_transfer_co(source, lane, BLOCK_FLUSH, 0, 0, 0, NULL);
	spec_command_co(source, "qcow2", "check", NULL, out, &err);
	fclose(out);
	poked->clean = strstr(text, "\"errors\": 0,") != NULL;
	status = stack_rig_status(source);
	poked->corrupt = strstr(status, "\"corrupt\": true") != NULL;
	free(status);
	free(text);
	free(data);
}

static void poke_co(struct stack_rig *rig, void *argument)
{
	struct poking *poking = argument;
	struct block_source *source;
	struct err err = {0};

	sim_world_put(rig->world, PATH, poking->image, poking->bytes);
	if (stack_rig_build_co(rig,
		    "format: {type: qcow2, pool: 64K, file: {protocol: "
		    "{type: file, path: disk, locking: false}}}",
		    &source, &err)) {
		memcpy(poking->poked.text, err.text, sizeof err.text);
		return;
	}
	poking->poked.opened = true;
	use_co(rig, source, &poking->poked);
	block_source_put_co(source);
}

struct qcow2_poked qcow2_poke(const uint8_t *image, size_t bytes)
{
	struct poking poking = {.image = image, .bytes = bytes};

	stack_rig_test(&setup, poke_co, &poking);
	return poking.poked;
}
