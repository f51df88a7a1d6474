/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The appliance document: what it means and refuses, and that it reads back whole.
 */
#include "target/control/document/document.h"
#include "tests/lib/kept.h"
#include "tests/lib/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IQN "iqn.2026-11.example.cairn:"
#define VOLUMES \
	"volumes:\n" \
	"- {name: a, source: {protocol: {type: 'null', size: 1M}}}\n" \
	"- {name: b, source: {protocol: {type: mem, size: 1M}}}\n"
#define HOSTS \
	"hosts:\n" \
	"- {name: web, iscsi: {iqn: ['" IQN "Web', 'iqn.1993-08.org.x:*']}}\n" \
	"- {name: db, addresses: [192.0.2.0/24, '::1'], iscsi: {iqn: " \
	"['*']}}\n"
#define TARGETS \
	"targets:\n" \
	"- {name: One}\n" \
	"- {iqn: '" IQN "two', portals: [main], alias: Second}\n"
#define EXPORTS \
	"exports:\n" \
	"- {volume: b, target: one, lun: 3, hosts: [web, db]}\n" \
	"- {volume: a, target: '" IQN "two', lun: 0, hosts: [web]}\n" \
	"- {volume: b, target: '" IQN "two', lun: 0, hosts: [db]," \
	" read_only: true}\n"
#define WHOLE VOLUMES HOSTS TARGETS EXPORTS

static struct access_portal portals[] = {
	{.name = "main", .address = "127.0.0.1", .port = 3260, .group = 1},
	{.name = "six",
		.address = "::1",
		.port = 3260,
		.group = 2,
		.advertised = "san:1"},
};
static const struct settings settings = {
	.naming_authority = "iqn.2026-11.example.cairn",
	.portal = portals,
	.portals = 2,
};

static char root[64], state_directory[80];
static struct state *state;

static int open_state(void **unused)
{
	struct err err;
	(void)unused;
	snprintf(root, sizeof root, "/tmp/cairn-document.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(state_directory, sizeof state_directory, "%s/state", root);
	state = state_open(state_directory, &err);
	return state ? 0 : -1;
}

static int close_state(void **unused)
{
	char command[128];
	(void)unused;
	state_close(state);
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command);
}

static struct document *try_read(const char *text, struct err *err)
{
	memset(err, 0, sizeof *err);
	struct doc *tree = doc_parse("test.yaml", text, strlen(text), err);
	return tree ? document_read(tree, &settings, err) : NULL;
}

static struct document *must_read(const char *text)
{
	struct err err;
	struct document *document = try_read(text, &err);
	if (!document)
		fail_msg("%s", err.text);
	return document;
}

/* -- meaning ----------------------------------------------------------------- */

static void whole_document_becomes_a_table(void **unused)
{
	(void)unused;
	struct document *document = must_read(WHOLE);
	struct volume a, b, *volumes[2] = {&a, &b};
	struct access_table *table = document_take_table(document, volumes);
	assert_int_equal(table->hosts, 2);
	assert_string_equal(table->host[0]->name, "web");
	assert_string_equal(table->host[0]->iqn[0], IQN "web");
	assert_string_equal(table->host[0]->iqn[1], "iqn.1993-08.org.x:*");
	assert_int_equal(table->host[0]->networks, 0);
	assert_int_equal(table->host[1]->networks, 2);
	assert_int_equal(table->portals, 2);
	assert_string_equal(table->portal[1]->advertised, "san:1");
	assert_int_equal(table->targets, 2);
	const struct access_target *one = access_find_target(table, IQN "one");
	const struct access_target *two = access_find_target(table, IQN "two");
	assert_non_null(one);
	assert_non_null(two);
	assert_int_equal(one->portals, 0);
	assert_ptr_equal(two->portal[0], table->portal[0]);
	assert_string_equal(two->alias, "Second");
	const struct access_export *seen =
		tables_find_lun(two, table->host[1], 0);
	assert_ptr_equal(seen->volume, &b);
	assert_true(seen->read_only);
	seen = tables_find_lun(two, table->host[0], 0);
	assert_ptr_equal(seen->volume, &a);
	assert_ptr_equal(tables_find_lun(one, table->host[1], 3)->volume, &b);
	access_put(table);
	document_free(document);
}

