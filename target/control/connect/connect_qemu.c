/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text for QEMU, whose initiator (libiscsi) is in the process itself.
 */
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

/* "driver=iscsi,transport=tcp,..." as blockdevs and image options have it. */
static void blockdev(FILE *out, const struct connect_view *view)
{
	char portal[QUOTE_PORTAL_BYTES];
	quote_portal_text(
		portal, view->portal[0].address, view->portal[0].port);
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
