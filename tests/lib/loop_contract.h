/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every implementation of blockcore/loop.h over real threads and
 * descriptors must do, as a group of cmocka tests: each implementation's own test
 * program calls this with its way of making loops.
 */
#ifndef TESTS_LIB_LOOP_CONTRACT_H
#define TESTS_LIB_LOOP_CONTRACT_H

#include "blockcore/loop.h"

struct loop_maker {
	const char *name;
	struct loop *(*make)(void); /* fails the test if it cannot */
	void (*free)(struct loop *loop);
	void (*run)(struct loop *loop); /* until stop */
	void (*stop)(struct loop *loop); /* from any thread */
};

/* Number of failed tests. */
int loop_contract_run(const struct loop_maker *maker);

#endif
