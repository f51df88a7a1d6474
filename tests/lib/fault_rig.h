/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the listener fault: one, named "bad", over 1 MiB of memory.
 */
#ifndef TESTS_LIB_FAULT_RIG_H
#define TESTS_LIB_FAULT_RIG_H

#include "tests/lib/stack_rig.h"

#define FAULT_RIG_BYTES 4096u /* of a request */

/* With these rules, of its document. */
struct block_source *fault_rig_source_co(
	struct stack_rig *rig, const char *rules);
/* The result of one request, whatever its data. */
int fault_rig_ask_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset);
/* A verb of it, which answers with its rules. */
void fault_rig_verb_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments);

#endif
