/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener cache: another size while others read and write, and the one bound of
 * what all caches take.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/memory.h"
#include "tests/lib/model_load.h"

#include <errno.h>
#include <stdatomic.h>

#define BLOCK 4096u
#define MEM "protocol: {type: mem, size: 8M}"
#define DISK "protocol: {type: file, path: disk, size: 8M, locking: false}"
#define CACHE(size, bottom) \
	"{listeners: [{type: cache, name: c, size: " size "}], " bottom "}"

/* Smaller and larger while others read and write: nobody sees anything old, and what
 * all caches take is what they have. */
static bool until_stopped(struct model_load *load)
{
	return !atomic_load((_Atomic bool *)load->task.argument);
}

static void test_size_co(struct stack_rig *rig, void *argument)
{
	static const char *const sizes[] = {
		"{size: 1M}", "{size: 4M}", "{size: 2M}", "{size: 1M}"};
	struct block_source *source =
		stack_rig_source_co(rig, CACHE("2M", DISK));
	struct model_load load[3] = {{.done = 0}};
	uint32_t sectors = 512;
	_Atomic bool stop = false;
	struct err err = {0};

	(void)argument;
	for (unsigned i = 0; i < 3; i++) {
		load[i] = (struct model_load){
			.task = {.run_co = model_load_run_co,
				.argument = &stop},
			.source = source,
			.model = sector_model_new(sectors),
			.random = i + 1,
			.weight = {[LOAD_READ] = 12,
				[LOAD_WRITE] = 4,
				[LOAD_UNMAP] = 1,
				[LOAD_COMPARE] = 1,
				[LOAD_FLUSH] = 1},
			.first_sector = i * sectors,
			.sectors = &sectors,
			.unit_sectors = 8,
			.most_units = 8,
			.more = until_stopped};
		stack_rig_start(rig, i % rig->lanes, &load[i].task);
	}
	for (unsigned i = 0; i < 40; i++) {
		uint64_t before = stack_rig_figure(source, "hits");

		if (spec_configure_co(source, "c",
			    stack_rig_doc(rig, sizes[i % 4]), &err))
			check_fail(__FILE__, __LINE__, "%s", err.text);
		stack_rig_until_co(rig, source, "hits", before + 5);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++) {
		stack_rig_join_co(&load[i].task);
		model_load_verify_co(rig, &load[i]);
		sector_model_free(load[i].model);
	}
	CHECK_INT(stack_rig_figure(source, "blocks"), (1 << 20) / BLOCK);
	CHECK(block_caches_of(rig->core)->used_bytes >= 1 << 20);
	CHECK(block_caches_of(rig->core)->used_bytes < 2 << 20);
	block_source_put_co(source);
	CHECK_INT(block_caches_of(rig->core)->used_bytes, 0);
}

/* One bound for all; who does not get what it asks for keeps what it had. */
static void test_bound_co(struct stack_rig *rig, void *argument)
{
	struct block_source *one, *other;
	struct err err = {0};

	(void)argument;
	block_cache_limit(rig->core, 4 << 20);
	one = stack_rig_source_co(rig, CACHE("2M", MEM));
	uint64_t used = block_caches_of(rig->core)->used_bytes;
	CHECK_INT(stack_rig_build_co(rig, CACHE("3M", MEM), &other, &err),
		-EBUSY);
	CHECK_FIND(err.text, "read_cache in the settings");
	CHECK_INT(block_caches_of(rig->core)->used_bytes, used);
	CHECK_INT(spec_configure_co(
			  one, "c", stack_rig_doc(rig, "{size: 5M}"), &err),
		-EBUSY);
	CHECK_INT(block_caches_of(rig->core)->used_bytes, used);
	CHECK_INT(stack_rig_figure(one, "blocks"), (2 << 20) / BLOCK);
	CHECK_INT(spec_configure_co(
			  one, "c", stack_rig_doc(rig, "{size: 1M}"), &err),
		0);
	other = stack_rig_source_co(rig, CACHE("2M", MEM));
	block_source_put_co(one);
	block_source_put_co(other);
	CHECK_INT(block_caches_of(rig->core)->used_bytes, 0);
}

#define ROWS(name) \
	STACK_RIG_CASE(name, threads, .world = "threads", .lanes = 3), \
		STACK_RIG_CASE(name, simulated, .world = "simulated", \
			.lanes = 3, .seed = 1)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_size_co),
		ROWS(test_bound_co),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
