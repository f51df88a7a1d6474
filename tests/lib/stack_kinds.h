/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the block core: sources made of a test's own kinds of drivers,
 * which no registry knows.
 */
#ifndef TESTS_LIB_STACK_KINDS_H
#define TESTS_LIB_STACK_KINDS_H

#include "blockcore/kind.h"
#include "tests/lib/stack_rig.h"

/* Opens a driver of each kind, top first, named after the kind and its place,
 * and publishes them as the first generation of a new source. */
struct block_source *stack_kinds_source_co(struct stack_rig *rig,
	const struct block_kind *const *kinds, unsigned count);

#endif
