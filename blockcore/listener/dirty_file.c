/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file in which the listener dirty keeps its marks while nobody has it open.
 *
 *	header		what it is, state, granularity, size of the source, name and
 *	4 KiB		number of marks of each consumer, prints of the image's files
 *			(core/image.h), checksums
 *	body		of each consumer: marks of `now`, then of `aside`
 *
 * Invariants
 *  1. While the listener is in a stack the header says "in use", durable before the
 *     first request. Who finds it so was not told the end: all has changed.
 *  2. "clean" is written when the body is durable, and only by a listener that has
 *     seen every change until its source was closed: not when it was detached.
 *  3. One listener at a time has it (flock).
 *  4. Marks are true of one image: with prints that are not those of what the
 *     source lies in now, all has changed (dirty_image.c).
 *  5. A file that is something else is refused, not written over. One of ours that
 *     is damaged costs its consumers (or their marks: all has changed), never a
 *     mark too few.
 *
 * All of it runs on the worker pool, in coroutines of the control lane that wait for
 * it.
 */
#include "blockcore/listener/dirty.h"

#include "blockcore/base/bytes.h"
#include "blockcore/base/crc32c.h"
#include "blockcore/base/log.h"
#include "blockcore/core/plain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HEADER_BYTES 4096u
#define CHECKED_BYTES (HEADER_BYTES - 4u) /* its checksum is behind them */
#define CONSUMERS_AT 64u
#define CONSUMER_BYTES 128u
#define PRINTS_AT (CONSUMERS_AT + DIRTY_CONSUMERS * CONSUMER_BYTES)
#define VERSION 1u
#define CHUNK_WORDS 4096u

enum state { IN_USE = 1, CLEAN = 2 };

static const char magic[8] = {'C', 'A', 'I', 'R', 'N', 'D', 'T', 'Y'};

struct header {
	uint32_t state, shift, count, body_crc;
	uint64_t size_bytes;
	struct {
		char name[BLOCK_NAME_BYTES];
		uint64_t bits;
	} consumer[DIRTY_CONSUMERS];
	struct dirty_prints prints;
};

_Static_assert(PRINTS_AT + BLOCK_IMAGE_FILES * 8 <= CHECKED_BYTES,
	"prints fit into the header");

struct work {
	struct dirty_driver *dirty;
	const struct dirty_table *table;
	struct err *err;
	char *path;
};

/* -- bytes ---------------------------------------------------------------- */

static int write_at(int fd, const void *data, size_t bytes, uint64_t offset)
{
	const uint8_t *from = data;

	while (bytes) {
		ssize_t n = pwrite(fd, from, bytes, (off_t)offset);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
		if (n > 0) {
			from += n;
			bytes -= (size_t)n;
			offset += (uint64_t)n;
		}
	}
	return 0;
}

/* -EILSEQ: the file ends before. */
static int read_at(int fd, void *data, size_t bytes, uint64_t offset)
{
	uint8_t *to = data;

	while (bytes) {
		ssize_t n = pread(fd, to, bytes, (off_t)offset);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EILSEQ;
		if (n > 0) {
			to += n;
			bytes -= (size_t)n;
			offset += (uint64_t)n;
		}
	}
	return 0;
}

/* -- header --------------------------------------------------------------- */

static void header_of(const struct dirty_driver *dirty,
	const struct dirty_table *table, struct header *h)
{
	*h = (struct header){.state = IN_USE,
		.shift = dirty->shift,
		.count = table->count,
		.size_bytes = dirty->size_bytes,
		.prints = dirty->prints};
	for (unsigned i = 0; i < table->count; i++) {
		snprintf(h->consumer[i].name, BLOCK_NAME_BYTES, "%s",
			table->consumer[i]->name);
		h->consumer[i].bits = table->consumer[i]->bits;
	}
}

/* Durable when it returns 0. */
static int header_write(int fd, const struct header *h)
{
	uint8_t bytes[HEADER_BYTES] = {0};

	memcpy(bytes, magic, sizeof magic);
	put_le32(bytes + 8, VERSION);
	put_le32(bytes + 12, h->state);
	put_le32(bytes + 16, h->shift);
	put_le32(bytes + 20, h->count);
	put_le64(bytes + 24, h->size_bytes);
	put_le32(bytes + 32, h->body_crc);
	put_le32(bytes + 36, h->prints.count);
	for (unsigned i = 0; i < h->prints.count; i++)
		put_le64(bytes + PRINTS_AT + i * 8, h->prints.print[i]);
	for (unsigned i = 0; i < h->count; i++) {
		uint8_t *to = bytes + CONSUMERS_AT + i * CONSUMER_BYTES;

		memcpy(to, h->consumer[i].name, BLOCK_NAME_BYTES);
		put_le64(to + BLOCK_NAME_BYTES, h->consumer[i].bits);
	}
	put_le32(bytes + CHECKED_BYTES, crc32c(0, bytes, CHECKED_BYTES));
	int error = write_at(fd, bytes, sizeof bytes, 0);
	return error || !fdatasync(fd) ? error : -errno;
}

