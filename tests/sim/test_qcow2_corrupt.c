/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged qcow2 images: each field of the header, of a snapshot's entry and of header
 * extensions at its bounds, entries of every table set to wrong places, to each other,
 * to themselves, counts, compressed clusters that lead anywhere, random bytes and cut
 * files. Each is refused with a text, or opened; then nothing crashes or hangs or takes
 * much time or memory, and what cannot be right is found by the check, or ends in the
 * corrupt mark.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "blockcore/base/log.h"
#include "blockcore/base/prng.h"
#include "tests/lib/check.h"
#include "tests/lib/qcow2_poke.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define AT_L1 40
#define AT_REFTABLE 48
#define AT_SNAPSHOTS_OFFSET 64
#define AT_EXTENSIONS 104 /* of a header as long as version 3 has it */
#define RANDOM_IMAGES 200u
/* The process's own time: a machine that is busy with others counts for nothing. A
 * build with sanitizers needs some 50 ms. */
#define ONE_IMAGE_S 10.0
/* Of the whole process; what sanitizers hold back is the most of it. */
#define MEMORY_KIB (1024l << 10)

static unsigned images, refused, opened;
static double slowest_s;

struct good {
	uint8_t *image, *copy;
	size_t bytes;
};

static struct good good_new(const char *options)
{
	struct good good;

	/* "+": with a snapshot. */
	good.image = qcow2_poke_image(
		options + (*options == '+'), *options == '+', &good.bytes);
	good.copy = malloc(good.bytes);
	CHECK(good.copy != NULL);
	return good;
}

static void good_free(struct good *good)
{
	free(good->image);
	free(good->copy);
}

static uint8_t *fresh_copy(struct good *good)
{
	memcpy(good->copy, good->image, good->bytes);
	return good->copy;
}

