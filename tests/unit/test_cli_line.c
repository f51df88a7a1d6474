/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines, and the requests that come of them; small texts (sizes, times,
 * addresses, words that are nearly right).
 */
#include "blockcore/base/size.h"
#include "webui/cli/commands.h"
#include "webui/cli/line.h"
#include "webui/cli/link.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct cli_line line;
static struct err err;

/* Splits at spaces; "_" stands for a space within a word. */
static int parse(const char *text)
{
	static char copy[1024];
	static char *words[64];
	int count = 0;
	char *save = NULL;
	snprintf(copy, sizeof copy, "%s", text);
	for (char *word = strtok_r(copy, " ", &save); word;
		word = strtok_r(NULL, " ", &save))
		words[count++] = word;
	err = (struct err){0};
	return cli_line_parse(&line, count, words, &err);
}

static void assert_refused(const char *text, const char *why)
{
	assert_int_not_equal(parse(text), 0);
	if (!strstr(err.text, why))
		fail_msg("%s: %s", text, err.text);
}

static void words_and_options(void **state)
{
	(void)state;
	assert_int_equal(parse("volume list"), 0);
	assert_ptr_equal(line.noun, &cli_volume);
	assert_string_equal(line.command->verb, "list");
	assert_int_equal(parse("-o json volume -H ls --columns=name,size"), 0);
	assert_string_equal(line.command->verb, "list");
	assert_string_equal(cli_line_value(&line, "output"), "json");
	assert_true(cli_line_flag(&line, "no-headers"));
	assert_string_equal(cli_line_value(&line, "columns"), "name,size");
	assert_int_equal(parse("volume list -Hpoyaml"), 0);
	assert_true(cli_line_flag(&line, "exact"));
	assert_string_equal(cli_line_value(&line, "output"), "yaml");
	assert_int_equal(parse("volume show -- -db"), 0);
	assert_string_equal(line.argument[0], "-db");
	assert_int_equal(parse("volume delete db01 -ny"), 0);
	assert_true(cli_line_flag(&line, "dry-run"));
	assert_true(cli_line_flag(&line, "yes"));
	assert_int_equal(parse("status"), 0);
	assert_ptr_equal(line.noun, &cli_top);
	/* A command and a noun. */
	assert_int_equal(parse("export"), 0);
	assert_ptr_equal(line.command->run, run_config_show);
	assert_int_equal(parse("export list"), 0);
	assert_string_equal(line.command->operation, "listExports");
	assert_int_equal(parse("volume --help"), 0);
	assert_null(line.command);
	assert_int_equal(parse("volume resize db01 1.5T"), 0);
}

static void mistakes(void **state)
{
	(void)state;
	assert_refused("", "a command is missing");
	assert_refused("volume", "a verb of volume is missing");
	assert_refused("volum list", "did you mean \"volume\"?");
	assert_refused("volume lsit", "did you mean \"list\"?");
	assert_refused("tre", "did you mean \"tree\"?");
	assert_refused("bundle x.tgz",
		"\"x.tgz\" is too much; try: cairn help bundle");
	assert_refused("volume list x",
		"\"x\" is too much; try: cairn help volume list");
	assert_refused("portal create a ::1 --adress ::1",
		"no option \"--adress\"; try: cairn help portal create");
	assert_refused("bundle --zzzzzzz x", "try: cairn help bundle");
	assert_refused("volume -z list", "try: cairn help volume");
	assert_refused("volume list -z", "try: cairn help volume list");
	assert_refused("quux", "try: cairn help");
	assert_refused("volume list --colums x", "did you mean \"--columns\"?");
	assert_refused("volume create db01 --sizze 1G", "\"--size\"?");
	assert_refused("volume list -x", "no option \"-x\"");
	assert_refused("volume show", "VOLUME is missing");
	assert_refused("volume show a b", "\"b\" is too much");
	assert_refused("volume create db01 --size 1X", "a size such as 100G");
	assert_refused("volume create db01 --size", "--size needs a value");
	assert_refused("volume list --exact=1", "--exact takes no value");
	assert_refused(
		"volume list -o xml", "table|json|yaml|name, not \"xml\"");
	assert_refused("connect db01 --os beos", "linux|windows");
	assert_refused("volume set db01 thin", "KEY=VALUE");
	assert_refused("volume set db01 =x", "KEY=VALUE");
	assert_refused("session kick 3 --block soon", "a time such as");
	assert_refused("completion tcsh", "bash|zsh|fish");
}

