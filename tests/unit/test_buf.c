/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers: classes, the budget, joining of what was broken up, waiters, and a
 * long random mix in which no two buffers ever overlap.
 */
#include "blockcore/base/asan.h"
#include "blockcore/base/buf.h"
#include "blockcore/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1u << 20)

static void test_capacity_is_the_next_power_of_two(void **state)
{
	static const struct {
		uint32_t bytes, capacity;
	} cases[] = {
		{1, 4096},
		{4096, 4096},
		{4097, 8192},
		{8192, 8192},
		{100000, 131072},
		{MIB, MIB},
		{MIB + 1, 2 * MIB},
		{4 * MIB, 4 * MIB},
	};
	struct buf_pool *pool = buf_pool_new(8 * MIB);
	uint8_t *base;
	void *start;
	size_t bytes;

	(void)state;
	buf_pool_region(pool, &start, &bytes);
	base = start;
	assert_int_equal(bytes, 8 * MIB);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf *buf = buf_get(pool, cases[i].bytes);
		assert_non_null(buf);
		assert_int_equal(buf->capacity, cases[i].capacity);
		assert_int_equal((uintptr_t)buf->data % 4096, 0);
		assert_true(buf->data >= base &&
			buf->data + buf->capacity <= base + bytes);
		memset(buf->data, 0x5a, buf->capacity);
		assert_int_equal(buf_pool_used_bytes(pool), cases[i].capacity);
		buf_put(buf);
		assert_int_equal(buf_pool_used_bytes(pool), 0);
	}
	buf_pool_free(pool);
}

static void test_budget_is_kept(void **state)
{
	struct buf_pool *pool = buf_pool_new(5 * 4096);
	struct buf *buf[5];

	(void)state;
	assert_null(buf_get(pool, 8 * 4096));
	for (int i = 0; i < 5; i++) {
		buf[i] = buf_get(pool, 4096);
		assert_non_null(buf[i]);
	}
	assert_null(buf_get(pool, 1));
	buf_put(buf[1]);
	assert_null(buf_get(pool, 4097));
	buf[1] = buf_get(pool, 4096);
	assert_non_null(buf[1]);
	for (int i = 0; i < 5; i++)
		buf_put(buf[i]);
	buf_pool_free(pool);
}

static void test_last_reference_gives_back(void **state)
{
	struct buf_pool *pool = buf_pool_new(4096);
	struct buf *buf = buf_get(pool, 4096);

	(void)state;
	buf_ref(buf);
	buf_put(buf);
	assert_null(buf_get(pool, 4096));
	assert_int_equal(buf->refs, 1);
	buf_put(buf);
	assert_ptr_equal(buf_get(pool, 4096), buf);
	buf_put(buf);
	buf_pool_free(pool);
}

/* All memory as pages, given back in a scattered order, then as the largest again:
 * nothing stays broken up. */
static void test_pages_become_large_again(void **state)
{
	enum { PAGES = 16 * MIB / 4096 };
	static struct buf *pages[PAGES];
	struct buf_pool *pool = buf_pool_new(16 * MIB);
	struct buf *large[16 * MIB / BUF_MAX_BYTES];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PAGES; i++) {
			pages[i] = buf_get(pool, 4096);
			assert_non_null(pages[i]);
		}
		assert_null(buf_get(pool, 4096));
		for (unsigned i = 0; i < PAGES; i++)
			buf_put(pages[(i * 1237u) % PAGES]);
		for (unsigned i = 0; i < 16 * MIB / BUF_MAX_BYTES; i++) {
			large[i] = buf_get(pool, BUF_MAX_BYTES);
			assert_non_null(large[i]);
		}
		for (unsigned i = 0; i < 16 * MIB / BUF_MAX_BYTES; i++)
			buf_put(large[i]);
	}
	buf_pool_free(pool);
}

struct random {
	uint64_t state;
};

static uint32_t random_next(struct random *random)
{
	random->state =
		random->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random->state >> 33);
}

#define SLOTS 200

/* Its number at both ends and at each page tells whose a buffer is. */
static void mark(struct buf *buf, uint32_t number)
{
	for (uint32_t at = 0; at < buf->capacity; at += 4096)
		memcpy(buf->data + at, &number, sizeof number);
	memcpy(buf->data + buf->capacity - 4, &number, sizeof number);
}

static void check_mark(const struct buf *buf, uint32_t number)
{
	for (uint32_t at = 0; at < buf->capacity; at += 4096)
		assert_memory_equal(buf->data + at, &number, sizeof number);
	assert_memory_equal(
		buf->data + buf->capacity - 4, &number, sizeof number);
}

