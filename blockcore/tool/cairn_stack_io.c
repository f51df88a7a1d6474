/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairn-stack's commands that read and write. Every one of them is also there
 * as aio-NAME, which does not wait for the end; `wait` does.
 */
#include "blockcore/tool/cairn_stack_tool.h"

#include "blockcore/base/co.h"
#include "blockcore/base/iov.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAVE_BYTES (1u << 20) /* a step of `save` */

struct tool_io {
	struct block_request request;
	struct iovec iov;
	uint8_t *data;
	struct tool *tool;
	struct co *waiter;
	uint64_t started_ns, ended_ns;
	int check; /* pattern that a read must show, -1: none */
	bool done, dump;
	TAILQ_ENTRY(tool_io) link;
};

static const char *const io_names[BLOCK_OPCODES] = {
	[BLOCK_READ] = "read",
	[BLOCK_WRITE] = "write",
	[BLOCK_WRITE_ZEROES] = "zero",
	[BLOCK_DISCARD] = "discard",
	[BLOCK_FLUSH] = "flush",
	[BLOCK_COMPARE_AND_WRITE] = "compare-and-write",
};

/* -- one operation -------------------------------------------------------- */

static void io_done(struct block_request *request)
{
	struct tool_io *io = container_of(request, struct tool_io, request);

	io->done = true;
	io->ended_ns = loop_now_ns(io->tool->lane->loop);
	if (io->waiter)
		co_resume(io->waiter);
}

/* `bytes` of memory for the data, the first half filled with `first`, the rest
 * with `second`. */
static struct tool_io *io_new(struct tool *tool, enum block_opcode op,
	size_t bytes, int first, int second)
{
	struct tool_io *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->data = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + 4096);
	if (!io->data) {
		free(io);
		return NULL;
	}
	memset(io->data, first, bytes / 2);
	memset(io->data + bytes / 2, second, bytes - bytes / 2);
	io->tool = tool;
	io->check = -1;
	io->iov = (struct iovec){io->data, bytes};
	block_request_init(&io->request, tool->lane);
	io->request.op = (uint8_t)op;
	io->request.flags = 0;
	io->request.iov = &io->iov;
	io->request.iov_count = bytes ? 1 : 0;
	io->request.offset_bytes = io->request.length_bytes = 0;
	io->request.miscompare_bytes = 0;
	io->request.done = io_done;
	return io;
}

static void io_dump(const struct tool_io *io, FILE *out)
{
	for (uint64_t at = 0; at < io->request.length_bytes; at += 16) {
		fprintf(out, "%08" PRIx64 " ", io->request.offset_bytes + at);
		for (unsigned i = 0; i < 16; i++)
			fprintf(out, " %02x", io->data[at + i]);
		fputs("  ", out);
		for (unsigned i = 0; i < 16; i++) {
			int c = io->data[at + i];

			fputc(c >= ' ' && c <= '~' ? c : '.', out);
		}
		fputc('\n', out);
	}
}

static int io_check(const struct tool_io *io, struct err *err)
{
	for (uint64_t i = 0; io->check >= 0 && i < io->iov.iov_len; i++) {
		if (io->data[i] != io->check)
			return err_set(err, EIO,
				"byte at %" PRIu64 " is 0x%02x, not 0x%02x",
				io->request.offset_bytes + i, io->data[i],
				(unsigned)io->check);
	}
	return 0;
}

/* What the person who typed it has to know. */
static const char *io_words(const struct block_request *request)
{
	uint64_t edges = request->offset_bytes | request->length_bytes;

	switch (-request->result) {
	case EINVAL:
		return edges % BLOCK_SECTOR_BYTES
			? "offset and length must be multiples of 512"
			: "too much at a time";
	case ERANGE: return "it lies beyond the end";
	case EOPNOTSUPP: return "the stack cannot do this";
	default: return strerror(-request->result);
	}
}

