/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk may hold: a reference model of 512-byte sectors under concurrent
 * requests, flushes and power cuts, told of every request as its submitter sees
 * it. One thread.
 *
 * A version is what one request writes to its sectors; it is submitted, and
 * perhaps completed, at stamps of one counter. It is durable once a flush that was
 * submitted after it had completed has completed, or it was FUA and completed.
 *
 * Version w replaces version v if w was submitted after v had completed. Then
 *	a read may show any version but those replaced by one that had completed
 *	when the read was submitted;
 *	a power cut may leave any version but those replaced by a durable one.
 * Nothing that was promised is lost, nothing else appears.
 */
#ifndef TESTS_LIB_SECTOR_MODEL_H
#define TESTS_LIB_SECTOR_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR_BYTES 512u

struct sector_model;

/* All zero, durable. */
struct sector_model *sector_model_new(uint32_t sectors);
void sector_model_free(struct sector_model *model);
/* As it is now, to be looked at later. */
struct sector_model *sector_model_copy(const struct sector_model *model);

/* A request that writes [first, first + count) is about to be submitted; returns
 * its version. `zero`: it writes zeroes. */
uint32_t sector_model_submit(
	struct sector_model *model, uint32_t first, uint32_t count, bool zero);
/* The same, for what puts back content that was read before: `data` of each sector. */
uint32_t sector_model_submit_again(struct sector_model *model, uint32_t first,
	uint32_t count, const uint8_t *data);
/* What the version writes to its sectors, in order: count * 512 bytes. */
void sector_model_fill(
	const struct sector_model *model, uint32_t version, uint8_t *data);
/* It has succeeded. */
void sector_model_complete(
	struct sector_model *model, uint32_t version, bool durable);
/* It has failed and has certainly changed nothing (a miscompare). */
void sector_model_withdraw(struct sector_model *model, uint32_t version);
/* Those that are out will change nothing here, and what has ended is durable: the
 * model of what was put aside at this moment. */
void sector_model_settle(struct sector_model *model);

/* A flush is about to be submitted: returns its stamp. */
uint64_t sector_model_flush(struct sector_model *model);
/* It has succeeded. */
void sector_model_flushed(struct sector_model *model, uint64_t submitted);

/* A read is about to be submitted: returns its stamp. To be ended by either of
 * the next two. */
uint64_t sector_model_read(struct sector_model *model);
/* The first sector that it may not have shown so, or UINT32_MAX. */
uint32_t sector_model_check_read(struct sector_model *model, uint64_t submitted,
	uint32_t first, uint32_t count, const uint8_t *data);
void sector_model_read_failed(struct sector_model *model);

/* The first sector that a power cut now may not leave so, or UINT32_MAX. */
uint32_t sector_model_check_cut(const struct sector_model *model,
	uint32_t first, uint32_t count, const uint8_t *data);
/* For people: the versions of a sector, and what was found. */
void sector_model_explain(
	const struct sector_model *model, uint32_t sector, const uint8_t *data);

#endif
