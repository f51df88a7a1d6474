/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The book of a volume's figures: buckets, hosts beyond the bound, sums.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "target/volume/figures.h"

/* Each bucket takes what is above the bound before it, up to its own. */
static void test_buckets(void **state)
{
	(void)state;
	assert_int_equal(volume_bucket_of(0), 0);
	assert_int_equal(volume_bucket_bound_ns(0), 16000);
	assert_int_equal(volume_bucket_bound_ns(20), 16777216000ull);
	assert_int_equal(volume_bucket_bound_ns(VOLUME_BUCKETS - 1), 0);
	for (unsigned i = 0; i + 1 < VOLUME_BUCKETS; i++) {
		uint64_t bound = volume_bucket_bound_ns(i);

		assert_int_equal(volume_bucket_of(bound - 1), i);
		assert_int_equal(volume_bucket_of(bound), i);
		assert_int_equal(volume_bucket_of(bound + 1), i + 1);
	}
	assert_int_equal(volume_bucket_of(UINT64_MAX), VOLUME_BUCKETS - 1);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VOLUME_OPS; i++)
		assert_true(*volume_op_name(i));
	for (unsigned i = 0; i < VOLUME_ERRORS; i++)
		assert_true(*volume_error_name(i));
	assert_string_equal(volume_op_name(VOLUME_OP_DISCARD), "discard");
	assert_string_equal(volume_error_name(VOLUME_ERROR_SPACE), "space");
}

static void test_sums(void **state)
{
	struct volume_figures figures;
	struct volume_page *one, *two;
	struct volume_book book;
	unsigned cursor = 0;

	(void)state;
	volume_book_init(&book);
	assert_null(volume_book_next(&book, &cursor));
	one = volume_book_page(&book, 0, "web1");
	two = volume_book_page(&book, 3, "web1");
	assert_ptr_not_equal(one, two);
	assert_ptr_equal(volume_book_page(&book, 0, "web1"), one);
	for (unsigned i = 0; i < 3; i++)
		volume_page_begin(one, VOLUME_OP_READ);
	volume_page_end(one, VOLUME_OP_READ, 0, 4096, 20000);
	volume_page_begin(two, VOLUME_OP_READ);
	volume_page_end(two, VOLUME_OP_READ, VOLUME_ERROR_MEDIUM, 0, 15000);
	volume_book_sum(&book, &figures);
	assert_int_equal(figures.op[VOLUME_OP_READ].in_flight, 2);
	assert_int_equal(figures.op[VOLUME_OP_READ].requests, 2);
	assert_int_equal(figures.op[VOLUME_OP_READ].bytes, 4096);
	assert_int_equal(figures.op[VOLUME_OP_READ].total_ns, 35000);
	assert_int_equal(figures.op[VOLUME_OP_READ].latency[0], 1);
	assert_int_equal(figures.op[VOLUME_OP_READ].latency[1], 1);
	assert_int_equal(
		figures.op[VOLUME_OP_READ].errors[VOLUME_ERROR_MEDIUM], 1);
	assert_int_equal(figures.op[VOLUME_OP_WRITE].requests, 0);
	volume_book_fini(&book);
}

/* A host too many is counted with the others, and so are all after it. */
static void test_bound(void **state)
{
	const struct volume_book_host *host;
	struct volume_figures figures;
	struct volume_book book;
	unsigned cursor = 0, entries = 0;
	char name[32];

	(void)state;
	volume_book_init(&book);
	for (unsigned i = 0; i < VOLUME_BOOK_HOSTS + 5; i++) {
		struct volume_page *page;

		snprintf(name, sizeof name, "host%u", i);
		page = volume_book_page(&book, 1, name);
		volume_page_begin(page, VOLUME_OP_FLUSH);
		volume_page_end(page, VOLUME_OP_FLUSH, 0, 0, 1);
	}
	while ((host = volume_book_next(&book, &cursor))) {
		snprintf(name, sizeof name, "host%u", entries);
		assert_string_equal(
			host->name, entries++ < VOLUME_BOOK_HOSTS ? name : "");
		volume_book_host_sum(host, &figures);
		assert_int_equal(figures.op[VOLUME_OP_FLUSH].requests,
			*host->name ? 1 : 5);
	}
	assert_int_equal(entries, VOLUME_BOOK_HOSTS + 1);
	volume_book_sum(&book, &figures);
	assert_int_equal(
		figures.op[VOLUME_OP_FLUSH].requests, VOLUME_BOOK_HOSTS + 5);
	volume_book_fini(&book);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