static int io_result(const struct tool_io *io, struct err *err)
{
	const struct block_request *request = &io->request;
	const char *name = io_names[request->op];

	if (request->result == -EILSEQ)
		return err_set(err, EILSEQ,
			"%s at %" PRIu64 ": byte %" PRIu64 " differs", name,
			request->offset_bytes, request->miscompare_bytes);
	if (request->result)
		return err_set(err, -request->result,
			"%s of %" PRIu64 " bytes at %" PRIu64 ": %s", name,
			request->length_bytes, request->offset_bytes,
			io_words(request));
	fputs(name, io->tool->out);
	if (request->op != BLOCK_FLUSH)
		fprintf(io->tool->out, " %" PRIu64 " bytes at %" PRIu64,
			request->length_bytes, request->offset_bytes);
	fprintf(io->tool->out, ": %.3f ms\n",
		(double)(io->ended_ns - io->started_ns) / 1e6);
	if (io->dump)
		io_dump(io, io->tool->out);
	return io_check(io, err);
}

static int io_end_co(struct tool_io *io, struct err *err)
{
	io->waiter = co_self();
	while (!io->done)
		co_yield ();
	int error = io_result(io, err);
	free(io->data);
	free(io);
	return error;
}

static int io_start_co(struct tool_io *io, bool wait, struct err *err)
{
	struct tool *tool = io->tool;

	io->started_ns = loop_now_ns(tool->lane->loop);
	block_submit(tool->source, &io->request);
	if (wait)
		return io_end_co(io, err);
	TAILQ_INSERT_TAIL(&tool->running, io, link);
	return 0;
}

/* Failures of one kind, one after the other, are told once. */
struct io_failures {
	struct err err; /* of the first of them */
	int error; /* 0: there was none */
	uint8_t op;
	unsigned more;
};

static void io_failures_end(struct io_failures *failures)
{
	struct err *err = &failures->err;

	if (failures->more)
		err_set(err, err->code, "%s (and %u more like it)", err->text,
			failures->more);
}

static void io_failed(struct tool *tool, struct io_failures *failures,
	uint8_t op, int error, const struct err *err)
{
	if (failures->error == error && failures->op == op) {
		failures->more++;
		return;
	}
	if (failures->error) {
		io_failures_end(failures);
		fprintf(tool->out, "%s\n", failures->err.text);
	}
	*failures = (struct io_failures){*err, error, op, 0};
}

int tool_io_wait_co(struct tool *tool, struct err *err)
{
	struct io_failures failures = {0};
	struct tool_io *io;

	while ((io = TAILQ_FIRST(&tool->running))) {
		struct err own = {0};
		uint8_t op = io->request.op;

		TAILQ_REMOVE(&tool->running, io, link);
		int error = io_end_co(io, &own);
		if (error)
			io_failed(tool, &failures, op, error, &own);
	}
	io_failures_end(&failures);
	if (failures.error)
		*err = failures.err;
	return failures.error;
}

/* -- arguments ------------------------------------------------------------ */

struct io_arguments {
	uint64_t offset_bytes, length_bytes;
	int pattern, expected; /* -1: not given */
	bool verbose, fua;
};

static int io_pattern(const char *word, int *pattern, struct err *err)
{
	char *end;
	unsigned long value = word ? strtoul(word, &end, 0) : 256;

	if (!word || *end || value > 255)
		return err_set(err, EINVAL,
			"expected a byte (0 to 255, or 0x..) as pattern");
	*pattern = (int)value;
	return 0;
}

static int io_arguments(const struct tool_line *line, unsigned numbers,
	struct io_arguments *out, struct err *err)
{
	uint64_t *number[] = {&out->offset_bytes, &out->length_bytes};
	unsigned given = 0;
	int error = 0;

