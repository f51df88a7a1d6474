/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. Here: cutting, and looking at what is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/crc32c.h"
#include "blockcore/base/prng.h"
#include "tests/lib/power_cut.h"
#include "tests/lib/qcow2_cuts.h"
#include "tests/lib/sim_world.h"
#include "tests/lib/stack_sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANES 2u
#define REQUESTS 7u /* of each worker in each step of work */
#define AGAIN_BYTES (16 * SECTOR_BYTES)
#define DIRTY_BYTE 79u /* of the header: its lowest bit */

/* What a cut left, and what was promised then. */
struct qcow2_cut {
	struct power_cut left;
	uint64_t size_bytes, next_size_bytes;
	bool unmade, shot, gone, reverting;
	STAILQ_ENTRY(qcow2_cut) link;
};

static uint64_t all_cuts, all_leaks, all_qemu, all_shots;
static uint64_t all_seeds, long_seeds, all_operations;

void qcow2_cuts_describe(
	const struct qcow2_run *run, bool made, char *out, size_t size)
{
	snprintf(out, size,
		"format: {type: qcow2, pool: 16K%s%s, "
		"file: {protocol: {type: file, path: disk%s, "
		"locking: false}}%s}",
		made ? "" : ", size: 128K", made ? "" : run->script->options,
		made ? "" : ", size: 4K",
		run->script->base_sectors
			? ", backing: {protocol: {type: file, path: base, "
			  "read_only: true, locking: false}}"
			: "");
}

/* -- what a cut has left -------------------------------------------------- */

static void lost(const struct qcow2_run *run, const char *what)
{
	check_fail(__FILE__, __LINE__, "%s, %sseed %llu, point %llu: %s",
		run->script->name, run->most_cuts ? "long " : "",
		(unsigned long long)run->seed,
		(unsigned long long)run->checking->left.point, what);
}

static void check_sectors_co(struct qcow2_run *run, struct stack_rig *rig,
	struct block_source *source)
{
	struct qcow2_cut *cut = run->checking;
	uint64_t size = block_source_info(source, block_core_lane(rig->core, 0))
				.size_bytes;

	if (size != cut->size_bytes && size != cut->next_size_bytes)
		lost(run, "another size");
	if (!power_cut_sectors_hold_co(cut->left.model, rig, source, size))
		lost(run, "lost or made up");
}

static void check_image_co(struct qcow2_run *run, struct stack_rig *rig,
	struct block_source *source)
{
	char *said = stack_rig_command_co(rig, source, "qcow2", "check", NULL);

	if (!strstr(said, "\"errors\": 0,")) {
		fprintf(stderr, "%s\n", said);
		lost(run, "the image has errors");
	}
	if (!strstr(said, "\"leaks\": 0,"))
		all_leaks++;
	free(said);
}

static void check_view_co(
	struct stack_rig *rig, const char *name, const uint8_t *content)
{
	char text[80];
	struct block_source *view;

	snprintf(text, sizeof text, "{source: source-1, view: {snapshot: %s}}",
		name);
	view = stack_rig_source_co(rig, text);
	stack_rig_expect_co(
		rig, view, 0, QCOW2_CUTS_SECTORS * SECTOR_BYTES, content);
	block_source_put_co(view);
	all_shots++;
}

/* The content has gone back, and there is a snapshot of what it was, or neither. */
static void check_safe_co(struct qcow2_run *run, struct stack_rig *rig,
	struct block_source *source, const char *said)
{
	bool back = strstr(said, "\"name\": \"safe\"") != NULL;
	const uint8_t *content = back ? run->shot_content : run->safe_content;

	if (!run->checking->reverting)
		return;
	stack_rig_expect_co(
		rig, source, 0, QCOW2_CUTS_SECTORS * SECTOR_BYTES, content);
	if (back)
		check_view_co(rig, "safe", run->safe_content);
}

/* The snapshot is there if it was whole and not deleted, and then shows what it has
 * to. */
static void check_shot_co(struct qcow2_run *run, struct stack_rig *rig,
	struct block_source *source)
{
	char *said =
		stack_rig_command_co(rig, source, "qcow2", "snapshots", NULL);
	bool there = strstr(said, "\"name\": \"one\"") != NULL;

	check_safe_co(run, rig, source, said);
	free(said);
	if (run->checking->shot && !there)
		lost(run, "the snapshot is gone");
	if (run->checking->gone && there)
		lost(run, "the snapshot is back");
	if (!there || !run->shot_content)
		return;
	check_view_co(rig, "one", run->shot_content);
}

/* It can be written to again: nothing leaked is in the way. */
static void write_again_co(struct qcow2_run *run, struct stack_rig *rig,
	struct block_source *source)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *data = stack_rig_pattern(AGAIN_BYTES, 3);
	uint64_t places =
		block_source_info(source, lane).size_bytes - AGAIN_BYTES;
	uint64_t offset = run->checking->left.point * SECTOR_BYTES % places;

	CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE, BLOCK_FUA,
			  offset, AGAIN_BYTES, data),
		0);
	stack_rig_expect_co(rig, source, offset, AGAIN_BYTES, data);
	check_image_co(run, rig, source);
	free(data);
}

