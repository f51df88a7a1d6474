/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text for VMware ESXi: its shell (busybox) and esxcli. CHAP of the target
 * (mutual) is accepted only where CHAP of the host is required, and after it.
 */
#include "blockcore/base/shell.h"
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

static void esxi_chap(FILE *out, const char *direction, const char *user)
{
	fprintf(out,
		"read -rsp 'CHAP secret (%s): ' SECRET\n"
		"esxcli iscsi adapter auth chap set --adapter=$HBA "
		"--direction=%s --level=required --authname=",
		direction, direction);
	shell_print_word(out, user);
	fputs(" --secret=\"$SECRET\"\nunset SECRET\n", out);
}

void connect_print_esxi(FILE *out, const struct connect_view *view)
{
	say(out, "in the shell of the ESXi host; the software adapter first\n");
	fputs("esxcli iscsi software set --enabled=true\n"
	      "HBA=$(esxcli iscsi adapter list | awk '/iscsi_vmk/ {print $1; "
	      "exit}')\n",
		out);
	if (view->initiator) {
		fputs("esxcli iscsi adapter set --adapter=$HBA --name=", out);
		shell_print_word(out, view->initiator);
		fputc('\n', out);
	}
	if (view->chap_user)
		esxi_chap(out, "uni", view->chap_user);
	if (view->mutual_user)
		esxi_chap(out, "mutual", view->mutual_user);
	for (unsigned i = 0; i < view->portals; i++) {
		fputs("esxcli iscsi adapter discovery sendtarget add "
		      "--adapter=$HBA --address=",
			out);
		quote_portal_word(
			out, view->portal[i].address, view->portal[i].port);
		fputc('\n', out);
	}
	fputs("esxcli storage core adapter rescan --adapter=$HBA\n\n", out);
	say(out,
		"the disk; make a datastore on it in the client (blocks of 512 "
		"bytes: ESXi takes no others over iSCSI)\n");
	fputs("esxcli storage core device list --device=naa.", out);
	connect_print_naa(out, view);
	fputc('\n', out);
	if (view->portals < 2)
		return;
	say(out, "several ways to it: use all of them\n");
	fputs("esxcli storage nmp device set --psp=VMW_PSP_RR --device=naa.",
		out);
	connect_print_naa(out, view);
	fputc('\n', out);
}
