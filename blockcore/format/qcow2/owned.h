/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: how much of the file each snapshot holds alone, which is what deleting it would
 * give back, and how much it shares with others.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_OWNED_H
#define BLOCKCORE_FORMAT_QCOW2_OWNED_H

#include "blockcore/format/qcow2/qcow2.h"

/* "snapshots": [{"id": "1", "name": "monday", "seconds": n, "nanoseconds": n (when it was
 * made), "owned_bytes": n, "shared_bytes": n}]: of a moment, beside hosts, who wait for nothing. Reads each L2 table of a snapshot
 * once. -EAGAIN: a snapshot was made or deleted meanwhile, so this is worth nothing;
 * -EIO with a text: tables do not lie where they can. In a coroutine at home. */
int qcow2_owned_print_co(struct qcow2 *image, FILE *out, struct err *err);

#endif