static void test_random_mix_never_overlaps(void **state)
{
	struct random random = {.state = 2026};
	struct buf_pool *pool = buf_pool_new(24 * MIB);
	struct buf *slots[SLOTS] = {NULL};
	uint32_t numbers[SLOTS] = {0};
	size_t used = 0, refused = 0;

	(void)state;
	for (uint32_t step = 0; step < 40000; step++) {
		uint32_t i = random_next(&random) % SLOTS;
		uint32_t bytes = 1u +
			(random_next(&random) % 4096u
				<< random_next(&random) % 11u);
		if (slots[i]) {
			check_mark(slots[i], numbers[i]);
			used -= slots[i]->capacity;
			buf_put(slots[i]);
			slots[i] = NULL;
		} else if ((slots[i] = buf_get(pool, bytes))) {
			assert_true(slots[i]->capacity >= bytes);
			numbers[i] = step;
			mark(slots[i], step);
			used += slots[i]->capacity;
		} else {
			refused++;
		}
		assert_int_equal(buf_pool_used_bytes(pool), used);
		assert_true(used <= 24 * MIB);
	}
	assert_true(refused > 0);
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i])
			buf_put(slots[i]);
	assert_int_equal(buf_pool_used_bytes(pool), 0);
	for (unsigned i = 0; i < 24 * MIB / BUF_MAX_BYTES; i++)
		assert_non_null(slots[i] = buf_get(pool, BUF_MAX_BYTES));
	for (unsigned i = 0; i < 24 * MIB / BUF_MAX_BYTES; i++)
		buf_put(slots[i]);
	buf_pool_free(pool);
}

/* -- waiters ---------------------------------------------------------------- */

struct waiting {
	struct buf_waiter waiter;
	struct buf_pool *pool;
	char *log;
	char name;
	struct waiting *cancels; /* when called, NULL: nobody */
	int again; /* registers anew when called */
};

static void on_ready(struct buf_waiter *waiter)
{
	struct waiting *w = container_of(waiter, struct waiting, waiter);

	strncat(w->log, &w->name, 1);
	if (w->cancels)
		buf_wait_cancel(w->pool, &w->cancels->waiter);
	if (w->again)
		buf_wait(w->pool, waiter);
}

struct waiters {
	struct buf_pool *pool;
	struct buf *buf;
	char log[32];
	struct waiting w[3];
};

static void waiters_init(struct waiters *all)
{
	*all = (struct waiters){.pool = buf_pool_new(4096)};
	all->buf = buf_get(all->pool, 1);
	for (int i = 0; i < 3; i++) {
		all->w[i] = (struct waiting){
			.waiter = {.ready = on_ready},
			.pool = all->pool,
			.log = all->log,
			.name = (char)('a' + i),
		};
		buf_wait(all->pool, &all->w[i].waiter);
	}
}

static void test_waiters_are_called_in_order(void **state)
{
	struct waiters all;

	(void)state;
	waiters_init(&all);
	buf_wait(all.pool, &all.w[0].waiter);
	buf_pool_wake(all.pool);
	assert_string_equal(all.log, "");
	buf_put(all.buf);
	assert_string_equal(all.log, "");
	buf_pool_wake(all.pool);
	assert_string_equal(all.log, "abc");
	buf_pool_wake(all.pool);
	assert_string_equal(all.log, "abc");
	buf_pool_free(all.pool);
}

static void test_waiters_may_leave(void **state)
{
	struct waiters all;

	(void)state;
	waiters_init(&all);
	buf_wait_cancel(all.pool, &all.w[0].waiter);
	buf_wait_cancel(all.pool, &all.w[0].waiter);
	all.w[1].cancels = &all.w[2];
	buf_put(all.buf);
	buf_pool_wake(all.pool);
	assert_string_equal(all.log, "b");
	buf_pool_free(all.pool);
}

/* Registering inside the call is for the next turn, not for this one. */
static void test_waiters_may_wait_again(void **state)
{
	struct waiters all;

	(void)state;
	waiters_init(&all);
	all.w[0].again = 1;
	buf_put(all.buf);
	buf_pool_wake(all.pool);
	assert_string_equal(all.log, "abc");
	buf_pool_wake(all.pool);
	assert_string_equal(all.log, "abc");
	all.w[0].again = 0;
	buf_put(buf_get(all.pool, 1));
	buf_pool_wake(all.pool);
	assert_string_equal(all.log, "abca");
	buf_pool_free(all.pool);
}

/* -- claims ----------------------------------------------------------------- */

#define SMALL 65536u
#define SMALLS (2 * BUF_MAX_BYTES / SMALL)

struct turnover {
	struct buf_pool *pool;
	struct buf *small[SMALLS];
	struct buf_waiter waiter;
	struct buf *large;
	unsigned wanted;
};

static void on_large(struct buf_waiter *waiter)
{
	struct turnover *all = container_of(waiter, struct turnover, waiter);

	if (!all->large && all->wanted)
		all->large = buf_get_or_wait(all->pool, all->wanted, waiter);
}

