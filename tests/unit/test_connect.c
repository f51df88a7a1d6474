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

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOSTILE "o'b \"$(touch x)`,<&>"

static const uint8_t naa[8] = {0x31, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
static const struct connect_portal portals[] = {
	{"192.0.2.10", 3260}, {"2001:db8::10", 3261}};
static const struct connect_view plain = {.volume = "db01",
	.host = "web1",
	.target = "iqn.2026-11.example.cairn:db01",
	.size_bytes = 10ull << 30,
	.lun = 3,
	.portal = portals,
	.portals = 1,
	.naa = naa};
static const struct connect_view strict = {.volume = "db_01_",
	.host = "web1",
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
		"printf 'secret\\nsecret\\n' | bash -u -O failglob %s 2>&1",
		script);
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
	return run_shell(before, text);
}

static void test_shells_parse(void **state)
{
	static const char *const names[] = {
		"linux", "esxi", "qemu", "proxmox", "libvirt"};
	(void)state;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		char *text = text_for(names[i], &strict);
		free(run_shell("set -n", text));
		free(text);
	}
}

/* Every node keeps its name; records with CHAP are there before the storage. */
static void test_proxmox(void **state)
{
	(void)state;
	char *text = text_for("proxmox", &strict);
	assert_null(strstr(text, "> /etc/iscsi"));
	CHECK_FIND(text, "cairn host set web1 --iqn NAME,NAME");
	char *said = run_with("iscsiadm pvesm vgcreate udevadm ls cat apt-get",
		text);
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
	struct connect_view view = plain;
	(void)state;
	view.portal = &portals[1];
	char *text = text_for("proxmox", &view);
	char *said = run_with("pvesm vgcreate udevadm ls", text);
	CHECK_FIND(said, "[--portal]\n[[2001:db8::10]:3261]\n");
	free(said);
	free(text);
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
	return strspn(at,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
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
	struct connect_view view = strict;
	(void)state;
	view.chap_user = "web1";
	view.mutual_user = "cairn";
	char *text = text_for("windows", &view), *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) {
		if (*line != '#')
			check_cmdlets(line);
	}
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
	assert_null(strstr(text, "VMW_PSP_RR"));
	free(text);
}

/* CHAP of the host comes before that of the target, which needs it. */
static void test_esxi_arguments(void **state)
{
	(void)state;
	char *text = text_for("esxi", &strict);
	char *said = run_shell("esxcli() { printf '[%s]\\n' \"$@\"; }\n"
			       "awk() { echo vmhba65; }\n",
		text);
	const char *host = strstr(said, "[--direction=uni]");
	const char *target = strstr(said, "[--direction=mutual]");
	assert_non_null(host);
	assert_non_null(target);
	assert_true(host < target);
	CHECK_FIND(host, "[--authname=" HOSTILE "]\n[--secret=secret]\n");
	CHECK_FIND(said, "[--adapter=vmhba65]\n[--address=[2001:db8::10]:3261]");
	CHECK_FIND(said, "[--psp=VMW_PSP_RR]\n[--device=naa.3123456789abcdef]");
	free(said);
	free(text);
}

/* -- Kubernetes ------------------------------------------------------------- */

/* Members that the API has (v1 PersistentVolumeSpec, PersistentVolumeClaimSpec,
 * ISCSIPersistentVolumeSource, Secret); what is not there is refused by kubectl. */
static const char *const kubernetes_fields[] = {"apiVersion", "kind",
	"metadata", "name", "type", "stringData", "spec", "capacity", "storage",
	"accessModes", "persistentVolumeReclaimPolicy", "storageClassName",
	"volumeName", "resources", "requests", "iscsi", "targetPortal",
	"portals", "iqn", "lun", "fsType", "readOnly", "initiatorName",
	"chapAuthDiscovery", "chapAuthSession", "secretRef",
	"node.session.auth.username", "node.session.auth.password",
	"node.session.auth.username_in", "node.session.auth.password_in",
	"discovery.sendtargets.auth.username",
	"discovery.sendtargets.auth.password",
	"discovery.sendtargets.auth.username_in",
	"discovery.sendtargets.auth.password_in", NULL};

static void check_fields(const struct doc *doc)
{
	for (const struct doc *at = doc->first; at; at = at->next) {
		unsigned k = 0;
		while (at->key && kubernetes_fields[k] &&
			strcmp(kubernetes_fields[k], at->key))
			k++;
		if (!kubernetes_fields[k])
			fail_msg("the API has no %s", at->key);
		check_fields(at);
	}
}

/* The next document of `*text`; NULL after the last. */
static struct doc *next_document(char **text)
{
	struct err err = {0};
	if (!*text)
		return NULL;
	char *from = *text, *end = strstr(from, "---\n");
	*text = end ? end + 4 : NULL;
	if (end)
		*end = '\0';
	struct doc *doc = doc_parse("text", from, strlen(from), &err);
	if (!doc)
		fail_msg("%s", err.text);
	check_fields(doc);
	return doc;
}

static const char *text_of(const struct doc *doc, const char *path)
{
	char copy[128], *rest = copy, *key;
	snprintf(copy, sizeof copy, "%s", path);
	while (doc && (key = strsep(&rest, "/")))
		doc = doc_find(doc, key);
	return doc ? doc->text : NULL;
}

#define CHECK_FIELD(doc, path, value) \
	assert_string_equal(text_of(doc, path), value)

