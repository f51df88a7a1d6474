/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts themselves, one function for each row of connect_systems.
 */
#ifndef TARGET_CONTROL_CONNECT_CONNECT_PRINT_H
#define TARGET_CONTROL_CONNECT_CONNECT_PRINT_H

#include "target/control/connect/connect.h"

void connect_print_linux(FILE *out, const struct connect_view *view);
void connect_print_proxmox(FILE *out, const struct connect_view *view);
void connect_print_windows(FILE *out, const struct connect_view *view);
void connect_print_esxi(FILE *out, const struct connect_view *view);
void connect_print_kubernetes(FILE *out, const struct connect_view *view);
void connect_print_qemu(FILE *out, const struct connect_view *view);
void connect_print_libvirt(FILE *out, const struct connect_view *view);

/* The LUN as Linux and libiscsi number what REPORT LUNS says: flat addressing (SAM-5
 * 4.7.7.3), which we use from 256 on, sets a bit that they keep. */
unsigned connect_host_lun(const struct connect_view *view);
/* "3..." in 16 hex digits: the name of the disk under /dev/disk/by-id/wwn-0x. */
void connect_print_naa(FILE *out, const struct connect_view *view);
/* "cairn-" and the volume's name, which ends as names elsewhere must: in a letter or
 * a digit. */
void connect_print_name(FILE *out, const struct connect_view *view);
/* A line of comment: what every language here begins one with. */
#define say(out, ...) fprintf(out, "# " __VA_ARGS__)

#endif
