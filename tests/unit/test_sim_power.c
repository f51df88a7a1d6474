/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts in the simulator are honest in both directions: what was made durable
 * is there after every cut, and each state that a real disk could be in comes up.
 * A simulator that is too kind proves nothing, one that is too cruel sends people
 * after bugs that are none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/sim_rig.h"

#define KIB 1024u
#define MAKE (RING_OPEN_WRITABLE | RING_OPEN_CREATE)
#define CUTS 300
#define STATES 5

/* Content 0 is zeros: what a new file holds. */
static uint8_t contents[STATES][4 * KIB] __attribute__((aligned(4096)));

static int make_contents(void **state)
{
	(void)state;
	for (unsigned i = 1; i < STATES; i++)
		memset(contents[i], (int)(i * 17), sizeof contents[i]);
	return 0;
}

struct scene {
	struct sim_rig *rig;
	struct ring_file *file;
};

static struct scene scene_begin(uint64_t seed)
{
	struct scene scene = {.rig = sim_rig_new(seed, NULL)};
	scene.file = sim_rig_open(scene.rig, "disk", MAKE, 64 * KIB);
	return scene;
}

static void scene_end(struct scene *scene)
{
	sim_rig_wait_all(scene->rig);
	ring_file_close(scene->file);
	sim_rig_free(scene->rig);
}

static int32_t put(struct scene *scene, unsigned content, unsigned flags,
	uint64_t bytes, uint64_t offset)
{
	return sim_rig_do(scene->rig, scene->file, RING_WRITE, flags,
		contents[content], bytes, offset);
}

static int32_t flush(struct scene *scene)
{
	return sim_rig_do(
		scene->rig, scene->file, RING_DATASYNC, 0, NULL, 0, 0);
}

/* What many cuts at this moment leave at an offset. */
struct survey {
	unsigned seen[STATES]; /* cuts that left contents[i] */
	unsigned torn; /* a mixture, when looked at in more than a sector */
};

static unsigned which(const uint8_t *got, uint64_t bytes)
{
	for (unsigned i = 0; i < STATES; i++)
		if (!memcmp(got, contents[i], bytes))
			return i;
	return STATES;
}

static void survey_one(const struct scene *scene, uint64_t seed,
	struct survey *survey, uint64_t bytes, uint64_t offset)
{
	struct sim *after = sim_new(seed);
	struct ring_world *left = sim_world_after_cut(scene->rig->world, after);
	uint8_t got[4 * KIB];
	assert_true(sim_world_get(left, "disk", offset, got, bytes));
	assert_true(sim_world_is_durable(left, "disk"));
	unsigned state = which(got, bytes);
	if (state < STATES)
		survey->seen[state]++;
	else
		survey->torn++;
	for (uint64_t at = 0; at < bytes; at += 512)
		assert_true(which(got + at, 512) < STATES);
	ring_world_free(left);
	sim_free(after);
}

static struct survey look(
	const struct scene *scene, uint64_t bytes, uint64_t offset)
{
	struct survey survey = {.torn = 0};
	for (uint64_t seed = 0; seed < CUTS; seed++)
		survey_one(scene, seed, &survey, bytes, offset);
	return survey;
}

static void expect_only(
	const struct scene *scene, unsigned content, uint64_t offset)
{
	struct survey survey = look(scene, 512, offset);
	assert_int_equal(survey.seen[content], CUTS);
}

/* These and no others, each at least once. `set`: a bit per content. */
static void expect_each(
	const struct scene *scene, unsigned set, uint64_t offset)
{
	struct survey survey = look(scene, 512, offset);
	for (unsigned i = 0; i < STATES; i++)
		assert_int_equal(survey.seen[i] > 0, set >> i & 1);
}

/* -- writes and flushes ------------------------------------------------------- */

static void test_completed_write_may_be_lost(void **state)
{
	(void)state;
	struct scene scene = scene_begin(1);
	assert_int_equal(put(&scene, 1, 0, 4 * KIB, 0), 4 * KIB);
	expect_each(&scene, 1u << 0 | 1u << 1, 0);
	struct survey survey = look(&scene, 4 * KIB, 0);
	assert_true(
		survey.torn > 0 && survey.seen[0] > 0 && survey.seen[1] > 0);
	scene_end(&scene);
}

