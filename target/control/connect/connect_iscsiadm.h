/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of the text for open-iscsi that the text for Proxmox VE uses too: it has the
 * same initiator below. In connect_linux.c.
 */
#ifndef TARGET_CONTROL_CONNECT_CONNECT_ISCSIADM_H
#define TARGET_CONTROL_CONNECT_CONNECT_ISCSIADM_H

#include "target/control/connect/connect.h"

/* Records of the target's portals, and what the host proves itself with there; only
 * where the view has CHAP. */
void iscsiadm_print_chap(FILE *out, const struct connect_view *view);
/* The path of the disk: a word of a shell. */
void iscsiadm_print_disk(FILE *out, const struct connect_view *view);
/* Lines that wait for the disk after the login, and show it. */
void iscsiadm_print_wait(FILE *out, const struct connect_view *view);

#endif
