/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairn-stack's command lines, and the commands that look at the stack and
 * change it. Documents are written in the line: attach {type: stats}; or in a
 * file: attach @stats.yaml.
 */
#include "blockcore/spec.h"
#include "blockcore/tool/cairn_stack_tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int tool_size(const char *word, uint64_t *bytes, struct err *err)
{
	const struct doc node = {
		.kind = DOC_SCALAR,
		.file = "command",
		.line = 1,
		.column = 1,
		.text = word,
	};

	if (!doc_size(&node, 0, UINT64_MAX, bytes, NULL))
		return 0;
	return err_set(err, EINVAL,
		"'%s' is no size: a size is such as 4096, 64K or 10GiB", word);
}

static struct doc *tool_doc(const char *text, struct err *err)
{
	if (text[0] == '@')
		return doc_parse_file(text + 1, err);
	return doc_parse("command", text, strlen(text), err);
}

/* -- the stack ------------------------------------------------------------ */

static int stack_info_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	(void)line;
	(void)err;
	spec_print(tool->source, true, tool->out);
	fputc('\n', tool->out);
	return 0;
}

/* Runs `change_co` with the document that starts at word `index`. */
static int stack_with_doc_co(struct tool *tool, const struct tool_line *line,
	unsigned index,
	int (*change_co)(struct tool *tool, const struct tool_line *line,
		const struct doc *doc, struct err *err),
	struct err *err)
{
	struct doc *doc = tool_doc(line->rest[index], err);

	if (!doc)
		return err->code ? -err->code : -EINVAL;
	int error = change_co(tool, line, doc, err);
	doc_free(doc);
	return error;
}

static int do_attach_co(struct tool *tool, const struct tool_line *line,
	const struct doc *doc, struct err *err)
{
	(void)line;
	return spec_attach_co(tool->source, doc, NULL, err);
}

static int stack_attach_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return stack_with_doc_co(tool, line, 1, do_attach_co, err);
}

static int stack_detach_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return spec_detach_co(
		tool->source, line->word[1], SPEC_GATE_DEADLINE_NS, err);
}

static int do_configure_co(struct tool *tool, const struct tool_line *line,
	const struct doc *doc, struct err *err)
{
	return spec_configure_co(tool->source, line->word[1], doc, err);
}

static int stack_configure_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return stack_with_doc_co(tool, line, 2, do_configure_co, err);
}

static int do_measure_co(struct tool *tool, const struct tool_line *line,
	const struct doc *doc, struct err *err)
{
	struct spec_measure measure;

	(void)line;
	int error = spec_measure_co(tool->source, doc, &measure, err);
	if (!error)
		fprintf(tool->out,
			"required size: %" PRIu64 "\nfully allocated size: "
			"%" PRIu64 "\n",
			measure.required_bytes, measure.full_bytes);
	return error;
}

static int stack_measure_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return stack_with_doc_co(tool, line, 1, do_measure_co, err);
}

static int do_swap_co(struct tool *tool, const struct tool_line *line,
	const struct doc *doc, struct err *err)
{
	struct spec_swap swap = {
		.document = doc, .deadline_ns = SPEC_GATE_DEADLINE_NS};

	(void)line;
	return spec_swap_bottom_co(tool->source, &swap, err);
}

static int stack_swap_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return stack_with_doc_co(tool, line, 1, do_swap_co, err);
}

static int stack_snapshot_inside_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return spec_snapshot_create_co(
		tool->source, line->word[1], SPEC_GATE_DEADLINE_NS, err);
}

static int stack_snapshot_delete_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return spec_snapshot_delete_co(tool->source, line->word[1], err);
}

static int stack_snapshot_revert_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return spec_snapshot_revert_co(tool->source, line->word[1],
		line->word[2], SPEC_GATE_DEADLINE_NS, err);
}

/* How many words NAME=PLACE stand before the document. */
static unsigned snapshot_places(const struct tool_line *line)
{
	unsigned i = 1;

	while (i < line->count && strchr(line->word[i], '=') &&
		!strchr("{@", line->word[i][0]))
		i++;
	return i - 1;
}

/* Those words as a map. */
static struct doc *snapshot_placement(
	const struct tool_line *line, struct err *err)
{
	char text[1024] = "{";
	size_t used = 1;

	for (unsigned i = 1; i <= snapshot_places(line); i++) {
		const char *word = line->word[i], *equals = strchr(word, '=');

		used += (size_t)snprintf(text + used, sizeof text - used,
			"%s%.*s: %s", i > 1 ? ", " : "", (int)(equals - word),
			word, equals + 1);
		if (used >= sizeof text - 1) {
			err_set(err, E2BIG, "too many places");
			return NULL;
		}
	}
	text[used] = '}';
	return doc_parse("command", text, used + 1, err);
}