static void test_every_version_since_the_flush_may_be_left(void **state)
{
	(void)state;
	struct scene scene = scene_begin(1);
	put(&scene, 1, 0, 512, 0);
	assert_int_equal(flush(&scene), 0);
	expect_only(&scene, 1, 0);
	put(&scene, 2, 0, 512, 0);
	put(&scene, 3, 0, 512, 0);
	expect_each(&scene, 1u << 1 | 1u << 2 | 1u << 3, 0);
	assert_int_equal(flush(&scene), 0);
	assert_true(sim_world_is_durable(scene.rig->world, "disk"));
	expect_only(&scene, 3, 0);
	scene_end(&scene);
}

/* The younger of two writes may survive alone. */
static void test_writes_are_reordered(void **state)
{
	(void)state;
	struct scene scene = scene_begin(1);
	put(&scene, 1, 0, 512, 0);
	put(&scene, 2, 0, 512, 512);
	unsigned seen[2][2] = {{0, 0}, {0, 0}};
	for (uint64_t seed = 0; seed < CUTS; seed++) {
		struct survey first = {.torn = 0}, second = {.torn = 0};
		survey_one(&scene, seed, &first, 512, 0);
		survey_one(&scene, seed, &second, 512, 512);
		seen[first.seen[1]][second.seen[2]]++;
	}
	assert_true(seen[0][0] && seen[0][1] && seen[1][0] && seen[1][1]);
	scene_end(&scene);
}

static void test_write_that_is_out_may_be_there(void **state)
{
	(void)state;
	unsigned lost_alone = 0, all = 0;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct scene scene = scene_begin(seed);
		struct sim_rig_op op;
		sim_rig_op(
			&op, scene.file, RING_WRITE, contents[1], 4 * KIB, 0);
		sim_rig_queue(scene.rig, &op);
		expect_only(&scene, 0, 0); /* the kernel has not seen it */
		uint64_t before = sim_world_points(scene.rig->world);
		while (sim_world_points(scene.rig->world) == before)
			sim_step(scene.rig->sim);
		assert_false(op.ended);
		struct survey survey = look(&scene, 4 * KIB, 0);
		assert_true(survey.seen[0] && survey.seen[1] && survey.torn);
		lost_alone += survey.seen[0];
		all += CUTS;
		scene_end(&scene);
	}
	assert_true(lost_alone < all);
}

/* A flush that was submitted beside a write promises nothing about it. */
static void test_flush_covers_only_what_had_completed(void **state)
{
	(void)state;
	unsigned uncovered = 0;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct scene scene = scene_begin(seed);
		put(&scene, 1, 0, 512, 512);
		struct sim_rig_op write, sync;
		sim_rig_op(&write, scene.file, RING_WRITE, contents[2], 512, 0);
		sim_rig_op(&sync, scene.file, RING_DATASYNC, NULL, 0, 0);
		sim_rig_queue(scene.rig, &write);
		sim_rig_queue(scene.rig, &sync);
		sim_rig_wait_all(scene.rig);
		assert_int_equal(sync.op.result, 0);
		expect_only(&scene, 1, 512);
		uncovered += look(&scene, 512, 0).seen[0] > 0;
		assert_int_equal(flush(&scene), 0);
		expect_only(&scene, 2, 0);
		scene_end(&scene);
	}
	assert_int_equal(uncovered, 30);
}

static void test_durable_write_is_durable_alone(void **state)
{
	(void)state;
	struct scene scene = scene_begin(1);
	put(&scene, 1, 0, 512, 0);
	put(&scene, 2, 0, 512, 512);
	assert_int_equal(put(&scene, 3, RING_DSYNC, 512, 512), 512);
	expect_each(&scene, 1u << 0 | 1u << 1, 0);
	expect_only(&scene, 3, 512);
	/* And is overwritten as any other. */
	put(&scene, 4, 0, 512, 512);
	expect_each(&scene, 1u << 3 | 1u << 4, 512);
	scene_end(&scene);
}

/* A write that is out may hit what is durable, but one that had its effect before
 * is not repeated over it. */
static void test_durable_write_beats_what_took_effect_before(void **state)
{
	(void)state;
	unsigned unbeaten = 0, beaten = 0;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct scene scene = scene_begin(seed);
		struct sim_rig_op slow;
		sim_rig_op(&slow, scene.file, RING_WRITE, contents[1], 512, 0);
		sim_rig_queue(scene.rig, &slow);
		put(&scene, 2, RING_DSYNC, 512, 0);
		struct survey survey = look(&scene, 512, 0);
		assert_int_equal(survey.seen[0], 0); /* never the oldest */
		assert_int_equal(survey.seen[1] + survey.seen[2], CUTS);
		unbeaten += survey.seen[1] > 0;
		beaten += survey.seen[1] == 0;
		scene_end(&scene);
	}
	assert_true(unbeaten > 0 && beaten > 0);
}