static void volume_settings_are_taken(void **unused)
{
	(void)unused;
	struct document *document = must_read(
		"volumes:\n"
		"- {name: v, uuid: 2B1F3AD6-8a77-4a1f-9d3e-6f0d0f2f6a11,"
		" block_size: 4096, physical_block_size: 8K, read_only: true,"
		" removable: true, thin: true, vendor: ACME, product: DISK 9,"
		" source: {protocol: {type: 'null', size: 1M}}}\n"
		"- {name: w, source: {protocol: {type: 'null', size: 1M}}}\n");
	const struct volume_settings *v = &document->volume[0].settings;
	static const uint8_t uuid[16] = {0x2b, 0x1f, 0x3a, 0xd6, 0x8a, 0x77,
		0x4a, 0x1f, 0x9d, 0x3e, 0x6f, 0x0d, 0x0f, 0x2f, 0x6a, 0x11};
	assert_memory_equal(v->uuid, uuid, 16);
	assert_int_equal(v->block_bytes, 4096);
	assert_int_equal(v->physical_block_bytes, 8192);
	assert_true(v->read_only && v->removable && v->thin);
	assert_string_equal(v->vendor, "ACME");
	assert_string_equal(v->product, "DISK 9");
	v = &document->volume[1].settings;
	assert_int_equal(v->block_bytes, 512);
	assert_int_equal(v->physical_block_bytes, 0);
	assert_false(v->read_only || v->removable || v->thin);
	assert_string_equal(v->vendor, "CAIRN");
	document_free(document);
}

static void empty_document_exports_nothing(void **unused)
{
	(void)unused;
	struct document *document = must_read("# nothing yet\n");
	assert_int_equal(document->volumes, 0);
	assert_int_equal(document->table->targets, 0);
	document_free(document);
}

/* -- mistakes ---------------------------------------------------------------- */

#define SOURCE "source: {protocol: {type: 'null', size: 1M}}"
#define IDENTITY "uuid: 2b1f3ad68a774a1f9d3e6f0d0f2f6a11"
#define CHAP(text) \
	"hosts:\n- {name: h, iscsi: {iqn: ['*'], chap: {" text "}}}\n"

