/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes without a core under them: identity, settings, attentions of a nexus,
 * saved modes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "target/volume/volume.h"

static struct volume *make(const char *uuid, uint32_t block, uint32_t physical)
{
	struct volume_settings settings = {.name = "v",
		.block_bytes = block,
		.physical_block_bytes = physical};

	memcpy(settings.uuid, uuid, 16);
	return volume_new(NULL, &settings, NULL, NULL);
}

static void test_identity(void **state)
{
	struct volume *one = make("0123456789abcdef", 512, 0);
	struct volume *again = make("0123456789abcdef", 4096, 0);
	struct volume *other = make("0123456789abcdeg", 512, 0);

	(void)state;
	assert_int_equal(one->naa[0] >> 4, 3);
	assert_memory_equal(one->naa, again->naa, 8);
	assert_memory_not_equal(one->naa, other->naa, 8);
	assert_string_equal(one->serial, "30313233343536373839616263646566");
	assert_string_equal(one->settings.vendor, "CAIRN");
	free(one);
	free(again);
	free(other);
}

static void test_settings(void **state)
{
	struct volume_settings settings = {.name = "v", .block_bytes = 520};
	struct err err = {0};

	(void)state;
	assert_null(volume_new(NULL, &settings, NULL, &err));
	assert_non_null(strstr(err.text, "520"));
	assert_null(make("0123456789abcdef", 4096, 512));
}

static void test_space(void **state)
{
	struct volume_space space = {0};
	struct volume_room room;
	struct ring_space heard = {.used_bytes = 5,
		.file_system = 7,
		.total_bytes = 100,
		.free_bytes = 30};

	(void)state;
	volume_space_short(&space); /* nobody looks */
	volume_space_get(&space, &room);
	assert_int_equal(room.total_bytes, 0);
	volume_space_note(&space, &heard);
	volume_space_get(&space, &room);
	assert_int_equal(space.file_system, 7);
	assert_int_equal(room.used_bytes, 5);
	assert_int_equal(room.total_bytes, 100);
	assert_int_equal(room.free_bytes, 30);
	assert_int_equal(room.threshold_percent, 0);
	heard.file_system = 0; /* as of memory */
	volume_space_note(&space, &heard);
	volume_space_get(&space, &room);
	assert_int_equal(room.total_bytes, 0);
	volume_space_note(&space, NULL);
	assert_int_equal(space.file_system, 0);
	assert_int_equal(volume_space_share(1000, 80), 800);
	assert_int_equal(volume_space_share(99, 80), 79);
	assert_true(volume_space_share(UINT64_MAX, 99) > UINT64_MAX / 100 * 98);
}

static void test_attentions(void **state)
{
	struct volume_nexus nexus = {0};

	(void)state;
	volume_nexus_attend(&nexus, 0x2a09);
	volume_nexus_attend(&nexus, 0x2a01);
	volume_nexus_attend(&nexus, 0x2a09);
	assert_int_equal(nexus.attentions, 2);
	/* A reset is told first. */
	volume_nexus_attend(&nexus, 0x2903);
	assert_int_equal(volume_nexus_told(&nexus), 0x2903);
	volume_nexus_forget(&nexus, 0x2a09);
	volume_nexus_forget(&nexus, 0x1111);
	assert_int_equal(volume_nexus_told(&nexus), 0x2a01);
	assert_int_equal(nexus.attentions, 0);
}

static void test_too_many_attentions(void **state)
{
	struct volume_nexus nexus = {0};
	uint16_t last = 0;

	(void)state;
	for (unsigned i = 0; i < VOLUME_ATTENTIONS + 3; i++)
		volume_nexus_attend(&nexus, (uint16_t)(0x2a00 + i));
	assert_int_equal(nexus.attentions, VOLUME_ATTENTIONS);
	while (nexus.attentions)
		last = volume_nexus_told(&nexus);
	assert_int_equal(last, 0x2900);
}

static void test_saved_modes(void **state)
{
	struct volume *volume = make("0123456789abcdef", 512, 0);
	const uint8_t blob[6] = {1, 0, VOLUME_MODE_FLAGS >> 8,
		VOLUME_MODE_FLAGS & 0xff, 0, VOLUME_DESCRIPTOR_SENSE};

	(void)state;
	assert_int_equal(volume_restore_modes(volume, blob, 6, NULL), 0);
	assert_int_equal(volume_flags(volume), VOLUME_DESCRIPTOR_SENSE);
	assert_int_not_equal(volume_restore_modes(volume, blob, 5, NULL), 0);
	free(volume);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_attentions),
		cmocka_unit_test(test_too_many_attentions),
		cmocka_unit_test(test_saved_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