/* -- errors ------------------------------------------------------------------- */

static void test_failed_flush_loses_what_it_should_cover(void **state)
{
	(void)state;
	struct scene scene = scene_begin(1);
	put(&scene, 1, 0, 512, 0);
	struct sim_fault fault = {
		.opcodes = 1 << RING_DATASYNC, .times = 1, .error = -EIO};
	sim_world_fail(scene.rig->world, &fault);
	assert_int_equal(flush(&scene), -EIO);
	assert_int_equal(flush(&scene), 0); /* and yet: */
	expect_each(&scene, 1u << 0 | 1u << 1, 0);
	assert_int_equal(put(&scene, 1, 0, 512, 0), 512);
	assert_int_equal(flush(&scene), 0);
	expect_only(&scene, 1, 0);
	sim_world_heal(scene.rig->world, &fault);
	scene_end(&scene);
}

static void test_failed_write_changed_anything(void **state)
{
	(void)state;
	unsigned none = 0, all = 0, torn = 0;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct scene scene = scene_begin(seed);
		struct sim_fault fault = {
			.opcodes = 1 << RING_WRITE, .error = -EIO};
		sim_world_fail(scene.rig->world, &fault);
		assert_int_equal(put(&scene, 1, 0, 4 * KIB, 0), -EIO);
		sim_world_heal(scene.rig->world, &fault);
		assert_int_equal(flush(&scene), 0);
		struct survey survey = look(&scene, 4 * KIB, 0);
		none += survey.seen[0] == CUTS;
		all += survey.seen[1] == CUTS;
		torn += survey.torn == CUTS;
		scene_end(&scene);
	}
	assert_int_equal(none + all + torn, 100);
	assert_true(none && all && torn);
}

/* -- sizes and zeros ---------------------------------------------------------- */

static unsigned cuts_with_size(const struct scene *scene, uint64_t bytes)
{
	unsigned count = 0;
	for (uint64_t seed = 0; seed < CUTS; seed++) {
		struct sim *after = sim_new(seed);
		struct ring_world *left =
			sim_world_after_cut(scene->rig->world, after);
		count += sim_world_size_bytes(left, "disk") == bytes;
		ring_world_free(left);
		sim_free(after);
	}
	return count;
}

static void test_growth_is_durable_with_the_flush(void **state)
{
	(void)state;
	struct scene scene = scene_begin(1);
	put(&scene, 1, 0, 512, 64 * KIB);
	unsigned grown = cuts_with_size(&scene, 64 * KIB + 512);
	assert_true(grown > 0 && grown < CUTS);
	assert_int_equal(cuts_with_size(&scene, 64 * KIB), CUTS - grown);
	assert_int_equal(flush(&scene), 0);
	assert_int_equal(cuts_with_size(&scene, 64 * KIB + 512), CUTS);
	/* A durable write brings the size that it needs. */
	put(&scene, 2, RING_DSYNC, 512, 65 * KIB);
	assert_int_equal(cuts_with_size(&scene, 65 * KIB + 512), CUTS);
	expect_only(&scene, 2, 65 * KIB);
	scene_end(&scene);
}

/* A write into a part that another write has just added, which is still out: the
 * flush that covers the first makes the size durable as well. */
static void test_flush_makes_size_of_others_durable(void **state)
{
	(void)state;
	unsigned raced = 0;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct scene scene = scene_begin(seed);
		struct sim_rig_op grow;
		sim_rig_op(&grow, scene.file, RING_WRITE, contents[1], 4 * KIB,
			70 * KIB);
		sim_rig_queue(scene.rig, &grow);
		put(&scene, 2, 0, 512, 66 * KIB);
		assert_int_equal(flush(&scene), 0);
		raced += !grow.ended;
		expect_only(&scene, 2, 66 * KIB);
		scene_end(&scene);
	}
	assert_true(raced > 0);
}

static void test_resize_is_durable_with_the_flush(void **state)
{
	(void)state;
	struct scene scene = scene_begin(1);
	struct err err;
	put(&scene, 1, RING_DSYNC, 512, 32 * KIB);
	assert_int_equal(ring_file_resize(scene.file, 16 * KIB, &err), 0);
	unsigned shorter = cuts_with_size(&scene, 16 * KIB);
	assert_true(shorter > 0 && shorter < CUTS);
	assert_int_equal(flush(&scene), 0);
	assert_int_equal(cuts_with_size(&scene, 16 * KIB), CUTS);
	assert_int_equal(ring_file_resize(scene.file, 64 * KIB, &err), 0);
	assert_int_equal(flush(&scene), 0);
	expect_only(&scene, 0, 32 * KIB); /* not what was there once */
	scene_end(&scene);
}

