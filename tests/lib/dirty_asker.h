/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the listener dirty: a consumer that asks the listener named `d`,
 * whose granularity is DIRTY_ASKER_BLOCK.
 */
#ifndef TESTS_LIB_DIRTY_ASKER_H
#define TESTS_LIB_DIRTY_ASKER_H

#include "tests/lib/stack_rig.h"

#define DIRTY_ASKER_BLOCK 4096u

/* A verb that succeeds. */
void dirty_asker_tell_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments);
/* One that is refused with a text: its error. `arguments` may be NULL. */
int dirty_asker_refused_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments);

/* Freezes, lists, and compares with "FIRST+COUNT ..." in blocks. */
void dirty_asker_expect_co(struct stack_rig *rig, struct block_source *source,
	const char *consumer, const char *expected);
/* The same, and is done with it. */
void dirty_asker_done_co(struct stack_rig *rig, struct block_source *source,
	const char *consumer, const char *expected);

#endif