static double used_s(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static struct qcow2_poked poke(const uint8_t *image, size_t bytes)
{
	double begun_s = used_s();
	struct qcow2_poked poked = qcow2_poke(image, bytes);
	double took_s = used_s() - begun_s;

	if (took_s > slowest_s)
		slowest_s = took_s;
	images++;
	CHECK(poked.opened || poked.text[0]);
	poked.opened ? opened++ : refused++;
	return poked;
}

/* -- the header ----------------------------------------------------------- */

static const struct field {
	unsigned offset, bytes;
} fields[] = {{0, 4}, {4, 4}, {8, 8}, {16, 4}, {20, 4}, {24, 8}, {32, 4},
	{36, 4}, {40, 8}, {48, 8}, {56, 4}, {60, 4}, {64, 8}, {72, 8}, {80, 8},
	{88, 8}, {96, 4}, {100, 4}, {104, 1}};

static const uint64_t values[] = {0, 1, 2, 3, 7, 8, 9, 21, 22, 63, 64, 511, 512,
	4096, 65536, 1ull << 20, 1ull << 31, UINT32_MAX, 1ull << 32, 1ull << 62,
	1ull << 63, UINT64_MAX - 511, UINT64_MAX};

static void put(uint8_t *at, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		at[bytes - 1 - i] = (uint8_t)(value >> 8 * i);
}

/* Fields of a structure that begins at `at`, each with all values that fit. */
static void poke_fields(
	struct good *good, size_t at, const struct field *field, unsigned count)
{
	for (unsigned f = 0; f < count; f++) {
		for (unsigned v = 0; v < sizeof values / sizeof values[0];
			v++) {
			uint8_t *image = fresh_copy(good);

			if (field[f].bytes < 8 &&
				values[v] >> 8 * field[f].bytes)
				continue;
			put(image + at + field[f].offset, field[f].bytes,
				values[v]);
			poke(image, good->bytes);
		}
	}
}

static void test_header(void **state)
{
	struct good good = good_new(*state);

	CHECK(poke(good.image, good.bytes).clean);
	poke_fields(&good, 0, fields, sizeof fields / sizeof fields[0]);
	good_free(&good);
}

/* Where the snapshot's L1 table is and how large, lengths of its texts, times, the
 * machine's state, what is extra. */
static void test_snapshot(void **state)
{
	static const struct field entry[] = {{0, 8}, {8, 4}, {12, 2}, {14, 2},
		{16, 4}, {20, 4}, {24, 8}, {32, 4}, {36, 4}, {40, 8}, {48, 8}};
	struct good good = good_new(*state);
	uint64_t at = get_be64(good.image + AT_SNAPSHOTS_OFFSET);

	CHECK(at && at + 64 <= good.bytes);
	CHECK(poke(good.image, good.bytes).clean);
	poke_fields(&good, at, entry, sizeof entry / sizeof entry[0]);
	good_free(&good);
}

/* Each kind there is, and none, with any length. */
static void test_extensions(void **state)
{
	static const uint32_t kinds[] = {0xe2792aca, 0x6803f857, 0x23852875,
		0x0537be77, 0x44415441, 0x12345678};
	static const struct field length[] = {{4, 4}, {8, 8}};
	struct good good = good_new(*state);

	for (unsigned k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
		put(good.image + AT_EXTENSIONS, 4, kinds[k]);
		put(good.image + AT_EXTENSIONS + 4, 4, 8);
		poke_fields(&good, AT_EXTENSIONS, length, 2);
	}
	good_free(&good);
}

/* -- tables --------------------------------------------------------------- */

/* Where the first entry that is not zero lies from `at` on. */
static size_t first_entry(const struct good *good, uint64_t at)
{
	while (at + 8 <= good->bytes && !get_be64(good->image + at))
		at += 8;
	CHECK(at + 8 <= good->bytes);
	return at;
}

/* An entry at `at` that says `value`: opened, it must not go unnoticed. */
static void wrong_entry(struct good *good, size_t at, uint64_t value)
{
	uint8_t *image = fresh_copy(good);
	struct qcow2_poked poked;

	put_be64(image + at, value);
	poked = poke(image, good->bytes);
	if (poked.opened && poked.clean && !poked.corrupt)
		check_fail(__FILE__, __LINE__,
			"entry at %zu says %#llx: not noticed", at,
			(unsigned long long)value);
}

static void test_tables(void **state)
{
	struct good good = good_new(*state);
	uint64_t l1 = get_be64(good.image + AT_L1);
	uint64_t table = get_be64(good.image + AT_REFTABLE);
	size_t l1_entry = first_entry(&good, l1);
	uint64_t l2 = get_be64(good.image + l1_entry) & 0xfffffffffffe00ull;
	size_t l2_entry = first_entry(&good, l2);
	size_t entries[] = {l1_entry, l2_entry, first_entry(&good, table)};
	uint64_t copied = 1ull << 63;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t flag = i == 2 ? 0 : copied;

		wrong_entry(&good, entries[i], flag | l1);
		wrong_entry(&good, entries[i], flag | table);
		wrong_entry(&good, entries[i], flag | (l2 + 512));
		wrong_entry(&good, entries[i], flag | good.bytes << 8);
		wrong_entry(&good, entries[i], flag | 0xfffffffffffe00ull);
	}
	wrong_entry(&good, l1_entry, copied | get_be64(good.image + table));
	wrong_entry(&good, l2_entry, copied | l2);
	wrong_entry(&good, l2_entry, 3ull << 62 | 512); /* packed and COPIED */
	good_free(&good);
}

/* Counts of the first clusters: too low, too high. */
static void test_counts(void **state)
{
	static const uint16_t counts[] = {0, 2, 3, 0x7fff, 0xffff};
	struct good good = good_new(*state);
	uint64_t table = get_be64(good.image + AT_REFTABLE);
	uint64_t block = get_be64(good.image + table);

	CHECK(block && block + 32 <= good.bytes);
	for (unsigned c = 0; c < sizeof counts / sizeof counts[0]; c++) {
		for (unsigned i = 0; i < 16; i++) {
			uint8_t *image = fresh_copy(&good);

			put(image + block + 2 * i, 2, counts[c]);
			poke(image, good.bytes);
		}
	}
	good_free(&good);
}

