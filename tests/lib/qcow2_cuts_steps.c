/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See qcow2_cuts.h. Here: the steps of scripts.
 */
#include "blockcore/base/bytes.h"
#include "tests/lib/qcow2_cuts.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Behind what makes a file count as empty. */
#define GARBAGE_START (64u << 10)
#define GARBAGE_END (512u << 10)

static void open_co(struct qcow2_run *run, bool made)
{
	char document[512];

	qcow2_cuts_describe(run, made, document, sizeof document);
	run->source = stack_rig_source_co(run->rig, document);
}

/* -- new images ----------------------------------------------------------- */

static void put_base(struct qcow2_run *run)
{
	uint32_t sectors = run->script->base_sectors, version;
	uint8_t *base;

	if (!sectors)
		return;
	version = sector_model_submit(run->model, 0, sectors, false);
	base = malloc((size_t)sectors * SECTOR_BYTES);
	CHECK(base != NULL);
	sector_model_fill(run->model, version, base);
	sector_model_complete(run->model, version, true);
	sim_world_put(run->rig->world, QCOW2_CUTS_BASE, base,
		(uint64_t)sectors * SECTOR_BYTES);
	free(base);
	if (sectors <= run->sectors)
		return;
	/* Where it is longer than the image it never shows. */
	version = sector_model_submit(
		run->model, run->sectors, sectors - run->sectors, true);
	sector_model_complete(run->model, version, true);
}

void qcow2_cuts_make_co(struct qcow2_run *run)
{
	put_base(run);
	open_co(run, false);
	qcow2_cuts_watch(run, true);
}

static void make_on_co(struct qcow2_run *run, int garbage)
{
	uint8_t *content = malloc(GARBAGE_END);

	CHECK(content != NULL);
	memset(content, 0, GARBAGE_START);
	memset(content + GARBAGE_START, garbage, GARBAGE_END - GARBAGE_START);
	sim_world_put(run->rig->world, QCOW2_CUTS_PATH, content, GARBAGE_END);
	free(content);
	qcow2_cuts_make_co(run);
}

void qcow2_cuts_make_on_garbage_co(struct qcow2_run *run)
{
	make_on_co(run, 0xaa);
}

void qcow2_cuts_make_on_zeroes_co(struct qcow2_run *run)
{
	make_on_co(run, 0);
}

void qcow2_cuts_make_cut_co(struct qcow2_run *run)
{
	put_base(run);
	run->unmade = true;
	qcow2_cuts_watch(run, true);
	open_co(run, false);
	run->unmade = false;
}

/* Content that can be compressed: of each eight sectors, three are written. */
static uint8_t *packable(struct qcow2_run *run)
{
	uint8_t *content = calloc(run->sectors, SECTOR_BYTES);
	uint32_t first, version;

	CHECK(content != NULL);
	for (first = 0; first + 3 <= run->sectors; first += 8) {
		version = sector_model_submit(run->model, first, 3, false);
		sector_model_fill(run->model, version,
			content + (size_t)first * SECTOR_BYTES);
		sector_model_complete(run->model, version, true);
	}
	return content;
}

/* What qemu-img makes of the raw image `path`. */
static void convert(
	const struct qcow2_run *run, const char *path, const char *how)
{
	char command[512];

	snprintf(command, sizeof command, "o=%s p=%s; %s", run->script->options,
		path, how);
	CHECK_INT(system(command), 0);
	snprintf(command, sizeof command, "%s.q", path);
	CHECK_INT(
		sim_world_import(run->rig->world, QCOW2_CUTS_PATH, command), 0);
	unlink(command);
}

static void import_co(struct qcow2_run *run, const char *how)
{
	char path[64] = "/tmp/cairn-qcow2.XXXXXX";
	uint8_t *content = packable(run);
	size_t bytes = (size_t)run->sectors * SECTOR_BYTES;
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK_INT(write(fd, content, bytes), (ssize_t)bytes);
	close(fd);
	free(content);
	convert(run, path, how);
	unlink(path);
	open_co(run, true);
	qcow2_cuts_watch(run, true);
}

void qcow2_cuts_pack_co(struct qcow2_run *run)
{
	import_co(run,
		"qemu-img convert -c -f raw -O qcow2 -o $o $p $p.q && "
		"qemu-img check -f qcow2 $p.q | "
		"grep -qE ' [1-9][0-9.]*% compressed'");
}

void qcow2_cuts_snapshot_co(struct qcow2_run *run)
{
	import_co(run,
		"qemu-img convert -f raw -O qcow2 -o $o $p $p.q && "
		"qemu-img snapshot -c one $p.q");
}

/* -- work ----------------------------------------------------------------- */

static void start_work(struct qcow2_run *run)
{
	for (unsigned i = 0; i < QCOW2_CUTS_WORKERS; i++)
		run->load[i].source = run->source;
	model_load_start_all(run->rig, run->load, QCOW2_CUTS_WORKERS);
}

