/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes of a stack_rig: threads with plain loops, over real files.
 */
#ifndef TESTS_LIB_STACK_THREADS_H
#define TESTS_LIB_STACK_THREADS_H

#include "tests/lib/stack_lanes.h"

extern const struct stack_lanes_ops stack_threads_ops;

#endif