	*out = (struct io_arguments){.pattern = -1, .expected = -1};
	for (unsigned i = 1; i < line->count && !error; i++) {
		const char *word = line->word[i];
		const char *next = i + 1 < line->count ? line->word[i + 1] : 0;

		if (!strcmp(word, "-v"))
			out->verbose = true;
		else if (!strcmp(word, "-f"))
			out->fua = true;
		else if (!strcmp(word, "-P"))
			error = io_pattern(next, &out->pattern, err), i++;
		else if (!strcmp(word, "-E"))
			error = io_pattern(next, &out->expected, err), i++;
		else if (given < numbers)
			error = tool_size(word, number[given++], err);
		else
			error = err_set(
				err, EINVAL, "'%s' is not expected", word);
	}
	if (!error && given < numbers)
		error = err_set(err, EINVAL, "OFFSET and LENGTH are missing");
	return error;
}

static int io_command_co(struct tool *tool, const struct tool_line *line,
	enum block_opcode op, struct err *err)
{
	struct io_arguments arguments;
	bool wait = strncmp(line->word[0], "aio-", 4) != 0;
	int error =
		io_arguments(line, op == BLOCK_FLUSH ? 0 : 2, &arguments, err);

	if (error)
		return error;
	uint64_t bytes = 0;
	if (BLOCK_OP(op) & BLOCK_OPS_DATA)
		bytes = arguments.length_bytes;
	else if (op == BLOCK_COMPARE_AND_WRITE)
		bytes = 2 * arguments.length_bytes;
	if (bytes > BLOCK_MAX_DATA_BYTES)
		return err_set(err, EINVAL, "at most %u bytes at a time",
			BLOCK_MAX_DATA_BYTES);
	int second = arguments.pattern < 0 ? 0xcd : arguments.pattern;
	int first = op == BLOCK_COMPARE_AND_WRITE && arguments.expected >= 0
		? arguments.expected
		: op == BLOCK_COMPARE_AND_WRITE ? 0
						: second;
	struct tool_io *io = io_new(tool, op, bytes, first, second);
	if (!io)
		return err_set(
			err, ENOMEM, "no memory for %" PRIu64 " bytes", bytes);
	io->request.offset_bytes = arguments.offset_bytes;
	io->request.length_bytes = arguments.length_bytes;
	if (arguments.fua)
		io->request.flags |= BLOCK_FUA;
	if (op == BLOCK_WRITE_ZEROES)
		io->request.flags |= BLOCK_MAY_UNMAP;
	io->dump = arguments.verbose && op == BLOCK_READ;
	io->check = op == BLOCK_READ ? arguments.pattern : -1;
	return io_start_co(io, wait, err);
}

/* -- commands ------------------------------------------------------------- */

static int io_read_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return io_command_co(tool, line, BLOCK_READ, err);
}

static int io_write_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return io_command_co(tool, line, BLOCK_WRITE, err);
}

static int io_zero_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return io_command_co(tool, line, BLOCK_WRITE_ZEROES, err);
}

static int io_discard_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return io_command_co(tool, line, BLOCK_DISCARD, err);
}

static int io_flush_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return io_command_co(tool, line, BLOCK_FLUSH, err);
}

static int io_compare_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	return io_command_co(tool, line, BLOCK_COMPARE_AND_WRITE, err);
}

static int io_wait_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	(void)line;
	return tool_io_wait_co(tool, err);
}

