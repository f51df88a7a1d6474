/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/qcow2_steps.h"

#include "blockcore/base/bytes.h"
#include "tests/lib/sim_ring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PATH "data/disk"
#define BASE_BYTES (1u << 20)
#define IO_MOST (256u << 10)

/* -- content -------------------------------------------------------------- */

uint8_t *qcow2_steps_content(uint64_t offset, uint64_t bytes)
{
	uint8_t *content = aligned_alloc(4096, (bytes + 4095) & ~4095ull);

	CHECK(content != NULL);
	for (uint64_t i = 0; i < bytes; i++)
		content[i] = (uint8_t)((offset + i) / 512 * 7 + 1);
	return content;
}

int qcow2_steps_io_co(struct qcow2_steps *s, enum block_opcode op,
	uint64_t offset, uint64_t bytes)
{
	bool data = op == BLOCK_READ || op == BLOCK_WRITE;
	uint8_t *content = qcow2_steps_content(offset, bytes + 1), *io = NULL;

	CHECK(bytes <= IO_MOST);
	if (op == BLOCK_READ) {
		io = aligned_alloc(4096, IO_MOST);
		CHECK(io != NULL);
	}
	int error = block_transfer_co(s->image,
		block_core_lane(s->rig->core, 0), op, 0, offset, bytes,
		data ? (io ? io : content) : NULL);
	if (io && !error)
		CHECK(!memcmp(io, content, bytes));
	free(io);
	free(content);
	return error;
}

/* -- sources -------------------------------------------------------------- */

static int build_co(struct qcow2_steps *s)
{
	struct err err = {0};
	char text[512], backing[64] = "";

	if (s->backed)
		snprintf(backing, sizeof backing, ", backing: {source: %s}",
			block_source_name(s->base));
	snprintf(text, sizeof text,
		"format: {type: qcow2, pool: 16K, subclusters: \"off\", %s, "
		"file: {source: %s}%s}",
		s->options, block_source_name(s->disk), backing);
	int error = stack_rig_build_co(s->rig, text, &s->image, &err);
	if (error)
		s->image = NULL;
	return error;
}

static void fill_co(struct qcow2_steps *s)
{
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_WRITE, 0, QCOW2_STEPS_KEPT), 0);
	CHECK_INT(
		qcow2_steps_io_co(s, BLOCK_WRITE, QCOW2_STEPS_PACKED, 4096), 0);
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_FLUSH, 0, 0), 0);
}

void qcow2_steps_open_co(struct qcow2_steps *s)
{
	uint8_t magic[4] = {0};

	if (sim_world_size_bytes(s->rig->world, PATH) != UINT64_MAX)
		sim_world_get(s->rig->world, PATH, 0, magic, sizeof magic);
	CHECK_INT(build_co(s), 0);
	if (get_be32(magic) != 0x514649fb)
		fill_co(s);
}

void qcow2_steps_close_co(struct qcow2_steps *s)
{
	if (s->image)
		block_source_put_co(s->image);
	s->image = NULL;
}

static void fill_base_co(struct qcow2_steps *s)
{
	uint8_t *content = qcow2_steps_content(0, BASE_BYTES);

	CHECK_INT(block_transfer_co(s->base, block_core_lane(s->rig->core, 0),
			  BLOCK_WRITE, 0, 0, BASE_BYTES, content),
		0);
	free(content);
}

static void open_disks_co(struct qcow2_steps *s)
{
	s->disk = stack_rig_source_co(s->rig,
		"{listeners: [{type: fault, name: bad}], "
		"protocol: {type: file, path: disk, size: 4K}}");
	s->base = stack_rig_source_co(s->rig,
		"{listeners: [{type: fault, name: bad}], "
		"protocol: {type: mem, size: 1M}}");
	fill_base_co(s);
}

static void close_disks_co(struct qcow2_steps *s)
{
	block_source_put_co(s->disk);
	block_source_put_co(s->base);
}

/* -- one that fails ------------------------------------------------------- */

static struct block_source *struck(
	struct qcow2_steps *s, enum block_purpose purpose)
{
	return purpose == PURPOSE_READ_BACKING_AIO ? s->base : s->disk;
}

void qcow2_steps_fail(
	struct qcow2_steps *s, enum block_purpose purpose, const char *op)
{
	char rule[128];

	snprintf(rule, sizeof rule, "{purpose: %s, op: %s, count: 1}",
		block_purpose_names[purpose], op);
	free(stack_rig_command_co(
		s->rig, struck(s, purpose), "bad", "add", rule));
}

static void mend_co(struct qcow2_steps *s, enum block_purpose purpose)
{
	free(stack_rig_command_co(
		s->rig, struck(s, purpose), "bad", "clear", NULL));
}

/* -- files ---------------------------------------------------------------- */

