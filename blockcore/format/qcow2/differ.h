/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: where what an image shows now, or showed in a snapshot, may differ from what it
 * showed in another one: found in the tables, no data is read.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_DIFFER_H
#define BLOCKCORE_FORMAT_QCOW2_DIFFER_H

#include "blockcore/format/qcow2/qcow2.h"

#define QCOW2_DIFFER_EXTENTS_MOST 4096u /* of an answer */

/* `arguments` (may be NULL): {from: SNAPSHOT, to: SNAPSHOT, offset: BYTES, extents: N}.
 * Without `to` what is shown now. Without `from` all that is the image's own: what of it
 * shows its backing file is left out.
 *
 *	"size_bytes": n, "extents": [{"offset": n, "length": n, "kind": "data"}], "next": n
 *
 * size_bytes is that of `to`. A kind is what is there in `to`: data, zeroes (reads as
 * such), backing (shown from below). What is not in the list is the same; what is may
 * be so, if the same was written again. In ascending order; neighbours of one kind are
 * one extent. next: where to go on, null: that was all. One answer takes a bounded time,
 * during which no snapshot comes or goes.
 *
 * -ENOENT: there is no such snapshot; -EINVAL with a text. In a coroutine at home. */
int qcow2_differ_print_co(struct qcow2 *image, const struct doc *arguments,
	FILE *out, struct err *err);
/* 0: they are arguments of that; else -EINVAL with a text. */
int qcow2_differ_check(const struct doc *arguments, struct err *err);

#endif
