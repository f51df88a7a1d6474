/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts for Windows, VMware ESXi and Kubernetes.
 */
#include "blockcore/base/doc.h"
#include "blockcore/base/shell.h"
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

#include <ctype.h>

/* -- Windows ---------------------------------------------------------------- */

static void windows_names(FILE *out, const struct connect_view *view)
{
	if (!view->initiator)
		return;
	say(out, "this host is known to us by its initiator name\n");
	fputs("Set-InitiatorPort -NodeAddress (Get-InitiatorPort | "
	      "Where-Object ConnectionType -eq iSCSI).NodeAddress "
	      "-NewNodeAddress ",
		out);
	quote_powershell(out, view->initiator);
	fputs("\n\n", out);
}

static void windows_secrets(FILE *out, const struct connect_view *view)
{
	if (!view->chap_user)
		return;
	say(out, "the secrets are asked for; Windows takes 12 to 16 bytes\n");
	fputs("$secret = Read-Host 'CHAP secret of this host'\n", out);
	if (view->mutual_user)
		fputs("Set-IscsiChapSecret -ChapSecret (Read-Host 'CHAP secret "
		      "of the target')\n",
			out);
	fputc('\n', out);
}

static void windows_portal(FILE *out, const struct connect_view *view,
	const struct connect_portal *portal)
{
	fputs("New-IscsiTargetPortal -TargetPortalAddress ", out);
	quote_powershell(out, portal->address);
	fprintf(out, " -TargetPortalPortNumber %u", (unsigned)portal->port);
	if (view->chap_user) {
		fprintf(out, " -AuthenticationType %s -ChapUsername ",
			view->mutual_user ? "MUTUALCHAP" : "ONEWAYCHAP");
		quote_powershell(out, view->chap_user);
		fputs(" -ChapSecret $secret", out);
	}
	fputc('\n', out);
}

static void windows_connect(FILE *out, const struct connect_view *view,
	const struct connect_portal *portal)
{
	fputs("Connect-IscsiTarget -NodeAddress ", out);
	quote_powershell(out, view->target);
	fputs(" -TargetPortalAddress ", out);
	quote_powershell(out, portal->address);
	fprintf(out, " -TargetPortalPortNumber %u -IsPersistent $true",
		(unsigned)portal->port);
	if (view->portals > 1)
		fputs(" -IsMultipathEnabled $true", out);
	if (view->chap_user) {
		fprintf(out, " -AuthenticationType %s -ChapUsername ",
			view->mutual_user ? "MUTUALCHAP" : "ONEWAYCHAP");
		quote_powershell(out, view->chap_user);
		fputs(" -ChapSecret $secret", out);
	}
	fputc('\n', out);
}

void connect_print_windows(FILE *out, const struct connect_view *view)
{
	say(out, "in PowerShell, as administrator\n");
	fputs("Set-Service MSiSCSI -StartupType Automatic\n"
	      "Start-Service MSiSCSI\n\n",
		out);
	windows_names(out, view);
	windows_secrets(out, view);
	if (view->portals > 1)
		fputs("Install-WindowsFeature Multipath-IO\n"
		      "Enable-MSDSMAutomaticClaim -BusType iSCSI\n\n",
			out);
	for (unsigned i = 0; i < view->portals; i++)
		windows_portal(out, view, &view->portal[i]);
	for (unsigned i = 0; i < view->portals; i++)
		windows_connect(out, view, &view->portal[i]);
	fputc('\n', out);
	say(out, "the disk\n");
	fputs("Get-Disk | Where-Object UniqueId -eq '", out);
	connect_print_naa(out, view);
	fputs("'\n", out);
	if (!view->read_only) {
		say(out,
			"a file system, once (this destroys what is there): "
			"pipe "
			"the disk into\n");
		say(out,
			"  Initialize-Disk -PartitionStyle GPT -PassThru | "
			"New-Partition -UseMaximumSize -AssignDriveLetter | "
			"Format-Volume -FileSystem NTFS\n");
	}
}

/* -- ESXi ------------------------------------------------------------------- */

static void esxi_chap(FILE *out, const char *direction, const char *user)
{
	fprintf(out,
		"read -rsp 'CHAP secret (%s): ' SECRET\n"
		"esxcli iscsi adapter auth chap set --adapter=$HBA "
		"--direction=%s --level=required --authname=",
		direction, direction);
	shell_print_word(out, user);
	fputs(" --secret=\"$SECRET\"\n", out);
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
		quote_portal(
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
}

/* -- Kubernetes ------------------------------------------------------------- */

/* Names there are labels of DNS (RFC 1123 2.1): no capitals, '_' or '.'. */
static void kubernetes_name(FILE *out, const struct connect_view *view)
{
	fputs("cairn-", out);
	for (const char *p = view->volume; *p; p++)
		fputc(isalnum((unsigned char)*p) ? tolower((unsigned char)*p)
						 : '-',
			out);
}

static void portal_item(FILE *out, const struct connect_portal *portal)
{
	fputc('"', out);
	quote_portal(out, portal->address, portal->port);
	fputc('"', out);
}

static void kubernetes_secret(FILE *out, const struct connect_view *view)
{
	if (!view->chap_user)
		return;
	say(out, "the CHAP secrets; put them in before you apply it\n");
	fputs("apiVersion: v1\nkind: Secret\nmetadata: {name: ", out);
	kubernetes_name(out, view);
	fputs("}\ntype: kubernetes.io/iscsi-chap\nstringData:\n"
	      "  node.session.auth.username: ",
		out);
	json_print_string(out, view->chap_user);
	fputs("\n  node.session.auth.password: \"\"   # of this host\n", out);
	if (view->mutual_user) {
		fputs("  node.session.auth.username_in: ", out);
		json_print_string(out, view->mutual_user);
		fputs("\n  node.session.auth.password_in: \"\"   # of the "
		      "target\n",
			out);
	}
	fputs("---\n", out);
}

static void kubernetes_source(FILE *out, const struct connect_view *view)
{
	fputs("  iscsi:\n    targetPortal: ", out);
	portal_item(out, &view->portal[0]);
	fputc('\n', out);
	for (unsigned i = 1; i < view->portals; i++) {
		fputs(i == 1 ? "    portals: [" : ", ", out);
		portal_item(out, &view->portal[i]);
	}
	if (view->portals > 1)
		fputs("]\n", out);
	fputs("    iqn: ", out);
	json_print_string(out, view->target);
	fprintf(out, "\n    lun: %u\n    fsType: ext4\n    readOnly: %s\n",
		connect_host_lun(view), view->read_only ? "true" : "false");
	if (view->initiator) {
		fputs("    initiatorName: ", out);
		json_print_string(out, view->initiator);
		fputc('\n', out);
	}
	if (!view->chap_user)
		return;
	fputs("    chapAuthSession: true\n    secretRef: {name: ", out);
	kubernetes_name(out, view);
	fputs("}\n", out);
}

void connect_print_kubernetes(FILE *out, const struct connect_view *view)
{
	say(out, "kubectl apply -f FILE; every node needs open-iscsi\n");
	kubernetes_secret(out, view);
	fputs("apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: ", out);
	kubernetes_name(out, view);
	fprintf(out,
		"}\nspec:\n"
		"  capacity: {storage: %lluMi}\n"
		"  accessModes: [%s]\n"
		"  persistentVolumeReclaimPolicy: Retain\n",
		(unsigned long long)(view->size_bytes >> 20),
		view->read_only ? "ReadOnlyMany" : "ReadWriteOnce");
	kubernetes_source(out, view);
}