/* All documents are YAML, with the values as they are. */
static void test_kubernetes(void **state)
{
	(void)state;
	char *text = text_for("kubernetes", &strict), *rest = text;
	struct doc *secret = next_document(&rest);
	CHECK_FIELD(secret, "kind", "Secret");
	CHECK_FIELD(secret, "type", "kubernetes.io/iscsi-chap");
	CHECK_FIELD(secret, "stringData/node.session.auth.username", HOSTILE);
	CHECK_FIELD(secret,
		"stringData/discovery.sendtargets.auth.username_in", "o'ther");
	struct doc *volume = next_document(&rest);
	CHECK_FIELD(volume, "kind", "PersistentVolume");
	CHECK_FIELD(volume, "metadata/name", "cairn-db-01");
	CHECK_FIELD(volume, "spec/capacity/storage", "10240Mi");
	CHECK_FIELD(volume, "spec/iscsi/lun", "16684");
	CHECK_FIELD(volume, "spec/iscsi/targetPortal", "192.0.2.10:3260");
	CHECK_FIELD(volume, "spec/iscsi/chapAuthDiscovery", "true");
	CHECK_FIELD(volume, "spec/iscsi/chapAuthSession", "true");
	CHECK_FIELD(volume, "spec/iscsi/secretRef/name", "cairn-db-01");
	CHECK_FIELD(volume, "spec/iscsi/initiatorName",
		"iqn.1993-08.org.debian:01:ab");
	struct doc *claim = next_document(&rest);
	CHECK_FIELD(claim, "kind", "PersistentVolumeClaim");
	CHECK_FIELD(claim, "spec/volumeName", "cairn-db-01");
	CHECK_FIELD(claim, "spec/storageClassName", "");
	CHECK_FIELD(claim, "spec/resources/requests/storage", "10240Mi");
	assert_null(rest);
	doc_free(secret);
	doc_free(volume);
	doc_free(claim);
	free(text);
}

/* What the API server would refuse is left out. */
static void test_kubernetes_limits(void **state)
{
	static const char long_name[] =
		"a-volume-with-a-name-of-quite-some-length-00001";
	struct connect_view view = plain;
	(void)state;
	view.volume = long_name;
	view.initiator = "iqn.1993-08.org.debian:01:ab";
	view.size_bytes = (1 << 20) + 512;
	for (unsigned i = 0; i < 2; i++) {
		char *text = text_for("kubernetes", &view), *rest = text;
		CHECK_FIND(text, "cairn host set web1 --iqn NAME,NAME");
		struct doc *volume = next_document(&rest);
		assert_null(text_of(volume, "spec/iscsi/initiatorName"));
		CHECK_FIELD(volume, "spec/capacity/storage", "1049088");
		doc_free(volume);
		free(text);
		view.volume = "db01";
		view.initiator = "iqn.1993-08.org.debian";
	}
}

/* -- libvirt ---------------------------------------------------------------- */

/* Prints the elements with their attributes, sorted as they come. */
static const char read_xml[] =
	"virsh() {\n"
	"	echo \"virsh $*\"\n"
	"	case $1 in\n"
	"	secret-define) set -- x x \"$2\" ;;\n"
	"	attach-device) ;;\n"
	"	*) return ;;\n"
	"	esac\n"
	"	python3 -c 'import sys, xml.etree.ElementTree as t\n"
	"for e in t.parse(sys.argv[1]).getroot().iter():\n"
	"    print(e.tag, sorted(e.attrib.items()), (e.text or \"\").strip())"
	"' \"$3\" >&2\n"
	"	echo Secret 01234567-89ab-cdef-0123-456789abcdef created\n"
	"}\ncd \"$(mktemp -d)\"\n";

static void test_libvirt(void **state)
{
	(void)state;
	char *text = text_for("libvirt", &strict);
	char *said = run_shell(read_xml, text);
	CHECK_FIND(said,
		"source [('name', 'iqn.2026-11.example.cairn:db01/16684'), "
		"('protocol', 'iscsi')]");
	CHECK_FIND(said, "host [('name', '192.0.2.10'), ('port', '3260')]");
	CHECK_FIND(said, "[('username', 'o\\'b \"$(touch x)`,<&>')]");
	CHECK_FIND(said, "iqn [('name', 'iqn.1993-08.org.debian:01:ab')]");
	CHECK_FIND(said, "usage [('type', 'iscsi')]");
	CHECK_FIND(said, "target [] cairn-db_01\n");
	CHECK_FIND(said,
		"secret [('type', 'iscsi'), ('usage', 'cairn-db_01')]");
	CHECK_FIND(said,
		"virsh secret-set-value --interactive "
		"01234567-89ab-cdef-0123-456789abcdef\n");
	CHECK_FIND(said,
		"virsh attach-device secret cairn-db_01.xml --persistent\n");
	free(said);
	free(text);
}

static void test_libvirt_read_only(void **state)
{
	struct connect_view view = plain;
	(void)state;
	view.read_only = true;
	view.portal = &portals[1];
	char *text = text_for("libvirt", &view);
	char *said = run_shell(read_xml, text);
	CHECK_FIND(said, "readonly []");
	CHECK_FIND(said, "host [('name', '2001:db8::10'), ('port', '3261')]");
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
		cmocka_unit_test(test_kubernetes),
		cmocka_unit_test(test_kubernetes_limits),
		cmocka_unit_test(test_libvirt),
		cmocka_unit_test(test_libvirt_read_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
