/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings: what is read, what the defaults are, and that each kind of mistake
 * is refused with its place.
 */
#include "target/control/document/names.h"
#include "target/control/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEEDED \
	"data_directory: d\nstate_directory: s\n" \
	"portals: [{name: main, address: 127.0.0.1}]\n"

static char path[64];

static int open_file(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/cairn-settings.XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static int load(const char *text, struct settings *settings, struct err *err)
{
	FILE *out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	memset(err, 0, sizeof *err);
	return settings_load(path, settings, err);
}

static void defaults_are_those_of_the_target(void **state)
{
	struct settings s;
	struct iscsi_settings defaults;
	struct err err;
	(void)state;
	assert_int_equal(load(NEEDED, &s, &err), 0);
	memset(&defaults, 0, sizeof defaults);
	iscsi_settings_defaults(&defaults);
	assert_memory_equal(&s.iscsi, &defaults, sizeof defaults);
	assert_string_equal(s.data_directory, "d");
	assert_string_equal(s.state_directory, "s");
	assert_string_equal(s.run_directory, "s/run");
	assert_true(s.api.enabled);
	assert_string_equal(s.api.address, "127.0.0.1");
	assert_int_equal(s.api.port, 8443);
	assert_null(s.api.client_ca);
	assert_null(s.api.url);
	assert_string_equal(s.naming_authority, "iqn.2026-11.example.cairn");
	assert_in_range(s.reactors, 1, BLOCK_MAX_LANES - 1);
	assert_int_equal(s.log_level, LOG_INFO);
	assert_null(s.ring);
	assert_int_equal(s.buffer_bytes, 64u << 20);
	assert_int_equal(s.portals, 1);
	assert_int_equal(s.portal[0].port, 3260);
	assert_int_equal(s.portal[0].group, 1);
	assert_null(s.portal[0].advertised);
	settings_free(&s);
}

static void every_key_is_taken(void **state)
{
	struct settings s;
	struct err err;
	(void)state;
	assert_int_equal(load("data_directory: /srv/data\n"
			      "state_directory: /srv/state\n"
			      "naming_authority: iqn.2001-04.com.example\n"
			      "log_level: debug\n"
			      "reactors: 3\n"
			      "pin_reactors: true\n"
			      "spin_us: 20\n"
			      "space_threshold: 75\n"
			      "ring: threads\n"
			      "buffers: 1GiB\n"
			      "table_cache: 3GiB\n"
			      "read_cache: 5GiB\n"
			      "iscsi: {max_burst: 512K, first_burst: 64K,"
			      " ping_interval_s: 0, data_timeout_s: 7,"
			      " initial_r2t: true,"
			      " max_host_sessions: 40}\n"
			      "api: {url: 'https://san.example:8443'}\n"
			      "portals:\n"
			      "  - {name: a, address: 0.0.0.0, port: 0}\n"
			      "  - name: b\n"
			      "    address: '::1'\n"
			      "    port: 3261\n"
			      "    advertised: 'san.example:3260'\n"
			      "    group: 2\n",
				 &s, &err),
		0);
	assert_int_equal(s.reactors, 3);
	assert_true(s.pin_reactors);
	assert_int_equal(s.spin_us, 20);
	assert_int_equal(s.space_threshold_percent, 75);
	assert_string_equal(s.ring, "threads");
	assert_int_equal(s.buffer_bytes, 1u << 30);
	assert_int_equal(s.table_cache_bytes, 3ull << 30);
	assert_int_equal(s.read_cache_bytes, 5ull << 30);
	assert_string_equal(s.api.url, "https://san.example:8443");
	assert_int_equal(s.log_level, LOG_DEBUG);
	assert_int_equal(s.iscsi.max_burst_bytes, 512u << 10);
	assert_int_equal(s.iscsi.first_burst_bytes, 64u << 10);
	assert_int_equal(s.iscsi.ping_interval_s, 0);
	assert_int_equal(s.iscsi.data_timeout_s, 7);
	assert_int_equal(s.iscsi.max_host_sessions, 40);
	assert_true(s.iscsi.initial_r2t);
	assert_true(s.iscsi.immediate_data);
	assert_int_equal(s.portals, 2);
	assert_int_equal(s.portal[0].port, 0);
	assert_string_equal(s.portal[1].address, "::1");
	assert_string_equal(s.portal[1].advertised, "san.example:3260");
	assert_int_equal(s.portal[1].group, 2);
	settings_free(&s);
}

/* What is wrong, and what the message must contain besides the file. */
static const struct {
	const char *text, *place, *word;
} mistakes[] = {
	{NEEDED "spin: 3\n", ":4:1:", "spin"},
	{NEEDED "spin_us: many\n", ":4:10:", "spin_us"},
	{NEEDED "space_threshold: 100\n", ":4:18:", "space_threshold"},
	{NEEDED "reactors: 64\n", ":4:11:", "reactors"},
	{NEEDED "ring: fast\n", ":4:7:", "io_uring"},
	{NEEDED "buffers: 1M\n", ":4:10:", "buffers"},
	{NEEDED "buffers: 15M\n", ":4:10:", "16777216"},
	{NEEDED "table_cache: 1023K\n", ":4:14:", "1048576"},
	{NEEDED "read_cache: 1023K\n", ":4:13:", "1048576"},
	{NEEDED "iscsi: {command_window: 1}\n", ":4:25:", "command_window"},
	{NEEDED "iscsi: {max_host_sessions: 0}\n",
		":4:28:", "max_host_sessions"},
	{NEEDED "iscsi: {max_burst: 9M}\n", ":4:20:", "max_burst"},
	{NEEDED "iscsi: {max_receive: 9M}\n", ":4:22:", "max_receive"},
	{NEEDED "naming_authority: cairn\n", ":4:19:", "iSCSI name"},
	{NEEDED "iscsi: {max_burst: 8K}\n", ":4:8:", "first_burst"},
	{NEEDED "iscsi: {colour: red}\n", ":4:9:", "iscsi.colour"},
	{NEEDED "log_level: info\nlog_level: info\n", ":5:1:", "log_level"},
	{"state_directory: s\nportals: []\n", ":1:1:", "data_directory"},
	{"data_directory: d\nstate_directory: s\nportals: []\n",
		":3:10:", "portals"},
	{"data_directory: d\nstate_directory: s\n"
	 "portals: [{name: main, address: localhost}]\n",
		":3:33:", "portals[0].address"},
	{"data_directory: d\nstate_directory: s\nportals:\n"
	 "  - {name: a, address: 127.0.0.1}\n"
	 "  - {name: a, address: 127.0.0.2}\n",
		":5:12:", "portals[1].name"},
	{"data_directory: d\nstate_directory: s\nportals:\n"
	 "  - {name: a, address: 127.0.0.1}\n"
	 "  - {name: b, address: 127.0.0.1}\n",
		":5:24:", "portals[1].address"},
	{"data_directory: [d\n", ":2:1:", ""},
	{NEEDED "api: {url: 'san.example'}\n", ":4:12:", "api.url"},
	{NEEDED "api: {url: 'https://a b'}\n", ":4:12:", "api.url"},
	{NEEDED "api: {url: 'https://'}\n", ":4:12:", "https://san"},
};

static void mistakes_are_refused_with_their_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		struct settings s;
		struct err err;
		assert_true(load(mistakes[i].text, &s, &err) < 0);
		if (!strstr(err.text, path) ||
			!strstr(err.text, mistakes[i].place) ||
			!strstr(err.text, mistakes[i].word))
			fail_msg("mistake %zu: \"%s\" lacks \"%s\" or \"%s\"",
				i, err.text, mistakes[i].place,
				mistakes[i].word);
		assert_null(s.portal);
	}
}

