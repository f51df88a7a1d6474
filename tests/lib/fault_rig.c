/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block_source *fault_rig_source_co(
	struct stack_rig *rig, const char *rules)
{
	char document[512];

	snprintf(document, sizeof document,
		"{listeners: [{type: fault, name: bad, seed: 3, rules: [%s]}], "
		"protocol: {type: mem, size: 1M}}",
		rules);
	return stack_rig_source_co(rig, document);
}

int fault_rig_ask_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset)
{
	static uint8_t data[FAULT_RIG_BYTES] __attribute__((aligned(4096)));
	bool flush = op == BLOCK_FLUSH;

	return block_transfer_co(source, block_core_lane(rig->core, 0), op, 0,
		flush ? 0 : offset, flush ? 0 : FAULT_RIG_BYTES,
		op == BLOCK_READ || op == BLOCK_WRITE ? data : NULL);
}

void fault_rig_verb_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments)
{
	char *text = stack_rig_command_co(rig, source, "bad", verb, arguments);

	CHECK(strstr(text, "rules") != NULL);
	free(text);
}
