/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics as text, in both formats, to the letter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "webui/api/server/exposition.h"

static const struct exposition_label odd[] = {
	{"volume", "a\"b\\c\nd"}, {"op", "read"}, {NULL, NULL}};

static uint64_t bound_ns(unsigned bucket)
{
	return bucket < 2 ? 16000ull << bucket : 0;
}

static char *printed(bool open_metrics)
{
	static const uint64_t count[3] = {1, 0, 2};
	char *text = NULL;
	size_t bytes = 0;
	struct exposition exposition = {.out = open_memstream(&text, &bytes),
		.open_metrics = open_metrics};
	assert_non_null(exposition.out);
	exposition_family(&exposition, "x_bytes", EXPOSITION_COUNTER, "Moved");
	exposition_count(&exposition, odd, 18446744073709551615ull);
	exposition_family(&exposition, "x_up", EXPOSITION_GAUGE, "Up");
	exposition_value(&exposition, NULL, 0.5);
	exposition_family(
		&exposition, "x_seconds", EXPOSITION_HISTOGRAM, "Took");
	exposition_histogram(&exposition, NULL, 3, count, bound_ns, 1500000000);
	exposition_end(&exposition);
	assert_int_equal(fclose(exposition.out), 0);
	return text;
}

#define SAMPLES_BYTES \
	"x_bytes_total{volume=\"a\\\"b\\\\c\\nd\",op=\"read\"} " \
	"18446744073709551615\n"
#define REST \
	"# TYPE x_up gauge\n# HELP x_up Up\nx_up 0.5\n" \
	"# TYPE x_seconds histogram\n# HELP x_seconds Took\n" \
	"x_seconds_bucket{le=\"1.6e-05\"} 1\n" \
	"x_seconds_bucket{le=\"3.2e-05\"} 1\n" \
	"x_seconds_bucket{le=\"+Inf\"} 3\n" \
	"x_seconds_count 3\nx_seconds_sum 1.5\n"

static void test_open_metrics(void **state)
{
	(void)state;
	char *text = printed(true);
	assert_string_equal(text,
		"# TYPE x_bytes counter\n# HELP x_bytes Moved\n" SAMPLES_BYTES
			REST "# EOF\n");
	free(text);
}

static void test_text(void **state)
{
	(void)state;
	char *text = printed(false);
	assert_string_equal(text,
		"# TYPE x_bytes_total counter\n"
		"# HELP x_bytes_total Moved\n" SAMPLES_BYTES REST);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_metrics),
		cmocka_unit_test(test_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
