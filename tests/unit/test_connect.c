/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect texts: every value arrives at the client as it was meant, whatever it
 * contains, and no text holds a secret.
 */
#include "tests/lib/check.h"
#include "tests/lib/connect_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	char *text = connect_text_for("linux", &connect_plain);
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
	char *text = connect_text_for("linux", &connect_strict);
	char *said = connect_run("iscsiadm() { printf '[%s]\\n' \"$@\"; }\n"
				 "udevadm() { :; }\nsystemctl() { :; }\n"
				 "ls() { printf '[%s]\\n' \"$@\"; }\n"
				 "cd \"$(mktemp -d)\"\n",
		strstr(text, "# a record"));
	CHECK_FIND(said, "[" CONNECT_HOSTILE "]\n");
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
	char *text = connect_text_for("qemu", &connect_strict);
	char *said =
		connect_run("qemu-img() { printf '[%s]\\n' \"$@\"; }\n", text);
	/* A comma of a value is doubled in QEMU's lists. */
	CHECK_FIND(said, ",user=o'b \"$(touch x)`,,<&>,password-secret=chap]");
	CHECK_FIND(said, ",portal=192.0.2.10:3260,");
	CHECK_FIND(said, ",lun=16684,");
	CHECK_FIND(said, ",initiator-name=iqn.1993-08.org.debian:01:ab,");
	free(said);
	free(text);
}

static const char print_arguments[] = "{ printf '[%s]\\n' \"$@\"; }\n";

/* `programs` as functions that print what they are given. */
static char *run_with(const char *programs, const char *text)
{
	char before[1024] = "cd \"$(mktemp -d)\"\n", *copy = strdup(programs);
	assert_non_null(copy);
	for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
		snprintf(before + strlen(before),
			sizeof before - strlen(before), "%s() %s", p,
			print_arguments);
	free(copy);
	return connect_run(before, text);
}

static void test_shells_parse(void **state)
{
	static const char *const names[] = {
		"linux", "esxi", "qemu", "proxmox", "libvirt"};
	(void)state;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		char *text = connect_text_for(names[i], &connect_strict);
		free(connect_run("set -n", text));
		free(text);
	}
}

/* Every node keeps its name; records with CHAP are there before the storage. */
static void test_proxmox(void **state)
{
	(void)state;
	char *text = connect_text_for("proxmox", &connect_strict);
	assert_null(strstr(text, "> /etc/iscsi"));
	CHECK_FIND(text, "cairn host set web1 --iqn NAME,NAME");
	char *said = run_with(
		"iscsiadm pvesm vgcreate udevadm ls cat apt-get", text);
	const char *storage = strstr(said,
		"[add]\n[iscsi]\n[cairn-db_01]\n[--portal]\n"
		"[192.0.2.10:3260]\n[--target]\n"
		"[iqn.2026-11.example.cairn:db01]\n[--content]\n[none]\n");
	const char *last = strstr(said, "[node.session.auth.password_in]");
	assert_non_null(storage);
	assert_non_null(last);
	assert_true(last < storage);
	CHECK_FIND(storage,
		"[cairn-db_01]\n[/dev/disk/by-id/wwn-0x3123456789abcdef]\n");
	CHECK_FIND(storage,
		"[add]\n[lvm]\n[cairn-db_01-lvm]\n[--vgname]\n[cairn-db_01]\n");
	free(said);
	free(text);
}

static void test_proxmox_ipv6(void **state)
{
	struct connect_view view = connect_plain;
	(void)state;
	view.portal = &connect_portals[1];
	char *text = connect_text_for("proxmox", &view);
	char *said = run_with("pvesm vgcreate udevadm ls", text);
	CHECK_FIND(said, "[--portal]\n[[2001:db8::10]:3261]\n");
	free(said);
	free(text);
}

static void test_windows(void **state)
{
	(void)state;
	char *text = connect_text_for("windows", &connect_strict);
	CHECK_FIND(text, "-ChapUsername 'o''b \"$(touch x)`,<&>'");
	CHECK_FIND(text, "-AuthenticationType MUTUALCHAP");
	CHECK_FIND(text,
		"-TargetPortalAddress '2001:db8::10' "
		"-TargetPortalPortNumber 3261");
	CHECK_FIND(text, "-IsMultipathEnabled $true");
	CHECK_FIND(text, "-AsSecureString");
	CHECK_FIND(text, "Set-IscsiChapSecret -ChapSecret $theirs\n");
	CHECK_FIND(text, "$disk | Set-Disk -IsOffline $false\n");
	free(text);
}