/* Too many of anything is refused, not written past the end. */
static void very_long_lines(void **state)
{
	static char *words[LINE_MAX_WORDS * 2 + 8];
	int count = 0;
	(void)state;
	words[count++] = "volume";
	words[count++] = "set";
	words[count++] = "db01";
	for (unsigned i = 0; i < LINE_MAX_WORDS + 2; i++)
		words[count++] = "a=1";
	assert_int_not_equal(cli_line_parse(&line, count, words, &err), 0);
	count = 2;
	for (unsigned i = 0; i < LINE_MAX_WORDS + 2; i++)
		words[count++] = "-H";
	assert_int_not_equal(cli_line_parse(&line, count, words, &err), 0);
	assert_string_equal(err.text, "too many options");
}

/* -- requests ---------------------------------------------------------------- */

static void assert_body(const char *text, const char *expected)
{
	assert_int_equal(parse(text), 0);
	json_t *body = run_body(&line, &err);
	if (!body)
		fail_msg("%s: %s", text, err.text);
	json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
	assert_non_null(wanted);
	char *shown = json_dumps(body, JSON_COMPACT);
	if (!json_equal(body, wanted))
		fail_msg("%s\n  is       %s\n  expected %s", text, shown,
			expected);
	free(shown);
	json_decref(wanted);
	json_decref(body);
}

static void assert_path(const char *text, const char *expected)
{
	assert_int_equal(parse(text), 0);
	char *path = run_path(&line);
	assert_string_equal(path, expected);
	free(path);
}

static void bodies(void **state)
{
	(void)state;
	assert_body("volume create db01 --size 100G --host web1,web2 --thin",
		"{\"name\": \"db01\", \"size\": 107374182400, \"thin\": true, "
		"\"export\": {\"hosts\": [\"web1\", \"web2\"]}}");
	assert_body("volume create a -s 1G --host a --host b --lun 7",
		"{\"name\": \"a\", \"size\": 1073741824, \"export\": "
		"{\"hosts\": [\"a\", \"b\"], \"lun\": 7}}");
	assert_body(
		"volume set a thin=false vendor=X product=null block_size=512",
		"{\"thin\": false, \"vendor\": \"X\", \"product\": null, "
		"\"block_size\": 512}");
	assert_body("listener attach db01 throttle limit iops=200 a.b=[1,2]",
		"{\"type\": \"throttle\", \"name\": \"limit\", \"iops\": 200, "
		"\"a\": {\"b\": [1, 2]}}");
	assert_body("listener command v l go a=1",
		"{\"verb\": \"go\", \"arguments\": {\"a\": 1}}");
	assert_body("fault add v --for 15m --error EIO --op write",
		"{\"duration_seconds\": 900, \"error\": \"EIO\", \"op\": "
		"\"write\"}");
	assert_body("qos set v --iops 100 --rate 10M",
		"{\"iops\": 100, \"bytes_per_second\": 10485760}");
	assert_body("token create --expires 30d --role viewer",
		"{\"expires_seconds\": 2592000, \"role\": \"viewer\"}");
	assert_int_equal(parse("volume list"), 0);
	assert_null(run_body(&line, &err));
	assert_int_equal(parse("volume repair x"), 0);
	assert_null(run_body(&line, &err));
	assert_int_equal(err.code, 0);
}

