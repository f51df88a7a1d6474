/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the listener backup: a source of memory that holds a pattern, and the
 * listener on it.
 */
#ifndef TESTS_LIB_BACKUP_RIG_H
#define TESTS_LIB_BACKUP_RIG_H

#include "tests/lib/stack_rig.h"

#define GRANULE 16384u
#define SIZE (1u << 20)
#define MEM "{protocol: {type: mem, size: 1M, max_size: 4M}}"
#define VIEW "{source: source-1, view: {backup: b}}"

/* block_transfer_co from lane 0. */
int backup_rig_transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset, uint64_t length, void *data);

/* source-1, filled with pattern 1; then the listener 'b' on it, with more options (each
 * after a comma) and the target. */
struct block_source *backup_rig_begin_with_co(struct stack_rig *rig,
	const char *document, const char *options, const char *target);
/* The same over MEM. */
struct block_source *backup_rig_begin_co(
	struct stack_rig *rig, const char *options, const char *target);

/* It shows the pattern. */
void backup_rig_expect_moment_co(
	struct stack_rig *rig, struct block_source *view);
void backup_rig_expect_status(struct block_source *source, const char *text);
/* Writes another pattern, and sees it. */
void backup_rig_overwrite_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset, uint64_t length);
/* `view` may be NULL. */
void backup_rig_end_co(struct block_source *view, struct block_source *source);

/* Waits until the moment of the source's backup, which has a map, is kept. */
void backup_until_durable_co(
	struct stack_rig *rig, struct block_source *source);

#endif
