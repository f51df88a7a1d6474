/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect texts that are files for others: YAML for Kubernetes, XML for libvirt. They
 * parse, have only what is known there, and values arrive as they are.
 */
#include "blockcore/base/doc.h"
#include "tests/lib/check.h"
#include "tests/lib/connect_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

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
	char *text = connect_text_for("kubernetes", &connect_strict),
	     *rest = text;
	struct doc *secret = next_document(&rest);
	CHECK_FIELD(secret, "kind", "Secret");
	CHECK_FIELD(secret, "type", "kubernetes.io/iscsi-chap");
	CHECK_FIELD(secret, "stringData/node.session.auth.username",
		CONNECT_HOSTILE);
	CHECK_FIELD(secret, "stringData/discovery.sendtargets.auth.username_in",
		"o'ther");
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
	struct connect_view view = connect_plain;
	(void)state;
	view.volume = long_name;
	view.initiator = "iqn.1993-08.org.debian:01:ab";
	view.size_bytes = (1 << 20) + 512;
	for (unsigned i = 0; i < 2; i++) {
		char *text = connect_text_for("kubernetes", &view),
		     *rest = text;
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
	char *text = connect_text_for("libvirt", &connect_strict);
	char *said = connect_run(read_xml, text);
	CHECK_FIND(said,
		"source [('name', 'iqn.2026-11.example.cairn:db01/16684'), "
		"('protocol', 'iscsi')]");
	CHECK_FIND(said, "host [('name', '192.0.2.10'), ('port', '3260')]");
	CHECK_FIND(said, "[('username', 'o\\'b \"$(touch x)`,<&>')]");
	CHECK_FIND(said, "iqn [('name', 'iqn.1993-08.org.debian:01:ab')]");
	CHECK_FIND(said, "usage [('type', 'iscsi')]");
	CHECK_FIND(said, "target [] cairn-db_01\n");
	CHECK_FIND(
		said, "secret [('type', 'iscsi'), ('usage', 'cairn-db_01')]");
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
	struct connect_view view = connect_plain;
	(void)state;
	view.read_only = true;
	view.portal = &connect_portals[1];
	char *text = connect_text_for("libvirt", &view);
	char *said = connect_run(read_xml, text);
	CHECK_FIND(said, "readonly []");
	CHECK_FIND(said, "host [('name', '2001:db8::10'), ('port', '3261')]");
	free(said);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kubernetes),
		cmocka_unit_test(test_kubernetes_limits),
		cmocka_unit_test(test_libvirt),
		cmocka_unit_test(test_libvirt_read_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