/* Every command is a cmdlet with parameters that its documentation has. */
static const char *const cmdlets[] = {
	"Set-Service -StartupType",
	"Start-Service",
	"Set-InitiatorPort -NodeAddress -NewNodeAddress",
	"Get-InitiatorPort",
	"Where-Object -eq",
	"Select-Object -First",
	"Install-WindowsFeature",
	"Enable-MSDSMAutomaticClaim -BusType",
	"Set-IscsiChapSecret -ChapSecret",
	"New-IscsiTargetPortal -TargetPortalAddress -TargetPortalPortNumber "
	"-AuthenticationType -ChapUsername -ChapSecret",
	"Connect-IscsiTarget -NodeAddress -TargetPortalAddress "
	"-TargetPortalPortNumber -IsPersistent -IsMultipathEnabled "
	"-AuthenticationType -ChapUsername -ChapSecret",
	"Update-HostStorageCache",
	"Get-Disk",
	"Set-Disk -IsOffline -IsReadOnly",
	"Read-Host -AsSecureString",
	NULL,
};

static const char *find_cmdlet(const char *word, size_t bytes)
{
	for (unsigned i = 0; cmdlets[i]; i++) {
		if (!strncmp(cmdlets[i], word, bytes) &&
			strchr(" ", cmdlets[i][bytes]))
			return cmdlets[i];
	}
	return NULL;
}

/* A word of letters with a dash in it that stands for itself. */
static size_t word_at(const char *at)
{
	return strspn(
		at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
}

static void check_cmdlets(char *line)
{
	const char *now = NULL;
	for (char *at = line; *at;) {
		size_t bytes = word_at(at);
		char word[64];
		if (*at == '\'')
			at = strchr(at + 1, '\'');
		snprintf(word, sizeof word, "%.*s", (int)bytes, at);
		if (*at == ')')
			now = NULL;
		else if (bytes && *at == '-' && now) {
			if (!strstr(now, word))
				fail_msg("%s has no %s", now, word);
		} else if (bytes && isupper((unsigned char)*at) &&
			strchr(word, '-') && !strstr(word, "Multipath-IO")) {
			now = find_cmdlet(at, bytes);
			if (!now)
				fail_msg("no cmdlet %s", word);
		}
		at += bytes ? bytes : 1;
	}
}

static void test_windows_cmdlets(void **state)
{
	struct connect_view view = connect_strict;
	(void)state;
	view.chap_user = "web1";
	view.mutual_user = "cairn";
	char *text = connect_text_for("windows", &view), *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) {
		if (*line != '#')
			check_cmdlets(line);
	}
	free(text);
}

static void test_esxi(void **state)
{
	(void)state;
	char *text = connect_text_for("esxi", &connect_plain);
	CHECK_FIND(text,
		"sendtarget add --adapter=$HBA "
		"--address=192.0.2.10:3260\n");
	CHECK_FIND(text, "naa.3123456789abcdef");
	assert_null(strstr(text, "VMW_PSP_RR"));
	free(text);
}

/* CHAP of the host comes before that of the target, which needs it. */
static void test_esxi_arguments(void **state)
{
	(void)state;
	char *text = connect_text_for("esxi", &connect_strict);
	char *said = connect_run("esxcli() { printf '[%s]\\n' \"$@\"; }\n"
				 "awk() { echo vmhba65; }\n",
		text);
	const char *host = strstr(said, "[--direction=uni]");
	const char *target = strstr(said, "[--direction=mutual]");
	assert_non_null(host);
	assert_non_null(target);
	assert_true(host < target);
	CHECK_FIND(
		host, "[--authname=" CONNECT_HOSTILE "]\n[--secret=secret]\n");
	CHECK_FIND(
		said, "[--adapter=vmhba65]\n[--address=[2001:db8::10]:3261]");
	CHECK_FIND(said, "[--psp=VMW_PSP_RR]\n[--device=naa.3123456789abcdef]");
	free(said);
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
		cmocka_unit_test(test_proxmox),
		cmocka_unit_test(test_proxmox_ipv6),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_windows_cmdlets),
		cmocka_unit_test(test_esxi),
		cmocka_unit_test(test_esxi_arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