static void reopened_co(struct stack_rig *rig, void *argument)
{
	struct qcow2_run *run = argument;
	char document[512];
	struct block_source *source;

	qcow2_cuts_describe(
		run, !run->checking->unmade, document, sizeof document);
	source = stack_rig_source_co(rig, document);
	check_sectors_co(run, rig, source);
	check_image_co(run, rig, source);
	check_shot_co(run, rig, source);
	if (run->checking->left.point % 8 == 0) {
		write_again_co(run, rig, source);
		run->checking->reverting = false;
		check_shot_co(run, rig, source);
	}
	block_source_put_co(source);
}

static void show_to_qemu(struct qcow2_run *run)
{
	const char *every = getenv("QCOW2_QEMU");
	uint8_t head[DIRTY_BYTE + 1];
	uint64_t step = every ? strtoull(every, NULL, 10) : 50;
	char path[64] = "/tmp/cairn-qcow2.XXXXXX", command[160];
	int fd, status;

	if (!step || all_cuts % step ||
		!sim_world_get(run->checking->left.world, QCOW2_CUTS_PATH, 0,
			head, sizeof head))
		return;
	/* Not an image yet, or one that has put its refcounts off. */
	if (head[0] != 'Q' || head[DIRTY_BYTE] & 1)
		return;
	fd = mkstemp(path);
	CHECK(fd >= 0);
	close(fd);
	CHECK_INT(sim_world_export(
			  run->checking->left.world, QCOW2_CUTS_PATH, path),
		0);
	snprintf(command, sizeof command,
		"qemu-img check -q -f qcow2 %s >/dev/null 2>&1", path);
	status = system(command);
	unlink(path);
	if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3)
		lost(run, "qemu-img check finds errors");
	all_qemu++;
}

/* Of a run whose cuts are chosen: what each, and the run, leave in the file. */
static void add_print(struct qcow2_run *run, const struct ring_world *world)
{
	uint64_t bytes = sim_world_size_bytes(world, QCOW2_CUTS_PATH);
	uint8_t *content;

	if (!run->most_cuts || bytes == UINT64_MAX)
		return;
	content = malloc(bytes + 1);
	CHECK(content != NULL);
	CHECK(sim_world_get(world, QCOW2_CUTS_PATH, 0, content, bytes));
	run->print = crc32c(run->print, content, bytes);
	free(content);
}

static void check_cuts(struct qcow2_run *run)
{
	struct qcow2_cut *cut;

	while ((cut = STAILQ_FIRST(&run->cuts))) {
		STAILQ_REMOVE_HEAD(&run->cuts, link);
		run->checking = cut;
		add_print(run, cut->left.world);
		show_to_qemu(run);
		power_cut_reopen(&cut->left, reopened_co, run);
		free(cut);
		all_cuts++;
	}
}

/* -- cutting -------------------------------------------------------------- */

/* Of all points passed till now so many are chosen, all with the same chance: makes
 * room for this one, or not. */
static bool is_chosen(struct qcow2_run *run)
{
	uint64_t place = run->passed++;
	struct qcow2_cut *cut = STAILQ_FIRST(&run->cuts);

	if (!run->most_cuts || place < run->most_cuts)
		return true;
	place = prng_below(&run->chosen, run->passed);
	if (place >= run->most_cuts)
		return false;
	while (place--)
		cut = STAILQ_NEXT(cut, link);
	STAILQ_REMOVE(&run->cuts, cut, qcow2_cut, link);
	power_cut_forget(&cut->left);
	free(cut);
	return true;
}

static void cut_here(void *argument, uint64_t point)
{
	struct qcow2_run *run = argument;

	if (!is_chosen(run))
		return;
	struct qcow2_cut *cut = calloc(1, sizeof *cut);

	CHECK(cut != NULL);
	power_cut_take(&cut->left, run->rig, run->seed, point, run->model);
	cut->size_bytes = run->size_bytes;
	cut->next_size_bytes = run->next_size_bytes;
	cut->unmade = run->unmade;
	cut->shot = run->shot;
	cut->gone = run->gone;
	cut->reverting = run->reverting;
	STAILQ_INSERT_TAIL(&run->cuts, cut, link);
}

void qcow2_cuts_watch(struct qcow2_run *run, bool on)
{
	sim_world_watch(run->rig->world, on ? cut_here : NULL, run);
}

/* -- running -------------------------------------------------------------- */

static void body_co(struct stack_rig *rig, void *argument)
{
	struct qcow2_run *run = argument;
	unsigned i;

	run->rig = rig;
	for (i = 0; i < QCOW2_CUTS_STEPS && run->script->step_co[i]; i++)
		run->script->step_co[i](run);
	model_load_verify_co(rig, &run->load[0]);
	block_source_put_co(run->source);
	qcow2_cuts_watch(run, false);
	add_print(run, rig->world);
}