static void join_work_co(struct qcow2_run *run)
{
	model_load_join_all_co(run->load, QCOW2_CUTS_WORKERS);
	for (unsigned i = 0; i < QCOW2_CUTS_WORKERS; i++)
		run->operations += run->load[i].done;
}

void qcow2_cuts_work_co(struct qcow2_run *run)
{
	start_work(run);
	join_work_co(run);
}

bool qcow2_cuts_works(qcow2_step_co *step_co)
{
	return step_co == qcow2_cuts_work_co ||
		step_co == qcow2_cuts_work_shot_co ||
		step_co == qcow2_cuts_work_delete_co ||
		step_co == qcow2_cuts_work_revert_co ||
		step_co == qcow2_cuts_work_delete_other_co;
}

static void create_co(struct qcow2_run *run, const char *name)
{
	struct err err = {0};

	if (spec_snapshot_create_co(run->source, name, 0, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static void delete_co(struct qcow2_run *run, const char *name)
{
	struct err err = {0};

	if (spec_snapshot_delete_co(run->source, name, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

static void shot_co(struct qcow2_run *run)
{
	create_co(run, "one");
	run->shot = true;
}

static uint8_t *content_co(struct qcow2_run *run)
{
	size_t bytes = (size_t)run->sectors * SECTOR_BYTES;
	uint8_t *content = malloc(bytes);

	CHECK(content != NULL);
	CHECK_INT(block_transfer_co(run->source,
			  block_core_lane(run->rig->core, 0), BLOCK_READ, 0, 0,
			  bytes, content),
		0);
	return content;
}

void qcow2_cuts_shot_co(struct qcow2_run *run)
{
	run->shot_content = content_co(run);
	shot_co(run);
}

void qcow2_cuts_work_shot_co(struct qcow2_run *run)
{
	start_work(run);
	shot_co(run);
	join_work_co(run);
}

void qcow2_cuts_delete_co(struct qcow2_run *run)
{
	run->shot = false;
	delete_co(run, "one");
	run->gone = true;
}

void qcow2_cuts_work_delete_co(struct qcow2_run *run)
{
	start_work(run);
	qcow2_cuts_delete_co(run);
	join_work_co(run);
}

static void revert_co(struct qcow2_run *run)
{
	struct err err = {0};
	uint32_t version = sector_model_submit_again(
		run->model, 0, run->sectors, run->shot_content);

	if (spec_snapshot_revert_co(
		    run->source, "one", "safe", 10000000000ull, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	sector_model_complete(run->model, version, true);
}

void qcow2_cuts_revert_co(struct qcow2_run *run)
{
	run->safe_content = content_co(run);
	CHECK_INT(block_transfer_co(run->source,
			  block_core_lane(run->rig->core, 0), BLOCK_FLUSH, 0, 0,
			  0, NULL),
		0);
	run->reverting = true;
	revert_co(run);
	run->reverting = false;
}

void qcow2_cuts_work_revert_co(struct qcow2_run *run)
{
	start_work(run);
	revert_co(run);
	join_work_co(run);
}

void qcow2_cuts_other_co(struct qcow2_run *run)
{
	create_co(run, "two");
}

void qcow2_cuts_work_delete_other_co(struct qcow2_run *run)
{
	start_work(run);
	delete_co(run, "two");
	join_work_co(run);
}

void qcow2_cuts_reopen_co(struct qcow2_run *run)
{
	block_source_put_co(run->source);
	open_co(run, true);
}

/* -- other sizes ---------------------------------------------------------- */

static void resize_co(struct qcow2_run *run, uint32_t sectors)
{
	struct err err = {0};

	run->next_size_bytes = (uint64_t)sectors * SECTOR_BYTES;
	CHECK_INT(spec_resize_co(run->source, run->next_size_bytes, &err), 0);
	run->size_bytes = run->next_size_bytes;
	run->sectors = sectors;
}

void qcow2_cuts_grow_co(struct qcow2_run *run)
{
	resize_co(run, QCOW2_CUTS_SECTORS_MOST);
}

static void write_co(struct qcow2_run *run, uint32_t first, uint32_t count)
{
	uint32_t version = sector_model_submit(run->model, first, count, false);
	uint8_t *data = malloc((size_t)count * SECTOR_BYTES);

	CHECK(data != NULL);
	sector_model_fill(run->model, version, data);
	CHECK_INT(block_transfer_co(run->source,
			  block_core_lane(run->rig->core, 0), BLOCK_WRITE, 0,
			  (uint64_t)first * SECTOR_BYTES,
			  (uint64_t)count * SECTOR_BYTES, data),
		0);
	sector_model_complete(run->model, version, false);
	free(data);
}

static void discard_co(struct qcow2_run *run, uint32_t first)
{
	uint64_t offset = (uint64_t)first * SECTOR_BYTES;
	uint32_t version = sector_model_submit(
		run->model, first, run->sectors - first, true);

	CHECK_INT(block_transfer_co(run->source,
			  block_core_lane(run->rig->core, 0), BLOCK_DISCARD,
			  BLOCK_FUA, offset, run->size_bytes - offset, NULL),
		0);
	sector_model_complete(run->model, version, true);
}

/* The end comes to lie inside a cluster, before data that stays in the file. */
void qcow2_cuts_shrink_co(struct qcow2_run *run)
{
	uint32_t half = run->sectors / 2, keep = half - 3, version;

	write_co(run, half - 8, 8);
	discard_co(run, half);
	version = sector_model_submit(run->model, keep, half - keep, true);
	resize_co(run, keep);
	sector_model_complete(run->model, version, true);
}

/* -- images that were left badly ------------------------------------------ */

/* Refcounts of 16 bits in the first block. */
struct counts {
	uint8_t *file, *count;
	uint64_t bytes;
	uint32_t clusters;
};

static struct counts counts_get(const struct qcow2_run *run)
{
	struct ring_world *world = run->rig->world;
	struct counts c = {
		.bytes = sim_world_size_bytes(world, QCOW2_CUTS_PATH)};
	uint32_t cluster;

	c.file = malloc(c.bytes);
	CHECK(c.file != NULL);
	CHECK(sim_world_get(world, QCOW2_CUTS_PATH, 0, c.file, c.bytes));
	cluster = 1u << get_be32(c.file + 20);
	c.count = c.file + get_be64(c.file + get_be64(c.file + 48));
	c.clusters = cluster / 2;
	if (c.bytes / cluster < c.clusters)
		c.clusters = (uint32_t)(c.bytes / cluster);
	return c;
}

static void counts_put(const struct qcow2_run *run, struct counts *c)
{
	sim_world_put(run->rig->world, QCOW2_CUTS_PATH, c->file, c->bytes);
	free(c->file);
}

static void close_co(struct qcow2_run *run)
{
	block_source_put_co(run->source);
	qcow2_cuts_watch(run, false);
}

void qcow2_cuts_leak_co(struct qcow2_run *run)
{
	struct counts c;
	uint32_t i, leaks = 0;

	close_co(run);
	c = counts_get(run);
	for (i = 0; i < c.clusters; i++) {
		if (get_be16(c.count + 2 * i))
			continue;
		put_be16(c.count + 2 * i, (uint16_t)(1 + i % 2));
		leaks++;
	}
	CHECK(leaks > 0);
	counts_put(run, &c);
	open_co(run, true);
	qcow2_cuts_watch(run, true);
}

/* Refcounts of 64 bits, clusters of 512: a table of one cluster has this many blocks,
 * each counts as many clusters. */
#define CROWD 64u
#define CROWD_CLUSTER 512u
#define CROWD_ROOM 12u /* clusters that stay free */

/* The block of that index, made where there is none; all that it counts is used. */
static void crowd_block(uint8_t *file, uint64_t table, unsigned index)
{
	uint8_t *entry = file + table + 8 * index;
	unsigned end = index + 1 < CROWD ? CROWD : CROWD - CROWD_ROOM;

	if (!get_be64(entry))
		put_be64(entry, (uint64_t)index * CROWD * CROWD_CLUSTER);
	uint8_t *count = file + get_be64(entry);
	for (unsigned i = 0; i < end; i++) {
		if (!get_be64(count + 8 * i))
			put_be64(count + 8 * i, 1);
	}
}

void qcow2_cuts_crowd_co(struct qcow2_run *run)
{
	uint64_t bytes = (uint64_t)CROWD * CROWD * CROWD_CLUSTER;
	uint8_t *file = calloc(1, bytes);
	uint64_t had;

	close_co(run);
	had = sim_world_size_bytes(run->rig->world, QCOW2_CUTS_PATH);
	CHECK(file != NULL && had < bytes);
	CHECK(sim_world_get(run->rig->world, QCOW2_CUTS_PATH, 0, file, had));
	CHECK_INT(get_be32(file + 56), 1);
	for (unsigned i = 0; i < CROWD; i++)
		crowd_block(file, get_be64(file + 48), i);
	sim_world_put(run->rig->world, QCOW2_CUTS_PATH, file, bytes);
	free(file);
	open_co(run, true);
	qcow2_cuts_watch(run, true);
}

void qcow2_cuts_soil_co(struct qcow2_run *run)
{
	struct counts c;
	uint32_t i, low = 0;

	close_co(run);
	c = counts_get(run);
	for (i = 4; i < c.clusters; i += 2) { /* 0 to 3: made with the image */
		low += get_be16(c.count + 2 * i);
		put_be16(c.count + 2 * i, 0);
	}
	CHECK(low > 0);
	c.file[79] |= 1;
	counts_put(run, &c);
	qcow2_cuts_watch(run, true);
	open_co(run, true);
}

void qcow2_cuts_repair_co(struct qcow2_run *run)
{
	char *said = stack_rig_command_co(
		run->rig, run->source, "qcow2", "check", "{repair: all}");

	CHECK(strstr(said, "\"leaks\": 0,") == NULL);
	free(said);
}