static bool consumer_get(const uint8_t *from, struct header *h, unsigned i)
{
	memcpy(h->consumer[i].name, from, BLOCK_NAME_BYTES);
	h->consumer[i].bits = get_le64(from + BLOCK_NAME_BYTES);
	return dirty_name_is_good(from, BLOCK_NAME_BYTES) &&
		h->consumer[i].bits >= 2 &&
		h->consumer[i].bits <= DIRTY_BITS_MOST;
}

/* What is in it makes sense. */
static bool header_get(const uint8_t *bytes, struct header *h)
{
	if (crc32c(0, bytes, CHECKED_BYTES) != get_le32(bytes + CHECKED_BYTES))
		return false;
	h->state = get_le32(bytes + 12);
	h->shift = get_le32(bytes + 16);
	h->count = get_le32(bytes + 20);
	h->size_bytes = get_le64(bytes + 24);
	h->body_crc = get_le32(bytes + 32);
	h->prints.count = get_le32(bytes + 36);
	if (h->count > DIRTY_CONSUMERS || h->size_bytes > INT64_MAX ||
		h->prints.count > BLOCK_IMAGE_FILES)
		return false;
	for (unsigned i = 0; i < h->prints.count; i++)
		h->prints.print[i] = get_le64(bytes + PRINTS_AT + i * 8);
	for (unsigned i = 0; i < h->count; i++) {
		if (!consumer_get(
			    bytes + CONSUMERS_AT + i * CONSUMER_BYTES, h, i))
			return false;
	}
	return true;
}

static int refuse_foreign(const struct work *work)
{
	return err_set(work->err, EINVAL,
		"%s: holds something else than marks of this version; give "
		"another name, or remove it",
		work->path);
}

/* h->count is 0 if it is new or damaged. */
static int header_read(const struct work *work, struct header *h)
{
	uint8_t bytes[HEADER_BYTES] = {0};
	int error = read_at(work->dirty->fd, bytes, sizeof bytes, 0);
	off_t size = lseek(work->dirty->fd, 0, SEEK_END);

	*h = (struct header){0};
	if (size == 0)
		return 0;
	if (error && error != -EILSEQ)
		return err_set(work->err, -error, "%s: %s", work->path,
			strerror(-error));
	if (memcmp(bytes, magic, sizeof magic) ||
		get_le32(bytes + 8) != VERSION)
		return refuse_foreign(work);
	if (!error && header_get(bytes, h))
		return 0;
	log_warning(work->path, "dirty",
		"the file is damaged: its consumers are forgotten; who adds "
		"itself again begins with everything");
	h->count = 0;
	return 0;
}

/* -- body ----------------------------------------------------------------- */

static uint64_t words_of(const struct dirty_consumer *c)
{
	return (c->bits + 63) / 64;
}

/* Word n of what the file has of a consumer. */
static uint64_t word_get(const struct dirty_consumer *c, uint64_t n)
{
	return n < words_of(c)
		? atomic_load_explicit(&c->now[n], memory_order_relaxed)
		: c->aside[n - words_of(c)];
}

static void word_put(struct dirty_consumer *c, uint64_t n, uint64_t word)
{
	if (n < words_of(c))
		atomic_store_explicit(&c->now[n], word, memory_order_relaxed);
	else
		c->aside[n - words_of(c)] = word;
}

static uint64_t chunk_at(const struct dirty_consumer *c, uint64_t n)
{
	uint64_t left = 2 * words_of(c) - n;

	return left < CHUNK_WORDS ? left : CHUNK_WORDS;
}

/* Moves on *offset and *crc. */
static int consumer_write(int fd, const struct dirty_consumer *c,
	uint8_t *chunk, uint64_t *offset, uint32_t *crc)
{
	for (uint64_t n = 0; n < 2 * words_of(c); n += CHUNK_WORDS) {
		uint64_t count = chunk_at(c, n);

		for (uint64_t i = 0; i < count; i++)
			put_le64(chunk + i * 8, word_get(c, n + i));
		*crc = crc32c(*crc, chunk, count * 8);
		int error = write_at(fd, chunk, count * 8, *offset);
		if (error)
			return error;
		*offset += count * 8;
	}
	return 0;
}

static int consumer_read(int fd, struct dirty_consumer *c, uint8_t *chunk,
	uint64_t *offset, uint32_t *crc)
{
	for (uint64_t n = 0; n < 2 * words_of(c); n += CHUNK_WORDS) {
		uint64_t count = chunk_at(c, n);
		int error = read_at(fd, chunk, count * 8, *offset);

		if (error)
			return error;
		*crc = crc32c(*crc, chunk, count * 8);
		for (uint64_t i = 0; i < count; i++)
			word_put(c, n + i, get_le64(chunk + i * 8));
		*offset += count * 8;
	}
	return 0;
}

/* -- opening -------------------------------------------------------------- */

void dirty_file_mark_all(struct dirty_consumer *c)
{
	memset(c->aside, 0, words_of(c) * sizeof *c->aside);
	for (uint64_t i = 0; i < words_of(c); i++)
		atomic_store_explicit(
			&c->now[i], UINT64_MAX, memory_order_relaxed);
	if (c->bits % 64)
		atomic_store_explicit(&c->now[c->bits / 64],
			UINT64_MAX >> (64 - c->bits % 64),
			memory_order_relaxed);
}

