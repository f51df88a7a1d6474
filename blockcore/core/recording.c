/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of recorded requests; see the header.
 */
#include "blockcore/core/recording.h"

#include "blockcore/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES 64u
#define ENTRY_BYTES 40u
#define VERSION 1u
#define FLAGS (BLOCK_FUA | BLOCK_MAY_UNMAP | BLOCK_INTERNAL)

static const char magic[8] = {'C', 'A', 'I', 'R', 'N', 'R', 'E', 'C'};

/* -- writing -------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct recording_entry *x = a, *y = b;

	return (x->submitted_ns > y->submitted_ns) -
		(x->submitted_ns < y->submitted_ns);
}

static void put_entry(
	uint8_t *to, const struct recording_entry *entry, uint64_t began_ns)
{
	put_le64(to, entry->submitted_ns - began_ns);
	put_le64(to + 8, entry->took_ns);
	put_le64(to + 16, entry->offset_bytes);
	put_le64(to + 24, entry->length_bytes);
	put_le32(to + 32, (uint32_t)entry->result);
	put_le16(to + 36, entry->flags & FLAGS);
	to[38] = entry->op;
	to[39] = entry->lane;
}

static bool put_all(const struct recording *r, FILE *file)
{
	uint64_t began_ns = r->count ? r->entry[0].submitted_ns : 0;
	uint8_t bytes[HEADER_BYTES] = {0};

	memcpy(bytes, magic, sizeof magic);
	put_le32(bytes + 8, VERSION);
	put_le32(bytes + 12, ENTRY_BYTES);
	put_le64(bytes + 16, r->count);
	put_le64(bytes + 24, r->overwritten);
	put_le64(bytes + 32, r->size_bytes);
	if (fwrite(bytes, HEADER_BYTES, 1, file) != 1)
		return false;
	for (uint64_t i = 0; i < r->count; i++) {
		put_entry(bytes, &r->entry[i], began_ns);
		if (fwrite(bytes, ENTRY_BYTES, 1, file) != 1)
			return false;
	}
	return true;
}

int recording_write(struct recording *r, const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	int error = file ? 0 : errno;

	if (r->count)
		qsort(r->entry, r->count, sizeof *r->entry, by_time);
	if (file && !put_all(r, file))
		error = errno ? errno : EIO;
	if (file ? fclose(file) : fd >= 0 && close(fd))
		error = error ? error : errno;
	if (error && fd >= 0)
		unlink(path);
	return error ? err_set(err, error, "%s: %s", path, strerror(error)) : 0;
}

/* -- reading -------------------------------------------------------------- */

static bool get_entry(
	const uint8_t *from, struct recording_entry *entry, uint64_t after_ns)
{
	*entry = (struct recording_entry){
		.submitted_ns = get_le64(from),
		.took_ns = get_le64(from + 8),
		.offset_bytes = get_le64(from + 16),
		.length_bytes = get_le64(from + 24),
		.result = (int32_t)get_le32(from + 32),
		.flags = get_le16(from + 36),
		.op = from[38],
		.lane = from[39],
	};
	return entry->op < BLOCK_OPCODES && !(entry->flags & ~FLAGS) &&
		entry->submitted_ns >= after_ns &&
		entry->submitted_ns <= UINT64_MAX / 4 &&
		entry->took_ns <= UINT64_MAX / 4;
}

static int get_entries(
	struct recording *r, FILE *file, const char *path, struct err *err)
{
	uint64_t after_ns = 0;
	uint8_t bytes[ENTRY_BYTES];

	for (uint64_t i = 0; i < r->count; i++) {
		if (fread(bytes, ENTRY_BYTES, 1, file) != 1)
			return err_set(err, EINVAL,
				"%s ends after %llu of %llu requests", path,
				(unsigned long long)i,
				(unsigned long long)r->count);
		if (!get_entry(bytes, &r->entry[i], after_ns))
			return err_set(err, EINVAL,
				"%s: request %llu makes no sense: the file is "
				"damaged",
				path, (unsigned long long)i);
		after_ns = r->entry[i].submitted_ns;
	}
	return 0;
}

/* As many as the file has room for, so that a header that lies costs nothing. */
static bool fits(const struct recording *r, FILE *file)
{
	off_t bytes = fseeko(file, 0, SEEK_END) ? -1 : ftello(file);

	return r->count <= RECORDING_MAX_ENTRIES && bytes >= 0 &&
		(uint64_t)bytes == HEADER_BYTES + r->count * ENTRY_BYTES &&
		!fseeko(file, HEADER_BYTES, SEEK_SET);
}

static int get_all(
	struct recording *r, FILE *file, const char *path, struct err *err)
{
	uint8_t bytes[HEADER_BYTES];

	if (fread(bytes, HEADER_BYTES, 1, file) != 1 ||
		memcmp(bytes, magic, sizeof magic))
		return err_set(err, EINVAL, "%s is no recording", path);
	if (get_le32(bytes + 8) != VERSION ||
		get_le32(bytes + 12) != ENTRY_BYTES)
		return err_set(err, EINVAL,
			"%s is a recording of version %u; known is %u", path,
			get_le32(bytes + 8), VERSION);
	r->count = get_le64(bytes + 16);
	r->overwritten = get_le64(bytes + 24);
	r->size_bytes = get_le64(bytes + 32);
	if (!fits(r, file))
		return err_set(err, EINVAL,
			"%s says that it has %llu requests, and is not as "
			"long as these",
			path, (unsigned long long)r->count);
	r->entry = calloc(r->count ? r->count : 1, sizeof *r->entry);
	if (!r->entry)
		return err_set(err, ENOMEM, "no memory for %s", path);
	int error = get_entries(r, file, path, err);
	if (error)
		free(r->entry);
	return error;
}

int recording_read(struct recording *r, const char *path, struct err *err)
{
	FILE *file = fopen(path, "re");

	*r = (struct recording){0};
	if (!file)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	int error = get_all(r, file, path, err);
	fclose(file);
	if (error)
		*r = (struct recording){0};
	return error;
}
