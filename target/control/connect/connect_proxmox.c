/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text for Proxmox VE, whose storage "iscsi" drives open-iscsi: it asks a portal
 * for its targets, then logs in to all records of the target.
 *
 * Invariants
 *  1. Records with CHAP are there before the storage is: its own question to the
 *     portal proves nothing and is refused, which leaves the records as they are.
 *  2. No node is told to take another's initiator name: two nodes of one name are
 *     one host to us.
 *  3. Names of storages and volume groups begin with a letter and end with a letter
 *     or digit (PVE::JSONSchema's pve-storage-id).
 */
#include "blockcore/base/shell.h"
#include "target/control/connect/connect_iscsiadm.h"
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

static void nodes(FILE *out, const struct connect_view *view)
{
	if (!view->initiator)
		return;
	say(out,
		"each node has an initiator name of its own; the host entry "
		"must have all of them\n");
	fputs("cat /etc/iscsi/initiatorname.iscsi\n", out);
	say(out, "  with us: cairn host set %s --iqn NAME,NAME\n\n",
		view->host);
}

static void storage(FILE *out, const struct connect_view *view)
{
	say(out, "on one node: the storage, for the whole cluster\n");
	if (view->chap_user)
		say(out,
			"(it asks the portal without CHAP as well: that this "
			"is refused does not matter)\n");
	fputs("pvesm add iscsi ", out);
	connect_print_name(out, view);
	fputs(" --portal ", out);
	quote_portal_word(out, view->portal[0].address, view->portal[0].port);
	fputs(" --target ", out);
	shell_print_word(out, view->target);
	fputs(" --content none\n\n", out);
}

static void volume_group(FILE *out, const struct connect_view *view)
{
	say(out,
		"there too, once: a volume group for the disks of guests (this "
		"destroys what is there)\n");
	fputs("vgcreate ", out);
	connect_print_name(out, view);
	fputc(' ', out);
	iscsiadm_print_disk(out, view);
	fputs("\npvesm add lvm ", out);
	connect_print_name(out, view);
	fputs("-lvm --vgname ", out);
	connect_print_name(out, view);
	fputs(" --shared 1 --content images,rootdir\n", out);
}

void connect_print_proxmox(FILE *out, const struct connect_view *view)
{
	if (view->initiator || view->chap_user || view->portals > 1)
		say(out, "on every node of the cluster, as root\n");
	nodes(out, view);
	if (view->chap_user)
		iscsiadm_print_chap(out, view);
	if (view->portals > 1)
		fputs("apt-get install multipath-tools\n\n", out);
	storage(out, view);
	iscsiadm_print_wait(out, view);
	if (view->portals > 1)
		say(out,
			"several ways to one disk: multipath -ll must show it "
			"before it is used\n");
	if (view->read_only)
		say(out,
			"the disk is read-only: no volume group can be made on "
			"it\n");
	else
		volume_group(out, view);
}