struct qcow2_steps_file qcow2_steps_file_get(struct qcow2_steps *s)
{
	struct qcow2_steps_file f = {
		.size = sim_world_size_bytes(s->rig->world, PATH)};

	f.bytes = malloc(f.size);
	CHECK(f.bytes != NULL);
	CHECK(sim_world_get(s->rig->world, PATH, 0, f.bytes, f.size));
	return f;
}

/* Behind the file driver's back, which remembers nothing of content. */
void qcow2_steps_file_put(struct qcow2_steps *s, struct qcow2_steps_file *f)
{
	block_source_put_co(s->disk);
	block_source_put_co(s->base);
	sim_world_put(s->rig->world, PATH, f->bytes, f->size);
	free(f->bytes);
	open_disks_co(s);
}

uint8_t *qcow2_steps_entry(struct qcow2_steps_file *f, uint64_t offset)
{
	unsigned bits = get_be32(f->bytes + 20);
	uint64_t cluster = offset >> bits, per_table = 1ull << (bits - 3);
	uint64_t l1 = get_be64(f->bytes + 40);
	uint64_t table = get_be64(f->bytes + l1 + 8 * (cluster / per_table)) &
		0x00fffffffffffe00ull;

	return f->bytes + table + 8 * (cluster % per_table);
}

/* -- a row ---------------------------------------------------------------- */

struct running {
	struct qcow2_steps steps;
	const struct qcow2_steps_row *row;
	void (*body_co)(struct qcow2_steps *s);
};

/* From a state in which nothing of it is in memory. */
static int try_co(struct qcow2_steps *s, const struct qcow2_steps_row *row)
{
	int error = s->image ? 0 : build_co(s);

	if (!error && row->unmade)
		fill_co(s);
	return error ? error : row->run_co(s);
}

static void expect_refusal_co(struct qcow2_steps *s)
{
	if (!s->image)
		return;
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_WRITE, 0, 4096), -EIO);
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_FLUSH, 0, 0), -EIO);
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_READ, 0, 4096), 0);
}

static void expect_sound_co(struct qcow2_steps *s)
{
	char *said =
		stack_rig_command_co(s->rig, s->image, "qcow2", "check", NULL);

	if (!strstr(said, "\"errors\": 0,"))
		check_fail(__FILE__, __LINE__, "%s", said);
	free(said);
	CHECK_INT(qcow2_steps_io_co(s, BLOCK_READ, 0, QCOW2_STEPS_KEPT), 0);
	CHECK_INT(
		qcow2_steps_io_co(s, BLOCK_READ, QCOW2_STEPS_PACKED, 4096), 0);
}

static void before_co(struct qcow2_steps *s, const struct qcow2_steps_row *row)
{
	if (row->unmade)
		return;
	qcow2_steps_open_co(s);
	if (row->before_co)
		row->before_co(s);
	qcow2_steps_close_co(s);
	if (row->poke)
		row->poke(s);
}

static void fail_once_co(
	struct qcow2_steps *s, const struct qcow2_steps_row *row)
{
	bool harmless = row->then == QCOW2_STEPS_HARMLESS;

	qcow2_steps_fail(s, row->purpose, row->op);
	CHECK_INT(try_co(s, row), harmless ? 0 : -EIO);
	if (harmless)
		qcow2_steps_close_co(s);
	CHECK_INT(stack_rig_figure(struck(s, row->purpose), "hits"), 1);
	if (row->then == QCOW2_STEPS_AGAIN)
		CHECK_INT(try_co(s, row), 0);
	if (row->then == QCOW2_STEPS_REFUSES)
		expect_refusal_co(s);
	qcow2_steps_close_co(s);
	mend_co(s, row->purpose);
	if (row->after)
		row->after(s);
}

static void row_co(struct qcow2_steps *s, const struct qcow2_steps_row *row)
{
	before_co(s, row);
	fail_once_co(s, row);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_INT(build_co(s), 0);
		expect_sound_co(s);
		if (!i)
			CHECK_INT(row->run_co(s), 0);
		qcow2_steps_close_co(s);
	}
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct running *r = argument;

	r->steps.rig = rig;
	open_disks_co(&r->steps);
	if (r->row)
		row_co(&r->steps, r->row);
	else
		r->body_co(&r->steps);
	qcow2_steps_close_co(&r->steps);
	close_disks_co(&r->steps);
}

static void run(struct running *running)
{
	static const struct stack_rig_setup setup = {
		.world = "simulated", .lanes = 2, .seed = 1};

	stack_rig_test(&setup, body_co, running);
}

void qcow2_steps_run(const struct qcow2_steps_row *row)
{
	run(&(struct running){.row = row,
		.steps = {.options = row->options, .backed = row->backed}});
}

void qcow2_steps_world(
	const char *options, void (*body_co_)(struct qcow2_steps *s))
{
	run(&(struct running){
		.body_co = body_co_, .steps = {.options = options}});
}