/* Clusters that are said to be compressed: from any place, of any length. */
static void test_packed(void **state)
{
	static const uint64_t places[] = {0, 1, 511, 512, 4095, 4096, 65536,
		1ull << 20, 1ull << 40, (1ull << 54) - 1};
	struct good good = good_new(*state);
	uint64_t l1 = get_be64(good.image + AT_L1);
	uint64_t l2 = get_be64(good.image + first_entry(&good, l1)) &
		0xfffffffffffe00ull;
	size_t at = first_entry(&good, l2);

	for (unsigned p = 0; p < sizeof places / sizeof places[0]; p++) {
		/* Clusters of 4 KiB: sectors are bits 58 to 61. */
		for (uint64_t sectors = 0; sectors < 16; sectors++) {
			uint8_t *image = fresh_copy(&good);

			put_be64(image + at,
				1ull << 62 | sectors << 58 | places[p]);
			poke(image, good.bytes);
		}
	}
	good_free(&good);
}

/* -- anything ------------------------------------------------------------- */

static void test_random(void **state)
{
	struct good good = good_new(*state);
	uint64_t random = 42;

	for (unsigned i = 0; i < RANDOM_IMAGES; i++) {
		uint8_t *image = fresh_copy(&good);
		uint64_t flips = 1 + prng_below(&random, 16);
		/* Mostly where tables are. */
		uint64_t most = i % 4 ? good.bytes / 4 : good.bytes;

		while (flips--)
			image[prng_below(&random, most)] ^=
				(uint8_t)(1u << prng_below(&random, 8));
		poke(image, good.bytes);
	}
	good_free(&good);
}

static void test_cut(void **state)
{
	struct good good = good_new(*state);

	for (unsigned i = 1; i < 40; i++)
		poke(good.image, (good.bytes * i / 40 + 511) & ~511ull);
	good_free(&good);
}

/* The last one: what all of them were. */
static void more_than_2500_images_in_bounds(void **state)
{
	struct rusage usage;

	(void)state;
	CHECK_INT(getrusage(RUSAGE_SELF, &usage), 0);
	CHECK(images > 2500);
	CHECK(slowest_s < ONE_IMAGE_S);
	CHECK(usage.ru_maxrss < MEMORY_KIB);
}

int main(void)
{
	static char plain[] = ", subclusters: \"off\", cluster_size: 4K";
	static char parts[] = ", subclusters: \"on\", cluster_size: 16K";
	static char old[] = ", version: \"2\", cluster_size: 4K";
	static char shot[] = "+, subclusters: \"off\", cluster_size: 4K";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_header, plain),
		cmocka_unit_test_prestate(test_header, old),
		cmocka_unit_test_prestate(test_header, shot),
		cmocka_unit_test_prestate(test_snapshot, shot),
		cmocka_unit_test_prestate(test_extensions, plain),
		cmocka_unit_test_prestate(test_tables, plain),
		cmocka_unit_test_prestate(test_tables, parts),
		cmocka_unit_test_prestate(test_counts, plain),
		cmocka_unit_test_prestate(test_packed, plain),
		cmocka_unit_test_prestate(test_random, plain),
		cmocka_unit_test_prestate(test_random, parts),
		cmocka_unit_test_prestate(test_random, shot),
		cmocka_unit_test_prestate(test_cut, plain),
		cmocka_unit_test_prestate(test_cut, shot),
		cmocka_unit_test(more_than_2500_images_in_bounds),
	};
	int failed;

	log_set_level(LOG_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	printf("figure qcow2-corrupt-images value=%u goal=>=500 %s\n", images,
		images >= 500 ? "met" : "short");
	printf("figure qcow2-corrupt-images-refused value=%u\n", refused);
	printf("figure qcow2-corrupt-image-slowest-ms value=%.0f\n",
		slowest_s * 1e3);
	return failed;
}