static const struct {
	const char *text, *place, *word;
} mistakes[] = {
	{"volume: []\n", ":1:1:", "volumes"},
	{"volumes: {}\n", ":1:10:", "list"},
	{"volumes:\n- {name: 'a b', " SOURCE "}\n", ":2:10:", "no name"},
	{"volumes:\n- {name: a}\n", ":2:3:", "source"},
	{VOLUMES "- {name: a, " SOURCE "}\n", ":4:10:", "volumes[2].name"},
	{"volumes:\n- {name: a, uuid: 12, " SOURCE "}\n", ":2:19:", "uuid"},
	{"volumes:\n- {name: a, " SOURCE ", snapshots: [{name: m, path: "
	 "a.raw, created: 1, size: 1M}]}\n",
		":2:", "give under"},
	{"volumes:\n- {name: a, block_size: 1024, " SOURCE "}\n",
		":2:25:", "4096"},
	{"volumes:\n- {name: a, physical_block_size: 3K, " SOURCE "}\n",
		":2:34:", "power of two"},
	{"volumes:\n- {name: a, vendor: \"\\u00fc\", " SOURCE "}\n",
		":2:21:", "printable ASCII"},
	{"portals:\n- {name: a, address: \"192.0.2.1:3260\"}\n",
		":2:22:", "address: \"192.0.2.1\", port: 3260"},
	{"portals:\n- {name: a, address: \"[::1]:3260\"}\n",
		":2:22:", "address: \"::1\", port: 3260"},
	{"portals:\n- {name: a, address: \"db.example:3260\"}\n",
		":2:22:", "address: \"db.example\", port: 3260"},
	{"portals:\n- {name: a, address: \"::1::3260\"}\n",
		":2:22:", "no numeric address"},
	{"volumes:\n- {name: a, vendor: TOO LONG9, " SOURCE "}\n",
		":2:21:", "vendor"},
	{"volumes:\n- {name: a, source: {protocol: {type: rust}}}\n",
		":2:", "rust"},
	{"volumes:\n- {name: a, source: {protocol: {type: mem}}}\n",
		":2:", "size"},
	{"volumes:\n- {name: a, " IDENTITY ", " SOURCE
	 "}\n- {name: b, " IDENTITY ", " SOURCE "}\n",
		":3:19:", "volume \"a\""},
	{"volumes:\n- {name: a, source: {source: none}}\n",
		":2:30:", "volume \"none\""},
	{"volumes:\n- {name: a, source: {source: a}}\n", ":2:30:", "\"a\""},
	{"volumes:\n- {name: b, source: {source: a}}\n- {name: a, " SOURCE
	 "}\n",
		":2:30:", "further up"},
	{"volumes:\n- {name: a, source: {format: {type: raw, file: x}}}\n",
		":2:", "\"x\""},
	{"hosts:\n- {name: h, iscsi: {iqn: []}}\n", ":2:26:", "['*']"},
	{"hosts:\n- {name: h, iscsi: {iqn: [web]}}\n", ":2:27:", "web"},
	{"hosts:\n- {name: h, iscsi: {iqn: ['iqn.*:x']}}\n",
		":2:27:", "iqn.*:x"},
	{"hosts:\n- {name: h}\n", ":2:3:", "iscsi"},
	{"hosts:\n- {name: h, addresses: [10.0.0.1/8], iscsi: {iqn: ['*']}}"
	 "\n",
		":2:25:", "10.0.0.1/8"},
	{"hosts:\n- {name: h, addresses: [], iscsi: {iqn: ['*']}}\n",
		":2:24:", "nobody"},
	{HOSTS "- {name: db, iscsi: {iqn: ['*']}}\n", ":4:10:", "already"},
	{CHAP("user: u"), ":2:39:", "secret_file"},
	{CHAP("user: u, secret: short"), ":2:57:", "12 to 255"},
	{CHAP("user: u, secret: aaaaaaaaaaaaaaa"), ":2:57:", "character"},
	{CHAP("user: u, secret: good-secret-1, secret_file: x"),
		":2:39:", "either"},
	{CHAP("user: '', secret: good-secret-1"), ":2:46:", "255"},
	{CHAP("user: u, secret: good-secret-1, mutual: {user: c}"),
		":2:", "chap.mutual"},
	{"targets:\n- {name: one, iqn: '" IQN "one'}\n", ":2:3:", "either"},
	{"targets:\n- {alias: x}\n", ":2:3:", "either"},
	{"targets:\n- {iqn: one}\n", ":2:9:", "iSCSI name"},
	{"targets:\n- {name: ''}\n", ":2:10:", "it is empty"},
	{"targets:\n- {name: one}\n- {iqn: '" IQN "ONE'}\n",
		":3:9:", "already"},
	{"targets:\n- {name: one, portals: [other]}\n",
		":2:25:", "portal \"other\""},
	{WHOLE "- {volume: c, target: one, lun: 9, hosts: [db]}\n",
		":14:12:", "volume \"c\""},
	{WHOLE "- {volume: a, target: three, lun: 9, hosts: [db]}\n",
		":14:23:", "target \"three\""},
	{WHOLE "- {volume: a, target: one, lun: 9, hosts: [mail]}\n",
		":14:44:", "host \"mail\""},
	{WHOLE "- {volume: a, target: one, lun: 9, hosts: []}\n",
		":14:43:", "not named"},
	{WHOLE "- {volume: a, target: one, lun: 16384, hosts: [db]}\n",
		":14:33:", "16383"},
	{WHOLE "- {volume: a, target: one, lun: 3, hosts: [db]}\n",
		":14:33:", "host \"db\""},
};

static void mistakes_are_refused_with_their_place(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		struct err err;
		if (try_read(mistakes[i].text, &err))
			fail_msg("mistake %zu was taken", i);
		if (!strstr(err.text, "test.yaml") ||
			!strstr(err.text, mistakes[i].place) ||
			!strstr(err.text, mistakes[i].word))
			fail_msg("mistake %zu: \"%s\" lacks \"%s\" or \"%s\"",
				i, err.text, mistakes[i].place,
				mistakes[i].word);
	}
}