static int make_consumers(const struct work *work, const struct header *h)
{
	struct dirty_driver *dirty = work->dirty;
	uint64_t bits = (h->size_bytes >> dirty->shift) + 2;

	for (unsigned i = 0; i < h->count; i++) {
		struct dirty_consumer *c = dirty_consumer_new(
			h->consumer[i].name,
			h->shift == dirty->shift ? h->consumer[i].bits : bits,
			work->err);

		if (!c)
			return -work->err->code;
		dirty->table->consumer[dirty->table->count++] = c;
	}
	dirty->size_bytes = h->size_bytes;
	dirty->prints = h->prints;
	return 0;
}

/* Their marks, or all of them. */
static int load_marks(const struct work *work, const struct header *h)
{
	struct dirty_table *table = work->dirty->table;
	bool known = h->state == CLEAN && h->shift == work->dirty->shift;
	uint8_t *chunk = malloc(CHUNK_WORDS * 8);
	uint64_t offset = HEADER_BYTES;
	uint32_t crc = 0;

	if (!chunk)
		return err_set(work->err, ENOMEM, "no memory for marks");
	for (unsigned i = 0; known && i < table->count; i++)
		known = !consumer_read(work->dirty->fd, table->consumer[i],
			chunk, &offset, &crc);
	free(chunk);
	work->dirty->kept = known && crc == h->body_crc;
	if (work->dirty->kept)
		return 0;
	if (table->count)
		log_warning(work->path, "dirty",
			"its marks were not kept at a clean stop with this "
			"granularity: for its consumers all has changed");
	for (unsigned i = 0; i < table->count; i++)
		dirty_file_mark_all(table->consumer[i]);
	return 0;
}

static int open_fd(const struct work *work)
{
	int fd = open(
		work->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set(work->err, errno, "%s: %s", work->path,
			strerror(errno));
	work->dirty->fd = fd;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	return err_set(work->err, EBUSY,
		"%s: another listener keeps its marks there; give another name",
		work->path);
}

static int note_work(void *argument)
{
	const struct work *work = argument;
	struct header h;

	header_of(work->dirty, work->table, &h);
	int error = header_write(work->dirty->fd, &h);
	if (!error)
		return 0;
	return err_set(
		work->err, -error, "file of marks: %s", strerror(-error));
}

static int open_work(void *argument)
{
	struct work *work = argument;
	struct header h;
	int error = open_fd(work);

	if (!error)
		error = header_read(work, &h);
	if (!error)
		error = make_consumers(work, &h);
	if (!error)
		error = load_marks(work, &h);
	work->table = work->dirty->table;
	if (!error)
		error = note_work(work);
	if (error && work->dirty->fd >= 0)
		close(work->dirty->fd);
	return error;
}

static struct loop *loop_of(const struct dirty_driver *dirty)
{
	return block_core_lane(dirty->driver.core, 0)->loop;
}

int dirty_file_open_co(struct dirty_driver *dirty, struct err *err)
{
	const struct dirty_options *o = dirty->driver.options;
	struct work work = {.dirty = dirty,
		.err = err,
		.path = plain_file_path(dirty->driver.core, o->file, err)};

	if (!work.path)
		return -ENOMEM;
	int error = loop_work_co(loop_of(dirty), open_work, &work);
	free(work.path);
	if (error)
		dirty->fd = -1;
	return error;
}

int dirty_file_note_co(struct dirty_driver *dirty,
	const struct dirty_table *table, struct err *err)
{
	struct work work = {.dirty = dirty, .table = table, .err = err};

	return loop_work_co(loop_of(dirty), note_work, &work);
}

/* -- closing -------------------------------------------------------------- */

static int save(struct dirty_driver *dirty)
{
	uint8_t *chunk = malloc(CHUNK_WORDS * 8);
	uint64_t offset = HEADER_BYTES;
	struct header h;
	int error = chunk ? 0 : -ENOMEM;

	header_of(dirty, dirty->table, &h);
	for (unsigned i = 0; !error && i < dirty->table->count; i++)
		error = consumer_write(dirty->fd, dirty->table->consumer[i],
			chunk, &offset, &h.body_crc);
	free(chunk);
	if (!error && ftruncate(dirty->fd, (off_t)offset))
		error = -errno;
	if (!error && fdatasync(dirty->fd))
		error = -errno;
	h.state = CLEAN;
	return error ? error : header_write(dirty->fd, &h);
}

static int close_work(void *argument)
{
	struct dirty_driver *dirty = argument;
	int error = 0;

	if (!dirty->driver.detached) {
		dirty_image_take(dirty);
		error = save(dirty);
	}
	close(dirty->fd);
	return error;
}

void dirty_file_close_co(struct dirty_driver *dirty)
{
	int error = loop_work_co(loop_of(dirty), close_work, dirty);

	if (error)
		log_warning(dirty->driver.name, "dirty",
			"its marks could not be kept: %s; for its consumers "
			"all has changed",
			strerror(-error));
}
