/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text for open-iscsi, the kernel's initiator on Linux, and the parts of it that
 * others use (connect_iscsiadm.h).
 *
 * Invariants
 *  1. Node records are made by hand where CHAP is asked for: discovery would have
 *     to prove itself with settings of the whole machine (iscsid.conf).
 *  2. Everything names the portal: a record changed without one "works until the
 *     next start".
 */
#include "blockcore/base/shell.h"
#include "target/control/connect/connect_iscsiadm.h"
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

#include <string.h>

/* "iscsiadm -m node -T TARGET -p PORTAL" and the rest of the line. */
static void node(FILE *out, const struct connect_view *view,
	const struct connect_portal *portal, const char *rest)
{
	fputs("iscsiadm -m node -T ", out);
	shell_print_word(out, view->target);
	fputs(" -p ", out);
	quote_portal_word(out, portal->address, portal->port);
	fprintf(out, " %s\n", rest);
}

static void every_node(
	FILE *out, const struct connect_view *view, const char *rest)
{
	for (unsigned i = 0; i < view->portals; i++)
		node(out, view, &view->portal[i], rest);
}

/* -- before the first login ------------------------------------------------- */

static void initiator_name(FILE *out, const struct connect_view *view)
{
	if (!view->initiator)
		return;
	say(out, "this host is known to us by its initiator name\n");
	fputs("printf 'InitiatorName=%s\\n' ", out);
	shell_print_word(out, view->initiator);
	fputs(" > /etc/iscsi/initiatorname.iscsi\n"
	      "systemctl restart iscsid\n\n",
		out);
}

/* One setting of all node records; `value` is for the shell. */
static void setting(FILE *out, const struct connect_view *view,
	const char *name, const char *value)
{
	char rest[640];
	snprintf(rest, sizeof rest, "-o update -n %s -v %s", name, value);
	every_node(out, view, rest);
}

static void setting_text(FILE *out, const struct connect_view *view,
	const char *name, const char *text)
{
	char quoted[520] = "";
	FILE *to = fmemopen(quoted, sizeof quoted - 1, "w");
	if (!to)
		return;
	shell_print_word(to, text);
	fclose(to);
	setting(out, view, name, quoted);
}

void iscsiadm_print_chap(FILE *out, const struct connect_view *view)
{
	say(out, "a record for each way to the target\n");
	every_node(out, view, "-o new");
	fputc('\n', out);
	say(out,
		"what this host proves itself with; the secret is asked for\n");
	fputs("read -rsp 'CHAP secret of this host: ' SECRET\n", out);
	setting(out, view, "node.session.auth.authmethod", "CHAP");
	setting_text(out, view, "node.session.auth.username", view->chap_user);
	setting(out, view, "node.session.auth.password", "\"$SECRET\"");
	if (view->mutual_user) {
		fputs("read -rsp 'CHAP secret of the target: ' SECRET\n", out);
		setting_text(out, view, "node.session.auth.username_in",
			view->mutual_user);
		setting(out, view, "node.session.auth.password_in",
			"\"$SECRET\"");
	}
	fputs("unset SECRET\n\n", out);
}

static void records(FILE *out, const struct connect_view *view)
{
	if (view->chap_user) {
		iscsiadm_print_chap(out, view);
		return;
	}
	say(out, "ask the target what there is for this host\n");
	fputs("iscsiadm -m discovery -t sendtargets -p ", out);
	quote_portal_word(out, view->portal[0].address, view->portal[0].port);
	fputs("\n\n", out);
}

/* -- the disk --------------------------------------------------------------- */

void iscsiadm_print_disk(FILE *out, const struct connect_view *view)
{
	fputs("/dev/disk/by-id/wwn-0x", out);
	connect_print_naa(out, view);
}

void iscsiadm_print_wait(FILE *out, const struct connect_view *view)
{
	say(out, "the disk, under a name that does not change\n");
	/* The kernel looks for disks after the login has ended: settle alone may
	 * find nothing to wait for. Older systemd has no wait. */
	fputs("udevadm wait --timeout=30 ", out);
	iscsiadm_print_disk(out, view);
	fputs(" || udevadm settle\nls -l ", out);
	iscsiadm_print_disk(out, view);
	fputs("\n\n", out);
}

static void use_disk(FILE *out, const struct connect_view *view)
{
	iscsiadm_print_wait(out, view);
	if (view->portals > 1)
		say(out,
			"several ways to one disk: install multipath-tools, "
			"then "
			"see it with multipath -ll\n\n");
	if (!view->read_only) {
		say(out,
			"a file system, once (this destroys what is there): "
			"mkfs.ext4 ");
		iscsiadm_print_disk(out, view);
		fputc('\n', out);
	}
	say(out, "in /etc/fstab: ");
	iscsiadm_print_disk(out, view);
	fprintf(out, " /mnt/%s ext4 _netdev,%s 0 %d\n", view->volume,
		view->read_only ? "ro" : "defaults", view->read_only ? 0 : 2);
}

void connect_print_linux(FILE *out, const struct connect_view *view)
{
	say(out, "as root; Debian and Ubuntu: apt-get install open-iscsi\n\n");
	initiator_name(out, view);
	records(out, view);
	say(out, "connect, now and at every start\n");
	setting(out, view, "node.startup", "automatic");
	every_node(out, view, "--login");
	fputc('\n', out);
	use_disk(out, view);
	fputc('\n', out);
	say(out, "to part again, after umount:\n");
	for (unsigned i = 0; i < view->portals; i++) {
		fputs("#   ", out);
		node(out, view, &view->portal[i], "--logout");
	}
}