static void references_may_only_go_up(void **unused)
{
	(void)unused;
	document_free(must_read(
		"volumes:\n- {name: a, " SOURCE
		"}\n- {name: b, source: {source: a}}\n"
		"- {name: c, source: {format: {type: raw, file: {source: b}}}}"
		"\n"));
}

static void empty_file_is_refused(void **unused)
{
	char path[] = "/tmp/cairn-document.XXXXXX";
	struct err err = {0};
	(void)unused;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "# cut off\n", 10), 10);
	close(fd);
	assert_null(document_load(path, &settings, &err));
	unlink(path);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "empty"));
}

/* -- identities -------------------------------------------------------------- */

/* Saves it and gives what is kept. */
static char *keep(const char *text)
{
	struct err err = {0};
	if (kept_save(state, text, &settings, root, &err))
		fail_msg("%s", err.text);
	return kept_json(state);
}

static void identities_stay_with_names(void **unused)
{
	uint8_t first[16];
	struct err err;
	(void)unused;
	char *json = keep(WHOLE);
	struct document *document = must_read(WHOLE);
	assert_int_equal(document_identify(document, state, &err), 0);
	memcpy(first, document->volume[0].settings.uuid, 16);
	assert_memory_not_equal(first, document->volume[1].settings.uuid, 16);
	assert_int_equal(first[6] >> 4, 4);
	document_free(document);

	document = must_read(json);
	assert_int_equal(document_identify(document, state, &err), 0);
	assert_memory_equal(document->volume[0].settings.uuid, first, 16);
	char *again = keep(json);
	assert_string_equal(again, json);
	free(again);
	free(json);
	document_free(document);
}

#define VOLUME(name, more) "- {name: " name ", " more SOURCE "}\n"
#define GIVEN "uuid: 61616161616161616161616161616161, "
#define OTHER "uuid: 62626262626262626262626262626262, "
#define FOUR(name) \
	VOLUME(name "1", "") \
	VOLUME(name "2", "") VOLUME(name "3", "") VOLUME(name "4", "")
/* More than are asked for one by one. */
#define MANY FOUR("v") FOUR("w") FOUR("x") FOUR("y")

static int identified(const char *text, struct err *err)
{
	struct document *document = must_read(text);
	int failed = document_identify(document, state, err);
	document_free(document);
	return failed;
}

/* Hosts would take two of one identity for two ways to one. */
static void identities_are_not_shared(void **unused)
{
	static const struct {
		const char *text;
		int failed;
	} cases[] = {
		{"volumes:\n" VOLUME("a", "") VOLUME("b", GIVEN), -EEXIST},
		{"volumes:\n" VOLUME("b", GIVEN) VOLUME("a", ""), -EEXIST},
		{"volumes:\n" MANY VOLUME("a", "") VOLUME("b", GIVEN), -EEXIST},
		{"volumes:\n" VOLUME("a", OTHER) VOLUME("b", GIVEN), 0},
		{"volumes:\n" MANY VOLUME("a", OTHER) VOLUME("b", GIVEN), 0},
		{"volumes:\n" VOLUME("b", GIVEN), 0},
		{"volumes:\n" MANY VOLUME("b", GIVEN), 0},
		{"volumes:\n" VOLUME("a", GIVEN), 0},
	};
	(void)unused;
	free(keep("volumes:\n" VOLUME("a", GIVEN)));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = {0};
		assert_int_equal(
			identified(cases[i].text, &err), cases[i].failed);
		if (!cases[i].failed)
			continue;
		assert_non_null(strstr(err.text, "volume \"a\" has the same"));
		assert_non_null(strstr(err.pointer, "/uuid"));
	}
}

/* -- secrets ----------------------------------------------------------------- */

#define SECRET "correct-horse-1"
#define WITH_SECRET \
	CHAP("user: u, secret: " SECRET \
	     ", mutual: {user: c, secret: other-secret-2}")

