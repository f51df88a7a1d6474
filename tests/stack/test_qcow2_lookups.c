/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: several lanes look places up, without a lock, in a map that is changed
 * meanwhile in every way there is: writes and discards of all of them, a cache that
 * is too small, snapshots made and deleted, going back, other sizes. Each sector
 * says which one it is and how new: nobody ever reads another's, half of one, or
 * one that was never written; and who wrote it reads the last one, unless the image
 * went back to a snapshot. TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/prng.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LANES 4u
#define CELLS 128u /* of each lane's worker */
#define CELL_SECTORS 4u
#define CELL_BYTES (CELL_SECTORS * 512u)
#define WORDS (512u / 8)
#define ROUNDS 3u
#define OPS_LEAST 150u /* of each worker */
#define FLUSH_EACH 64u
#define DEADLINE_NS 20000000000ull

struct world;

struct sector {
	uint32_t newest; /* 0: zeroes */
	uint32_t of; /* the era in which that was written; odd: not known */
};

struct worker {
	struct stack_rig_task task;
	struct world *world;
	unsigned number;
	uint64_t random;
	uint32_t issued, ops, exact;
	struct sector sector[CELLS][CELL_SECTORS];
	uint64_t *data;
};

struct world {
	struct block_source *source;
	uint64_t stride, size;
	/* Even: no revert is on its way. Each adds 2. */
	_Atomic uint32_t era;
	_Atomic uint32_t issued[LANES];
	_Atomic uint32_t busy; /* workers that have not done enough */
	_Atomic bool stop;
	struct worker worker[LANES];
};

/* -- what a sector says --------------------------------------------------- */

static uint64_t name_of(unsigned worker, unsigned cell, unsigned sector)
{
	return (uint64_t)(worker * CELLS * CELL_SECTORS + cell * CELL_SECTORS +
		       sector + 1)
		<< 32;
}

static uint64_t place_of(
	const struct world *world, unsigned worker, unsigned cell)
{
	return (cell * LANES + worker) * world->stride;
}

/* How new it is, 0: zeroes. Fails for anything that was not written there. */
static uint32_t newness(
	const struct world *world, const uint64_t *data, uint64_t name)
{
	unsigned worker = (unsigned)((name >> 32) - 1) / (CELLS * CELL_SECTORS);
	uint32_t number = (uint32_t)data[0];

	for (unsigned i = 1; i < WORDS; i++)
		CHECK(data[i] == data[0]);
	if (!data[0])
		return 0;
	CHECK(data[0] - number == name);
	CHECK(number && number <= atomic_load(&world->issued[worker]));
	return number;
}

/* -- a worker ------------------------------------------------------------- */

static int transfer_co(struct worker *w, enum block_opcode op, unsigned cell,
	unsigned first, unsigned sectors)
{
	return block_transfer_co(w->world->source, w->task.lane, op, 0,
		place_of(w->world, w->number, cell) + first * 512ull,
		sectors * 512ull, op == BLOCK_DISCARD ? NULL : w->data);
}

static void note(struct worker *w, unsigned cell, unsigned first,
	unsigned sectors, struct sector now)
{
	for (unsigned i = first; i < first + sectors; i++)
		w->sector[cell][i] = now;
}

static void write_co(
	struct worker *w, unsigned cell, unsigned first, unsigned sectors)
{
	struct world *world = w->world;
	uint32_t number = ++w->issued, era = atomic_load(&world->era);

	atomic_store(&world->issued[w->number], number);
	for (unsigned i = 0; i < sectors * WORDS; i++)
		w->data[i] =
			name_of(w->number, cell, first + i / WORDS) | number;
	CHECK_INT(transfer_co(w, BLOCK_WRITE, cell, first, sectors), 0);
	if (atomic_load(&world->era) != era)
		era = 1;
	note(w, cell, first, sectors,
		(struct sector){.newest = number, .of = era});
}

static void discard_co(struct worker *w, unsigned cell)
{
	uint32_t era = atomic_load(&w->world->era);

	CHECK_INT(transfer_co(w, BLOCK_DISCARD, cell, 0, CELL_SECTORS), 0);
	if (atomic_load(&w->world->era) != era)
		era = 1;
	note(w, cell, 0, CELL_SECTORS, (struct sector){.of = era});
}

/* One's own: what was written last. */
static void read_own_co(struct worker *w, unsigned cell)
{
	struct world *world = w->world;
	uint32_t era = atomic_load(&world->era);

	CHECK_INT(transfer_co(w, BLOCK_READ, cell, 0, CELL_SECTORS), 0);
	bool same = atomic_load(&world->era) == era;
	for (unsigned i = 0; i < CELL_SECTORS; i++) {
		const struct sector *s = &w->sector[cell][i];
		uint32_t number = newness(world, w->data + i * WORDS,
			name_of(w->number, cell, i));

		if (!same || (era & 1) || s->of != era)
			continue;
		CHECK_INT(number, s->newest);
		w->exact++;
	}
}

static void read_other_co(struct worker *w, unsigned cell)
{
	struct world *world = w->world;
	unsigned other = (unsigned)prng_below(&w->random, LANES);

	CHECK_INT(block_transfer_co(world->source, w->task.lane, BLOCK_READ, 0,
			  place_of(world, other, cell), CELL_BYTES, w->data),
		0);
	for (unsigned i = 0; i < CELL_SECTORS; i++)
		newness(world, w->data + i * WORDS, name_of(other, cell, i));
}

