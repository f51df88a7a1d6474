/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: clusters to be given out, reserved ahead (pool.c). At home.
 */
#ifndef BLOCKCORE_FORMAT_QCOW2_GRANT_H
#define BLOCKCORE_FORMAT_QCOW2_GRANT_H

#include "blockcore/base/co.h"

struct qcow2;

struct qcow2_pool {
	uint64_t next, end; /* bytes: what is left of the run */
	bool zeroes; /* it holds nothing else; see struct qcow2_grant */
	uint64_t hint; /* host cluster where to look for free ones */
	uint64_t run_clusters; /* of the next run */
	/* Free host clusters from here on were never in use, and held zeroes when
	 * the image was made (option `zeroed`); UINT64_MAX: none. */
	uint64_t untouched;
	struct co_mutex refill;
};

/* Clusters in a row whose refcount is 1. `zeroes`: they read as zeroes, and after
 * a power cut, too, once the epoch that is open now has been committed. */
struct qcow2_grant {
	uint64_t offset, clusters;
	bool zeroes;
};

void qcow2_pool_init(struct qcow2 *image);
/* Up to `want` clusters. */
int qcow2_pool_take_co(
	struct qcow2 *image, uint64_t want, struct qcow2_grant *grant);
/* It has some, or some that are free lie before the end of the file, perhaps. */
bool qcow2_pool_may_have(const struct qcow2 *image);
/* Makes them free: what is left, at the end. */
int qcow2_pool_return_co(struct qcow2 *image);
/* The file is at least this long. */
int qcow2_pool_extend_co(struct qcow2 *image, uint64_t bytes);

#endif