static const char *write_file(const char *text)
{
	static char path[64];
	strcpy(path, "/tmp/cairn-cli-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static void files(void **state)
{
	char text[256];
	(void)state;
	const char *path = write_file(
		"source:\n  protocol: {type: mem, size: 1MiB}\nthin: true\n");
	snprintf(text, sizeof text, "volume create m -f %s --lun 1", path);
	assert_body(text,
		"{\"name\": \"m\", \"thin\": true, \"source\": {\"protocol\": "
		"{\"type\": \"mem\", \"size\": \"1MiB\"}}, \"export\": "
		"{\"lun\": 1}}");
	unlink(path);
	assert_int_equal(parse(text), 0);
	assert_null(run_body(&line, &err));
	assert_non_null(strstr(err.text, "No such file"));
	path = write_file("- a\n");
	snprintf(text, sizeof text, "volume create m -f %s", path);
	assert_int_equal(parse(text), 0);
	assert_null(run_body(&line, &err));
	assert_non_null(strstr(err.text, "a map is expected"));
	unlink(path);
}

static void secrets(void **state)
{
	char text[256];
	(void)state;
	const char *path = write_file("correct horse battery\n");
	snprintf(text, sizeof text, "host secret h --user u --secret-file %s",
		path);
	assert_body(text,
		"{\"user\": \"u\", \"secret\": \"correct horse battery\"}");
	unlink(path);
	path = write_file("one\ntwo\n");
	snprintf(text, sizeof text, "host secret h --user u --secret-file %s",
		path);
	assert_int_equal(parse(text), 0);
	assert_null(run_body(&line, &err));
	assert_non_null(strstr(err.text, "one line"));
	unlink(path);
}

static void paths(void **state)
{
	(void)state;
	assert_path("volume delete db01 --cascade --purge",
		"/volumes/db01?cascade=true&purge=true");
	assert_path("export show iqn.2026-11.example.cairn:db01,0",
		"/exports/iqn.2026-11.example.cairn%3Adb01%2C0");
	assert_path("volume show ../../x", "/volumes/..%2F..%2Fx");
	assert_path("listener attach v t l --below a/b",
		"/volumes/v/listeners?below=a%2Fb");
	assert_path(
		"session kick 3 --block 5m", "/sessions/3?block_seconds=300");
	assert_path(
		"events --topic volumes,jobs", "/events?topics=volumes%2Cjobs");
}

/* -- texts -------------------------------------------------------------------- */

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"512", 512}, {"512B", 512}, {"4k", 4096},
		{"100G", 100ull << 30}, {"100GiB", 100ull << 30},
		{"100GB", 100ull << 30}, {"1.5T", 3ull << 39},
		{"2 MiB", 2 << 20}, {"7E", 7ull << 60},
		{"1.1G", 1181116006 & ~1023u}};
	static const char *const bad[] = {"", "G", "-1", "1X", "1.G", "1.5",
		"8E", "99999999999999999999", "1GiBx", "0x10", "1.12345678G",
		"1Gi", "1 1"};
	uint64_t bytes;
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(text_read_size(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (text_read_size(bad[i], &bytes))
			fail_msg("%s is taken", bad[i]);
}

static void durations(void **state)
{
	static const char *const bad[] = {"", "s", "1y", "1ms", "-1", "99999w",
		"1.5h", "123456789012345678"};
	uint64_t s;
	(void)state;
	assert_true(text_read_duration("90", &s) && s == 90);
	assert_true(text_read_duration("15m", &s) && s == 900);
	assert_true(text_read_duration("2w", &s) && s == 1209600);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (text_read_duration(bad[i], &s))
			fail_msg("%s is taken", bad[i]);
}

static void printed(void **state)
{
	char text[TEXT_SIZE_BYTES];
	(void)state;
	assert_string_equal(size_print(text, 0), "0 B");
	assert_string_equal(size_print(text, 1536), "1.50 KiB");
	assert_string_equal(size_print(text, 100ull << 30), "100 GiB");
	assert_string_equal(size_print(text, UINT64_MAX), "16 EiB");
	assert_string_equal(text_print_duration(text, 7), "7 s");
	assert_string_equal(text_print_duration(text, 3601), "1 h");
	assert_string_equal(text_print_duration(text, 93784), "1 d 2 h");
	assert_string_equal(text_print_count(text, 950), "950");
	assert_string_equal(text_print_count(text, 12345), "12.3k");
	assert_string_equal(text_print_count(text, 0.5), "0.50");
	char *encoded = text_url_encode("a b/\xc3\xa4?~");
	assert_string_equal(encoded, "a%20b%2F%C3%A4%3F~");
	free(encoded);
}

static void addresses(void **state)
{
	static const char *const bad[] = {"", "http://x", "https://", "x",
		"https://x:0", "https://x:70000", "https://x:1/y",
		"https://[::1", "https://a b", "https://u@x",
		"https://x:", "https://x:12a"};
	char host[TEXT_HOST_BYTES];
	uint16_t port;
	(void)state;
	assert_true(text_read_url("https://a.example", host, &port));
	assert_string_equal(host, "a.example");
	assert_int_equal(port, 8443);
	assert_true(text_read_url("https://[::1]:9/", host, &port));
	assert_string_equal(host, "::1");
	assert_int_equal(port, 9);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (text_read_url(bad[i], host, &port))
			fail_msg("%s is taken", bad[i]);
}

static void fingerprints(void **state)
{
	uint8_t out[32];
	char hex[128] = "SHA256:";
	(void)state;
	for (int i = 0; i < 32; i++)
		strcat(hex, i ? ":aB" : "aB");
	assert_true(link_read_fingerprint(hex, out));
	assert_int_equal(out[0], 0xab);
	assert_int_equal(out[31], 0xab);
	assert_false(link_read_fingerprint("aB:cd", out));
	strcat(hex, "0");
	assert_false(link_read_fingerprint(hex, out));
}

static void near_words(void **state)
{
	(void)state;
	assert_int_equal(text_distance("volume", "volume"), 0);
	assert_int_equal(text_distance("lsit", "list"), 1);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_true(text_is_near("vol", "volume"));
	assert_false(text_is_near("x", "qos"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_options),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(very_long_lines),
		cmocka_unit_test(bodies),
		cmocka_unit_test(files),
		cmocka_unit_test(secrets),
		cmocka_unit_test(paths),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(printed),
		cmocka_unit_test(addresses),
		cmocka_unit_test(fingerprints),
		cmocka_unit_test(near_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