static int io_map_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	struct block_extent extent[64];
	uint64_t offset = 0;
	uint64_t size = block_source_info(tool->source, tool->lane).size_bytes;

	(void)line;
	while (offset < size) {
		struct block_extents answer = {.extent = extent, .room = 64};
		struct tool_io *io = io_new(tool, BLOCK_EXTENTS, 0, 0, 0);

		if (!io)
			return err_set(err, ENOMEM, "no memory");
		io->request.offset_bytes = offset;
		io->request.length_bytes = size - offset;
		io->request.extents = &answer;
		block_submit(tool->source, &io->request);
		io->waiter = co_self();
		while (!io->done)
			co_yield ();
		int result = io->request.result;
		free(io->data);
		free(io);
		if (result || !answer.count)
			return err_set(err, result ? -result : EIO, "map: %s",
				strerror(result ? -result : EIO));
		for (uint32_t i = 0; i < answer.count; i++) {
			offset =
				extent[i].offset_bytes + extent[i].length_bytes;
			fprintf(tool->out, "%12" PRIu64 " %12" PRIu64 " %s%s\n",
				extent[i].offset_bytes, extent[i].length_bytes,
				extent[i].flags & BLOCK_EXTENT_DATA ? "data"
								    : "hole",
				extent[i].flags & BLOCK_EXTENT_ZERO ? " zero"
								    : "");
		}
	}
	return 0;
}

/* -- the whole content into a file ---------------------------------------- */

struct saving {
	FILE *to;
	const uint8_t *data;
	uint64_t offset_bytes;
	size_t bytes;
};

/* On the worker pool; zeroes are left out, so the file is sparse. */
static int save_work(void *argument)
{
	const struct saving *s = argument;

	if (bytes_are_zero(s->data, s->bytes))
		return 0;
	if (fseeko(s->to, (off_t)s->offset_bytes, SEEK_SET) ||
		fwrite(s->data, 1, s->bytes, s->to) != s->bytes)
		return -errno;
	return 0;
}

static int save_all_co(struct tool *tool, struct saving *s, uint8_t *data)
{
	uint64_t size = block_source_info(tool->source, tool->lane).size_bytes;
	int error = 0;

	s->data = data;
	for (uint64_t at = 0; at < size && !error; at += s->bytes) {
		s->offset_bytes = at;
		s->bytes = size - at < SAVE_BYTES ? size - at : SAVE_BYTES;
		error = block_transfer_co(tool->source, tool->lane, BLOCK_READ,
			0, at, s->bytes, data);
		if (!error)
			error = loop_work_co(tool->lane->loop, save_work, s);
	}
	if (!error && (fflush(s->to) || ftruncate(fileno(s->to), (off_t)size)))
		error = -errno;
	return error;
}

static int io_save_co(
	struct tool *tool, const struct tool_line *line, struct err *err)
{
	struct saving s = {.to = fopen(line->word[1], "w")};
	uint8_t *data = aligned_alloc(4096, SAVE_BYTES);
	int error = s.to ? 0 : -errno;

	if (!error)
		error = data ? save_all_co(tool, &s, data) : -ENOMEM;
	free(data);
	if (s.to && fclose(s.to) && !error)
		error = -errno;
	return error ? err_set(err, -error, "save at %" PRIu64 ": %s",
			       s.offset_bytes, strerror(-error))
		     : 0;
}

const struct tool_command tool_io_commands[] = {
	{"read", "[-v] [-P BYTE] OFFSET LENGTH",
		"read; -v shows the data, -P checks it", 2, 5, io_read_co},
	{"write", "[-P BYTE] [-f] OFFSET LENGTH",
		"write BYTE (0xcd); -f: durable before it ends", 2, 5,
		io_write_co},
	{"zero", "[-f] OFFSET LENGTH", "make a range read as zeroes", 2, 3,
		io_zero_co},
	{"discard", "OFFSET LENGTH", "give a range back", 2, 2, io_discard_co},
	{"flush", "", "make what was written durable", 0, 0, io_flush_co},
	{"compare-and-write", "[-E BYTE] [-P BYTE] [-f] OFFSET LENGTH",
		"write BYTE if all there is the expected one (0)", 2, 7,
		io_compare_co},
	{"wait", "", "for all that aio-COMMAND has started", 0, 0, io_wait_co},
	{"map", "", "what is allocated where", 0, 0, io_map_co},
	{"save", "FILE", "write all that is read to a file", 1, 1, io_save_co},
	{0},
};