/* What was set free is to be had again after that only. */
static void flush_co(struct worker *w)
{
	CHECK_INT(block_transfer_co(w->world->source, w->task.lane, BLOCK_FLUSH,
			  0, 0, 0, NULL),
		0);
}

static void step_co(struct worker *w)
{
	unsigned cell = (unsigned)prng_below(&w->random, CELLS);
	unsigned first = (unsigned)prng_below(&w->random, CELL_SECTORS);

	if (w->ops % FLUSH_EACH == 0)
		flush_co(w);
	switch (prng_below(&w->random, 8)) {
	case 0: discard_co(w, cell); break;
	case 1: write_co(w, cell, first, 1); break;
	case 2: write_co(w, cell, first, CELL_SECTORS - first); break;
	case 3: write_co(w, cell, 0, CELL_SECTORS); break;
	case 4:
	case 5: read_own_co(w, cell); break;
	default: read_other_co(w, cell); break;
	}
}

static void work_co(struct stack_rig_task *task)
{
	struct worker *w = container_of(task, struct worker, task);

	for (w->ops = 0; !atomic_load(&w->world->stop); w->ops++) {
		step_co(w);
		if (w->ops + 1 == OPS_LEAST)
			atomic_fetch_sub(&w->world->busy, 1);
	}
}

/* -- the image changes ---------------------------------------------------- */

static void good(int error, const struct err *err)
{
	if (error)
		check_fail(__FILE__, __LINE__, "%s", err->text);
}

static void revert_co(struct world *world, unsigned round)
{
	struct err err = {0};
	char name[16], safety[16];

	snprintf(name, sizeof name, "s%u", round);
	snprintf(safety, sizeof safety, "r%u", round);
	atomic_fetch_add(&world->era, 1);
	good(spec_snapshot_revert_co(
		     world->source, name, safety, DEADLINE_NS, &err),
		&err);
	atomic_fetch_add(&world->era, 1);
	good(spec_snapshot_delete_co(world->source, safety, &err), &err);
}

/* Behind what workers use there is nothing. */
static void resize_co(struct world *world)
{
	struct err err = {0};

	good(spec_resize_co(world->source, 2 * world->size, &err), &err);
	good(spec_resize_co(world->source, world->size, &err), &err);
}

static void round_co(struct world *world, unsigned round)
{
	struct err err = {0};
	char name[16];

	snprintf(name, sizeof name, "s%u", round);
	good(spec_snapshot_create_co(world->source, name, DEADLINE_NS, &err),
		&err);
	if (round % 2)
		revert_co(world, round);
	good(spec_snapshot_delete_co(world->source, name, &err), &err);
	resize_co(world);
}

/* -- the test ------------------------------------------------------------- */

struct image {
	const char *options;
	uint64_t stride; /* between cells of two lanes */
};

static void start(struct stack_rig *rig, struct world *world)
{
	world->busy = LANES;
	for (unsigned i = 0; i < LANES; i++) {
		struct worker *w = &world->worker[i];

		w->world = world;
		w->number = i;
		w->random = i + 1;
		w->task.run_co = work_co;
		w->data = aligned_alloc(4096, 4096);
		CHECK(w->data != NULL);
		stack_rig_start(rig, i, &w->task);
	}
}

static void join_co(struct world *world)
{
	for (unsigned i = 0; i < LANES; i++) {
		stack_rig_join_co(&world->worker[i].task);
		CHECK(world->worker[i].ops >= OPS_LEAST);
		CHECK(world->worker[i].exact > 0);
		free(world->worker[i].data);
	}
}

static void expect_clean_co(struct stack_rig *rig, struct block_source *source)
{
	char *said = stack_rig_command_co(rig, source, "qcow2", "check", NULL);

	CHECK(strstr(said, "\"leaks\": 0, \"errors\": 0,") != NULL);
	free(said);
}

static void test_lookups_co(struct stack_rig *rig, void *argument)
{
	const struct image *image = argument;
	struct world *world = calloc(1, sizeof *world);
	char text[256];
	unsigned round;

	CHECK(world != NULL);
	world->stride = image->stride;
	world->size = CELLS * LANES * image->stride;
	snprintf(text, sizeof text,
		"format: {type: qcow2, cache: 64K, size: %llu, %s, "
		"file: {protocol: {type: mem, size: 64M}}}",
		(unsigned long long)world->size, image->options);
	world->source = stack_rig_source_co(rig, text);
	start(rig, world);
	for (round = 0; round < ROUNDS || atomic_load(&world->busy); round++)
		round_co(world, round);
	atomic_store(&world->stop, true);
	join_co(world);
	/* More is looked up than the cache holds. */
	CHECK(stack_rig_figure(world->source, "loads") > 32);
	expect_clean_co(rig, world->source);
	block_source_put_co(world->source);
	free(world);
}

/* Slices of 2 MiB of the image, 32 of them; the cache has 16. */
static const struct image small = {
	"subclusters: \"off\", cluster_size: 4K", 128u << 10};
/* Slices of 4 MiB, 32 of them; it has 16. */
static const struct image extended = {
	"subclusters: \"on\", cluster_size: 16K", 256u << 10};

#define ROW(image, world_) \
	STACK_RIG_CASE_WITH(test_lookups_co, &image, #image " " world_, \
		.world = world_, .lanes = LANES, .seed = 3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(small, "threads"),
		ROW(extended, "threads"),
		ROW(small, "simulated"),
		ROW(extended, "simulated"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