static void expect_secrets(struct document *document, const char *expected)
{
	struct err err = {0};
	if (document_find_secrets(document, state, root, &err))
		fail_msg("%s", err.text);
	const struct access_chap *chap = &document->table->host[0]->chap;
	assert_string_equal(chap->user, "u");
	assert_string_equal(chap->secret, expected);
}

static void secrets_are_kept_apart(void **unused)
{
	(void)unused;
	char *json = keep(WITH_SECRET);
	assert_null(strstr(json, SECRET));
	assert_null(strstr(json, "other-secret-2"));
	struct document *document = must_read(json);
	expect_secrets(document, SECRET);
	assert_string_equal(
		document->table->host[0]->chap.mutual_secret, "other-secret-2");
	document_free(document);
	free(json);
}

static void write_secret(const char *name, const char *text, mode_t mode)
{
	char path[96];
	snprintf(path, sizeof path, "%s/%s", root, name);
	FILE *out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	assert_int_equal(chmod(path, mode), 0);
}

static void secret_files_are_read(void **unused)
{
	struct err err;
	char *kept;
	(void)unused;
	write_secret("web.chap", SECRET "\n", 0600);
	struct document *document =
		must_read(CHAP("user: u, secret_file: web.chap"));
	expect_secrets(document, SECRET);
	document_free(document);
	char *json = keep(CHAP("user: u, secret_file: web.chap"));
	assert_non_null(strstr(json, "web.chap"));
	assert_int_equal(state_find_secret(state, "h", STATE_CHAP, &kept, &err),
		-ENOENT);
	free(json);
}

static void expect_bad_secret(const char *text, const char *word)
{
	struct err err = {0};
	struct document *document = must_read(text);
	assert_true(document_find_secrets(document, state, root, &err) < 0);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" lacks \"%s\"", err.text, word);
	document_free(document);
}

static void bad_secrets_are_refused(void **unused)
{
	(void)unused;
	write_secret("open.chap", SECRET, 0644);
	write_secret("short.chap", "short\n", 0600);
	write_secret("two.chap", SECRET "\n" SECRET "\n", 0600);
	expect_bad_secret(CHAP("user: u, secret_file: open.chap"), "chmod 600");
	expect_bad_secret(
		CHAP("user: u, secret_file: two.chap"), "more than one line");
	expect_bad_secret(
		CHAP("user: u, secret_file: short.chap"), "12 to 255");
	expect_bad_secret(CHAP("user: u, secret_file: none.chap"), "No such");
	expect_bad_secret(CHAP("user: u, secret_file: state"), "no file");
	expect_bad_secret("hosts:\n- {name: unknown, iscsi: {iqn: ['*'], chap:"
			  " {user: u, secret: null}}}\n",
		"no secret is kept");
	expect_bad_secret(CHAP("user: u, secret: " SECRET
			       ", mutual: {user: c, secret: " SECRET "}"),
		"another one");
}

static void stored_host_without_secret_is_locked_out(void **unused)
{
	(void)unused;
	struct document *document =
		must_read(CHAP("user: u, secret_file: gone.chap"));
	document_find_stored_secrets(document, state, root);
	assert_int_equal(strlen(document->table->host[0]->chap.secret), 64);
	document_free(document);
}

#define DOCUMENT_TEST(name) \
	cmocka_unit_test_setup_teardown(name, open_state, close_state)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_document_becomes_a_table),
		cmocka_unit_test(volume_settings_are_taken),
		cmocka_unit_test(mistakes_are_refused_with_their_place),
		DOCUMENT_TEST(empty_document_exports_nothing),
		DOCUMENT_TEST(identities_stay_with_names),
		DOCUMENT_TEST(identities_are_not_shared),
		cmocka_unit_test(references_may_only_go_up),
		cmocka_unit_test(empty_file_is_refused),
		DOCUMENT_TEST(secrets_are_kept_apart),
		DOCUMENT_TEST(secret_files_are_read),
		DOCUMENT_TEST(bad_secrets_are_refused),
		DOCUMENT_TEST(stored_host_without_secret_is_locked_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
