/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text for Kubernetes: a PersistentVolume with the claim for it, and the Secret
 * if the host proves itself.
 *
 * Invariants
 *  1. What the API server checks holds (core/validation, iscsi): names are labels
 *     of DNS, an initiator name only of its form and where volume and portal leave
 *     room for the interface that is named after both.
 *  2. kubelet asks every portal for its targets before it logs in: CHAP is there in
 *     both.
 *  3. The secret is looked for in the namespace of the claim.
 */
#include "blockcore/base/doc.h"
#include "target/control/connect/connect_print.h"
#include "target/control/connect/connect_quote.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Of the interface that kubelet makes: VOLUME:PORTAL. */
#define MAX_INTERFACE 64u

/* Names there are labels of DNS (RFC 1123 2.1): no capitals, '_' or '.'. To be
 * freed. */
static char *make_name(const struct connect_view *view)
{
	char *name = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&name, &bytes);
	if (!to)
		return NULL;
	connect_print_name(to, view);
	if (fclose(to))
		return name;
	for (char *p = name; *p; p++)
		*p = (char)(isalnum((unsigned char)*p)
				? tolower((unsigned char)*p)
				: '-');
	return name;
}

static void portal_item(FILE *out, const struct connect_portal *portal)
{
	fputc('"', out);
	quote_portal(out, portal->address, portal->port);
	fputc('"', out);
}

/* -- the secret ------------------------------------------------------------- */

static void chap_keys(
	FILE *out, const char *of, const char *in, const char *user)
{
	fprintf(out, "  %s.auth.username%s: ", of, in);
	json_print_string(out, user);
	fprintf(out, "\n  %s.auth.password%s: \"\"   # of %s\n", of, in,
		*in ? "the target" : "this host");
}

static void secret(FILE *out, const struct connect_view *view, const char *name)
{
	static const char *const of[] = {
		"node.session", "discovery.sendtargets"};
	if (!view->chap_user)
		return;
	say(out,
		"the CHAP secrets: put them in, both times, before you apply "
		"it; in the namespace of the claim\n");
	fprintf(out,
		"apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\n"
		"type: kubernetes.io/iscsi-chap\nstringData:\n",
		name);
	for (unsigned i = 0; i < 2; i++) {
		chap_keys(out, of[i], "", view->chap_user);
		if (view->mutual_user)
			chap_keys(out, of[i], "_in", view->mutual_user);
	}
	fputs("---\n", out);
}

/* -- the volume ------------------------------------------------------------- */

static const char *access_mode(const struct connect_view *view)
{
	return view->read_only ? "ReadOnlyMany" : "ReadWriteOnce";
}

/* iqn.YYYY-MM.DOMAIN:REST, the form that the API server takes. */
static bool is_full_iqn(const char *name)
{
	return !strncmp(name, "iqn.", 4) && strchr(name, ':') &&
		!strpbrk(name, ",;*&$| ");
}

static void initiator(
	FILE *out, const struct connect_view *view, const char *name)
{
	char portal[QUOTE_PORTAL_BYTES];
	if (!view->initiator)
		return;
	quote_portal_text(
		portal, view->portal[0].address, view->portal[0].port);
	if (!view->read_only && is_full_iqn(view->initiator) &&
		strlen(name) + 1 + strlen(portal) <= MAX_INTERFACE) {
		fputs("    initiatorName: ", out);
		json_print_string(out, view->initiator);
		fputc('\n', out);
		return;
	}
	fprintf(out,
		"    # nodes log in by their own names, which the host entry "
		"must have:\n"
		"    #   cairn host set %s --iqn NAME,NAME\n",
		view->host);
}

static void iscsi(FILE *out, const struct connect_view *view, const char *name)
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
	initiator(out, view, name);
	if (view->chap_user)
		fprintf(out,
			"    chapAuthDiscovery: true\n"
			"    chapAuthSession: true\n"
			"    secretRef: {name: %s}\n",
			name);
}

/* Quantities of Kubernetes: Mi where it comes out even. */
static void size(FILE *out, const struct connect_view *view)
{
	bool even = !(view->size_bytes & 0xfffff);
	fprintf(out, "{storage: %llu%s}\n",
		(unsigned long long)(even ? view->size_bytes >> 20
					  : view->size_bytes),
		even ? "Mi" : "");
}

static void volume(FILE *out, const struct connect_view *view, const char *name)
{
	fprintf(out,
		"apiVersion: v1\nkind: PersistentVolume\n"
		"metadata: {name: %s}\nspec:\n  capacity: ",
		name);
	size(out, view);
	fprintf(out,
		"  accessModes: [%s]\n"
		"  persistentVolumeReclaimPolicy: Retain\n"
		"  storageClassName: \"\"\n",
		access_mode(view));
	iscsi(out, view, name);
}

static void claim(FILE *out, const struct connect_view *view, const char *name)
{
	say(out, "what a pod names: persistentVolumeClaim: {claimName: %s}\n",
		name);
	fprintf(out,
		"apiVersion: v1\nkind: PersistentVolumeClaim\n"
		"metadata: {name: %s}\nspec:\n"
		"  storageClassName: \"\"\n  volumeName: %s\n"
		"  accessModes: [%s]\n  resources:\n    requests: ",
		name, name, access_mode(view));
	size(out, view);
}

void connect_print_kubernetes(FILE *out, const struct connect_view *view)
{
	char *name = make_name(view);
	if (!name)
		return;
	say(out, "kubectl apply -f FILE; every node needs open-iscsi%s\n",
		view->portals > 1 ? " and multipath-tools" : "");
	secret(out, view, name);
	volume(out, view, name);
	fputs("---\n", out);
	claim(out, view, name);
	free(name);
}
