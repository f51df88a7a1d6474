/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: new images, other sizes, and images that come to stand by themselves.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_CREATE_H
#define BLOCKCORE_FORMAT_QCOW2_CREATE_H

#include "blockcore/format/qcow2/qcow2.h"

/* The largest size that an image can have: what its first table can reach. */
static inline uint64_t qcow2_most_bytes(const struct qcow2_geometry *g)
{
	return (uint64_t)(QCOW2_L1_BYTES_MAX / 8)
		<< (g->l2_bits + g->cluster_bits);
}

/* An image as the options say, in a file that holds nothing. */
int qcow2_create_co(struct block_core *core, struct block_source *file,
	const struct qcow2_options *options, uint64_t size_bytes,
	struct err *err);
/* It holds nothing, or an image that was not made to its end. */
bool qcow2_create_is_empty_co(
	struct block_core *core, struct block_source *file);
/* A new image that nobody wants after all: it is empty again. Closed before. */
int qcow2_create_undo_co(struct block_core *core, struct block_source *file);
/* How many clusters it has: nothing was written behind them. */
uint64_t qcow2_create_clusters(const struct qcow2_header *header);
/* What option preallocation says, in a new image. */
int qcow2_create_fill_co(struct qcow2 *image, struct err *err);
/* block_format_kind's. */
int qcow2_create_measure(const void *options, uint64_t size_bytes,
	struct format_measure *measure, struct err *err);
/* Clusters in a row, for a table. */
int qcow2_resize_take_row_co(
	struct qcow2 *image, uint64_t clusters, uint64_t *offset);
int qcow2_resize_co(struct qcow2 *image, uint64_t bytes, struct err *err);
/* backing.c: see struct block_format_kind. */
int qcow2_backing_free(struct block_format *format, struct err *err);
int qcow2_backing_drop_co(
	struct block_format *format, bool drop, struct err *err);
void qcow2_backing_reach(
	struct block_format *format, struct block_source *coming);
int qcow2_backing_swap_co(struct block_format *format, struct block_source *to,
	struct format_name *name, struct err *err);
int qcow2_backing_name_co(struct block_format *format, const char *name,
	const char *type, struct err *err);
int qcow2_backing_leave_co(/* leave.c */
	struct block_format *format, uint64_t offset, uint64_t bytes);

#endif
