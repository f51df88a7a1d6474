/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TransportIDs of iSCSI initiator ports (SPC-4 7.6.4.6).
 */
#ifndef TARGET_SCSI_TRANSPORT_ID_H
#define TARGET_SCSI_TRANSPORT_ID_H

#include "target/volume/volume.h"

/* Bytes written at `to`, which has room for TRANSPORT_ID_BYTES. */
#define TRANSPORT_ID_BYTES 280u
uint32_t transport_id_put(const char *port, uint8_t *to);

/* Reads the one at `from` (at most `bytes`) into `port`, as logins write it:
 * folded, "name,i,0x" and twelve hex digits. Returns its length, 0 if it is none
 * of an iSCSI port. */
uint32_t transport_id_get(
	const uint8_t *from, uint32_t bytes, char *port, size_t room);

#endif