static void test_zeros_are_versions_too(void **state)
{
	(void)state;
	static const enum ring_opcode opcodes[] = {RING_PUNCH, RING_ZERO_RANGE};
	for (unsigned i = 0; i < 2; i++) {
		struct scene scene = scene_begin(1);
		put(&scene, 1, RING_DSYNC, 4 * KIB, 0);
		assert_int_equal(sim_rig_do(scene.rig, scene.file, opcodes[i],
					 0, NULL, 4 * KIB, 0),
			0);
		expect_each(&scene, 1u << 0 | 1u << 1, 0);
		assert_int_equal(flush(&scene), 0);
		expect_only(&scene, 0, 0);
		scene_end(&scene);
	}
}

/* -- cuts of the world itself ------------------------------------------------- */

static void test_cut_at_each_point(void **state)
{
	(void)state;
	bool ended = false;
	unsigned survived = 0, lost = 0;
	for (uint64_t point = 1; !ended; point++) {
		struct scene scene = scene_begin(point);
		sim_world_cut_at(scene.rig->world, point);
		bool durable = put(&scene, 1, RING_DSYNC, 512, 0) == 512;
		int32_t plain = put(&scene, 2, 0, 512, 512);
		bool flushed = flush(&scene) == 0;
		ended = !sim_world_is_off(scene.rig->world);
		if (!ended) {
			struct ring_file *file;
			struct err err;
			assert_int_equal(
				sim_world_points(scene.rig->world), point);
			assert_int_equal(put(&scene, 3, 0, 512, 0), -EIO);
			assert_int_equal(ring_file_open(scene.rig->world,
						 "disk", 0, 0, &file, &err),
				-EIO);
		} else
			assert_int_equal(plain, 512);
		ring_file_close(scene.file);
		if (ended)
			sim_world_cut_at(scene.rig->world, 0);
		else
			sim_world_power_on(scene.rig->world);
		scene.file = sim_rig_open(scene.rig, "disk", MAKE, 0);
		uint8_t got[1024];
		assert_int_equal(sim_rig_do(scene.rig, scene.file, RING_READ, 0,
					 got, 1024, 0),
			1024);
		if (durable)
			assert_int_equal(which(got, 512), 1);
		if (flushed)
			assert_int_equal(which(got + 512, 512), 2);
		survived += which(got, 512) == 1;
		lost += which(got, 512) == 0;
		scene_end(&scene);
	}
	assert_int_equal(survived + lost, 7); /* 3 operations, and the end */
	assert_true(lost >= 1); /* before the first was submitted */
}

static void count_point(void *arg, uint64_t point)
{
	uint64_t *last = arg;
	assert_int_equal(point, *last + 1);
	*last = point;
}

/* The run that is looked at does not notice. */
static void test_looking_disturbs_nothing(void **state)
{
	(void)state;
	uint64_t hashes[2], points = 0;
	for (unsigned round = 0; round < 2; round++) {
		struct scene scene = scene_begin(9);
		if (round)
			sim_world_watch(scene.rig->world, count_point, &points);
		for (unsigned i = 0; i < 20; i++) {
			put(&scene, 1 + i % 4, 0, 4 * KIB, i * 1024);
			if (round)
				look(&scene, 512, 0);
		}
		hashes[round] = sim_hash(scene.rig->sim);
		scene_end(&scene);
	}
	assert_true(hashes[0] == hashes[1]);
	assert_int_equal(points, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completed_write_may_be_lost),
		cmocka_unit_test(
			test_every_version_since_the_flush_may_be_left),
		cmocka_unit_test(test_writes_are_reordered),
		cmocka_unit_test(test_write_that_is_out_may_be_there),
		cmocka_unit_test(test_flush_covers_only_what_had_completed),
		cmocka_unit_test(test_durable_write_is_durable_alone),
		cmocka_unit_test(
			test_durable_write_beats_what_took_effect_before),
		cmocka_unit_test(test_failed_flush_loses_what_it_should_cover),
		cmocka_unit_test(test_failed_write_changed_anything),
		cmocka_unit_test(test_growth_is_durable_with_the_flush),
		cmocka_unit_test(test_flush_makes_size_of_others_durable),
		cmocka_unit_test(test_resize_is_durable_with_the_flush),
		cmocka_unit_test(test_zeros_are_versions_too),
		cmocka_unit_test(test_cut_at_each_point),
		cmocka_unit_test(test_looking_disturbs_nothing),
	};
	return cmocka_run_group_tests_name(
		"power cuts", tests, make_contents, NULL);
}
