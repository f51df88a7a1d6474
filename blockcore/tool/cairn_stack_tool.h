/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the tool cairn-stack: one source, the commands given to it, what
 * they left running.
 */
#ifndef BLOCKCORE_TOOL_CAIRN_STACK_TOOL_H
#define BLOCKCORE_TOOL_CAIRN_STACK_TOOL_H

#include "blockcore/block.h"
#include "blockcore/job.h"

#include <stdio.h>

#define TOOL_WORDS 16u
#define TOOL_JOBS 8u

struct tool_io;

struct tool {
	struct block_core *core;
	struct block_lane *lane; /* 0: where commands run */
	struct block_source *source;
	FILE *out;
	TAILQ_HEAD(, tool_io) running; /* aio commands until `wait` */
	struct job *job[TOOL_JOBS];
	const char *job_kind[TOOL_JOBS];
};

/* A command line: words, and from each on the rest of the line (documents). */
struct tool_line {
	unsigned count;
	char *word[TOOL_WORDS];
	const char *rest[TOOL_WORDS];
	char *copy; /* the words' memory */
};

struct tool_command {
	const char *name, *arguments, *help;
	unsigned min, max; /* words after the name; max 0: the rest is free */
	int (*run_co)(struct tool *tool, const struct tool_line *line,
		struct err *err);
};

/* Tables that end with a NULL name. */
extern const struct tool_command tool_io_commands[];
extern const struct tool_command tool_stack_commands[];

/* Runs one line; 0 or -errno with *err. Empty lines and # comments are fine. */
int tool_run_co(struct tool *tool, const char *line, struct err *err);
void tool_print_commands(FILE *out);

/* -EEXIST: the file that the image of the document is to be made in is there already;
 * -EINVAL: it is to be in none. */
int tool_check_new(
	const struct tool *tool, const struct doc *document, struct err *err);

/* Waits for what is still running: I/O (its first error), jobs (cancelled). */
int tool_io_wait_co(struct tool *tool, struct err *err);
void tool_stop_jobs_co(struct tool *tool);

/* The command bench. */
int tool_bench_co(
	struct tool *tool, const struct tool_line *line, struct err *err);

/* The command replay. */
int tool_replay_co(
	struct tool *tool, const struct tool_line *line, struct err *err);

/* "64K" -> bytes. */
int tool_size(const char *word, uint64_t *bytes, struct err *err);

#endif
