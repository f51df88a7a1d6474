/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text for Windows: PowerShell's modules iSCSI, Storage and MPIO.
 *
 * Invariants
 *  1. A secret is not seen while it is typed, and asked for once.
 *  2. Of two secrets -ChapSecret is the one of this host; what the target proves
 *     itself with is the initiator's own setting (Set-IscsiChapSecret).
 */
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

static void names(FILE *out, const struct connect_view *view)
{
	if (!view->initiator)
		return;
	say(out, "this host is known to us by its initiator name\n");
	fputs("Set-InitiatorPort -NodeAddress (Get-InitiatorPort | "
	      "Where-Object ConnectionType -eq iSCSI | Select-Object -First 1)"
	      ".NodeAddress -NewNodeAddress ",
		out);
	quote_powershell(out, view->initiator);
	fputs("\n\n", out);
}

static void ask(FILE *out, const char *variable, const char *whose)
{
	fprintf(out,
		"$%s = [Net.NetworkCredential]::new('', (Read-Host "
		"'CHAP secret of %s' -AsSecureString)).Password\n",
		variable, whose);
}

static void secrets(FILE *out, const struct connect_view *view)
{
	if (!view->chap_user)
		return;
	say(out, "the secrets are asked for; Windows takes 12 to 16 bytes\n");
	ask(out, "secret", "this host");
	if (view->mutual_user) {
		ask(out, "theirs", "the target");
		fputs("Set-IscsiChapSecret -ChapSecret $theirs\n", out);
	}
	fputc('\n', out);
}

static void multipath(FILE *out, const struct connect_view *view)
{
	if (view->portals < 2)
		return;
	say(out,
		"several ways to one disk, on Windows Server; restart it where "
		"it says that it has to be\n");
	fputs("Install-WindowsFeature Multipath-IO\n"
	      "Enable-MSDSMAutomaticClaim -BusType iSCSI\n\n",
		out);
}

static void chap(FILE *out, const struct connect_view *view)
{
	if (view->chap_user) {
		fprintf(out, " -AuthenticationType %s -ChapUsername ",
			view->mutual_user ? "MUTUALCHAP" : "ONEWAYCHAP");
		quote_powershell(out, view->chap_user);
		fputs(" -ChapSecret $secret", out);
	}
	fputc('\n', out);
}

static void portal(FILE *out, const struct connect_portal *portal)
{
	fputs(" -TargetPortalAddress ", out);
	quote_powershell(out, portal->address);
	fprintf(out, " -TargetPortalPortNumber %u", (unsigned)portal->port);
}

static void ways(FILE *out, const struct connect_view *view)
{
	for (unsigned i = 0; i < view->portals; i++) {
		fputs("New-IscsiTargetPortal", out);
		portal(out, &view->portal[i]);
		chap(out, view);
	}
	for (unsigned i = 0; i < view->portals; i++) {
		fputs("Connect-IscsiTarget -NodeAddress ", out);
		quote_powershell(out, view->target);
		portal(out, &view->portal[i]);
		fputs(" -IsPersistent $true", out);
		if (view->portals > 1)
			fputs(" -IsMultipathEnabled $true", out);
		chap(out, view);
	}
	fputc('\n', out);
}

static void disk(FILE *out, const struct connect_view *view)
{
	say(out, "the disk; Windows Server leaves new ones offline\n");
	fputs("Update-HostStorageCache\n"
	      "$disk = Get-Disk | Where-Object UniqueId -eq '",
		out);
	connect_print_naa(out, view);
	fputs("'\n$disk | Set-Disk -IsOffline $false\n", out);
	if (!view->read_only)
		fputs("$disk | Set-Disk -IsReadOnly $false\n", out);
	fputs("$disk\n", out);
	if (view->read_only)
		return;
	say(out, "a file system, once (this destroys what is there):\n");
	say(out,
		"  $disk | Initialize-Disk -PartitionStyle GPT -PassThru | "
		"New-Partition -UseMaximumSize -AssignDriveLetter | "
		"Format-Volume -FileSystem NTFS\n");
}

void connect_print_windows(FILE *out, const struct connect_view *view)
{
	say(out, "in PowerShell, as administrator\n");
	fputs("Set-Service MSiSCSI -StartupType Automatic\n"
	      "Start-Service MSiSCSI\n\n",
		out);
	names(out, view);
	multipath(out, view);
	secrets(out, view);
	ways(out, view);
	disk(out, view);
}
