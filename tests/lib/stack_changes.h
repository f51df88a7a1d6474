/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random changes of a stack under verified I/O: listeners come, go, change places
 * and values, the bottom is swapped for another one with the same content, faults
 * hold requests and let them go. Whoever submits must not notice: each request
 * completes once, without an error, with the right data.
 */
#ifndef TESTS_LIB_STACK_CHANGES_H
#define TESTS_LIB_STACK_CHANGES_H

#include "tests/lib/stack_rig.h"

/* After the swap: what is said to drivers, which changes no stack. */
enum {
	STACK_ATTACH,
	STACK_DETACH,
	STACK_CONFIGURE,
	STACK_REORDER,
	STACK_SWAP,
	STACK_HOLD,
	STACK_RELEASE,
	STACK_CONSUME
};

struct stack_changes {
	unsigned changes; /* to be made: those that took effect count */
	uint64_t seed;
	/* out */
	unsigned made[8]; /* by kind: with effect */
	/* Looks, one after each change, at which a fault held requests, a throttle
	 * had made some wait. */
	unsigned held, waited;
	unsigned late; /* gave up at a closed gate, as it may */
	uint64_t requests; /* verified meanwhile */
};

void stack_changes_run(
	const struct stack_rig_setup *setup, struct stack_changes *changes);

#endif