static int do_snapshot_co(struct tool *tool, const struct tool_line *line,
	const struct doc *doc, struct err *err)
{
	struct doc *placement = snapshot_placement(line, err);

	if (!placement)
		return err->code ? -err->code : -EINVAL;
	struct spec_overlay overlay = {.document = doc, .placement = placement};
	int error = spec_overlay_co(tool->source, &overlay, err);
	doc_free(placement);
	return error;
}

static int stack_snapshot_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	unsigned document = 1 + snapshot_places(line);

	if (document == line->count)
		return err_set(err, EINVAL, "the document is missing");
	return stack_with_doc_co(tool, line, document, do_snapshot_co, err);
}

static int do_reorder_co(struct tool *tool, const struct tool_line *line,
	const struct doc *doc, struct err *err)
{
	(void)line;
	return spec_reorder_co(tool->source, doc, SPEC_GATE_DEADLINE_NS, err);
}

static int stack_reorder_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return stack_with_doc_co(tool, line, 1, do_reorder_co, err);
}

static int stack_resize_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	uint64_t bytes;
	int error = tool_size(line->word[1], &bytes, err);

	return error ? error : spec_resize_co(tool->source, bytes, err);
}

static int do_command_co(struct tool *tool, const struct tool_line *line,
	const struct doc *doc, struct err *err)
{
	int error = spec_command_co(tool->source, line->word[1], line->word[2],
		doc, tool->out, err);

	fputc('\n', tool->out);
	return error;
}

static int stack_command_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	if (line->count > 3)
		return stack_with_doc_co(tool, line, 3, do_command_co, err);
	return do_command_co(tool, line, NULL, err);
}

/* -- jobs ----------------------------------------------------------------- */

/* The slot of the job of this kind; that of a free one if `start`. */
static int job_slot(
	const struct tool *tool, const char *kind, bool start, struct err *err)
{
	int free_slot = -1;

	for (int i = 0; i < (int)TOOL_JOBS; i++) {
		if (!tool->job[i])
			free_slot = free_slot < 0 ? i : free_slot;
		else if (!strcmp(tool->job_kind[i], kind))
			return start ? err_set(err, EBUSY,
					       "job %s is there already: "
					       "wait for it",
					       kind)
				     : i;
	}
	if (start && free_slot >= 0)
		return free_slot;
	return err_set(err, ENOENT, "there is no job %s", kind);
}

static void job_print(struct tool *tool, const char *kind, struct job *job)
{
	static const char *const names[] = {"created", "running", "paused",
		"cancelling", "done", "failed", "cancelled"};
	struct job_progress progress;

	job_get_progress(job, &progress);
	fprintf(tool->out,
		"job %s: %s, %" PRIu64 " of %" PRIu64 " bytes, %" PRIu64
		" bytes/s\n",
		kind, names[progress.state], progress.done, progress.total,
		progress.rate_bytes_s);
}

static int job_end_co(struct tool *tool, int slot, struct err *err)
{
	struct job *job = tool->job[slot];
	struct job_progress progress;

	job_wait_co(job);
	job_print(tool, tool->job_kind[slot], job);
	job_get_progress(job, &progress);
	job_free(job);
	tool->job[slot] = NULL;
	if (progress.state != JOB_FAILED)
		return 0;
	*err = progress.error;
	return progress.result;
}

static int job_command_start_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	int slot = job_slot(tool, line->word[2], true, err);
	struct doc *doc = NULL;

	if (slot < 0)
		return slot;
	if (line->count > 3 && !(doc = tool_doc(line->rest[3], err)))
		return -err->code;
	int error = job_start_co(tool->core, tool->source, line->word[2], doc,
		0, &tool->job[slot], err);
	doc_free(doc);
	for (unsigned i = 0; !error && job_kinds[i]; i++) {
		if (!strcmp(job_kinds[i]->name, line->word[2]))
			tool->job_kind[slot] = job_kinds[i]->name;
	}
	return error;
}

static int job_command_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	const char *verb = line->word[1];

	if (!strcmp(verb, "start"))
		return job_command_start_co(tool, line, err);
	int slot = job_slot(tool, line->word[2], false, err);
	if (slot < 0)
		return slot;
	if (!strcmp(verb, "wait"))
		return job_end_co(tool, slot, err);
	if (!strcmp(verb, "pause"))
		job_pause(tool->job[slot]);
	else if (!strcmp(verb, "resume"))
		job_resume(tool->job[slot]);
	else if (!strcmp(verb, "cancel"))
		job_cancel(tool->job[slot]);
	else if (strcmp(verb, "status"))
		return err_set(err, EINVAL,
			"job: '%s' is none of start, pause, resume, cancel, "
			"status, wait",
			verb);
	job_print(tool, line->word[2], tool->job[slot]);
	return 0;
}

void tool_stop_jobs_co(struct tool *tool)
{
	for (int i = 0; i < (int)TOOL_JOBS; i++) {
		struct err err = {0};

		if (!tool->job[i])
			continue;
		job_cancel(tool->job[i]);
		job_end_co(tool, i, &err);
	}
}

