/* SPDX-License-Identifier: Apache-2.0 */
/* The systems that there are texts for; see connect.h. */
#include "target/control/connect/connect_print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct connect_system connect_systems[] = {
	{"linux", "Linux, open-iscsi", "sh", connect_print_linux},
	{"windows", "Windows, PowerShell", "powershell", connect_print_windows},
	{"esxi", "VMware ESXi, esxcli", "sh", connect_print_esxi},
	{"qemu", "QEMU, its own initiator", "sh", connect_print_qemu},
	{"proxmox", "Proxmox VE, pvesm", "sh", connect_print_proxmox},
	{"kubernetes", "Kubernetes, PersistentVolume", "yaml",
		connect_print_kubernetes},
	{"libvirt", "libvirt, disk of a domain", "xml", connect_print_libvirt},
	{NULL, NULL, NULL, NULL},
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
