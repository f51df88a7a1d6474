/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts for QEMU, whose initiator (libiscsi) is in the process itself, and for
 * libvirt, which starts it.
 */
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

#include <string.h>

/* "driver=iscsi,transport=tcp,..." as blockdevs and image options have it. */
static void blockdev(FILE *out, const struct connect_view *view)
{
	char portal[80];
	snprintf(portal, sizeof portal,
		strchr(view->portal[0].address, ':') ? "[%s]:%u" : "%s:%u",
		view->portal[0].address, (unsigned)view->portal[0].port);
	fputs("driver=iscsi,transport=tcp,", out);
	quote_qemu(out, "portal", portal);
	fputc(',', out);
	quote_qemu(out, "target", view->target);
	fprintf(out, ",lun=%u", connect_host_lun(view));
	if (view->initiator) {
		fputc(',', out);
		quote_qemu(out, "initiator-name", view->initiator);
	}
	if (view->chap_user) {
		fputc(',', out);
		quote_qemu(out, "user", view->chap_user);
		fputs(",password-secret=chap", out);
	}
}

static void secret(FILE *out, const struct connect_view *view)
{
	if (view->chap_user)
		fputs(" \\\n    --object secret,id=chap,file=chap.secret", out);
}

static void read_only(FILE *out, const struct connect_view *view)
{
	if (view->read_only)
		fputs(",read-only=on", out);
}

void connect_print_qemu(FILE *out, const struct connect_view *view)
{
	say(out,
		"Debian and Ubuntu: apt-get install qemu-utils "
		"qemu-block-extra\n");
	if (view->chap_user)
		say(out,
			"the CHAP secret of this host stands in the file "
			"chap.secret, without a newline, mode 600\n");
	if (view->mutual_user)
		say(out, "QEMU does not ask the target to prove itself\n");
	fputc('\n', out);
	say(out, "what it is\n");
	fputs("qemu-img info", out);
	secret(out, view);
	fputs(" --image-opts \\\n    ", out);
	blockdev(out, view);
	read_only(out, view);
	fputs("\n\n", out);
	say(out, "as a disk of a guest: add to the command line\n");
	fputs("#   ", out);
	if (view->chap_user)
		fputs("-object secret,id=chap,file=chap.secret ", out);
	fputs("-blockdev ", out);
	blockdev(out, view);
	fprintf(out, ",node-name=%s,cache.direct=on", view->volume);
	read_only(out, view);
	fprintf(out, " -device virtio-blk-pci,drive=%s\n", view->volume);
}

/* -- libvirt ---------------------------------------------------------------- */

static void libvirt_source(FILE *out, const struct connect_view *view)
{
	fputs("  <source protocol='iscsi' name='", out);
	quote_xml(out, view->target);
	fprintf(out, "/%u'>\n    <host name='%s' port='%u'/>\n",
		connect_host_lun(view), view->portal[0].address,
		(unsigned)view->portal[0].port);
	if (view->chap_user) {
		fputs("    <auth username='", out);
		quote_xml(out, view->chap_user);
		fprintf(out,
			"'><secret type='iscsi' usage='cairn-%s'/></auth>\n",
			view->volume);
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
	if (view->chap_user)
		fprintf(out,
			"<!-- once, for the CHAP secret of this host:\n"
			"  virsh secret-define secret.xml, where secret.xml "
			"is\n"
			"    <secret ephemeral='no' private='yes'>\n"
			"      <usage type='iscsi'><target>cairn-%s</target>"
			"</usage>\n"
			"    </secret>\n"
			"  virsh secret-set-value UUID --interactive -->\n",
			view->volume);
	fprintf(out,
		"<!-- virsh attach-device DOMAIN disk.xml --persistent, where "
		"disk.xml is -->\n"
		"<disk type='network' device='disk'>\n"
		"  <driver name='qemu' type='raw' cache='none' io='native'"
		" discard='unmap'/>\n");
	libvirt_source(out, view);
	if (view->read_only)
		fputs("  <readonly/>\n", out);
	fputs("  <target dev='sdb' bus='scsi'/>\n</disk>\n", out);
}