static void absent_file_is_said(void **state)
{
	struct settings s;
	struct err err = {0};
	(void)state;
	assert_true(settings_load("/nowhere/cairn.yaml", &s, &err) < 0);
	assert_non_null(strstr(err.text, "/nowhere/cairn.yaml"));
}

static void names_follow_their_rules(void **state)
{
	char folded[] = "IQN.2026-11.Example:A";
	char longest[230] = "iqn.2026-11.";
	(void)state;
	assert_true(name_is_plain("db-01.x_y"));
	assert_false(name_is_plain(""));
	assert_false(name_is_plain("-x"));
	assert_false(name_is_plain("a b"));
	assert_false(name_is_plain("a/b"));
	assert_true(name_is_iqn("iqn.2026-11.example.cairn:demo"));
	assert_false(name_is_iqn("iqn.2026-13.example.cairn"));
	assert_false(name_is_iqn("iqn.26-11.example"));
	assert_false(name_is_iqn("iqn.2026-11."));
	assert_false(name_is_iqn("iqn.2026-11.example:a b"));
	memset(longest + 12, 'x', 223 - 12);
	longest[223] = '\0';
	assert_true(name_is_iqn(longest));
	longest[223] = 'x';
	assert_false(name_is_iqn(longest));
	name_fold(folded);
	assert_string_equal(folded, "iqn.2026-11.example:a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_target),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(mistakes_are_refused_with_their_place),
		cmocka_unit_test(absent_file_is_said),
		cmocka_unit_test(names_follow_their_rules),
	};
	return cmocka_run_group_tests(tests, open_file, remove_file);
}
