/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text for libvirt: a disk of a domain, by the initiator that QEMU has itself
 * (one portal, and the target need not prove itself).
 *
 * Invariant: the files that it writes are XML as libvirt's schemas have it
 * (domaincommon.rng, secret.rng).
 */
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

/* "cairn-db01.xml", "cairn-db01-secret.xml". */
static void file(FILE *out, const struct connect_view *view, const char *what)
{
	connect_print_name(out, view);
	fprintf(out, "%s.xml", what);
}

static void begin(FILE *out, const struct connect_view *view, const char *what)
{
	fputs("cat >", out);
	file(out, view, what);
	fputs(" <<'XML'\n", out);
}

static void secret(FILE *out, const struct connect_view *view)
{
	if (!view->chap_user)
		return;
	say(out, "the CHAP secret of this host, once: it is asked for\n");
	begin(out, view, "-secret");
	fputs("<secret ephemeral='no' private='yes'>\n"
	      "  <usage type='iscsi'><target>",
		out);
	connect_print_name(out, view);
	fputs("</target></usage>\n</secret>\nXML\n"
	      "UUID=$(virsh secret-define ",
		out);
	file(out, view, "-secret");
	fputs(" | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')\n"
	      "virsh secret-set-value --interactive \"$UUID\"\n\n",
		out);
}

static void source(FILE *out, const struct connect_view *view)
{
	fputs("  <source protocol='iscsi' name='", out);
	quote_xml(out, view->target);
	fprintf(out, "/%u'>\n    <host name='%s' port='%u'/>\n",
		connect_host_lun(view), view->portal[0].address,
		(unsigned)view->portal[0].port);
	if (view->chap_user) {
		fputs("    <auth username='", out);
		quote_xml(out, view->chap_user);
		fputs("'><secret type='iscsi' usage='", out);
		connect_print_name(out, view);
		fputs("'/></auth>\n", out);
	}
	if (view->initiator) {
		fputs("    <initiator><iqn name='", out);
		quote_xml(out, view->initiator);
		fputs("'/></initiator>\n", out);
	}
	fputs("  </source>\n", out);
}

void connect_print_libvirt(FILE *out, const struct connect_view *view)
{
	say(out, "where the guest runs, as who may change it\n");
	if (view->mutual_user)
		say(out, "QEMU does not ask the target to prove itself\n");
	if (view->portals > 1)
		say(out, "QEMU goes one way only: the first portal\n");
	fputs("read -rp 'Domain (virsh list shows them): ' DOMAIN\n\n", out);
	secret(out, view);
	say(out,
		"the disk; another name than sdb if the guest has that "
		"already\n");
	begin(out, view, "");
	fputs("<disk type='network' device='disk'>\n"
	      "  <driver name='qemu' type='raw' cache='none' "
	      "discard='unmap'/>\n",
		out);
	source(out, view);
	fputs("  <target dev='sdb' bus='scsi'/>\n", out);
	if (view->read_only)
		fputs("  <readonly/>\n", out);
	fputs("</disk>\nXML\nvirsh attach-device \"$DOMAIN\" ", out);
	file(out, view, "");
	fputs(" --persistent\n", out);
}
