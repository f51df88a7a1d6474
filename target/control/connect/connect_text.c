/* SPDX-License-Identifier: Apache-2.0 */
/* The systems that there are texts for; see connect.h. */
#include "target/control/connect/connect_print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Windows: LUN 0 to 254, secrets of 12 to 16 bytes, MD5 (Storport; iSCSI Initiator
 * User's Guide). ESXi: Disk.MaxLUN, 1024 unless it was changed. Kubernetes: kubelet
 * looks for by-path/...-lun-N, which udev writes so below 256 only.
 */
const struct connect_system connect_systems[] = {
	{"linux", "Linux, open-iscsi", "sh", .print = connect_print_linux},
	{"windows", "Windows, PowerShell", "powershell", connect_print_windows,
		.luns = 255, .secret_bytes = 16, .md5_only = true},
	{"esxi", "VMware ESXi, esxcli", "sh", connect_print_esxi, .luns = 1024},
	{"qemu", "QEMU, its own initiator", "sh", .print = connect_print_qemu},
	{"proxmox", "Proxmox VE, pvesm", "sh", .print = connect_print_proxmox},
	{"kubernetes", "Kubernetes, PersistentVolume", "yaml",
		connect_print_kubernetes, .luns = 256},
	{"libvirt", "libvirt, disk of a domain", "sh",
		.print = connect_print_libvirt},
	{0},
};

int connect_find_system(
	const char *name, const struct connect_system **system, struct err *err)
{
	char names[128] = "";
	for (*system = connect_systems; (*system)->name; (*system)++) {
		if (!strcmp((*system)->name, name))
			return 0;
		snprintf(names + strlen(names), sizeof names - strlen(names),
			"%s%s", *names ? ", " : "", (*system)->name);
	}
	*system = NULL;
	return err_set(err, EINVAL,
		"\"%s\" is no system that there is a text "
		"for: choose one of %s",
		name, names);
}

unsigned connect_host_lun(const struct connect_view *view)
{
	return view->lun < 256 ? view->lun : 0x4000u + view->lun;
}

void connect_print_naa(FILE *out, const struct connect_view *view)
{
	for (int i = 0; i < 8; i++)
		fprintf(out, "%02x", view->naa[i]);
}

void connect_print_name(FILE *out, const struct connect_view *view)
{
	size_t bytes = strlen(view->volume);
	while (bytes && strchr("._-", view->volume[bytes - 1]))
		bytes--;
	fprintf(out, "cairn-%.*s", (int)bytes, view->volume);
}

char *connect_text(
	const struct connect_system *system, const struct connect_view *view)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	system->print(out, view);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}
