/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of stacks: a block core with some lanes, over real files (each lane
 * a thread with a plain loop) or in the simulator (all lanes on one thread, a
 * virtual clock), with the same tests in both. A test's body is a coroutine on
 * lane 0.
 */
#ifndef TESTS_LIB_STACK_RIG_H
#define TESTS_LIB_STACK_RIG_H

#include "blockcore/base/doc.h"
#include "blockcore/spec.h"
#include "tests/lib/check.h"
#include "tests/lib/stack_lanes.h"

struct stack_rig *stack_rig_new(const struct stack_rig_setup *setup);
/* All sources are gone. Removes the folder. */
void stack_rig_free(struct stack_rig *rig);

/* Runs `body` in a coroutine on lane 0 to its end. */
void stack_rig_run(struct stack_rig *rig,
	void (*body_co)(struct stack_rig *rig, void *argument), void *argument);
/* New, run, free. */
void stack_rig_test(const struct stack_rig_setup *setup,
	void (*body_co)(struct stack_rig *rig, void *argument), void *argument);

/* A row of a cmocka table: `body_co` in a rig of its own. The including file has
 * cmocka.h. */
struct stack_rig_case {
	void (*body_co)(struct stack_rig *rig, void *argument);
	void *argument;
	struct stack_rig_setup setup;
};
void stack_rig_run_case(void **state);
#define STACK_RIG_CASE_WITH(body, argument_, label, ...) \
	{ \
#body " " label, stack_rig_run_case, NULL, NULL, \
			&(struct stack_rig_case) \
		{ \
			.body_co = body, .argument = (void *)(argument_), \
			.setup = { \
				__VA_ARGS__ \
			} \
		} \
	}
#define STACK_RIG_CASE(body, label, ...) \
	STACK_RIG_CASE_WITH(body, NULL, #label, __VA_ARGS__)

/* Work on another lane, as a coroutine there; waited for on lane 0. */
struct stack_rig_task {
	void (*run_co)(struct stack_rig_task *task);
	struct block_lane *lane; /* where it runs */
	struct stack_rig *rig;
	void *argument;
	/* the rig's */
	struct loop_message message;
	struct co *waiter;
	bool done;
};
void stack_rig_start(
	struct stack_rig *rig, unsigned lane, struct stack_rig_task *task);
void stack_rig_join_co(struct stack_rig_task *task);

/* A source from its document (YAML; kept until the rig is freed). */
struct block_source *stack_rig_source_co(
	struct stack_rig *rig, const char *document);
/* The same, for documents that are wrong: -errno, and *err. */
int stack_rig_build_co(struct stack_rig *rig, const char *document,
	struct block_source **source, struct err *err);
/* A document that lives as long as the rig. */
const struct doc *stack_rig_doc(struct stack_rig *rig, const char *text);

/* The status of the source; freed by the caller. */
char *stack_rig_status(struct block_source *source);
/* The first number after "key": in the status. Fails if there is none. */
uint64_t stack_rig_figure(struct block_source *source, const char *key);
/* Waits until it is at least `least`. */
void stack_rig_until_co(struct stack_rig *rig, struct block_source *source,
	const char *key, uint64_t least);

/* A verb of a driver; `arguments` may be NULL. Fails the test if it fails; returns
 * what it printed, to be freed. */
char *stack_rig_command_co(struct stack_rig *rig, struct block_source *source,
	const char *driver, const char *verb, const char *arguments);

/* Writes 4096 bytes of this value, durable or not; 0 or -errno. */
int stack_rig_stamp_co(struct stack_rig *rig, struct block_source *source,
	uint8_t stamp, uint64_t offset_bytes);
/* The first byte there, or -errno. */
int stack_rig_stamp_of_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset_bytes);
/* What the image that the source shows stands on; NULL: nothing. */
struct block_source *stack_rig_backing(const struct block_source *source);

/* A request in flight beside the coroutine that made it. */
struct stack_rig_request {
	struct block_request request;
	struct iovec iov;
	struct co *waiter;
	bool done;
};
void stack_rig_submit(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *request, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, void *data);
/* As a format's own, which says what it is for. */
void stack_rig_submit_as(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *request, enum block_opcode op,
	enum block_purpose purpose, uint64_t offset_bytes,
	uint64_t length_bytes, void *data);
/* The vectors are the caller's until it is done. */
void stack_rig_submit_iov(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *request, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, const struct iovec *iov,
	uint32_t iov_count);
void stack_rig_submit_extents(struct block_source *source,
	struct block_lane *lane, struct stack_rig_request *request,
	uint64_t offset_bytes, uint64_t length_bytes,
	struct block_extents *answer);
/* The result. */
int stack_rig_wait_co(struct stack_rig_request *request);

/* Memory of 4 KiB alignment that can be told from other memory: byte i of it is
 * a function of `seed` and i. Freed with free(). */
uint8_t *stack_rig_pattern(size_t bytes, unsigned seed);
/* Reads from `lane` 0 and compares; NULL: with zeroes. */
void stack_rig_expect_co(struct stack_rig *rig, struct block_source *source,
	uint64_t offset_bytes, uint64_t length_bytes, const uint8_t *expected);

#endif
