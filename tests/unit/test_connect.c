/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect texts: every value arrives at the client as it was meant, whatever it
 * contains, and no text holds a secret.
 */
#include "blockcore/base/doc.h"
#include "target/control/connect/connect.h"
#include "tests/lib/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOSTILE "o'b \"$(touch x)`,<&>"

static const uint8_t naa[8] = {0x31, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
static const struct connect_portal portals[] = {
	{"192.0.2.10", 3260}, {"2001:db8::10", 3261}};
static const struct connect_view plain = {.volume = "db01",
	.target = "iqn.2026-11.example.cairn:db01",
	.size_bytes = 10ull << 30,
	.lun = 3,
	.portal = portals,
	.portals = 1,
	.naa = naa};
static const struct connect_view strict = {.volume = "db_01",
	.target = "iqn.2026-11.example.cairn:db01",
	.size_bytes = 10ull << 30,
	.lun = 300,
	.portal = portals,
	.portals = 2,
	.naa = naa,
	.initiator = "iqn.1993-08.org.debian:01:ab",
	.chap_user = HOSTILE,
	.mutual_user = "o'ther"};

static char *text_for(const char *name, const struct connect_view *view)
{
	const struct connect_system *system;
	assert_int_equal(connect_find_system(name, &system, NULL), 0);
	char *text = connect_text(system, view);
	assert_non_null(text);
	return text;
}

/* Runs `before` and the text in a shell of its own; gives what it prints. */
static char *run_shell(const char *before, const char *text)
{
	char script[] = "/tmp/connect.XXXXXX", command[128];
	int fd = mkstemp(script);
	assert_true(fd >= 0);
	FILE *out = fdopen(fd, "w");
	assert_non_null(out);
	fprintf(out, "%s\n%s", before, text);
	assert_int_equal(fclose(out), 0);
	snprintf(command, sizeof command,
		"printf 'secret\\nsecret\\n' | bash -u %s 2>&1", script);
	FILE *in = popen(command, "r");
	assert_non_null(in);
	char *all = calloc(1, 65536);
	assert_non_null(all);
	size_t used = fread(all, 1, 65535, in);
	assert_true(used < 65535);
	assert_int_equal(pclose(in), 0);
	unlink(script);
	return all;
}

static void test_unknown_system(void **state)
{
	const struct connect_system *system;
	struct err err = {0};
	(void)state;
	assert_int_equal(connect_find_system("beos", &system, &err), -EINVAL);
	assert_null(system);
	CHECK_FIND(err.text, "\"beos\"");
	CHECK_FIND(err.text, "linux, windows, esxi, qemu");
}

static void test_linux(void **state)
{
	(void)state;
	char *text = text_for("linux", &plain);
	CHECK_FIND(text,
		"iscsiadm -m discovery -t sendtargets -p 192.0.2.10:3260\n");
	CHECK_FIND(text,
		"iscsiadm -m node -T iqn.2026-11.example.cairn:db01 "
		"-p 192.0.2.10:3260 --login\n");
	CHECK_FIND(text, "/dev/disk/by-id/wwn-0x3123456789abcdef");
	assert_null(strstr(text, "CHAP"));
	free(text);
}

/* What iscsiadm would be given. */
static void test_linux_arguments(void **state)
{
	(void)state;
	char *text = text_for("linux", &strict);
	char *said = run_shell("iscsiadm() { printf '[%s]\\n' \"$@\"; }\n"
			       "udevadm() { :; }\nsystemctl() { :; }\n"
			       "ls() { printf '[%s]\\n' \"$@\"; }\n"
			       "cd \"$(mktemp -d)\"\n",
		strstr(text, "# a record"));
	CHECK_FIND(said, "[" HOSTILE "]\n");
	CHECK_FIND(said, "[o'ther]\n");
	CHECK_FIND(said, "[[2001:db8::10]:3261]\n");
	CHECK_FIND(said, "[secret]\n");
	CHECK_FIND(said, "[node.session.auth.password_in]\n");
	assert_null(strstr(text, "secret\n"));
	free(said);
	free(text);
}

static void test_qemu_arguments(void **state)
{
	(void)state;
	char *text = text_for("qemu", &strict);
	char *said =
		run_shell("qemu-img() { printf '[%s]\\n' \"$@\"; }\n", text);
	/* A comma of a value is doubled in QEMU's lists. */
	CHECK_FIND(said, ",user=o'b \"$(touch x)`,,<&>,password-secret=chap]");
	CHECK_FIND(said, ",portal=192.0.2.10:3260,");
	CHECK_FIND(said, ",lun=16684,");
	CHECK_FIND(said, ",initiator-name=iqn.1993-08.org.debian:01:ab,");
	free(said);
	free(text);
}

static void test_shells_parse(void **state)
{
	static const char *const names[] = {"linux", "esxi", "qemu", "proxmox"};
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		char *text = text_for(names[i], &strict);
		free(run_shell("set -n", text));
		free(text);
	}
}

