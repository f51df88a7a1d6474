/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/backup_rig.h"

#include <stdlib.h>
#include <string.h>

int backup_rig_transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset, uint64_t length, void *data)
{
	return block_transfer_co(source, block_core_lane(rig->core, 0), op, 0,
		offset, length, data);
}

struct block_source *backup_rig_begin_with_co(struct stack_rig *rig,
	const char *document, const char *options, const char *target)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	uint8_t *data = stack_rig_pattern(SIZE, 1);
	struct err err = {0};
	char text[512];

	CHECK_INT(
		backup_rig_transfer_co(rig, source, BLOCK_WRITE, 0, SIZE, data),
		0);
	snprintf(text, sizeof text,
		"{type: backup, name: b, granularity: 16K%s, target: %s}",
		options, target);
	CHECK_INT(spec_attach_co(source, stack_rig_doc(rig, text), NULL, &err),
		0);
	free(data);
	return source;
}

struct block_source *backup_rig_begin_co(
	struct stack_rig *rig, const char *options, const char *target)
{
	return backup_rig_begin_with_co(rig, MEM, options, target);
}

void backup_rig_expect_moment_co(
	struct stack_rig *rig, struct block_source *view)
{
	uint8_t *data = stack_rig_pattern(SIZE, 1);

	stack_rig_expect_co(rig, view, 0, SIZE, data);
	free(data);
}

void backup_rig_expect_status(struct block_source *source, const char *text)
{
	char *status = stack_rig_status(source);

	CHECK_FIND(status, text);
	free(status);
}

void backup_rig_end_co(struct block_source *view, struct block_source *source)
{
	if (view)
		block_source_put_co(view);
	block_source_put_co(source);
}

void backup_rig_overwrite_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint64_t length)
{
	uint8_t *data = stack_rig_pattern(length, 77);

	CHECK_INT(backup_rig_transfer_co(
			  rig, source, BLOCK_WRITE, offset, length, data),
		0);
	stack_rig_expect_co(rig, source, offset, length, data);
	free(data);
}

void backup_until_durable_co(struct stack_rig *rig, struct block_source *source)
{
	for (;;) {
		char *status = stack_rig_status(source);
		bool durable = strstr(status, "\"durable\": true") != NULL;

		free(status);
		if (durable)
			return;
		loop_sleep_co(block_core_lane(rig->core, 0)->loop, 1000000);
	}
}
