/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the listener verify (verify.c, verify_difference.c).
 */
#ifndef BLOCKCORE_LISTENER_VERIFY_H
#define BLOCKCORE_LISTENER_VERIFY_H

#include "blockcore/base/counter.h"
#include "blockcore/kind.h"

#include <pthread.h>
#include <stdatomic.h>

#define VERIFY_OPS 16u /* at work on a lane */
#define VERIFY_PIECE_BYTES (64u << 10)
#define VERIFY_LEGS (1u + BLOCK_OTHERS_MOST) /* 0: below */

enum verify_action { VERIFY_LOG, VERIFY_FAIL, VERIFY_STOP };

struct verify_options {
	const struct doc *others;
	int action;
};

/* What the first difference was. */
struct verify_difference {
	uint64_t offset_bytes;
	unsigned other;
	uint8_t op;
	int result[2]; /* here, there; equal: the bytes differ */
	uint8_t byte[2];
};

struct verify_driver {
	struct block_driver driver;
	struct block_claim claim[BLOCK_OTHERS_MOST];
	_Atomic bool stopped;
	pthread_mutex_t mutex; /* of the two below */
	uint64_t differences;
	struct verify_difference first;
};

struct verify_op {
	struct verify_lane *lane;
	struct block_request *request;
	struct block_request *reading; /* the child that a read waits for */
	unsigned pending; /* children of a change */
	int result[VERIFY_LEGS];
	unsigned leg; /* that a read is compared with */
	uint64_t done_bytes; /* of it */
	struct iovec piece; /* VERIFY_PIECE_BYTES of memory */
	SLIST_ENTRY(verify_op) link; /* while it is free */
};

struct verify_lane {
	struct verify_driver *verify;
	struct verify_op op[VERIFY_OPS];
	SLIST_HEAD(, verify_op) free;
	struct block_request_list waiting;
	uint8_t *memory;
	struct counter compared_bytes, changes;
};

/* Counts it, keeps and logs the first; does what `action` says, which may make
 * op->result[0] an error. Any lane. */
void verify_differs(
	struct verify_op *op, const struct verify_difference *difference);
/* `other` is counted from 1. */
void verify_results_differ(struct verify_op *op, unsigned other, int there);
/* JSON members, without braces. */
void verify_print_differences(struct verify_driver *verify, FILE *out);

#endif