/* -- lines ---------------------------------------------------------------- */

static int help_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	(void)line;
	(void)err;
	tool_print_commands(tool->out);
	return 0;
}

const struct tool_command tool_stack_commands[] = {
	{"info", "", "the source as JSON, with figures", 0, 0, stack_info_co},
	{"attach", "DOC", "add a listener: attach {type: stats}", 1, 0,
		stack_attach_co},
	{"detach", "NAME", "take a listener away", 1, 1, stack_detach_co},
	{"configure", "NAME DOC", "new values for live options", 2, 0,
		stack_configure_co},
	{"swap", "DOC", "another bottom: swap {protocol: {...}}", 1, 0,
		stack_swap_co},
	{"snapshot", "[NAME=head|image|both|drop]... DOC",
		"a new image over what is there: snapshot {format: {type: "
		"qcow2, file: {protocol: {...}}}}",
		1, 0, stack_snapshot_co},
	{"snapshot-inside", "NAME",
		"a snapshot kept in the qcow2 image itself; list them with: "
		"command qcow2 snapshots",
		1, 1, stack_snapshot_inside_co},
	{"snapshot-delete", "NAME", "delete a snapshot kept in the image", 1, 1,
		stack_snapshot_delete_co},
	{"snapshot-revert", "NAME SAFETY",
		"back to a snapshot kept in the image; what is there becomes "
		"snapshot SAFETY",
		2, 2, stack_snapshot_revert_co},
	{"reorder", "DOC", "a new order of all listeners: reorder [a, b]", 1, 0,
		stack_reorder_co},
	{"resize", "BYTES", "change the size of the bottom", 1, 1,
		stack_resize_co},
	{"measure", "DOC",
		"bytes of a file with a new image of all that: measure {type: "
		"qcow2, cluster_size: 64K}",
		1, 0, stack_measure_co},
	{"command", "NAME VERB [DOC]", "a driver's own verb", 2, 0,
		stack_command_co},
	{"job", "start|pause|resume|cancel|status|wait KIND [DOC]",
		"long work: job start fill {length: 1M}", 2, 0, job_command_co},
	{"bench",
		"read|write [-b BYTES] [-d DEPTH] [-n COUNT] [-f EVERY] "
		"[-l LENGTH] [-s SEED] [-S STEP]",
		"time random requests; -f: a flush after each EVERY", 1, 15,
		tool_bench_co},
	{"replay", "FILE [-t] [-d DEPTH]",
		"play what the listener trace saved; -t: in its time", 1, 4,
		tool_replay_co},
	{"help", "", "this list", 0, 0, help_co},
	{0},
};

static const struct tool_command *tool_find(const char *name)
{
	for (const struct tool_command *c = tool_io_commands; c->name; c++) {
		bool waits = !strcmp(c->name, "wait") ||
			!strcmp(c->name, "map") || !strcmp(c->name, "save");

		if (!strcmp(c->name, name) ||
			(!waits && !strncmp(name, "aio-", 4) &&
				!strcmp(c->name, name + 4)))
			return c;
	}
	for (const struct tool_command *c = tool_stack_commands; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

static int tool_split(const char *text, struct tool_line *line, struct err *err)
{
	*line = (struct tool_line){.copy = strdup(text)};
	if (!line->copy)
		return err_set(err, ENOMEM, "no memory for a command");
	char *at = line->copy;
	for (;;) {
		at += strspn(at, " \t\r\n");
		if (!*at || line->count == TOOL_WORDS)
			return 0;
		line->word[line->count] = at;
		line->rest[line->count++] = text + (at - line->copy);
		at += strcspn(at, " \t\r\n");
		if (*at)
			*at++ = 0;
	}
}

int tool_run_co(struct tool *tool, const char *text, struct err *err)
{
	struct tool_line line;
	int error = tool_split(text, &line, err);

	if (error || line.count == 0 || line.word[0][0] == '#') {
		free(line.copy);
		return error;
	}
	const struct tool_command *command = tool_find(line.word[0]);
	unsigned words = line.count - 1;
	if (!command)
		error = err_set(err, EINVAL,
			"'%s': there is no such command; try help",
			line.word[0]);
	else if (words < command->min ||
		(words > command->max && !(command->max == 0 && command->min)))
		error = err_set(err, EINVAL, "usage: %s %s", command->name,
			command->arguments);
	else
		error = command->run_co(tool, &line, err);
	free(line.copy);
	return error;
}

void tool_print_commands(FILE *out)
{
	const struct tool_command *tables[] = {
		tool_io_commands, tool_stack_commands};

	for (unsigned t = 0; t < 2; t++) {
		for (const struct tool_command *c = tables[t]; c->name; c++)
			fprintf(out, "  %s%s%s\n        %s\n", c->name,
				*c->arguments ? " " : "", c->arguments,
				c->help);
	}
	fputs("  aio-read, aio-write, ...: the same without waiting; see "
	      "wait\n",
		out);
}
