/* SPDX-License-Identifier: Apache-2.0 */
/* See mirror_pair.h. */
#include "tests/lib/mirror_pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAULTY "{listeners: [{type: fault, name: f, seed: 3}], " PAIR_MEM "}"

struct mirror_pair mirror_pair_co(struct stack_rig *rig, const char *options)
{
	struct mirror_pair pair = {
		.rig = rig, .leg = stack_rig_source_co(rig, FAULTY)};
	char document[320];

	snprintf(document, sizeof document,
		"{listeners: [{type: mirror, name: m, granularity: 64K, "
		"leg: source-1%s}, {type: fault, name: f, seed: 4}], " PAIR_MEM
		"}",
		options);
	pair.source = stack_rig_source_co(rig, document);
	return pair;
}

void mirror_pair_end_co(struct mirror_pair *pair)
{
	block_source_put_co(pair->source);
	block_source_put_co(pair->leg);
}

struct mirror_pair pair_degraded_co(struct stack_rig *rig, const char *document)
{
	struct mirror_pair pair = {.rig = rig};
	struct err err = {0};
	char name[32];

	snprintf(name, sizeof name, "source-%u", ++rig->sources);
	if (spec_build_degraded_co(rig->core, name, NULL,
		    stack_rig_doc(rig, document), &pair.source, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return pair;
}

int pair_transfer_co(struct mirror_pair *pair, enum block_opcode op,
	uint64_t offset, uint64_t length, void *data)
{
	return block_transfer_co(pair->source,
		block_core_lane(pair->rig->core, 0), op, 0, offset, length,
		data);
}

int pair_write_co(struct mirror_pair *pair, uint64_t offset, unsigned seed)
{
	uint8_t *data = stack_rig_pattern(PAIR_BLOCK, seed);
	int result =
		pair_transfer_co(pair, BLOCK_WRITE, offset, PAIR_BLOCK, data);

	free(data);
	return result;
}

void pair_attach_co(struct mirror_pair *pair, const char *listener)
{
	const struct doc *document = stack_rig_doc(pair->rig, listener);
	struct err err = {0};
	int error;

	while ((error = spec_attach_co(pair->source, document, NULL, &err)) ==
		-ETIMEDOUT)
		err = (struct err){0};
	if (error)
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

void pair_detach_co(struct mirror_pair *pair)
{
	struct err err = {0};
	int error;

	while ((error = spec_detach_co(pair->source, "m", 0, &err)) ==
		-ETIMEDOUT)
		err = (struct err){0};
	if (error)
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

void pair_fault_co(
	struct mirror_pair *pair, struct block_source *at, const char *rule)
{
	free(stack_rig_command_co(pair->rig, at, "f", "add", rule));
}

void pair_clear_co(struct mirror_pair *pair)
{
	free(stack_rig_command_co(pair->rig, pair->leg, "f", "clear", NULL));
	free(stack_rig_command_co(pair->rig, pair->source, "f", "clear", NULL));
}

void pair_expect_state(struct mirror_pair *pair, const char *state)
{
	char *status = stack_rig_status(pair->source), text[64];

	snprintf(text, sizeof text, "\"state\": \"%s\"", state);
	CHECK_FIND(status, text);
	free(status);
}

uint64_t pair_behind(struct mirror_pair *pair)
{
	return stack_rig_figure(pair->source, "behind_bytes");
}

static uint8_t *pair_read_all_co(
	struct mirror_pair *pair, struct block_source *source)
{
	uint8_t *data = stack_rig_pattern(PAIR_BYTES, 1);

	CHECK_INT(block_transfer_co(source, block_core_lane(pair->rig->core, 0),
			  BLOCK_READ, 0, 0, PAIR_BYTES, data),
		0);
	return data;
}

bool pair_is_equal_co(struct mirror_pair *pair)
{
	uint8_t *here = pair_read_all_co(pair, pair->source);
	uint8_t *there = pair_read_all_co(pair, pair->leg);
	bool equal = !memcmp(here, there, PAIR_BYTES);

	free(here);
	free(there);
	return equal;
}

/* -- jobs ----------------------------------------------------------------- */

struct job *pair_job_co(struct mirror_pair *pair)
{
	struct job *job;
	struct err err = {0};

	if (job_start_co(pair->rig->core, pair->source, "resync",
		    stack_rig_doc(pair->rig, "{}"), 0, &job, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return job;
}

/* Returns how many bytes it has copied. */
uint64_t pair_job_end_co(
	struct job *job, enum job_state state, const char *text)
{
	struct job_progress progress;

	job_wait_co(job);
	job_get_progress(job, &progress);
	if (progress.state == JOB_FAILED && state != JOB_FAILED)
		check_fail(__FILE__, __LINE__, "%s", progress.error.text);
	CHECK_INT(progress.state, state);
	if (text)
		CHECK_ERR(&progress.error, text);
	job_free(job);
	return progress.done;
}

uint64_t pair_resync_co(struct mirror_pair *pair)
{
	uint64_t bytes = pair_job_end_co(pair_job_co(pair), JOB_DONE, NULL);

	pair_expect_state(pair, "in sync");
	return bytes;
}