static void plan_workers(struct qcow2_run *run)
{
	const struct qcow2_script *script = run->script;
	struct model_load like = {.model = run->model,
		.sectors = &run->sectors,
		.unit_sectors = script->unit_sectors,
		.most_units = script->most_units,
		.hot_units = script->hot_units,
		.fua_percent = 30,
		.requests = run->requests};

	memcpy(like.weight, script->weight, sizeof like.weight);
	model_load_plan(run->load, QCOW2_CUTS_WORKERS, &like, &run->random);
}

static unsigned number(const char *name, unsigned fallback)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : fallback;
}

/* A share of the requests for each worker and each step in which it works. */
static void plan_long(struct qcow2_run *run, unsigned operations)
{
	unsigned shares = 0;

	for (unsigned i = 0; i < QCOW2_CUTS_STEPS && run->script->step_co[i];
		i++)
		shares += qcow2_cuts_works(run->script->step_co[i]);
	run->requests =
		operations / QCOW2_CUTS_WORKERS / (shares ? shares : 1) + 1;
	run->most_cuts = number("QCOW2_CUTS", 20);
	run->chosen = ~run->seed;
}

static void run_planned(struct qcow2_run *run)
{
	struct stack_rig_setup setup = {.world = "simulated",
		.lanes = LANES,
		.seed = run->seed,
		.direct_align_bytes = run->seed % 2 ? 512 : 4096,
		.no_punch = run->seed & 4,
		.no_zero_range = run->seed & 8};

	STAILQ_INIT(&run->cuts);
	run->model = sector_model_new(QCOW2_CUTS_SECTORS_MOST);
	plan_workers(run);
	stack_rig_test(&setup, body_co, run);
	check_cuts(run);
	all_seeds++;
	all_operations += run->operations;
	sector_model_free(run->model);
	free(run->shot_content);
	free(run->safe_content);
}

static struct qcow2_run run_of(const struct qcow2_script *script, uint64_t seed)
{
	return (struct qcow2_run){.script = script,
		.seed = seed,
		.random = seed,
		.requests = REQUESTS,
		.sectors = QCOW2_CUTS_SECTORS,
		.size_bytes = QCOW2_CUTS_SECTORS * SECTOR_BYTES,
		.next_size_bytes = QCOW2_CUTS_SECTORS * SECTOR_BYTES};
}

static void test_script(void **state)
{
	uint64_t first = number("QCOW2_FIRST_SEED", 1), seed;

	for (seed = first; seed < first + number("QCOW2_SEEDS", 1); seed++) {
		struct qcow2_run run = run_of(*state, seed);

		run_planned(&run);
	}
	for (seed = first; seed < first + number("QCOW2_LONG_SEEDS", 0);
		seed++) {
		struct qcow2_run run = run_of(*state, seed);

		plan_long(&run, number("QCOW2_OPERATIONS", 2000));
		run_planned(&run);
		long_seeds++;
	}
}

/* Of a seed that has failed every byte is to be the same again. */
static void test_replay(void **state)
{
	struct qcow2_run run[2];

	for (unsigned i = 0; i < 2; i++) {
		run[i] = run_of(*state, 3);
		plan_long(&run[i], 200);
		run_planned(&run[i]);
	}
	CHECK_INT(run[0].passed, run[1].passed);
	CHECK_INT(run[0].operations, run[1].operations);
	CHECK_INT(run[0].print, run[1].print);
	run[1] = run_of(*state, 4);
	plan_long(&run[1], 200);
	run_planned(&run[1]);
	CHECK(run[0].print != run[1].print);
}

int qcow2_cuts_main(const struct qcow2_script *scripts, size_t count)
{
	struct CMUnitTest *tests = calloc(count + 1, sizeof *tests);
	int failed;
	size_t i;

	CHECK(tests != NULL);
	for (i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){.name = scripts[i].name,
			.test_func = test_script,
			.initial_state = (void *)&scripts[i]};
	tests[count] = (struct CMUnitTest){.name = "a seed replays",
		.test_func = test_replay,
		.initial_state = (void *)&scripts[0]};
	cmocka_set_test_filter(getenv("QCOW2_SCRIPT"));
	failed = _cmocka_run_group_tests(
		"power cuts", tests, count + 1, NULL, NULL);
	free(tests);
	printf("figure qcow2-power-cut-points value=%llu\n",
		(unsigned long long)all_cuts);
	printf("figure qcow2-power-cut-seeds value=%llu\n",
		(unsigned long long)all_seeds);
	printf("figure qcow2-power-cut-long-seeds value=%llu\n",
		(unsigned long long)long_seeds);
	printf("figure qcow2-power-cut-operations value=%llu\n",
		(unsigned long long)all_operations);
	printf("figure qcow2-power-cut-images-by-qemu value=%llu\n",
		(unsigned long long)all_qemu);
	printf("figure qcow2-power-cut-images-with-leaks value=%llu\n",
		(unsigned long long)all_leaks);
	printf("figure qcow2-power-cut-snapshots-read value=%llu\n",
		(unsigned long long)all_shots);
	return failed;
}