static void test_windows(void **state)
{
	(void)state;
	char *text = text_for("windows", &strict);
	CHECK_FIND(text, "-ChapUsername 'o''b \"$(touch x)`,<&>'");
	CHECK_FIND(text, "-AuthenticationType MUTUALCHAP");
	CHECK_FIND(text,
		"-TargetPortalAddress '2001:db8::10' "
		"-TargetPortalPortNumber 3261");
	CHECK_FIND(text, "-IsMultipathEnabled $true");
	free(text);
}

static void test_esxi(void **state)
{
	(void)state;
	char *text = text_for("esxi", &plain);
	CHECK_FIND(text,
		"sendtarget add --adapter=$HBA "
		"--address=192.0.2.10:3260\n");
	CHECK_FIND(text, "naa.3123456789abcdef");
	free(text);
}

/* Both documents are YAML, with the values as they are. */
static void test_kubernetes(void **state)
{
	(void)state;
	char *text = text_for("kubernetes", &strict);
	char *second = strstr(text, "---\n");
	assert_non_null(second);
	*second = '\0';
	struct err err = {0};
	struct doc *secret = doc_parse("secret", text, strlen(text), &err);
	assert_non_null(secret);
	const struct doc *data = doc_find(secret, "stringData");
	assert_string_equal(
		doc_find(data, "node.session.auth.username")->text, HOSTILE);
	doc_free(secret);
	second += 4;
	struct doc *volume = doc_parse("volume", second, strlen(second), &err);
	assert_non_null(volume);
	const struct doc *spec = doc_find(volume, "spec");
	const struct doc *iscsi = doc_find(spec, "iscsi");
	assert_string_equal(doc_find(iscsi, "lun")->text, "16684");
	assert_string_equal(
		doc_find(iscsi, "targetPortal")->text, "192.0.2.10:3260");
	assert_string_equal(
		doc_find(doc_find(spec, "capacity"), "storage")->text,
		"10240Mi");
	assert_string_equal(
		doc_find(doc_find(volume, "metadata"), "name")->text,
		"cairn-db-01");
	doc_free(volume);
	free(text);
}

static void test_libvirt(void **state)
{
	(void)state;
	char *text = text_for("libvirt", &strict);
	CHECK_FIND(text, "name='iqn.2026-11.example.cairn:db01/16684'");
	CHECK_FIND(text, "o&apos;b &quot;$(touch x)`,&lt;&amp;&gt;");
	free(text);
	struct connect_view view = plain;
	view.read_only = true;
	text = text_for("libvirt", &view);
	CHECK_FIND(text, "<readonly/>");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_system),
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_linux_arguments),
		cmocka_unit_test(test_qemu_arguments),
		cmocka_unit_test(test_shells_parse),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_esxi),
		cmocka_unit_test(test_kubernetes),
		cmocka_unit_test(test_libvirt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