static void turnover_init(struct turnover *all, unsigned wanted)
{
	memset(all, 0, sizeof *all);
	all->pool = buf_pool_new(2 * BUF_MAX_BYTES);
	all->waiter.ready = on_large;
	all->wanted = wanted;
	for (unsigned i = 0; i < SMALLS; i++)
		all->small[i] = buf_get(all->pool, SMALL);
	on_large(&all->waiter);
	assert_null(all->large);
}

/* One small buffer comes back and is wanted again at once, before anybody is
 * called. Those that are out when it is not to be had stay out. */
static void turn(struct turnover *all, unsigned i)
{
	i %= SMALLS;
	if (all->small[i])
		buf_put(all->small[i]);
	all->small[i] = buf_get(all->pool, SMALL);
	buf_pool_wake(all->pool);
}

static void turnover_fini(struct turnover *all)
{
	buf_wait_cancel(all->pool, &all->waiter);
	for (unsigned i = 0; i < SMALLS; i++)
		if (all->small[i])
			buf_put(all->small[i]);
	if (all->large)
		buf_put(all->large);
	buf_pool_free(all->pool);
}

static void test_large_ones_do_not_starve(void **state)
{
	struct turnover all;
	unsigned turns = 0;

	(void)state;
	turnover_init(&all, BUF_MAX_BYTES);
	while (!all.large && turns < 10 * SMALLS)
		turn(&all, turns++ * 7);
	assert_non_null(all.large);
	/* And the others have all the rest. */
	unsigned left = 0;
	for (unsigned i = 0; i < SMALLS; i++)
		turn(&all, i);
	for (unsigned i = 0; i < SMALLS; i++)
		left += all.small[i] != NULL;
	assert_int_equal(left, SMALLS / 2);
	buf_put(all.large);
	all.large = NULL;
	for (unsigned i = 0; i < SMALLS; i++)
		turn(&all, i);
	assert_int_equal(buf_pool_used_bytes(all.pool), 2 * BUF_MAX_BYTES);
	turnover_fini(&all);
}

/* Half of what it needs never comes back: the claim ends, all is free again. */
static void test_a_claim_without_end_is_given_up(void **state)
{
	struct turnover all;

	(void)state;
	turnover_init(&all, BUF_MAX_BYTES);
	for (unsigned i = 0; i < BUF_CLAIM_TRIES + SMALLS; i++)
		turn(&all, i % 2 ? i : i + 1); /* the even ones are kept */
	assert_null(all.large);
	for (unsigned i = 0; i < SMALLS; i++)
		turn(&all, i % 2 ? i : i + 1);
	assert_true(all.waiter.refused < BUF_CLAIM_TRIES);
	all.wanted = 0;
	buf_wait_cancel(all.pool, &all.waiter);
	for (unsigned i = 0; i < SMALLS; i++)
		turn(&all, i);
	assert_int_equal(buf_pool_used_bytes(all.pool), 2 * BUF_MAX_BYTES);
	turnover_fini(&all);
}

static void test_who_leaves_claims_nothing(void **state)
{
	struct turnover all;

	(void)state;
	turnover_init(&all, SMALL * 2);
	for (unsigned i = 0; i < BUF_PATIENCE + 1; i++)
		turn(&all, i * 2);
	buf_wait_cancel(all.pool, &all.waiter);
	for (unsigned i = 0; i < SMALLS; i++)
		turn(&all, i);
	assert_int_equal(buf_pool_used_bytes(all.pool), 2 * BUF_MAX_BYTES);
	turnover_fini(&all);
}

static void test_free_buffers_are_poisoned(void **state)
{
#ifdef CAIRN_ASAN
	struct buf_pool *pool = buf_pool_new(MIB);
	struct buf *buf = buf_get(pool, 10000);
	uint8_t *data = buf->data;

	(void)state;
	assert_null(__asan_region_is_poisoned(data, 16384));
	assert_true(__asan_address_is_poisoned(data + 16384));
	buf_put(buf);
	assert_true(__asan_address_is_poisoned(data));
	assert_true(__asan_address_is_poisoned(data + 16383));
	buf_pool_free(pool);
#else
	(void)state;
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capacity_is_the_next_power_of_two),
		cmocka_unit_test(test_budget_is_kept),
		cmocka_unit_test(test_last_reference_gives_back),
		cmocka_unit_test(test_pages_become_large_again),
		cmocka_unit_test(test_random_mix_never_overlaps),
		cmocka_unit_test(test_waiters_are_called_in_order),
		cmocka_unit_test(test_waiters_may_leave),
		cmocka_unit_test(test_waiters_may_wait_again),
		cmocka_unit_test(test_large_ones_do_not_starve),
		cmocka_unit_test(test_a_claim_without_end_is_given_up),
		cmocka_unit_test(test_who_leaves_claims_nothing),
		cmocka_unit_test(test_free_buffers_are_poisoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
